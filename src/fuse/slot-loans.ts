/**
 * Pool slots that reader threads have at hand, so that the bytes of a large WRITE land where they stay: the kernel copies
 * them into the slot, and only the slot's number travels to the main thread.
 *
 * Thread: LoanTaker in each reader thread, SlotLender in the main thread. Owns: a slot is the lender's while it lies in a
 * cell, the reader's from the swap that takes it out until its record is in the ring, then the main thread's again.
 * Shared words: LENDING (main writes, readers read), and the cells: 0 for none, slot + 1 for a slot that may be taken.
 * Main puts slots into empty cells and takes them back, readers take them, all by compare-and-swap on the one cell.
 * A slot that went out of a cell and came back to it between a reader's look and its swap is lent again, so the swap is
 * right to succeed. Order: whoever used the slot is done before main puts it into a cell; the reader's record is
 * published by the ring. Blocks? Never: a reader that finds no slot reads into its own buffer, as without loans.
 *
 * Bounds: LOANS_PER_READER for each reader and 1/LOANS_SHARE of the writers' share of the pool, those of WRITEs whose
 * handlers have not kept them included, so that WRITEs that wait for memory never hold all of it; none before the first large
 * WRITE, and all but those that readers have in hand (one each) go back IDLE_MS after the last, or when somebody waits for a
 * slot. A reader gives its own back at the first message that it gets after that.
 */
import type { Clock, Timer } from '../base/clock.js';
import type { WriteSlots } from '../base/pool/write-slots.js';
import { KIB } from '../base/units.js';

/** A WRITE below this is copied out of the slot by the reader thread, which keeps it (guessed: 10 us of copying). */
export const LOAN_BYTES_MIN = 32 * KIB;

/** One in hand, and what comes in while the main thread is at something else (O_DIRECT sends several WRITEs at a time). */
const LOANS_PER_READER = 4;
/** Of the writers' slots, so many at most: slots at hand are slots that no part waits in. */
const LOANS_SHARE = 8;

/** Without a large WRITE for this long the slots go back to the pool. */
const IDLE_MS = 2000;

const LENDING = 0;
const CELLS = 16;

/** Structured-clonable; the memory itself is shared. */
export interface LoanMemory {
  readonly words: SharedArrayBuffer;
}

export function allocateLoans(readers: number): LoanMemory {
  return { words: new SharedArrayBuffer((CELLS + readers * LOANS_PER_READER) * 4) };
}

/** A reader thread's side. */
export class LoanTaker {
  readonly #words: Int32Array;

  constructor(memory: LoanMemory) {
    this.#words = new Int32Array(memory.words);
  }

  /** Are slots lent at present? A reader that has one and sees false gives it back. */
  get lending(): boolean {
    return Atomics.load(this.#words, LENDING) === 1;
  }

  /** A slot for the next message, -1 when none is at hand. `@gives` */
  take(): number {
    const words = this.#words;
    if (Atomics.load(words, LENDING) === 0) return -1;
    for (let cell = CELLS; cell < words.length; cell++) {
      const slot = takeFrom(words, cell);
      if (slot >= 0) return slot;
    }
    return -1;
  }
}

function takeFrom(words: Int32Array, cell: number): number {
  const value = Atomics.load(words, cell);
  return value !== 0 && Atomics.compareExchange(words, cell, value, 0) === value ? value - 1 : -1;
}

export interface SlotLenderDeps {
  readonly slots: WriteSlots;
  readonly clock: Clock;
}

/** The main thread's side. */
export class SlotLender {
  readonly #words: Int32Array;
  readonly #deps: SlotLenderDeps;
  /** In cells and in readers' hands. */
  #lent = 0;
  /** Arrived, and neither kept by a handler nor done with. */
  #held = 0;
  #idleCheck: Timer | undefined;
  /** A large WRITE came since the last look. */
  #used = false;

  constructor(memory: LoanMemory, deps: SlotLenderDeps) {
    this.#words = new Int32Array(memory.words);
    this.#deps = deps;
  }

  /** Slots that are lent just now. */
  get lent(): number {
    return this.#lent;
  }

  /** The payload of a WRITE in a slot that arrived. */
  payload(slot: number, bytes: number): Uint8Array {
    return this.#deps.slots.bytes(slot, 0, bytes);
  }

  /** A reader thread sent the slot, with a WRITE or empty: it is no longer lent. `@gives` to the caller. */
  arrived(): void {
    this.#lent--;
    this.#held++;
  }

  /** The caller keeps a slot that arrived: it is no business of the lender any more. */
  kept(): void {
    this.#held--;
  }

  /** The caller is done with a slot that arrived. */
  done(slot: number): void {
    this.#held--;
    if (Atomics.load(this.#words, LENDING) === 0 || this.#lent + this.#held >= this.#most() || !this.#put(slot)) {
      this.#deps.slots.give(slot);
    }
  }

  /** A large WRITE came, in a slot or not: more may follow. */
  wanted(): void {
    this.#used = true;
    this.#idleCheck ??= this.#deps.clock.after(IDLE_MS, () => this.#look());
    const most = this.#most();
    while (this.#lent + this.#held < most) {
      const slot = this.#deps.slots.take();
      if (slot === undefined) break;
      Atomics.store(this.#words, LENDING, 1);
      if (this.#put(slot)) continue;
      this.#deps.slots.give(slot);
      break;
    }
  }

  /** Takes back what lies in cells and lends no more, until the next large WRITE: somebody waits for a slot, or nobody writes. */
  recall(): void {
    Atomics.store(this.#words, LENDING, 0);
    for (let cell = CELLS; cell < this.#words.length; cell++) {
      const slot = takeFrom(this.#words, cell);
      if (slot < 0) continue;
      this.#lent--;
      this.#deps.slots.give(slot);
    }
  }

  /** The mount is gone. */
  close(): void {
    this.#idleCheck?.cancel();
    this.recall();
  }

  #most(): number {
    const cells = this.#words.length - CELLS;
    return Math.min(cells, Math.floor(this.#deps.slots.slotsMax / LOANS_SHARE));
  }

  #put(slot: number): boolean {
    for (let cell = CELLS; cell < this.#words.length; cell++) {
      if (Atomics.compareExchange(this.#words, cell, 0, slot + 1) !== 0) continue;
      this.#lent++;
      return true;
    }
    return false;
  }

  #look(): void {
    this.#idleCheck = undefined;
    if (!this.#used) {
      this.recall();
      return;
    }
    this.#used = false;
    this.#idleCheck = this.#deps.clock.after(IDLE_MS, () => this.#look());
  }
}
