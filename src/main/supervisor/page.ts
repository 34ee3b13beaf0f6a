/**
 * The first page (PAGE_BYTES) of the journal file: what a daemon tells its supervisor without sending anything, and what
 * remains of it when it dies. The rest of the file is the journal's (src/main/journal).
 *
 * Thread: the daemon's main thread writes, the supervisor's reads with pread(2) and writes only what makes the file.
 * Shared words (32 bits, little endian; D daemon, S supervisor, before the first daemon):
 *    0 S magic             1 S version of this layout
 *    2 D generation        3 D state of the life (LIFE_*)      4 D process id
 *    5 D heartbeat: milliseconds of CLOCK_MONOTONIC, modulo 2^32, every HEARTBEAT_MS
 *    6 D age of the oldest unanswered request at that time, in ms, 0 for none
 *    7 D opcode of the request that the main thread handles just now, 0 for none    8, 9 D its unique id (lo, hi)
 *   16 D bytes of the reason of a death by its own hand, 0 for none   17.. the reason, UTF-8, REASON_BYTES_MAX
 *   96 D bytes of the bucket's region, 0 before it is known   97.. the region, ASCII
 *   10 D 1: the signal that this process dies of came from outside
 *   11 D level of the log: 1 + its place in SETTABLE_LEVELS, 0 for none of them
 *  128 D bytes of what INIT agreed on, 0 before it    129.. as JSON, to word 511
 *  512 D requests in service during a trial, 0 without one    513.. their unique ids (lo, hi), TRIED_MAX of them
 *  640 D bytes of what `stats` has counted, 0 for nothing    641.. as JSON, to the end of the page
 * Order: bytes first, then their length by Atomics.store. All D words but 96, 128 and 640 are reset by each daemon when it starts.
 * Blocks? Never. Refuses to grow: later fields go where nothing is yet.
 */
import { readSync } from 'node:fs';
import { endianness } from 'node:os';
import type { Negotiated } from '../../fuse/negotiate.js';
import { SETTABLE_LEVELS, type SettableLevel } from '../log-commands.js';
import type { RequestId } from './api.js';

export const PAGE_BYTES = 4096;
export const HEARTBEAT_MS = 250;

export const LIFE_NONE = 0;
export const LIFE_STARTING = 1;
export const LIFE_SERVING = 2;
export const LIFE_ENDING = 3;

const MAGIC = 0x6a78_3373;
const LAYOUT_VERSION = 1;
const WORD_MAGIC = 0;
const WORD_LAYOUT = 1;
const WORD_GENERATION = 2;
const WORD_STATE = 3;
const WORD_PID = 4;
const WORD_BEAT = 5;
const WORD_OLDEST = 6;
const WORD_AT_HAND_OPCODE = 7;
const WORD_AT_HAND_LO = 8;
const WORD_AT_HAND_HI = 9;
const WORD_FROM_OUTSIDE = 10;
const WORD_LEVEL = 11;
const WORD_REASON = 16;
const WORD_REGION = 96;
const WORD_NEGOTIATED = 128;
const WORD_TRIED = 512;
const WORD_COUNTS = 640;
const COUNTS_BYTES_MAX = PAGE_BYTES - (WORD_COUNTS + 1) * 4;
/** More at once are not worth knowing: only one alone is blamed. */
export const TRIED_MAX = 32;
export const REASON_BYTES_MAX = (WORD_REGION - WORD_REASON - 1) * 4;
const REGION_BYTES_MAX = (WORD_NEGOTIATED - WORD_REGION - 1) * 4;
const NEGOTIATED_BYTES_MAX = (WORD_TRIED - WORD_NEGOTIATED - 1) * 4;

/** The bit of a unique id's high half that marks a request as sent again (FUSE_UNIQUE_RESEND). */
const RESEND_BIT_HI = 0x8000_0000;

/** The bytes of a fresh page. */
export function newPage(): Buffer {
  const page = Buffer.alloc(PAGE_BYTES);
  page.writeUInt32LE(MAGIC, WORD_MAGIC * 4);
  page.writeUInt32LE(LAYOUT_VERSION, WORD_LAYOUT * 4);
  return page;
}

/** The daemon's side. */
export class DaemonPage {
  readonly #words: Int32Array;
  readonly #bytes: Buffer;

