/**
 * One thread's view of the shared pool: payload bytes by slot, pins, and the lookup that reader threads use.
 *
 * Thread: any; each builds its own PoolView over the same PoolMemory. Owns: nothing but its pins.
 * The pin protocol, in the order that the test enumerates:
 *   1. probe the hint table: a slot number that may hold the block (racy, may be stale)
 *   2. load GATE; not live -> miss
 *   3. compare-and-swap GATE to GATE + 1; lost the race -> again from 2
 *   4. now the slot cannot be evicted: compare its key words with the wanted key; different -> unpin, next probe
 *   5. compare ARRIVED_FROM / ARRIVED_END with the wanted bytes; not there yet -> unpin, miss
 *   6. use the bytes, 7. unpin
 * Eviction (main thread, block-table.ts) swaps GATE from exactly "live, no pins" to 0, so it fails against 3..7.
 * A slot that was evicted and refilled between 2 and 3 is caught by 4. Blocks? Never.
 */
import { invariant } from '../invariant.js';
import {
  ARRIVED_END,
  ARRIVED_FROM,
  BLOCK_BYTES,
  BLOCK_BYTES_WORD,
  BLOCK_INDEX,
  GATE,
  GATE_LIVE,
  HINT_PROBES,
  NODE_HI,
  NODE_LO,
  RECENT,
  SEGMENT_SLOTS,
  SLOT_WORDS,
  SMALL_BYTES,
  SMALL_SLOTS,
  hintStart,
  wholeSlotOf,
  type PoolMemory,
} from './layout.js';

/** Attempts at step 3 before a lookup is called a miss: contention this long means the main thread is better placed. */
const PIN_ATTEMPTS = 16;

export class PoolView {
  readonly memory: PoolMemory;
  /** Rows of SLOT_WORDS words; use Atomics. */
  readonly words: Int32Array;
  readonly hints: Int32Array;
  readonly #segments: Buffer[];

  constructor(memory: PoolMemory) {
    this.memory = memory;
    this.words = new Int32Array(memory.words);
    this.hints = new Int32Array(memory.hints);
    this.#segments = memory.segments.map((segment) => Buffer.from(segment));
  }

  /** Bytes [from, to) of a slot, borrowed: valid only while the caller holds a pin or fills the slot. */
  bytes(slot: number, from: number, to: number): Buffer {
    const { slotCount } = this.memory;
    const small = slot >= slotCount;
    const whole = wholeSlotOf(slot, slotCount);
    const segment = this.#segments[Math.floor(whole / SEGMENT_SLOTS)];
    const slotBytes = small ? SMALL_BYTES : BLOCK_BYTES;
    invariant(
      segment !== undefined && whole < slotCount && from >= 0 && to <= slotBytes && from <= to,
      `slot ${slot} [${from}, ${to})`,
    );
    const within = small ? ((slot - slotCount) % SMALL_SLOTS) * SMALL_BYTES : 0;
    const base = (whole % SEGMENT_SLOTS) * BLOCK_BYTES + within;
    return segment.subarray(base + from, base + to);
  }

  /** Steps 2 and 3 for a slot known to the caller; false when it holds no block. */
  tryPin(slot: number): boolean {
    const at = slot * SLOT_WORDS + GATE;
    for (let attempt = 0; attempt < PIN_ATTEMPTS; attempt++) {
      const gate = Atomics.load(this.words, at);
      if ((gate & GATE_LIVE) === 0) return false;
      if (Atomics.compareExchange(this.words, at, gate, gate + 1) === gate) return true;
    }
    return false;
  }

  /**
   * Pins a slot that the caller knows to be live because only its own thread evicts (the main thread). Cannot lose a
   * race, however many readers pin and unpin the same slot.
   */
  pin(slot: number): void {
    const before = Atomics.add(this.words, slot * SLOT_WORDS + GATE, 1);
    invariant((before & GATE_LIVE) !== 0, `slot ${slot} of an indexed block is live`);
  }

  /** Step 7. */
  unpin(slot: number): void {
    const before = Atomics.sub(this.words, slot * SLOT_WORDS + GATE, 1);
    invariant((before & ~GATE_LIVE) > 0, `slot ${slot} unpinned more often than pinned`);
  }

  /**
   * Steps 1 to 5: the slot, pinned, that holds bytes [from, to) of a block, or -1. `to` past the object's last byte
   * is satisfied when everything up to the end is there and the block is the last (see blockBytes). The two halves of
   * the node id may be signed or not: the words hold them as int32, and so they are compared.
   */
  pinResident(nodeLoAny: number, nodeHiAny: number, blockIndex: number, from: number, to: number): number {
    const { hints, words } = this;
    const nodeLo = nodeLoAny | 0;
    const nodeHi = nodeHiAny | 0;
    const mask = hints.length - 1;
    const start = hintStart(nodeLo, nodeHi, blockIndex, hints.length);
    for (let probe = 0; probe < HINT_PROBES; probe++) {
      const slot = Atomics.load(hints, (start + probe) & mask) - 1;
      if (slot < 0) continue;
      const row = slot * SLOT_WORDS;
      // A cheap racy look first; it is repeated under the pin.
      if (!this.#keyIs(row, nodeLo, nodeHi, blockIndex)) continue;
      if (!this.tryPin(slot)) continue;
      if (this.#keyIs(row, nodeLo, nodeHi, blockIndex)) {
        const wantEnd = Math.min(to, Atomics.load(words, row + BLOCK_BYTES_WORD));
        if (from >= Atomics.load(words, row + ARRIVED_FROM) && wantEnd <= Atomics.load(words, row + ARRIVED_END)) {
          Atomics.store(words, row + RECENT, 1);
          return slot;
        }
        this.unpin(slot);
        return -1;
      }
      this.unpin(slot);
    }
    return -1;
  }

  /** Bytes of the object in this slot's block: BLOCK_BYTES unless it is the object's last block. Caller holds a pin. */
  blockBytes(slot: number): number {
    return Atomics.load(this.words, slot * SLOT_WORDS + BLOCK_BYTES_WORD);
  }

  arrivedFrom(slot: number): number {
    return Atomics.load(this.words, slot * SLOT_WORDS + ARRIVED_FROM);
  }

  arrivedEnd(slot: number): number {
    return Atomics.load(this.words, slot * SLOT_WORDS + ARRIVED_END);
  }

  /** Publishes bytes that the filling thread has written: call after the bytes are in place. Only the filler calls it. */
  publishArrived(slot: number, endOffset: number): void {
    Atomics.store(this.words, slot * SLOT_WORDS + ARRIVED_END, endOffset);
  }

  #keyIs(row: number, nodeLo: number, nodeHi: number, blockIndex: number): boolean {
    const { words } = this;
    return (
      Atomics.load(words, row + NODE_LO) === nodeLo &&
      Atomics.load(words, row + NODE_HI) === nodeHi &&
      Atomics.load(words, row + BLOCK_INDEX) === blockIndex
    );
  }
}
