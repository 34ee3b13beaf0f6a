/**
 * The writers' share of the pool: whole slots taken from the block index, which evicts what readers will miss least, and
 * a queue of those who found it used up. Here and not in src/base because only the index can make room.
 *
 * Thread: main. Owns: the queue; slots in the hands of writers are marked in BlockTable.
 * Bounds: `slotsMax`, half of what the pool may use just now, so that READs always make progress (the argument is in
 * pool-prefetcher.ts); the queue holds one entry for each WRITE under way and each part that is gathered.
 * Who waits is served before READs that wait for room: writers have at most their share, so READs lose at most that, and
 * a stream of READs that all starve would otherwise keep writers out for ever.
 * Refuses to take a slot from a writer: only who has it knows what it holds.
 */
import type { Clock, Timer } from '../base/clock.js';
import { EINTR, ErrnoError } from '../base/errno.js';
import type { WriteSlots } from '../base/pool/write-slots.js';
import type { BlockIndex } from './block-index.js';

/** Writers have so many slots at least, however small the pool (POOL_FLOOR_BYTES leaves as many for READs). */
const WRITE_SLOTS_MIN = 16;

/** Slots that are never lent: a READ needs two at once, and two of them can then make progress side by side. */
const READ_SLOTS_MIN = 4;

/** A reader thread's pin ends without a message. */
const PINNED_RETRY_MS = 2;
/** The share is used up: `give` says when it is not. Only its growing (the memory governor's) comes without a message. */
const FULL_RETRY_MS = 100;

/** Slots that writers may hold of a pool with so many to use. */
export function writersShare(usableSlots: number): number {
  const share = Math.max(WRITE_SLOTS_MIN, Math.floor(usableSlots / 2));
  return Math.max(0, Math.min(share, usableSlots - READ_SLOTS_MIN));
}

interface Waiter {
  readonly resolve: (slot: number) => void;
}

export interface PoolWriteSlotsDeps {
  readonly index: BlockIndex;
  readonly clock: Clock;
  /** A slot came back: whoever waits for room may try again. Calls `serve` too. */
  readonly roomMayBe: () => void;
}

export class PoolWriteSlots implements WriteSlots {
  readonly #deps: PoolWriteSlotsDeps;
  /** In the order in which they came. */
  readonly #waiters = new Set<Waiter>();
  #retry: Timer | undefined;
  /** Called when somebody is about to wait: who has slots that he can do without gives them back. */
  onShort: (() => void) | undefined;

  constructor(deps: PoolWriteSlotsDeps) {
    this.#deps = deps;
  }

  /** Of now: the memory governor takes from the pool and gives back to it. */
  get slotsMax(): number {
    return writersShare(this.#deps.index.table.usableSlots);
  }

  get used(): number {
    return this.#deps.index.table.lentSlots;
  }

  get waiting(): number {
    return this.#waiters.size;
  }

  take(): number | undefined {
    // Nobody passes those that wait.
    return this.#waiters.size > 0 ? undefined : this.#take();
  }

  wait(signal?: AbortSignal): Promise<number> {
    if (signal?.aborted === true) return Promise.reject(new ErrnoError(EINTR));
    let slot = this.take();
    if (slot === undefined) {
      this.onShort?.();
      slot = this.take();
    }
    if (slot !== undefined) return Promise.resolve(slot);
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        resolve: (given) => {
          signal?.removeEventListener('abort', onAbort);
          resolve(given);
        },
      };
      const onAbort = (): void => {
        this.#leave(waiter);
        reject(new ErrnoError(EINTR));
      };
      signal?.addEventListener('abort', onAbort, { once: true });
      this.#waiters.add(waiter);
      this.#scheduleRetry();
    });
  }

  give(slot: number): void {
    this.#deps.index.table.takeBack(slot);
    this.#deps.roomMayBe();
  }

  bytes(slot: number, from: number, to: number): Uint8Array {
    return this.#deps.index.table.view.bytes(slot, from, to);
  }

  /** Room may be: gives slots to those that wait, first come first served. */
  serve(): void {
    for (const waiter of this.#waiters) {
      const slot = this.#take();
      if (slot === undefined) return;
      this.#leave(waiter);
      waiter.resolve(slot);
    }
  }

  #leave(waiter: Waiter): void {
    this.#waiters.delete(waiter);
    if (this.#waiters.size > 0) return;
    this.#retry?.cancel();
    this.#retry = undefined;
  }

  #take(): number | undefined {
    return this.used < this.slotsMax ? this.#deps.index.lend() : undefined;
  }

  #scheduleRetry(): void {
    if (this.#retry) return;
    const waitMs = this.used < this.slotsMax ? PINNED_RETRY_MS : FULL_RETRY_MS;
    this.#retry = this.#deps.clock.after(waitMs, () => {
      this.#retry = undefined;
      this.serve();
      if (this.#waiters.size > 0) this.#scheduleRetry();
    });
  }
}
