/**
 * What a reader thread notes of the READs that it answers by itself: how long some of them took, always, and who read what,
 * while somebody looks (`mount-s3x top`). No messages: a table in shared memory that the main thread reads.
 *
 * Who read what is counted by round. The main thread names a round; the thread begins it with an empty table and counts into
 * it; then the main thread names the next one, which lies in the other table, and reads the one before. So counts are exact but
 * for a READ that is being counted in that very moment.
 *
 * Thread: a reader thread writes (ReaderAccount), the main thread reads (AccountView).
 * Shared words: ROUND (main writes), HELD of each table (the thread: which round it holds), latencies and rows (the thread).
 * Order: rows are cleared, then HELD is stored; a row's key is stored before its numbers.
 * Bounds: ROWS pairs of process and file a round; what finds no row counts for the last one, which belongs to nobody.
 * Cost when nobody looks: one load of a word and a counter a READ, and two looks at the clock for every SAMPLED_EVERY-th that
 * is timed: 30 ns a READ together (measured), of some ten microseconds.
 */
import { BUCKETS, bucketOf, type HistogramState } from '../base/latency-histogram.js';

/** One READ of so many is timed. A power of two. */
export const SAMPLED_EVERY = 64;

/** Pairs of process and file that one thread tells apart in one round; the last row is for the others. A power of two. */
export const ACCOUNT_ROWS = 256;
const OTHERS = ACCOUNT_ROWS;
const PROBES = 8;

const ROUND = 0;
/** Of the two tables. */
const HELD = 1;
const LATENCIES = 4;
const LATENCY_SUM_F64 = (LATENCIES + BUCKETS) / 2;
const TABLES_F64 = LATENCY_SUM_F64 + 1;
/** A row: pid, uid, node halves, count (words 0..4), then bytes and milliseconds (as doubles, 3 and 4). */
const ROW_F64 = 5;
const TABLE_F64 = (ACCOUNT_ROWS + 1) * ROW_F64;

export const ACCOUNT_BYTES = (TABLES_F64 + 2 * TABLE_F64) * 8;

/** Memory of one reader thread's account; its pages are touched as they are needed. */
export function allocateAccount(): SharedArrayBuffer {
  return new SharedArrayBuffer(ACCOUNT_BYTES);
}

/** One READ as it is noted. */
export interface NotedRead {
  /** Of the thread that reads, as the kernel says it. */
  readonly pid: number;
  readonly uid: number;
  readonly nodeLo: number;
  readonly nodeHi: number;
  readonly bytes: number;
}

/** The reader thread's side. */
export class ReaderAccount {
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;
  #reads = 0;
  #round = 0;
  #firstRow = 0;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
    this.#doubles = new Float64Array(memory);
  }

  /** Shall the next READ be timed (and noted)? */
  get isDue(): boolean {
    return (this.#reads++ & (SAMPLED_EVERY - 1)) === 0 || this.#words[ROUND] !== 0;
  }

  /** A READ that was due took so long. */
  note(read: NotedRead, tookMs: number): void {
    // The counter is one on already.
    if ((this.#reads & (SAMPLED_EVERY - 1)) === 1) {
      const at = LATENCIES + bucketOf(tookMs);
      this.#words[at] = (this.#words[at] ?? 0) + 1;
      this.#doubles[LATENCY_SUM_F64] = (this.#doubles[LATENCY_SUM_F64] ?? 0) + tookMs;
    }
    const round = Atomics.load(this.#words, ROUND);
    if (round === 0) return;
    if (round !== this.#round) this.#begin(round);
    const row = this.#rowOf(read);
    const doubles = row * ROW_F64 + this.#firstRow;
    this.#doubles[doubles + 3] = (this.#doubles[doubles + 3] ?? 0) + read.bytes;
    this.#doubles[doubles + 4] = (this.#doubles[doubles + 4] ?? 0) + tookMs;
    Atomics.add(this.#words, doubles * 2 + 4, 1);
  }

  #begin(round: number): void {
    this.#round = round;
    const table = round & 1;
    this.#firstRow = TABLES_F64 + table * TABLE_F64;
    this.#doubles.fill(0, this.#firstRow, this.#firstRow + TABLE_F64);
    Atomics.store(this.#words, HELD + table, round);
  }

  #rowOf({ pid, uid, nodeLo, nodeHi }: NotedRead): number {
    const words = this.#words;
    let hash = Math.imul(pid, 0x9e3779b1) ^ Math.imul(nodeLo, 0x85ebca6b) ^ Math.imul(nodeHi, 0xc2b2ae35);
    hash ^= hash >>> 15;
    for (let probe = 0; probe < PROBES; probe++) {
      const row = (hash + probe) & (ACCOUNT_ROWS - 1);
      const at = (row * ROW_F64 + this.#firstRow) * 2;
      const isFree = words[at + 4] === 0;
      if (isFree) {
        words[at] = pid;
        words[at + 1] = uid;
        words[at + 2] = nodeLo;
        words[at + 3] = nodeHi;
        return row;
      }
      if (words[at] === pid && words[at + 1] === uid && words[at + 2] === nodeLo && words[at + 3] === nodeHi)
        return row;
    }
    return OTHERS;
  }
}

/** What one process read of one file in one round. `pid` and `nodeId` are 0 for what found no row. */
export interface AccountRow {
  readonly pid: number;
  readonly uid: number;
  readonly nodeId: number;
  readonly reads: number;
  readonly bytes: number;
  readonly waitMs: number;
}

const TWO_32 = 0x1_0000_0000;

/** The main thread's side of one reader thread's account. */
export class AccountView {
  readonly #words: Int32Array;
  readonly #doubles: Float64Array;

  constructor(memory: SharedArrayBuffer) {
    this.#words = new Int32Array(memory);
    this.#doubles = new Float64Array(memory);
  }

  /** READs are counted into this round from now on; 0: not at all. Rounds of one memory only grow. */
  setRound(round: number): void {
    Atomics.store(this.#words, ROUND, round);
  }

  /** What was counted in `round`, which is not the present one. Empty when the thread answered nothing in it. */
  rows(round: number): AccountRow[] {
    const table = round & 1;
    if (Atomics.load(this.#words, HELD + table) !== round) return [];
    const rows: AccountRow[] = [];
    for (let row = 0; row <= ACCOUNT_ROWS; row++) {
      const doubles = TABLES_F64 + table * TABLE_F64 + row * ROW_F64;
      const at = doubles * 2;
      const reads = Atomics.load(this.#words, at + 4);
      if (reads === 0) continue;
      const word = (number: number): number => (this.#words[at + number] ?? 0) >>> 0;
      rows.push({
        pid: word(0),
        uid: word(1),
        nodeId: word(2) + word(3) * TWO_32,
        reads,
        bytes: this.#doubles[doubles + 3] ?? 0,
        waitMs: this.#doubles[doubles + 4] ?? 0,
      });
    }
    return rows;
  }

  /** How long READs took: one of SAMPLED_EVERY, also while all are timed for a round. */
  get latencies(): HistogramState {
    const counts = Array.from({ length: BUCKETS }, (_, bucket) => (this.#words[LATENCIES + bucket] ?? 0) >>> 0);
    return { counts, sumMs: this.#doubles[LATENCY_SUM_F64] ?? 0 };
  }
}
