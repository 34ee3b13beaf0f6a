/** The last so many numbers of a kind, and their quantiles, looked up when asked. Refuses to weigh old ones less. */
import type { LatencyMs } from './driver.js';

export class Recent {
  readonly #most: number;
  readonly #values: number[] = [];
  #next = 0;

  constructor(most: number) {
    this.#most = most;
  }

  add(value: number): void {
    this.#values[this.#next] = value;
    this.#next = (this.#next + 1) % this.#most;
  }

  /** Undefined before the first value. */
  quantiles(): LatencyMs | undefined {
    if (this.#values.length === 0) return undefined;
    const sorted = [...this.#values].sort((one, other) => one - other);
    const at = (share: number): number => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
    return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
  }
}
