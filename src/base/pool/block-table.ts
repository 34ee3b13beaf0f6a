/**
 * The main thread's side of the shared pool: which slots are free, insertion and eviction of blocks, the hint table.
 * Blocks of at most SMALL_BYTES live in small slots: a whole slot is carved into SMALL_SLOTS of them when no part is
 * free, and is whole again as soon as all its parts are. Carving is bookkeeping of this thread only: a part's row is live
 * exactly while it holds a block, so a pinned part keeps its whole slot from being given to anybody else.
 *
 * A whole slot may also be lent to a writer (write-slots.ts): it is then no block and never live, and whoever has it may
 * touch its payload from any thread until it is taken back.
 *
 * Thread: main only. Owns: every key word, the live flag, the hint table, the free lists.
 * Shared words: GATE (live flag here, pins by any thread), the key words, ARRIVED_END until the slot is live.
 * Order, insert: key words and ARRIVED_FROM/END, then GATE live, then the hint. Evict: GATE from exactly (live, no pins)
 * to 0 by compare-and-swap, then the hint is cleared; a reader that still finds the hint fails on GATE or on the key.
 * Blocks? Never: what is pinned is simply not evicted.
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
  PAGE_WORDS,
  RECENT,
  SLOT_WORDS,
  SMALL_BYTES,
  SMALL_SLOTS,
  TELL,
  hintStart,
  wholeSlotOf,
} from './layout.js';
import type { PoolView } from './pool-view.js';

/** What freed slots are filled with in checked mode, so that a read after release shows at once. */
export const FREED_FILL = 0xcc;

export interface BlockKey {
  readonly nodeId: number;
  readonly blockIndex: number;
}

export class BlockTable {
  readonly view: PoolView;
  /** Free slots whose memory was used before: the last freed is the next taken, so that little memory is touched. */
  readonly #free: number[] = [];
  /** Free slots that cost memory when they are taken: never used, or given back to the system. */
  readonly #fresh: number[] = [];
  #freshAllowed = Infinity;
  /** Slots that were put aside when they became free, and how many more shall be. */
  readonly #aside: number[] = [];
  #asideWanted = 0;
  /** Carved slots and their free small slots. */
  readonly #carved = new Map<number, number[]>();
  /** The carved slots of which parts are free. */
  readonly #parts = new Set<number>();
  /** Slots that writers have. */
  readonly #lent = new Set<number>();
  readonly #checked: boolean;

  /** `checked`: fill freed slots with FREED_FILL (tests; it touches all memory). */
  constructor(view: PoolView, options: { checked?: boolean } = {}) {
    this.view = view;
    this.#checked = options.checked ?? false;
    // Low slots are handed out first, so that a mount which needs little touches little.
    for (let slot = view.memory.slotCount - 1; slot >= 0; slot--) this.#fresh.push(slot);
  }

  /** Whole slots that are free and may be taken. */
  get freeSlots(): number {
    return this.#free.length + this.#takeable();
  }

  /** Whole slots that are free although their memory is in use. */
  get idleSlots(): number {
    return this.#free.length;
  }

  /** Whole slots whose memory is in use, free or not. */
  get touchedSlots(): number {
    return this.view.memory.slotCount - this.#fresh.length;
  }

  /** Whole slots that the pool may have as things stand: those in use and those that may yet be touched. */
  get usableSlots(): number {
    return this.touchedSlots - this.#aside.length - this.#asideWanted + this.#takeable();
  }

  /** Whole slots in the hands of writers; their memory is in use. */
  get lentSlots(): number {
    return this.#lent.size;
  }

  /** A whole slot that is free, for a writer; one whose memory is in use if possible. Undefined when none is. `@gives` */
  lend(): number | undefined {
    const slot = this.#takeWhole();
    if (slot === undefined) return undefined;
    invariant(Atomics.load(this.view.words, slot * SLOT_WORDS + GATE) === 0, `free slot ${slot} is live or pinned`);
    this.#lent.add(slot);
    return slot;
  }

