/**
 * Finds the request that daemons die of when the death comes in a later turn, where nobody can see whose it was. After two such
 * deaths the requests that the kernel sends again are served one at a time, each when the one before it is answered or
 * has had TURN_MS; and which requests are in service stands where the supervisor finds it. A death with one in service
 * is that one's; after a death with several they come first the next time, the last begun before the others, so that a
 * slow one does not hide the guilty one for long. Fresh requests are served as always, and noted too.
 * Over when all that were held are answered. Bounds: HELD_MAX requests, HELD_BYTES_MAX: what comes beyond is served at once.
 * Refuses to judge: the supervisor does (src/main/supervisor/crash-policy.ts).
 */
import type { Clock, Timer } from '../base/clock.js';
import { MIB } from '../base/units.js';
import type { RequestTicket } from './handlers.js';
import { requestId } from './request.js';

/** From the first that is sent again until they are served: they come together, and in the kernel's order. Guessed. */
export const GATHER_MS = 100;
/** None is sent again: nobody waits. */
export const NOBODY_MS = 5000;
/** A request that waits for another one that is held must not wait for long. */
export const TURN_MS = 1000;
export const HELD_MAX = 1024;
export const HELD_BYTES_MAX = 16 * MIB;

export interface TrialDeps {
  readonly clock: Clock;
  /** Serves a message that was held. */
  readonly serve: (bytes: Uint8Array, lent: Uint8Array | undefined) => void;
  /** Which requests are in service, in the order in which they began. */
  readonly note: (inService: readonly RequestTicket[]) => void;
  readonly onOver: () => void;
}

interface Held {
  readonly id: number;
  readonly bytes: Uint8Array;
  readonly lent: Uint8Array | undefined;
}

export class Trial {
  readonly #deps: TrialDeps;
  /** By id: the lower, the sooner. */
  readonly #rank: ReadonlyMap<number, number>;
  #held: Held[] = [];
  #heldBytes = 0;
  readonly #inService = new Set<RequestTicket>();
  /** Of those in service that were held. */
  readonly #suspects = new Set<RequestTicket>();
  /** Whose turn it is. */
  #current: RequestTicket | undefined;
  #isServing = false;
  #isGathered = false;
  #timer: Timer;

  /** `first`: those that are more suspicious than others, the most first. */
  constructor(first: readonly RequestTicket[], deps: TrialDeps) {
    this.#deps = deps;
    this.#rank = new Map(first.map(({ lo, hi }, rank) => [requestId(lo, hi), rank]));
    this.#timer = deps.clock.after(NOBODY_MS, () => this.#gathered());
  }

  /** True: it is kept, and served when its turn comes. `@borrows` the bytes. */
  hold({ lo, hi }: RequestTicket, bytes: Uint8Array, lent: Uint8Array | undefined): boolean {
    if (this.#isServing) return false;
    const size = bytes.length + (lent?.length ?? 0);
    if (this.#held.length >= HELD_MAX || this.#heldBytes + size > HELD_BYTES_MAX) return false;
    if (this.#held.length === 0 && !this.#isGathered) this.#wait(GATHER_MS, () => this.#gathered());
    this.#heldBytes += size;
    this.#held.push({ id: requestId(lo, hi), bytes: Buffer.from(bytes), lent: lent && Buffer.from(lent) });
    if (this.#isGathered && this.#current === undefined) this.#next();
    return true;
  }

  /** A request was not answered at once. */
  began(request: RequestTicket): void {
    if (this.#isServing) {
      this.#current = request;
      this.#suspects.add(request);
    }
    this.#inService.add(request);
    this.#note();
  }

  /** It is answered. */
  answered(request: RequestTicket): void {
    if (!this.#inService.delete(request)) return;
    this.#suspects.delete(request);
    this.#note();
    if (this.#current === request) {
      this.#current = undefined;
      // Not within the answer, which the caller is about to write.
      this.#wait(0, () => this.#next());
    } else if (this.#isGathered) this.#endIfDone();
  }

  #gathered(): void {
    this.#isGathered = true;
    const rankOf = ({ id }: Held): number => this.#rank.get(id) ?? this.#rank.size;
    this.#held.sort((one, other) => rankOf(one) - rankOf(other));
    this.#next();
  }

  #next(): void {
    this.#current = undefined;
    for (;;) {
      const next = this.#held.shift();
      if (next === undefined) break;
      const { bytes, lent } = next;
      this.#heldBytes -= bytes.length + (lent?.length ?? 0);
      this.#isServing = true;
      try {
        this.#deps.serve(bytes, lent);
      } finally {
        this.#isServing = false;
      }
      // It may have been set meanwhile, which the compiler cannot see.
      if ((this.#current as RequestTicket | undefined) !== undefined) {
        this.#wait(TURN_MS, () => this.#next());
        return;
      }
    }
    this.#endIfDone();
  }

  #endIfDone(): void {
    if (this.#held.length > 0 || this.#suspects.size > 0) return;
    this.#timer.cancel();
    this.#deps.note([]);
    this.#deps.onOver();
  }

  #note(): void {
    this.#deps.note([...this.#inService]);
  }

  #wait(waitMs: number, run: () => void): void {
    this.#timer.cancel();
    this.#timer = this.#deps.clock.after(waitMs, run);
  }
}
