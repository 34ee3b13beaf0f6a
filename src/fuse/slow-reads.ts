/**
 * Looks after READs that wait long: one whose caller has been told to end is interrupted as if the kernel had said so,
 * which it does not for asynchronous reads (pending-signals.ts). Without this, kill -9 of a job that reads from a silent
 * store takes effect only at the engine's read deadline.
 * Costs nothing while READs are quick: the timer runs only while some wait, and /proc is read only for those that have
 * waited LONG_WAIT_MS. Bounded: CALLERS_PER_LOOK processes a look; the rest comes at the next.
 */
import type { Clock, Timer } from '../base/clock.js';
import * as abi from './abi.js';
import type { PendingRequest } from './request.js';

/** Guessed: what people still call at once; a store's slow answer is quicker. */
export const LONG_WAIT_MS = 1000;
export const LOOK_EVERY_MS = 500;
/** At 20 us each a millisecond of the main thread. */
export const CALLERS_PER_LOOK = 64;

export interface SlowReadsDeps {
  readonly clock: Clock;
  /** Has this thread been told to end? */
  readonly isToldToEnd: (pid: number) => boolean;
  /** Requests that wait for their answer, oldest first. */
  readonly waiting: () => Iterable<PendingRequest>;
}

export class SlowReads {
  readonly #deps: SlowReadsDeps;
  #timer: Timer | undefined;
  /** Where the last look ended, when it had its fill: the next begins there. */
  #skip = 0;

  constructor(deps: SlowReadsDeps) {
    this.#deps = deps;
  }

  /** A request waits from now on. */
  parked(request: PendingRequest): void {
    if (request.row.opcode !== abi.FUSE_READ) return;
    request.parkedMs = this.#deps.clock.nowMs();
    this.#arm();
  }

  #arm(): void {
    if (this.#timer) return;
    this.#timer = this.#deps.clock.after(LOOK_EVERY_MS, () => {
      this.#timer = undefined;
      if (this.#look()) this.#arm();
    });
  }

  /** False when no READ waits. */
  #look(): boolean {
    const { clock, isToldToEnd, waiting } = this.#deps;
    const longMs = clock.nowMs() - LONG_WAIT_MS;
    const callers = new Map<number, boolean>();
    const over: PendingRequest[] = [];
    let reads = 0;
    let seen = 0;
    for (const request of waiting()) {
      if (request.row.opcode !== abi.FUSE_READ) continue;
      reads++;
      if (request.parkedMs > longMs || request.interrupted || ++seen <= this.#skip) continue;
      let ending = callers.get(request.pid);
      if (ending === undefined) {
        if (callers.size >= CALLERS_PER_LOOK) {
          this.#skip = seen - 1;
          break;
        }
        callers.set(request.pid, (ending = isToldToEnd(request.pid)));
      }
      if (ending) over.push(request);
    }
    if (callers.size < CALLERS_PER_LOOK) this.#skip = 0;
    // After the walk, for an interrupt changes the table.
    for (const request of over) request.interrupt();
    return reads > 0;
  }
}
