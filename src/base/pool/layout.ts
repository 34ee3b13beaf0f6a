/**
 * The shared pool: where payload bytes live and which words describe them. The one place that numbers those words.
 *
 * Thread: every thread maps the same memory. Owns: the main thread inserts and evicts blocks.
 * Slots below slotCount are whole ones; small slot `part` of carved slot `big` has the number
 * slotCount + big * SMALL_SLOTS + part and a row of its own. A carved slot's own row stays dead (not live, no hints).
 * Shared words, one row of SLOT_WORDS a slot, and who writes each:
 *   GATE          live flag and pin count   main (live), any thread by compare-and-swap (pins)
 *   NODE_LO/HI, BLOCK_INDEX, BLOCK_BYTES_WORD, ARRIVED_FROM   main, only while the slot is not live
 *   RECENT        any thread stores 1, main clears (the recency bit for eviction)
 *   TELL          main: readers report every hit in this block
 *   ARRIVED_END   main while no fetch fills the slot, then the one net thread whose fetch owns the byte at ARRIVED_END
 *   PAGES         main while the slot is not live, then net threads by Atomics.or, each for the pages of its own fetches
 * What a block holds: bytes [ARRIVED_FROM, ARRIVED_END), where its first fetch lands, to the byte; and each whole page
 * whose bit in PAGES is set, where fetches of other parts of it land, side by side.
 * Order: payload bytes, then Atomics on ARRIVED_END or PAGES; key words, then Atomics.store(GATE).
 * Blocks? Nothing here waits.
 */
import { invariant } from '../invariant.js';
import { KIB, MIB } from '../units.js';

/** Bytes of one block and of the slot that holds it. Bound by the kernel's largest READ (1 MiB): one READ touches two blocks at most. */
export const BLOCK_BYTES = MIB;

/**
 * Bytes of a small slot, and of the largest block that lives in one: a slot can be carved into SMALL_SLOTS of them, so
 * that a pool holds many small files. 64 KiB is a typical image and the page-granular tail of most objects (guessed).
 */
export const SMALL_BYTES = 64 * KIB;
/** Small slots in a carved slot. */
export const SMALL_SLOTS = BLOCK_BYTES / SMALL_BYTES;

/** Words of a slot's row: two cache lines, so that pins (readers) and arrival (net thread) do not share one. */
export const SLOT_WORDS = 32;

export const GATE = 0;
export const NODE_LO = 1;
export const NODE_HI = 2;
export const BLOCK_INDEX = 3;
/** Bytes of the object that this block holds: BLOCK_BYTES, less for the last block. */
export const BLOCK_BYTES_WORD = 4;
/** First byte within the block that the fill will bring; 0 for whole blocks. */
export const ARRIVED_FROM = 5;
export const RECENT = 6;
/** 1: a reader thread tells the main thread of each hit in this block, not only of those that cross a line. */
export const TELL = 7;
/** Exclusive end, within the block, of the bytes that have arrived. */
export const ARRIVED_END = 16;
/** First of PAGE_WORDS words: a bit for each page of the block. */
export const PAGES = 17;

/** The kernel's page, and the unit in which parts of a block arrive that do not continue what is there. */
export const PAGE_BYTES = 4096;
export const PAGE_WORDS = BLOCK_BYTES / PAGE_BYTES / 32;

/** Bit of GATE that says the slot holds a block; the bits below count pins. */
export const GATE_LIVE = 1 << 30;

/** Slots of one payload segment: SharedArrayBuffer and Buffer stay below 4 GiB on Node 20. */
export const SEGMENT_SLOTS = 1024;

/** Entries of the hint table that one lookup probes. A block that finds no room there is only found by the main thread. */
export const HINT_PROBES = 8;

/** What threads hand each other to share the pool (structured-clonable; the memory itself is shared). */
export interface PoolMemory {
  /** Whole slots; numbers from here on are small ones. */
  readonly slotCount: number;
  readonly segments: readonly SharedArrayBuffer[];
  /** Byte of each segment at which its first slot begins: see PlacePool. */
  readonly firstBytes: readonly number[];
  /** A row of SLOT_WORDS 32-bit words for each slot, the small ones included. */
  readonly words: SharedArrayBuffer;
  /** Hash table of slot + 1, 0 for empty: where a block may be. Only a hint; the slot's own words decide. */
  readonly hints: SharedArrayBuffer;
}

/** A placed segment is this much longer than its slots, so that they can begin at a page boundary of any machine. */
export const SEGMENT_SLACK_BYTES = 64 * KIB;

/**
 * Says at which byte of a new segment its slots shall begin, 0 <= byte <= SEGMENT_SLACK_BYTES. JavaScript cannot see
 * addresses, so the program that can is asked; without it slots begin at byte 0, wherever that is.
 */
export type PlacePool = (segment: SharedArrayBuffer) => number;

/** Allocates a pool. Memory is only touched as blocks arrive, so an idle mount stays small. */
export function allocatePool(slotCount: number, place?: PlacePool): PoolMemory {
  invariant(slotCount >= 4, 'a pool has at least 4 slots');
  const segments: SharedArrayBuffer[] = [];
  const firstBytes: number[] = [];
  for (let first = 0; first < slotCount; first += SEGMENT_SLOTS) {
    const bytes = Math.min(SEGMENT_SLOTS, slotCount - first) * BLOCK_BYTES;
    const segment = new SharedArrayBuffer(bytes + (place ? SEGMENT_SLACK_BYTES : 0));
    const firstByte = place?.(segment) ?? 0;
    invariant(firstByte >= 0 && firstByte + bytes <= segment.byteLength, `slots begin at byte ${firstByte}`);
    segments.push(segment);
    firstBytes.push(firstByte);
  }
  let hintCount = 64;
  // Every slot may be carved: twice as many entries as there can be blocks.
  while (hintCount < slotCount * SMALL_SLOTS * 2) hintCount *= 2;
  return {
    slotCount,
    segments,
    firstBytes,
    words: new SharedArrayBuffer(slotNumbers(slotCount) * SLOT_WORDS * 4),
    hints: new SharedArrayBuffer(hintCount * 4),
  };
}

/** Position in the hint table where probing for a block starts. `hintCount` is a power of two. */
export function hintStart(nodeLo: number, nodeHi: number, blockIndex: number, hintCount: number): number {
  let hash = Math.imul(nodeLo, 0x9e3779b1) ^ Math.imul(nodeHi, 0x85ebca6b) ^ Math.imul(blockIndex, 0xc2b2ae35);
  hash ^= hash >>> 15;
  hash = Math.imul(hash, 0x2c1b3c6d);
  hash ^= hash >>> 13;
  return hash & (hintCount - 1);
}

/** Slots of both kinds: one more than the highest slot number. */
export function slotNumbers(slotCount: number): number {
  return slotCount * (1 + SMALL_SLOTS);
}

/** The whole slot whose payload a small slot is part of; a whole slot is its own. */
export function wholeSlotOf(slot: number, slotCount: number): number {
  return slot < slotCount ? slot : Math.floor((slot - slotCount) / SMALL_SLOTS);
}