  /** The writer is done with the slot: no thread looks at its payload any more. */
  takeBack(slot: number): void {
    const wasLent = this.#lent.delete(slot);
    if (!wasLent) invariant(false, `slot ${slot} is given back by a writer who does not have it`);
    if (this.#checked) this.view.bytes(slot, 0, BLOCK_BYTES).fill(FREED_FILL);
    this.#release(slot);
  }

  /** From now on at most so many more slots are touched for the first time. The rest of the pool is as if it were not there. */
  allowFresh(slots: number): void {
    this.#freshAllowed = slots;
  }

  /** Whole slots that wait for `cool`. */
  get asideSlots(): number {
    return this.#aside.length;
  }

  /** The next so many slots that become free are put aside for `cool`: for a pool that is wholly under way. */
  putAside(slots: number): void {
    this.#asideWanted = slots;
  }

  /**
   * Takes the slots that were put aside out of use, and free ones whose memory is in use, those free for the longest first,
   * until it is `slotsMax`; `give` returns their pages to the system. Says how many. They come back as fresh slots.
   */
  cool(slotsMax: number, give: (slots: readonly number[]) => void): number {
    const aside = this.#aside.splice(0);
    const slots = [...aside, ...this.#free.splice(0, Math.max(0, slotsMax - aside.length))];
    if (slots.length === 0) return 0;
    give(slots);
    // High slots first, so that the low ones are the next to be touched.
    this.#fresh.push(...slots);
    this.#fresh.sort((a, b) => b - a);
    return slots.length;
  }

  /** Would `insert` find memory that is in use already? */
  hasTouchedRoomFor(blockBytes: number): boolean {
    return this.#free.length > 0 || (blockBytes <= SMALL_BYTES && this.#parts.size > 0);
  }

  /** Whole slots that are carved into small ones. */
  get carvedSlots(): number {
    return this.#carved.size;
  }

  /** Would `insert` find a slot for a block of so many bytes? */
  hasRoomFor(blockBytes: number): boolean {
    return this.hasTouchedRoomFor(blockBytes) || this.#takeable() > 0;
  }

  /**
   * Puts a block into a free slot, a small one if it fits, and returns the slot, -1 when none is free. The slot is live and empty: bytes from
   * `from` on are published as they arrive. `blockBytes` is what the object has in this block.
   */
  insert(key: BlockKey, from: number, blockBytes: number): number {
    const slot = blockBytes <= SMALL_BYTES ? this.#takeSmall() : this.#takeWhole();
    if (slot === undefined) return -1;
    invariant(from >= 0 && from <= blockBytes && blockBytes <= BLOCK_BYTES, `block bytes ${from}..${blockBytes}`);
    const { words } = this.view;
    const row = slot * SLOT_WORDS;
    const nodeLo = key.nodeId | 0;
    const nodeHi = Math.floor(key.nodeId / 2 ** 32) | 0;
    invariant(Atomics.load(words, row + GATE) === 0, `free slot ${slot} is live or pinned`);
    Atomics.store(words, row + NODE_LO, nodeLo);
    Atomics.store(words, row + NODE_HI, nodeHi);
    Atomics.store(words, row + BLOCK_INDEX, key.blockIndex);
    Atomics.store(words, row + BLOCK_BYTES_WORD, blockBytes);
    Atomics.store(words, row + ARRIVED_FROM, from);
    Atomics.store(words, row + ARRIVED_END, from);
    Atomics.store(words, row + RECENT, 0);
    // Nobody looks at these without a pin, and the store to GATE publishes them.
    words[row + TELL] = 0;
    words.fill(0, row + PAGES, row + PAGES + PAGE_WORDS);
    Atomics.store(words, row + GATE, GATE_LIVE);
    this.#writeHint(nodeLo, nodeHi, key.blockIndex, slot);
    return slot;
  }

  /** Frees the slot unless somebody holds a pin; says whether it did. The caller knows that no fetch fills it. */
  tryEvict(slot: number): boolean {
    const { words } = this.view;
    const row = slot * SLOT_WORDS;
    if (Atomics.compareExchange(words, row + GATE, GATE_LIVE, 0) !== GATE_LIVE) return false;
    this.#clearHint(
      Atomics.load(words, row + NODE_LO),
      Atomics.load(words, row + NODE_HI),
      Atomics.load(words, row + BLOCK_INDEX),
      slot,
    );
    const small = slot >= this.view.memory.slotCount;
    if (this.#checked) this.view.bytes(slot, 0, small ? SMALL_BYTES : BLOCK_BYTES).fill(FREED_FILL);
    if (small) this.#giveBackSmall(slot);
    else this.#release(slot);
    return true;
  }

  /** Takes the block out of the readers' sight (no new hits by hint) while it is still pinned or filling. */
  hide(slot: number): void {
    const { words } = this.view;
    const row = slot * SLOT_WORDS;
    this.#clearHint(
      Atomics.load(words, row + NODE_LO),
      Atomics.load(words, row + NODE_HI),
      Atomics.load(words, row + BLOCK_INDEX),
      slot,
    );
  }

  /** Reads and clears the recency bit. */
  takeRecent(slot: number): boolean {
    return Atomics.exchange(this.view.words, slot * SLOT_WORDS + RECENT, 0) === 1;
  }

  /**
   * No fetch fills the slot: what arrived in pieces that touch the first one becomes one range with it, which is cheaper
   * to look up. The end goes up before the start goes down, so a reader in between sees less than there is, never more.
   */
  joinArrived(slot: number): void {
    const { view } = this;
    const row = slot * SLOT_WORDS;
    const from = view.arrivedFrom(slot);
    const end = view.arrivedUpTo(slot, from, view.blockBytes(slot));
    if (end > view.arrivedEnd(slot)) Atomics.store(view.words, row + ARRIVED_END, end);
    if (from > 0 && end > from && view.arrivedUpTo(slot, 0, from) === from) {
      Atomics.store(view.words, row + ARRIVED_FROM, 0);
    }
  }

  /** Readers report each hit in this block from now on, or no longer. */
  setTell(slot: number, tell: boolean): void {
    Atomics.store(this.view.words, slot * SLOT_WORDS + TELL, tell ? 1 : 0);
  }

  /** Pins on this slot right now; for tests and counters. */
  pins(slot: number): number {
    return Atomics.load(this.view.words, slot * SLOT_WORDS + GATE) & ~GATE_LIVE;
  }

  #takeable(): number {
    return Math.min(this.#fresh.length, this.#freshAllowed);
  }

  #takeWhole(): number | undefined {
    const used = this.#free.pop();
    if (used !== undefined || this.#takeable() === 0) return used;
    this.#freshAllowed--;
    return this.#fresh.pop();
  }

  /** A free small slot, of a slot that is carved already if possible. */
  #takeSmall(): number | undefined {
    const { slotCount } = this.view.memory;
    for (const whole of this.#parts) {
      const parts = this.#carved.get(whole);
      const slot = parts?.pop();
      if (parts?.length === 0) this.#parts.delete(whole);
      return slot;
    }
    const whole = this.#takeWhole();
    if (whole === undefined) return undefined;
    const parts = Array.from({ length: SMALL_SLOTS }, (_, at) => slotCount + (whole + 1) * SMALL_SLOTS - 1 - at);
    this.#carved.set(whole, parts);
    this.#parts.add(whole);
    return parts.pop();
  }

