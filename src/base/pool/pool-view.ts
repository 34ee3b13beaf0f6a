/**
 * One thread's view of the shared pool: payload bytes by slot, pins, and the lookup that reader threads use.
 *
 * Thread: any; each builds its own PoolView over the same PoolMemory. Owns: nothing but its pins.
 * The pin protocol, in the order that the test enumerates:
 *   1. probe the hint table: a slot number that may hold the block (racy, may be stale)
 *   2. load GATE; not live -> miss
 *   3. compare-and-swap GATE to GATE + 1; lost the race -> again from 2
 *   4. now the slot cannot be evicted: compare its key words with the wanted key; different -> unpin, next probe
 *   5. compare ARRIVED_FROM / ARRIVED_END, then PAGES with the wanted bytes; not there yet -> unpin, miss
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
  PAGES,
  PAGE_BYTES,
  RECENT,
  SEGMENT_SLOTS,
  SLOT_WORDS,
  SMALL_BYTES,
  SMALL_SLOTS,
  TELL,
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
    this.#segments = memory.segments.map((segment, at) => Buffer.from(segment, memory.firstBytes[at]));
  }

  /** Bytes [from, to) of a slot, borrowed: valid only while the caller holds a pin or fills the slot. */
  bytes(slot: number, from: number, to: number): Buffer {
    const { slotCount } = this.memory;
    const small = slot >= slotCount;
    const whole = wholeSlotOf(slot, slotCount);
    const segment = this.#segments[Math.floor(whole / SEGMENT_SLOTS)];
    const slotBytes = small ? SMALL_BYTES : BLOCK_BYTES;
    // Hot (each arrival, each reply): a message is made up only when it is needed.
    if (segment === undefined || whole >= slotCount || from < 0 || to > slotBytes || from > to) {
      invariant(false, `slot ${slot} [${from}, ${to})`);
    }
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
    if ((before & GATE_LIVE) === 0) invariant(false, `slot ${slot} of an indexed block is live`);
  }

  /** Step 7. */
  unpin(slot: number): void {
    const before = Atomics.sub(this.words, slot * SLOT_WORDS + GATE, 1);
    if ((before & ~GATE_LIVE) <= 0) invariant(false, `slot ${slot} unpinned more often than pinned`);
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
        if (this.holds(slot, from, wantEnd)) {
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

  /** Are bytes [from, to) of the block there? Caller holds a pin, or is the main thread. */
  holds(slot: number, from: number, to: number): boolean {
    const row = slot * SLOT_WORDS;
    const first = Atomics.load(this.words, row + ARRIVED_FROM);
    const end = Atomics.load(this.words, row + ARRIVED_END);
    return (from >= first && to <= end) || this.#arrivedUpTo(row, first, end, from, to) >= to;
  }

  /** The first byte of [from, to) that is not there; `to` when all are. Caller as for `holds`. */
  arrivedUpTo(slot: number, from: number, to: number): number {
    const row = slot * SLOT_WORDS;
    const first = Atomics.load(this.words, row + ARRIVED_FROM);
    const end = Atomics.load(this.words, row + ARRIVED_END);
    return this.#arrivedUpTo(row, first, end, from, to);
  }

  #arrivedUpTo(row: number, first: number, end: number, from: number, to: number): number {
    const { words } = this;
    let at = from;
    while (at < to) {
      if (at >= first && at < end) {
        at = end;
        continue;
      }
      const page = Math.floor(at / PAGE_BYTES);
      const bits = Atomics.load(words, row + PAGES + (page >>> 5));
      // A whole word of pages that are there is passed at once.
      if (bits === -1) at = ((page >>> 5) + 1) * 32 * PAGE_BYTES;
      else if ((bits & (1 << (page & 31))) !== 0) at = (page + 1) * PAGE_BYTES;
      else return at;
    }
    return to;
  }

  /** The first byte of [from, to) that is there; `to` when none is. Caller as for `holds`. */
  missingUpTo(slot: number, from: number, to: number): number {
    const row = slot * SLOT_WORDS;
    const { words } = this;
    const first = Atomics.load(words, row + ARRIVED_FROM);
    const end = Atomics.load(words, row + ARRIVED_END);
    let at = from;
    while (at < to) {
      if (at >= first && at < end) return at;
      const page = Math.floor(at / PAGE_BYTES);
      const bits = Atomics.load(words, row + PAGES + (page >>> 5));
      if ((bits & (1 << (page & 31))) !== 0) return at;
      const next = (page + 1) * PAGE_BYTES;
      at = at < first && first < next && first < end ? first : next;
    }
    return to;
  }

  /** Main thread wants to hear of every hit in this block. Caller holds a pin. */
  tellsHits(slot: number): boolean {
    return Atomics.load(this.words, slot * SLOT_WORDS + TELL) === 1;
  }

  /** Publishes bytes that the filling thread has written: call after the bytes are in place. Only the filler calls it. */
  publishArrived(slot: number, endOffset: number): void {
    Atomics.store(this.words, slot * SLOT_WORDS + ARRIVED_END, endOffset);
  }

  /**
   * Publishes bytes [from, to) of a block, in place already, of a fetch that lands upwards from `since` in it: what
   * continues the first range moves its end, all else counts by whole pages (the object's last one ends with it). No two
   * fetches bring the same byte at a time, so only one of them can be at ARRIVED_END.
   */
  publishLanded(slot: number, since: number, from: number, to: number): void {
    const row = slot * SLOT_WORDS;
    const { words } = this;
    const end = Atomics.load(words, row + ARRIVED_END);
    if (from <= end && from >= Atomics.load(words, row + ARRIVED_FROM)) {
      // Only upwards: what a reader has seen as arrived stays arrived.
      if (to > end) Atomics.store(words, row + ARRIVED_END, to);
      return;
    }
    const isLast = to === Atomics.load(words, row + BLOCK_BYTES_WORD);
    const endPage = isLast ? Math.ceil(to / PAGE_BYTES) : Math.floor(to / PAGE_BYTES);
    let page = Math.max(Math.ceil(since / PAGE_BYTES), Math.floor(from / PAGE_BYTES));
    while (page < endPage) {
      const word = page >>> 5;
      const wordEnd = Math.min(endPage, (word + 1) * 32);
      const bits = wordEnd - page === 32 ? -1 : ((1 << (wordEnd - page)) - 1) << (page & 31);
      Atomics.or(words, row + PAGES + word, bits);
      page = wordEnd;
    }
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
