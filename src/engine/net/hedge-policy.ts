/**
 * When a GET is late enough to be asked a second time, from what this thread has measured. Pure but for what it counts.
 * Late is a first byte after twice the 95th percentile of those before ("The Tail at Scale", Dean and Barroso 2013), or a
 * body that has fallen to an eighth of the usual rate. A budget bounds what it may cost: each request pays a twentieth of
 * a hedge, so at most 5 % more requests go out, and none at all when everything is equally slow for long.
 * Refuses to call anything late before it has seen SAMPLES_MIN answers.
 */
import {
  HEDGE_LATE_FACTOR,
  HEDGE_LATE_MIN_MS,
  HEDGE_SAMPLES,
  HEDGE_SAMPLES_MIN,
  HEDGE_SHARE,
  HEDGE_SLOW_SHARE,
  HEDGES_SAVED_MAX,
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

  /** Undefined before the first HEDGE_SAMPLES_MIN values. */
  get value(): number | undefined {
    return this.#value;
  }
}

export class HedgePolicy {
  readonly #firstBytes = new Recent(0.95);
  readonly #rates = new Recent(0.5);
  #saved = 0;

  /** A request goes out that is no hedge. */
  asked(): void {
    this.#saved = Math.min(HEDGES_SAVED_MAX, this.#saved + HEDGE_SHARE);
  }

  /** One answer's head came so long after its request. */
  firstByte(waitedMs: number): void {
    this.#firstBytes.add(waitedMs);
  }

  /** One body came at this rate. */
  body(bytes: number, tookMs: number): void {
    if (tookMs > 0) this.#rates.add(bytes / tookMs);
  }

  /** A request without an answer for so long is late; Infinity while that cannot be said. */
  get lateMs(): number {
    const usual = this.#firstBytes.value;
    return usual === undefined ? Infinity : Math.max(HEDGE_LATE_MIN_MS, usual * HEDGE_LATE_FACTOR);
  }

  /** A body that brings less than this is slow; 0 while that cannot be said. */
  get slowBytesPerMs(): number {
    return (this.#rates.value ?? 0) * HEDGE_SLOW_SHARE;
  }

  /** Whether one more hedge may go out; if so, it is paid for. */
  trySpend(): boolean {
    if (this.#saved < 1) return false;
    this.#saved -= 1;
    return true;
  }
}
