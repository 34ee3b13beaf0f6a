/**
 * What one net thread has done since it was asked last: counters that the hot path adds to, and the sample that they become
 * once in SAMPLE_MS. Counting is a few additions a read of a socket; nothing is allocated before a sample is taken.
 * (Measured: seq1d and small16 cost the same CPU with and without it, within the noise of 3 runs.)
 *
 * Thread: a net thread. Bounds: FIRST_BYTES_MAX times, PREFIXES_MAX prefixes; what is beyond counts for the last one.
 * Refuses to keep history and to judge: the controller on the main thread does (src/engine/scheduler).
 */
import { FIRST_BYTES_MAX, type NetSample } from '../scheduler/api.js';
import { RequestLedger } from './request-ledger.js';

/** Prefixes that one interval can tell apart (guessed: one job reads below a few). */
const PREFIXES_MAX = 64;
const OTHER_PREFIXES = '';

/** What the connections look like at the moment of a sample. */
export type SampledNow = Pick<
  NetSample,
  'connections' | 'busy' | 'waiting' | 'waitingReaders' | 'connectionsMax' | 'loopBusy'
>;

export class NetMeter {
  /** Added to by those who count: see NetSample for what they mean. */
  bytesIn = 0;
  bytesOut = 0;
  requests = 0;
  hedges = 0;
  hedgesWon = 0;
  retries = 0;
  /** Totals by operation, which no sample carries: `describe` says them. */
  readonly ledger = new RequestLedger();
  /** What samples have taken. */
  #takenBytesIn = 0;
  #firstBytes = 0;
  readonly #firstByteMs: number[] = [];
  readonly #slowDowns = new Map<string, number>();

  /** The first byte of an answer came so long after its request. The last FIRST_BYTES_MAX of an interval are kept. */
  firstByte(waitedMs: number): void {
    this.#firstByteMs[this.#firstBytes++ % FIRST_BYTES_MAX] = waitedMs;
  }

  slowDown(prefix: string): void {
    const known = this.#slowDowns.has(prefix) || this.#slowDowns.size < PREFIXES_MAX;
    const key = known ? prefix : OTHER_PREFIXES;
    this.#slowDowns.set(key, (this.#slowDowns.get(key) ?? 0) + 1);
  }

  /** Payload that arrived, since the beginning. */
  get bytesInTotal(): number {
    return this.#takenBytesIn + this.bytesIn;
  }

  /** Something was counted since the last sample. */
  get hasNews(): boolean {
    return this.requests + this.bytesIn + this.bytesOut + this.retries + this.#slowDowns.size > 0;
  }

  /** What was counted since the last call; begins anew. */
  take(spanMs: number, now: SampledNow): NetSample {
    const sample: NetSample = {
      spanMs,
      bytesIn: this.bytesIn,
      bytesOut: this.bytesOut,
      requests: this.requests,
      hedges: this.hedges,
      hedgesWon: this.hedgesWon,
      retries: this.retries,
      slowDowns: [...this.#slowDowns].map(([prefix, count]) => ({ prefix, count })),
      firstByteMs: this.#firstByteMs.slice(0, Math.min(this.#firstBytes, FIRST_BYTES_MAX)),
      ...now,
    };
    this.#takenBytesIn += this.bytesIn;
    this.bytesIn = 0;
    this.bytesOut = 0;
    this.requests = 0;
    this.hedges = 0;
    this.hedgesWon = 0;
    this.retries = 0;
    this.#firstBytes = 0;
    this.#slowDowns.clear();
    return sample;
  }
}
