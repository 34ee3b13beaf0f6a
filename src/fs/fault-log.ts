/**
 * One log line for what went wrong, to which key, and what to do now; and not a thousand of them: a failing store
 * fails for every reader at once. Each kind of failure gets one line per interval, which says how many were left out.
 * Refuses to log what is an ordinary answer (ENOENT, EINTR) and to decide errno: it reports what others threw.
 */
import { EINTR, ENOENT, errnoName, ErrnoError } from '../base/errno.js';
import type { Clock } from '../base/clock.js';
import type { Log } from '../base/log.js';
import { messageOf } from '../base/thrown.js';
import { StoreError } from '../engine/store-error.js';

/** A kind of failure is logged once in this time. */
export const FAULT_INTERVAL_MS = 5000;
/** Kinds that are remembered; operations times error numbers are fewer. */
const KINDS_MAX = 256;

interface Kind {
  loggedAtMs: number;
  suppressed: number;
}

export class FaultLog {
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #kinds = new Map<string, Kind>();

  constructor(deps: { readonly clock: Clock; readonly log: Log }) {
    this.#clock = deps.clock;
    this.#log = deps.log;
  }

  /** `operation` failed for `key` with `error`. */
  report(operation: string, key: string, error: unknown): void {
    if (error instanceof ErrnoError && (error.errno === ENOENT || error.errno === EINTR)) return;
    if (error instanceof Error && error.name === 'AbortError') return;
    const errno = error instanceof ErrnoError ? errnoName(error.errno) : 'EIO';
    const message = messageOf(error);
    const remedy = error instanceof StoreError ? error.remedy : undefined;
    const code = error instanceof StoreError ? error.code : undefined;
    this.problem(`${operation} ${errno} ${code ?? ''}`, { operation, key, errno, code }, [
      `${operation} of '${key}' failed with ${errno}: ${message}`,
      remedy,
    ]);
  }

  /** A refusal or a finding of our own: `kind` is what is counted together; the sentences are joined. */
  problem(kind: string, fields: Readonly<Record<string, unknown>>, sentences: readonly (string | undefined)[]): void {
    const suppressed = this.#pass(kind);
    if (suppressed === undefined) return;
    const tail = suppressed > 0 ? `${suppressed} more like this since the last line` : undefined;
    const line = [...sentences, tail].filter((sentence) => sentence !== undefined && sentence !== '');
    this.#log.warn({ ...fields, suppressed }, line.join('; '));
  }

  /** Keys below `directoryKey` that cannot be shown. */
  hidden(directoryKey: string, count: number): void {
    if (this.#pass('hidden') === undefined) return;
    this.#log.warn(
      { operation: 'list', key: directoryKey, hiddenKeys: count },
      `${count} keys in '${directoryKey}' cannot be file names ('//', '.', '..', NUL or over 255 bytes) and are not shown; ` +
        'rename them in the bucket to reach them',
    );
  }

  /** How many lines of this kind were left out since the last, or undefined when this one is to be left out too. */
  #pass(kind: string): number | undefined {
    const nowMs = this.#clock.nowMs();
    const known = this.#kinds.get(kind);
    if (known && nowMs - known.loggedAtMs < FAULT_INTERVAL_MS) {
      known.suppressed++;
      return undefined;
    }
    if (!known && this.#kinds.size >= KINDS_MAX) this.#kinds.clear();
    this.#kinds.set(kind, { loggedAtMs: nowMs, suppressed: 0 });
    return known?.suppressed ?? 0;
  }
}