  /** `memory` begins with the page. Throws when it is no page of a layout that this version knows. */
  constructor(memory: ArrayBuffer | SharedArrayBuffer) {
    this.#words = new Int32Array(memory, 0, PAGE_BYTES / 4);
    this.#bytes = Buffer.from(memory, 0, PAGE_BYTES);
    if (endianness() !== 'LE' || this.#words[WORD_MAGIC] !== MAGIC || this.#words[WORD_LAYOUT] !== LAYOUT_VERSION) {
      throw new Error('the journal file is of another version of mount-s3x');
    }
  }

  /** A daemon begins: what the last one left is gone, but for what INIT agreed on. */
  begin(generation: number, pid: number): void {
    for (let word = WORD_STATE; word <= WORD_REASON; word++) Atomics.store(this.#words, word, 0);
    Atomics.store(this.#words, WORD_TRIED, 0);
    Atomics.store(this.#words, WORD_GENERATION, generation);
    Atomics.store(this.#words, WORD_PID, pid);
    Atomics.store(this.#words, WORD_STATE, LIFE_STARTING);
  }

  setState(state: number): void {
    Atomics.store(this.#words, WORD_STATE, state);
  }

  /** The main thread lives. */
  beat(oldestRequestMs: number): void {
    Atomics.store(this.#words, WORD_OLDEST, Math.min(oldestRequestMs, 0x7fff_ffff));
    Atomics.store(this.#words, WORD_BEAT, monotonicMs() | 0);
  }

  /** The main thread begins with a request; `opcode` 0: it is done with it. Two or three stores: for each request. */
  atHand(opcode: number, uniqueLo: number, uniqueHi: number): void {
    if (opcode !== 0) {
      this.#words[WORD_AT_HAND_LO] = uniqueLo;
      this.#words[WORD_AT_HAND_HI] = uniqueHi;
    }
    this.#words[WORD_AT_HAND_OPCODE] = opcode;
  }

  /** What waits for its answer during a trial. Once for each beginning and end, and only then. */
  inService(requests: readonly RequestId[]): void {
    Atomics.store(this.#words, WORD_TRIED, 0);
    for (const [index, { lo, hi }] of requests.slice(0, TRIED_MAX).entries()) {
      this.#words[WORD_TRIED + 1 + index * 2] = lo;
      this.#words[WORD_TRIED + 2 + index * 2] = hi;
    }
    Atomics.store(this.#words, WORD_TRIED, requests.length);
  }

  /** Somebody sent this process the signal that it is about to die of. */
  killedFromOutside(): void {
    Atomics.store(this.#words, WORD_FROM_OUTSIDE, 1);
  }

  /** The level of the log, for the daemon that takes over. */
  setLevel(level: string): void {
    const index = SETTABLE_LEVELS.findIndex((each) => each === level);
    if (this.#words[WORD_LEVEL] !== index + 1) Atomics.store(this.#words, WORD_LEVEL, index + 1);
  }

  /** What the daemon before this one had; ask before `begin`. */
  level(): SettableLevel | undefined {
    return SETTABLE_LEVELS[Atomics.load(this.#words, WORD_LEVEL) - 1];
  }

  /** This process ends itself for this reason. The last word of it: what was said first stands. */
  fatal(reason: string): void {
    if (Atomics.load(this.#words, WORD_REASON) !== 0) return;
    const bytes = Buffer.from(reason.replace(/\s+/g, ' '), 'utf8').subarray(0, REASON_BYTES_MAX);
    bytes.copy(this.#bytes, (WORD_REASON + 1) * 4);
    Atomics.store(this.#words, WORD_REASON, bytes.length);
  }

  /** Where the bucket was found to be: the daemon that takes over need not ask before it serves. */
  setRegion(region: string): void {
    const bytes = Buffer.from(region, 'latin1');
    if (bytes.length > REGION_BYTES_MAX) return;
    bytes.copy(this.#bytes, (WORD_REGION + 1) * 4);
    Atomics.store(this.#words, WORD_REGION, bytes.length);
  }

  region(): string | undefined {
    const bytes = Atomics.load(this.#words, WORD_REGION);
    if (bytes <= 0 || bytes > REGION_BYTES_MAX) return undefined;
    const at = (WORD_REGION + 1) * 4;
    return this.#bytes.toString('latin1', at, at + bytes);
  }

  /** What `stats` has counted of this mount. Left out when it does not fit: then the next daemon knows less. */
  setCounts(counts: object): void {
    const bytes = Buffer.from(JSON.stringify(counts), 'utf8');
    Atomics.store(this.#words, WORD_COUNTS, 0);
    if (bytes.length > COUNTS_BYTES_MAX) return;
    bytes.copy(this.#bytes, (WORD_COUNTS + 1) * 4);
    Atomics.store(this.#words, WORD_COUNTS, bytes.length);
  }

  /** Of the daemons before. */
  counts(): unknown {
    const bytes = Atomics.load(this.#words, WORD_COUNTS);
    if (bytes <= 0 || bytes > COUNTS_BYTES_MAX) return undefined;
    const at = (WORD_COUNTS + 1) * 4;
    try {
      return JSON.parse(this.#bytes.toString('utf8', at, at + bytes)) as unknown;
    } catch {
      return undefined;
    }
  }

  /** Say it before INIT is answered: afterwards nobody can ask the kernel again. */
  setNegotiated(negotiated: Negotiated): void {
    const bytes = Buffer.from(JSON.stringify(negotiated), 'utf8');
    if (bytes.length > NEGOTIATED_BYTES_MAX) throw new Error('what INIT agreed on does not fit its page');
    bytes.copy(this.#bytes, (WORD_NEGOTIATED + 1) * 4);
    Atomics.store(this.#words, WORD_NEGOTIATED, bytes.length);
  }

  /** What the first daemon agreed on with the kernel; undefined before INIT. */
  negotiated(): Negotiated | undefined {
    const bytes = Atomics.load(this.#words, WORD_NEGOTIATED);
    if (bytes <= 0 || bytes > NEGOTIATED_BYTES_MAX) return undefined;
    const at = (WORD_NEGOTIATED + 1) * 4;
    return Object.freeze(JSON.parse(this.#bytes.toString('utf8', at, at + bytes)) as Negotiated);
  }
}

/** What the supervisor sees of the page. */
export interface PageView {
  readonly generation: number;
  readonly state: number;
  readonly pid: number;
  /** Changes with each beat; 0 before the first. */
  readonly beat: number;
  readonly oldestRequestMs: number;
  /** The request that the main thread was busy with. */
  readonly atHand: (RequestId & { readonly opcode: number }) | undefined;
  /** During a trial: all requests in service, in the order in which they began; TRIED_MAX at most. */
  readonly inService: readonly RequestId[];
  /** The signal that it died of was sent to it. */
  readonly wasSignalled: boolean;
  /** Why the daemon ended itself. */
  readonly reason: string | undefined;
}

/** Reads the page. Undefined when it cannot be read. */
export function readPage(fd: number, into: Buffer = Buffer.alloc(PAGE_BYTES)): PageView | undefined {
  try {
    if (readSync(fd, into, 0, PAGE_BYTES, 0) !== PAGE_BYTES) return undefined;
  } catch {
    return undefined;
  }
  const word = (at: number): number => into.readUInt32LE(at * 4);
  const reasonBytes = Math.min(word(WORD_REASON), REASON_BYTES_MAX);
  const at = (WORD_REASON + 1) * 4;
  const opcode = word(WORD_AT_HAND_OPCODE);
  const id = (atWord: number): RequestId => {
    const hi = word(atWord + 1);
    return { lo: word(atWord), hi: hi >= RESEND_BIT_HI ? hi - RESEND_BIT_HI : hi };
  };
  const tried = Math.min(word(WORD_TRIED), TRIED_MAX);
  return {
    generation: word(WORD_GENERATION),
    state: word(WORD_STATE),
    pid: word(WORD_PID),
    beat: word(WORD_BEAT),
    oldestRequestMs: word(WORD_OLDEST),
    atHand: opcode === 0 ? undefined : { opcode, ...id(WORD_AT_HAND_LO) },
    inService: Array.from({ length: tried }, (_, index) => id(WORD_TRIED + 1 + index * 2)),
    wasSignalled: word(WORD_FROM_OUTSIDE) === 1,
    reason: reasonBytes === 0 ? undefined : into.toString('utf8', at, at + reasonBytes),
  };
}

/** CLOCK_MONOTONIC, the same in all processes; never 0 as a heartbeat. */
export function monotonicMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + Math.floor(nanoseconds / 1e6) + 1;
}
