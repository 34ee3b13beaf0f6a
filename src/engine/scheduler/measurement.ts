/**
 * What one setting brings: the mean of some intervals and how far it can be trusted. Intervals of 100 ms differ by their
 * nature (parts end together, another program takes the core), so a comparison needs the error beside the mean.
 * The error is that of independent intervals, which they are not quite; who compares allows for it (trials.ts).
 */
import type { Interval } from './observation.js';

/** The mean of `intervals` intervals. */
export interface Seen {
  readonly intervals: number;
  readonly bytesPerSecond: number;
  /** Standard error of bytesPerSecond. */
  readonly errorBytesPerSecond: number;
  readonly requestsPerSecond: number;
  readonly busy: number;
  readonly waiting: number;
  /** Mean of the medians; 0 when no answer began. */
  readonly firstByteMs: number;
  readonly netBusy: number;
  readonly mainBusy: number;
  readonly poolPressure: number;
}

export class Measurement {
  #intervals = 0;
  #mean = 0;
  #squares = 0;
  #requestsPerSecond = 0;
  #busy = 0;
  #waiting = 0;
  #firstByteMs = 0;
  #firstBytes = 0;
  #netBusy = 0;
  #mainBusy = 0;
  #poolPressure = 0;

  get intervals(): number {
    return this.#intervals;
  }

  /** Standard error as a share of the mean; Infinity before two intervals or without any bytes. */
  get error(): number {
    if (this.#intervals < 2 || this.#mean <= 0) return Infinity;
    return this.#standardError() / this.#mean;
  }

  add(interval: Interval): void {
    this.#intervals++;
    const off = interval.bytesPerSecond - this.#mean;
    this.#mean += off / this.#intervals;
    this.#squares += off * (interval.bytesPerSecond - this.#mean);
    this.#requestsPerSecond += interval.requestsPerSecond;
    this.#busy += interval.busy;
    this.#waiting += interval.waiting;
    if (interval.firstByteMs !== undefined) {
      this.#firstByteMs += interval.firstByteMs;
      this.#firstBytes++;
    }
    this.#netBusy += interval.netBusy;
    this.#mainBusy += interval.mainBusy;
    this.#poolPressure += interval.poolPressure;
  }

  seen(): Seen {
    const intervals = Math.max(1, this.#intervals);
    return {
      intervals: this.#intervals,
      bytesPerSecond: this.#mean,
      errorBytesPerSecond: this.#standardError(),
      requestsPerSecond: this.#requestsPerSecond / intervals,
      busy: this.#busy / intervals,
      waiting: this.#waiting / intervals,
      firstByteMs: this.#firstByteMs / Math.max(1, this.#firstBytes),
      netBusy: this.#netBusy / intervals,
      mainBusy: this.#mainBusy / intervals,
      poolPressure: this.#poolPressure / intervals,
    };
  }

  #standardError(): number {
    if (this.#intervals < 2) return 0;
    return Math.sqrt(Math.max(0, this.#squares) / (this.#intervals - 1) / this.#intervals);
  }
}