  #giveBackSmall(slot: number): void {
    const whole = wholeSlotOf(slot, this.view.memory.slotCount);
    const parts = this.#carved.get(whole);
    invariant(parts !== undefined && parts.length < SMALL_SLOTS, `small slot ${slot} is of a carved slot`);
    parts.push(slot);
    this.#parts.add(whole);
    if (parts.length < SMALL_SLOTS) return;
    this.#carved.delete(whole);
    this.#parts.delete(whole);
    this.#release(whole);
  }

  #release(slot: number): void {
    if (this.#asideWanted === 0) {
      this.#free.push(slot);
      return;
    }
    this.#asideWanted--;
    this.#aside.push(slot);
  }

  #writeHint(nodeLo: number, nodeHi: number, blockIndex: number, slot: number): void {
    const { hints } = this.view;
    const start = hintStart(nodeLo, nodeHi, blockIndex, hints.length);
    for (let probe = 0; probe < HINT_PROBES; probe++) {
      const at = (start + probe) & (hints.length - 1);
      if (Atomics.load(hints, at) === 0) {
        Atomics.store(hints, at, slot + 1);
        return;
      }
    }
    // No room near its place: the block is then found by the main thread only, which costs a message, not correctness.
  }

  #clearHint(nodeLo: number, nodeHi: number, blockIndex: number, slot: number): void {
    const { hints } = this.view;
    const start = hintStart(nodeLo, nodeHi, blockIndex, hints.length);
    for (let probe = 0; probe < HINT_PROBES; probe++) {
      const at = (start + probe) & (hints.length - 1);
      if (Atomics.load(hints, at) === slot + 1) Atomics.store(hints, at, 0);
    }
  }
}
