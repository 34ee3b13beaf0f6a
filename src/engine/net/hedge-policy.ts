/**
 * When a GET is late enough to be asked a second time, from what this thread has measured. Pure but for what it counts.
 * Late is a first byte after twice the 95th percentile of those before ("The Tail at Scale", Dean and Barroso 2013), sooner
 * when requests that were sent later have their answers, or a body that has fallen to an eighth of the usual rate. A budget
 * bounds what it may cost: each request pays a twentieth of a hedge, and of no HEDGE_SPAN_REQUESTS in a row more than 5 % are hedged; none at all when everything is equally slow for
 * long. A body that pauses far longer than bodies do has stalled, and is resumed elsewhere from a budget of its own.
 * Of the first HEDGE_SAMPLES_MIN answers only what takes far longer than any of them is late.
 * Refuses to call anything late before it has seen HEDGE_SAMPLES_FIRST answers.
 */
import {
  HEDGE_LATE_FACTOR,
  HEDGE_LATE_FIRST_FACTOR,
  HEDGE_LATE_FIRST_MIN_MS,
  HEDGE_LATE_MIN_MS,
  HEDGE_OVERTAKEN_FACTOR,
  HEDGE_SAMPLES,
  HEDGE_SAMPLES_FIRST,
  HEDGE_SAMPLES_MIN,
  HEDGE_SHARE,
  HEDGE_SLOW_SHARE,
  HEDGE_SPAN_REQUESTS,
  HEDGES_SAVED_FIRST,
  HEDGES_SAVED_MAX,
  RESUME_SHARE,
  RESUMES_SAVED_MAX,
  STALL_FACTOR,
  STALL_FIRST_MS,
  STALL_MIN_MS,
} from './limits.js';

/** The last values of one kind and a quantile of them, looked up again only after so many new ones. */
class Recent {
  readonly #values: number[] = [];
  readonly #quantile: number;
  #next = 0;
  #stale = 0;
  #value: number | undefined;

  constructor(quantile: number) {
    this.#quantile = quantile;
  }

  add(value: number): void {
    this.#values[this.#next] = value;
    this.#next = (this.#next + 1) % HEDGE_SAMPLES;
    if (++this.#stale >= HEDGE_SAMPLES_MIN) {
      this.#stale = 0;
      const sorted = [...this.#values].sort((a, b) => a - b);
      this.#value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * this.#quantile))];
    }
  }

  /** The largest of the first few; undefined before and after them. */
  get firstMost(): number | undefined {
    const { length } = this.#values;
    return length >= HEDGE_SAMPLES_FIRST && this.#value === undefined ? Math.max(...this.#values) : undefined;
  }

  /** Undefined before the first HEDGE_SAMPLES_MIN values. */
  get value(): number | undefined {
    return this.#value;
  }
}

export class HedgePolicy {
  readonly #firstBytes = new Recent(0.95);
  readonly #rates = new Recent(0.5);
  readonly #pauses = new Recent(0.95);
  #saved = HEDGES_SAVED_FIRST;
  #resumes = HEDGES_SAVED_FIRST;
  /** Requests so far, and at which of them the last HEDGE_SHARE * HEDGE_SPAN_REQUESTS hedges went out, as a ring. */
  #requests = 0;
  readonly #spent: number[] = [];
  #nextSpent = 0;

  /** A request goes out that is no hedge. */
  asked(): void {
    this.#requests++;
    this.#saved = Math.min(HEDGES_SAVED_MAX, this.#saved + HEDGE_SHARE);
    this.#resumes = Math.min(RESUMES_SAVED_MAX, this.#resumes + RESUME_SHARE);
  }

  /** One answer's head came so long after its request. */
  firstByte(waitedMs: number): void {
    this.#firstBytes.add(waitedMs);
  }

  /** One body came at this rate, with no longer pause than this. */
  body(bytes: number, tookMs: number, pauseMs: number): void {
    if (tookMs > 0) this.#rates.add(bytes / tookMs);
    this.#pauses.add(pauseMs);
  }

  /** A body that pauses for so long has stalled. */
  get stallMs(): number {
    const pauseMs = this.#pauses.value;
    if (pauseMs === undefined) return STALL_FIRST_MS;
    return Math.max(STALL_MIN_MS, pauseMs * STALL_FACTOR, this.#firstBytes.value ?? 0);
  }

  /** A request without an answer for so long is late; Infinity while that cannot be said. */
  get lateMs(): number {
    const usual = this.#firstBytes.value;
    if (usual !== undefined) return Math.max(HEDGE_LATE_MIN_MS, usual * HEDGE_LATE_FACTOR);
    const most = this.#firstBytes.firstMost;
    return most === undefined ? Infinity : Math.max(HEDGE_LATE_FIRST_MIN_MS, most * HEDGE_LATE_FIRST_FACTOR);
  }

  /** The same of a request that younger ones have overtaken. */
  get overtakenLateMs(): number {
    const usual = this.#firstBytes.value;
    return usual === undefined ? this.lateMs : Math.max(HEDGE_LATE_MIN_MS, usual * HEDGE_OVERTAKEN_FACTOR);
  }

  /** A body that brings less than this is slow; 0 while that cannot be said. */
  get slowBytesPerMs(): number {
    return (this.#rates.value ?? 0) * HEDGE_SLOW_SHARE;
  }

  /** One more hedge may go out. */
  get maySpend(): boolean {
    if (this.#saved < 1) return false;
    const oldest = this.#spent[this.#nextSpent];
    return oldest === undefined || this.#requests - oldest >= HEDGE_SPAN_REQUESTS;
  }

  /** One more stalled body may be resumed. */
  get mayResume(): boolean {
    return this.#resumes >= 1;
  }

  /** Whether one more hedge may go out; if so, it is paid for. */
  trySpend(): boolean {
    if (!this.maySpend) return false;
    this.#spent[this.#nextSpent] = this.#requests;
    this.#nextSpent = (this.#nextSpent + 1) % Math.floor(HEDGE_SHARE * HEDGE_SPAN_REQUESTS);
    this.#saved -= 1;
    return true;
  }

  /** Whether one more stalled body may be resumed; if so, it is paid for. */
  tryResume(): boolean {
    if (!this.mayResume) return false;
    this.#resumes -= 1;
    return true;
  }
}
