/**
 * WriteSlots over plain buffers, for tests of writers without a pool. Strict where the pool could only be damaged: a slot
 * given twice, or looked at after it was given, throws; what was given back is filled with 0xCC, so bytes that are used
 * too late show up as wrong.
 */
import { strict as assert } from 'node:assert';
import { EINTR, ErrnoError } from '../../src/base/errno.js';
import { BLOCK_BYTES } from '../../src/base/pool/layout.js';
import type { WriteSlots } from '../../src/base/pool/write-slots.js';

const FREED = 0xcc;

export class MemorySlots implements WriteSlots {
  slotsMax: number;
  /** Most slots that were taken at one time. */
  peak = 0;
  readonly #taken = new Map<number, Buffer>();
  readonly #free: { readonly slot: number; readonly buffer: Buffer }[] = [];
  #made = 0;
  #waiters: ((slot: number) => void)[] = [];

  constructor(slotsMax = 64) {
    this.slotsMax = slotsMax;
  }

  get used(): number {
    return this.#taken.size;
  }

  get waiting(): number {
    return this.#waiters.length;
  }

  take(): number | undefined {
    if (this.used >= this.slotsMax) return undefined;
    const { slot, buffer } = this.#free.shift() ?? { slot: this.#made++, buffer: Buffer.alloc(BLOCK_BYTES, FREED) };
    this.#taken.set(slot, buffer);
    this.peak = Math.max(this.peak, this.used);
    return slot;
  }

  wait(signal?: AbortSignal): Promise<number> {
    const slot = this.take();
    if (slot !== undefined) return Promise.resolve(slot);
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(new ErrnoError(EINTR, 'aborted'));
        return;
      }
      const abort = (): void => {
        this.#waiters = this.#waiters.filter((each) => each !== wake);
        reject(new ErrnoError(EINTR, 'aborted'));
      };
      const wake = (given: number): void => {
        signal?.removeEventListener('abort', abort);
        resolve(given);
      };
      signal?.addEventListener('abort', abort, { once: true });
      this.#waiters.push(wake);
    });
  }

  give(slot: number): void {
    const buffer = this.#taken.get(slot);
    assert.ok(buffer, `slot ${slot} is given back although nobody has it`);
    this.#taken.delete(slot);
    buffer.fill(FREED);
    this.#free.push({ slot, buffer });
    while (this.#waiters.length > 0) {
      const next = this.take();
      if (next === undefined) return;
      this.#waiters.shift()?.(next);
    }
  }

  bytes(slot: number, from: number, to: number): Uint8Array {
    const buffer = this.#taken.get(slot);
    assert.ok(buffer, `slot ${slot} is looked at although nobody has it`);
    assert.ok(from >= 0 && from <= to && to <= buffer.length, `bytes ${from}..${to} of a slot`);
    return buffer.subarray(from, to);
  }
}
