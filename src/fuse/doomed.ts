/**
 * Requests that are interrupted while they wait for the store. Until they are answered the process stays in D, deaf to
 * kill -9, for as long as the store is away (kernel fact 7, docs/KERNEL.md). But the kernel interrupts for any signal, also
 * for a profiler's timer, a child that ended and io_uring's own work, and gives EINTR to programs that do not expect it of
 * files: only what people and schedulers end a process with counts (pending-signals.ts).
 *
 * - What ends in a commit (close, fsync) is answered when its caller is being killed, and its work goes on without it. To a
 *   program that handles its signal and asks whether its bytes are safe EINTR would be a lie.
 * - Whatever else ends when its caller is told to end: its handler hears of it, and the answer is EINTR. Of a change of names
 *   the store may have been asked: a program would ask again, and be told that there is no such file.
 *
 * The kernel tells of the first signal only, and not of SIGKILL behind it: who was interrupted is looked at again. Where the
 * caller cannot be seen (another pid namespace) an interrupt counts when the request has waited LONG_WAIT_MS.
 * Costs nothing until a request is interrupted. Bounded: CALLERS_PER_LOOK processes a look; the rest comes at the next.
 */
import type { Clock, Timer } from '../base/clock.js';
import * as abi from './abi.js';
import type { PendingRequest } from './request.js';
import { CALLERS_PER_LOOK, LONG_WAIT_MS, LOOK_EVERY_MS } from './slow-reads.js';

/** What ends in a commit; a file's turns keep it apart from what comes after it. */
const MAY_BE_LEFT: ReadonlySet<number> = new Set([abi.FUSE_FLUSH, abi.FUSE_FSYNC, abi.FUSE_SETATTR]);

export interface DoomedDeps {
  readonly clock: Clock;
  /** Is this thread being killed? */
  readonly isBeingKilled: (pid: number) => boolean;
  /** Has it been told to end, in whatever way? */
  readonly isToldToEnd: ((pid: number) => boolean) | undefined;
  /** Answers the request; what its handler says later is for nobody. */
  readonly leave: (request: PendingRequest) => void;
}

export class DoomedRequests {
  readonly #deps: DoomedDeps;
  readonly #interrupted = new Set<PendingRequest>();
  #timer: Timer | undefined;

  constructor(deps: DoomedDeps) {
    this.#deps = deps;
  }

  /** Whether its handler hears of an interrupt from here only. */
  holds(request: PendingRequest): boolean {
    return !MAY_BE_LEFT.has(request.row.opcode);
  }

  /** The kernel has interrupted a request that waits for its answer. True: its handler is told when it is time, from here. */
  interrupted(request: PendingRequest): boolean {
    // Only this one: a profiler's timer interrupts a thousand a second, and each look reads /proc.
    if (!this.#ended(request)) {
      this.#interrupted.add(request);
      this.#arm();
    }
    return this.holds(request);
  }

  #look(): void {
    let looks = 0;
    for (const request of [...this.#interrupted]) {
      if (looks >= CALLERS_PER_LOOK) break;
      // To the end of the line, or out of it.
      this.#interrupted.delete(request);
      if (request.answered) continue;
      looks++;
      if (!this.#ended(request)) this.#interrupted.add(request);
    }
    if (this.#interrupted.size > 0) this.#arm();
  }

  #arm(): void {
    if (this.#timer) return;
    this.#timer = this.#deps.clock.after(LOOK_EVERY_MS, () => {
      this.#timer = undefined;
      this.#look();
    });
  }

  /** Nothing more is to be done about it. */
  #ended(request: PendingRequest): boolean {
    const { clock, isBeingKilled, isToldToEnd = isBeingKilled, leave } = this.#deps;
    const { pid } = request;
    if (this.holds(request)) {
      const isUnseen = pid <= 0 && clock.nowMs() - request.startedMs >= LONG_WAIT_MS;
      if (!isUnseen && !isToldToEnd(pid)) return false;
      request.interrupt();
      return true;
    }
    if (!isBeingKilled(pid)) return false;
    leave(request);
    return true;
  }
}
