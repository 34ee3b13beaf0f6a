/**
 * What the scheduler sees and what it sets: plain data between net threads (who measure and obey), the controller (who
 * decides; controller.ts, no I/O and no clock of its own) and what shows its decisions to people. DESIGN: measurement
 * corrects the starting point that src/main/sizing derives from the hardware.
 * Units are in the names; counts are of the interval `spanMs`, never running totals, unless their name says `Total`.
 */

/** How often a net thread with something under way says what it saw. An idle one says it once, then nothing. */
export const SAMPLE_MS = 100;

/** What one net thread saw in one interval. */
export interface NetSample {
  readonly spanMs: number;
  /** Payload that arrived and that left. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Requests that were sent, hedges and repetitions included. */
  readonly requests: number;
  /** Of them, second requests beside a late first one, and how many second ones won. */
  readonly hedges: number;
  readonly hedgesWon: number;
  /** Attempts that failed and were (or will be) tried again, without slowDowns. */
  readonly retries: number;
  /** Answers that asked for fewer requests (503 SlowDown, 429), by the prefix of their key (prefix-of.ts). */
  readonly slowDowns: readonly { readonly prefix: string; readonly count: number }[];
  /** From a request's end to the first byte of its answer, ms: a sample of FIRST_BYTES_MAX at most, in no order. */
  readonly firstByteMs: readonly number[];
  /** Connections open or opening; those with an exchange; those who wait for one; of those, for waiting READs. */
  readonly connections: number;
  readonly busy: number;
  readonly waiting: number;
  readonly waitingReaders: number;
  /** Bound in force. */
  readonly connectionsMax: number;
  /** Share of the interval that the thread's event loop was busy, 0..1. */
  readonly loopBusy: number;
}

export const FIRST_BYTES_MAX = 32;

/** What the controller moves. */
export interface Setting {
  /** Open connections, over all net threads. */
  readonly connections: number;
  /** Bytes of one GET of a stream: a multiple of a block. */
  readonly partBytes: number;
  /** Net threads that get new fetches. */
  readonly netThreads: number;
}

/** Where it starts and what it never leaves. A field of `fixed` was said by the user: it is not moved. */
export interface ControllerBounds {
  readonly first: Setting;
  readonly least: Setting;
  readonly most: Setting;
  readonly fixed: { readonly connections: boolean; readonly partBytes: boolean; readonly netThreads: boolean };
  /** What the link is thought to carry; a hint for how far steps may go, not a cap. */
  readonly targetGbps: number;
}

/** Everything the controller hears of one interval: the threads' samples and what only the main thread knows. */
export interface ControllerInput {
  readonly nowMs: number;
  readonly threads: readonly NetSample[];
  /** Share of the pool that is neither free nor evictable, 0..1. */
  readonly poolPressure: number;
  /** Share of the interval that the main thread's event loop was busy, 0..1. */
  readonly mainLoopBusy: number;
  /** Somebody waits for bytes or would read ahead more if it could: growth is worth trying only then. */
  readonly hasDemand: boolean;
}

/** One decision, for `mount-s3x explain` and the debug log. */
export interface Decision {
  readonly atMs: number;
  readonly before: Setting;
  readonly after: Setting;
  /** One sentence: what was seen, so what was done. */
  readonly reason: string;
}

/** Decisions that are kept. */
export const DECISIONS_MAX = 256;

export interface SchedulerController {
  readonly setting: Setting;
  /** The last DECISIONS_MAX, oldest first. */
  readonly decisions: readonly Decision[];
  /** One interval is over. Returns the setting from now on. */
  step(input: ControllerInput): Setting;
}

/**
 * How many requests a prefix may get, once the store has said SlowDown: sans I/O, one for each net thread's share
 * (request-pacer.ts). Prefixes are those of prefix-of.ts. Uploads, LISTs and HEADs count as well as GETs.
 */
export interface RequestPacer {
  /**
   * Asked before a request goes out, repetitions and hedges included. `nowMs`: it goes out now and is counted. Later:
   * nothing is taken, the request is not sent, and its owner asks again then (it may be told a later time once more; an
   * owner that gives up need not say so). `isUrgent`: a READ waits for it, so it is told the next free place, while the
   * others are told one after another. Ask before a connection is taken: who waits must not hold one.
   */
  startAt(prefix: string, nowMs: number, isUrgent?: boolean): number;
  /** The store refused a request that had been let go (503 SlowDown, 429). */
  slowDown(prefix: string, nowMs: number): void;
  /** The head of any other answer arrived, or the request failed without one. */
  answered(prefix: string, nowMs: number): void;
}
