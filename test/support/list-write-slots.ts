/** WriteSlots over the last slots of a pool, without readers to share them with. Counts what is out; refuses strangers. */
import type { PoolMemory } from '../../src/base/pool/layout.js';
import { PoolView } from '../../src/base/pool/pool-view.js';
import type { WriteSlots } from '../../src/base/pool/write-slots.js';

export class ListWriteSlots implements WriteSlots {
  readonly #view: PoolView;
  readonly #free: number[];
  readonly #all: number;
  readonly #out = new Set<number>();
  readonly #waiters: ((slot: number) => void)[] = [];
  /** Smaller than what there is, to make it short. */
  slotsMax: number;

  constructor(pool: PoolMemory, count: number) {
    this.#view = new PoolView(pool);
    this.#free = Array.from({ length: count }, (_, at) => pool.slotCount - count + at);
    this.#all = count;
    this.slotsMax = count;
  }

  get used(): number {
    return this.#out.size;
  }

  get isWhole(): boolean {
    return this.#free.length === this.#all;
  }

  take(): number | undefined {
    if (this.used >= this.slotsMax) return undefined;
    const slot = this.#free.pop();
    if (slot !== undefined) this.#out.add(slot);
    return slot;
  }

  wait(): Promise<number> {
    const slot = this.take();
    return slot !== undefined
      ? Promise.resolve(slot)
      : new Promise((resolve) => {
          this.#waiters.push(resolve);
        });
  }

  give(slot: number): void {
    if (!this.#out.delete(slot)) throw new Error(`slot ${slot} was not out`);
    this.#free.push(slot);
    const waiter = this.#waiters.shift();
    const next = waiter && this.take();
    if (next !== undefined) waiter?.(next);
  }

  bytes(slot: number, from: number, to: number): Uint8Array {
    if (!this.#out.has(slot)) throw new Error(`slot ${slot} is looked at although nobody has it`);
    return this.#view.bytes(slot, from, to);
  }
}
