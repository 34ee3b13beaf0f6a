/**
 * The patience of a start: a store that is away just now (it restarts, or a balancer before it has nobody to pass requests
 * to) is asked again for START_WAIT_MS, and whoever waits is told. What will not change (no such bucket, no permission, no such
 * host, a certificate) is thrown at once, and so is silence at the first question, which has lasted PROBE_MS by then: an
 * address behind a firewall that drops packets looks like that.
 * Refuses to wait where a number of attempts was asked for (`AWS_MAX_ATTEMPTS`), and after `signal`.
 */
import type { Clock } from '../../base/clock.js';
import { pause } from '../../base/waits.js';
import { isAwayStatus } from '../s3-errno.js';
import { StoreError } from '../store-error.js';

/** As a running mount waits; less than what service managers give a start (90 s), more than most stores take to restart. */
export const START_WAIT_MS = 30_000;
/** Between two questions, half of it at least: all mounts of a cluster may be waiting. */
const STEP_MS = 1_000;

/** The store is away, and is waited for. */
export interface StoreAway {
  /** One sentence, with how long it will be waited for. */
  readonly message: string;
  /** Longest wait from now on. */
  readonly waitMs: number;
}

export interface StartPatience {
  /** Ends the wait at once. */
  readonly signal?: AbortSignal | undefined;
  /** Called when the wait begins: once. */
  readonly onAway?: ((away: StoreAway) => void) | undefined;
}

/** Our words (sdk-error.ts) for a way that may be open in a moment. */
const AWAY_CODES: ReadonlySet<string> = new Set([
  'ConnectionRefused',
  'ConnectionReset',
  'HostUnreachable',
  'NameServerFailed',
]);

/** "Not now", in whatever words. */
export function isAway(error: unknown): error is StoreError {
  if (!(error instanceof StoreError)) return false;
  return error.status === 0 ? AWAY_CODES.has(error.code) : isAwayStatus(error.status);
}

/** What `ask` comes to, asked again while the store is away. Throws as `ask` does. */
export async function untilThere<T>(
  ask: () => Promise<T>,
  clock: Clock,
  { signal, onAway }: StartPatience,
  random: () => number = Math.random,
): Promise<T> {
  const startMs = clock.nowMs();
  // Timers of a Clock do not keep a process alive, and at its start nothing else may.
  let alive: NodeJS.Timeout | undefined;
  try {
    for (;;) {
      try {
        return await ask();
      } catch (error) {
        const isSilent = alive !== undefined && error instanceof StoreError && error.code === 'Timeout';
        if (signal?.aborted || (!isAway(error) && !isSilent)) throw error;
        const waitMs = STEP_MS * (0.5 + random() / 2);
        const leftMs = startMs + START_WAIT_MS - clock.nowMs();
        if (leftMs < waitMs) throw waitedFor(error, clock.nowMs() - startMs);
        if (alive === undefined) {
          alive = setInterval(() => undefined, STEP_MS);
          onAway?.({
            message: `${error.message}; waiting for it, ${Math.round(leftMs / 1000)} s at most`,
            waitMs: leftMs,
          });
        }
        await pause(clock, waitMs, signal);
      }
    }
  } finally {
    clearInterval(alive);
  }
}

function waitedFor(error: StoreError, waitedMs: number): StoreError {
  const { errno, code, status, resource, remedy } = error;
  const message = `${error.message} (it was waited for ${Math.round(waitedMs / 1000)} s)`;
  return new StoreError(
    { errno, code, status, resource, message, ...(remedy === undefined ? {} : { remedy }) },
    { cause: error },
  );
}
