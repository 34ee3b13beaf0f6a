/**
 * What a handler threw, as the errno that the system call returns and at most one log line. Every way in which serving a
 * request can fail goes through here, so that an unknown throw is EIO with its stack in the log and never a dead mount.
 * Refuses to hide a broken invariant: it is thrown on, and the daemon ends.
 */
import type { Clock } from '../base/clock.js';
import { EINTR, EIO, ErrnoError, errnoName } from '../base/errno.js';
import { InvariantError } from '../base/invariant.js';
import type { Log, LogFields } from '../base/log.js';
import type { PendingRequest } from './request.js';

/** Error lines a second; a store that is down fails thousands of READs a second with the same story. Guessed. */
const LINES_PER_SECOND = 10;

export class Failures {
  readonly #log: Log;
  readonly #clock: Clock;
  #windowStartMs = -Infinity;
  #lines = 0;
  #suppressed = 0;

  constructor(log: Log, clock: Clock) {
    this.#log = log;
    this.#clock = clock;
  }

  /** The errno to answer `request` with. Throws InvariantError on. */
  errnoFor(request: PendingRequest, error: unknown): number {
    if (error instanceof InvariantError) throw error;
    if (request.interrupted && isInterruption(error)) return EINTR;
    const known = error instanceof ErrnoError;
    const errno = known ? error.errno : EIO;
    // EINTR for a request that nobody interrupted would surface in a program that handles no signals (kernel fact 7).
    const answer = errno === EINTR ? EIO : errno;
    if (answer === EIO) {
      this.#line(
        { operation: request.row.name, nodeId: request.nodeId, pid: request.pid, err: error },
        known
          ? `${request.row.name} failed: ${error.message}`
          : `${request.row.name} failed with EIO: its handler threw ${String(error)}`,
      );
    } else if (known && error.message !== errnoName(errno)) {
      this.#log.debug(
        { operation: request.row.name, nodeId: request.nodeId, errno: errnoName(errno) },
        `${request.row.name}: ${error.message}`,
      );
    }
    return answer;
  }

  /** Daemons before this one died of it. */
  refused({ row, nodeId, id }: PendingRequest): void {
    const fields = { operation: row.name, nodeId, unique: id };
    this.#log.error(fields, `${row.name} is answered EIO: daemons died while they served it; please report this`);
  }

  /** A failure without a reply to put it in (FORGET, releasing a handle nobody got). Throws InvariantError on. */
  note(error: unknown, fields: LogFields, message: string): void {
    if (error instanceof InvariantError) throw error;
    this.#line({ ...fields, err: error }, `${message}: ${String(error)}`);
  }

  #line(fields: LogFields, message: string): void {
    const nowMs = this.#clock.nowMs();
    if (nowMs - this.#windowStartMs >= 1000) {
      if (this.#suppressed > 0) {
        this.#log.error({ suppressed: this.#suppressed }, `${this.#suppressed} more failed requests were not logged`);
      }
      this.#windowStartMs = nowMs;
      this.#lines = 0;
      this.#suppressed = 0;
    }
    if (this.#lines++ < LINES_PER_SECOND) this.#log.error(fields, message);
    else this.#suppressed++;
  }
}

/** A handler's way of saying that it stopped because its signal was aborted. */
function isInterruption(error: unknown): boolean {
  if (error instanceof ErrnoError) return error.errno === EINTR;
  return error instanceof Error && error.name === 'AbortError';
}
