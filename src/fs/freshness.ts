/**
 * How old knowledge may be. One promise: a name or an attribute that an application sees was true in the bucket at most
 * metadataTtlMs ago, counted from the moment we *sent* the request that told us, over our caches and the kernel's together.
 * So every fact carries `sentAtMs`, and what the kernel is told is never the full TTL but what is left of it.
 * Refuses to be extended: reading a fact again does not make it younger.
 */
import type { Clock } from '../base/clock.js';

/** Given to the kernel for "never expires": ten years, well inside what its jiffies hold. */
export const FOREVER_MS = 10 * 365 * 24 * 3600 * 1000;

export class Freshness {
  #ttlMs: number;
  #negativeTtlMs: number;
  readonly #clock: Clock;

  /** null means for ever. */
  constructor(
    options: { readonly metadataTtlMs: number | null; readonly negativeMetadataTtlMs: number | null },
    deps: { readonly clock: Clock },
  ) {
    this.#ttlMs = options.metadataTtlMs ?? Infinity;
    this.#negativeTtlMs = options.negativeMetadataTtlMs ?? Infinity;
    this.#clock = deps.clock;
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  /**
   * Other times from now on, in ms. What the kernel was told before it keeps for the old ones, so neither the old nor the new
   * may be endless: returns why not, undefined when it is done.
   */
  setTtl(ttlMs: number | null, negativeTtlMs: number | null): string | undefined {
    const isEndless = (ms: number | null): boolean => ms === null || ms === Infinity;
    if (isEndless(this.#ttlMs) !== isEndless(ttlMs) || isEndless(this.#negativeTtlMs) !== isEndless(negativeTtlMs)) {
      return '`indefinite` is what the kernel is told once and keeps';
    }
    this.#ttlMs = ttlMs ?? Infinity;
    this.#negativeTtlMs = negativeTtlMs ?? Infinity;
    return undefined;
  }

  /** True when facts never expire. */
  get endless(): boolean {
    return this.#ttlMs === Infinity;
  }

  /** The whole TTL, as the kernel wants it: for attributes of a pinned version, which do not change. */
  get wholeMs(): number {
    return Math.min(this.#ttlMs, FOREVER_MS);
  }

  /** What is left for a fact about something that exists; 0 when it is too old. */
  remainingMs(sentAtMs: number): number {
    return left(this.#ttlMs, this.#clock.nowMs() - sentAtMs);
  }

  /** What is left for the fact that a name does not exist. */
  negativeRemainingMs(sentAtMs: number): number {
    return left(this.#negativeTtlMs, this.#clock.nowMs() - sentAtMs);
  }

  /** May a fact about something that exists still be used (or could it at `atMs`)? */
  isFresh(sentAtMs: number, atMs = this.#clock.nowMs()): boolean {
    return atMs - sentAtMs <= this.#ttlMs;
  }

  isNegativeFresh(sentAtMs: number, atMs = this.#clock.nowMs()): boolean {
    return atMs - sentAtMs <= this.#negativeTtlMs;
  }
}

function left(ttlMs: number, ageMs: number): number {
  return Math.max(0, Math.min(ttlMs - ageMs, FOREVER_MS));
}
