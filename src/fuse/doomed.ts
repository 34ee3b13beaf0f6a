/**
 * Requests whose caller is being killed while it waits for a commit: they are answered at once, and their work goes on
 * without them. Until then the process would stay in D, deaf to kill -9, for as long as the store is away (kernel fact 7,
 * docs/KERNEL.md). An interrupt alone is not enough: a program that handles its signal goes on, and to one that asks
 * whether its bytes are safe EINTR would be a lie.
 * The kernel tells of the first signal only, and not of SIGKILL behind it: who was interrupted is looked at again.
 * Costs nothing until a request is interrupted. Bounded: CALLERS_PER_LOOK processes a look; the rest comes at the next.
 * Refuses what holds locks of a directory: those keep changes of names apart.
 */
import type { Clock, Timer } from '../base/clock.js';
import * as abi from './abi.js';
import type { PendingRequest } from './request.js';
import { CALLERS_PER_LOOK, LOOK_EVERY_MS } from './slow-reads.js';

/** What ends in a commit; a file's turns keep it apart from what comes after it. */
const MAY_BE_LEFT: ReadonlySet<number> = new Set([abi.FUSE_FLUSH, abi.FUSE_FSYNC, abi.FUSE_SETATTR]);

export interface DoomedDeps {
  readonly clock: Clock;
  /** Is this thread being killed? */
  readonly isBeingKilled: (pid: number) => boolean;
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

  /** The kernel has interrupted a request that waits for its answer. */
  interrupted(request: PendingRequest): void {
    if (!MAY_BE_LEFT.has(request.row.opcode)) return;
    this.#interrupted.add(request);
    this.#look();
  }

  #look(): void {
    const { clock, isBeingKilled, leave } = this.#deps;
    let looks = 0;
    for (const request of [...this.#interrupted]) {
      if (looks >= CALLERS_PER_LOOK) break;
      // To the end of the line, or out of it.
      this.#interrupted.delete(request);
      if (request.answered) continue;
      looks++;
      if (isBeingKilled(request.pid)) leave(request);
      else this.#interrupted.add(request);
    }
    if (this.#interrupted.size === 0 || this.#timer) return;
    this.#timer = clock.after(LOOK_EVERY_MS, () => {
      this.#timer = undefined;
      this.#look();
    });
  }
}
