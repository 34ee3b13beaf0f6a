/**
 * Counts of latencies in fixed logarithmic buckets, four a doubling: bounded memory however many are counted, two lines a
 * value, and quantiles that are off by a tenth at most. Two states of one histogram can be subtracted, which gives the
 * quantiles of the time in between.
 * Refuses to keep values, and to tell apart what lies below the first bucket (16 microseconds) or beyond the last (two minutes).
 */

/** Buckets of one doubling: each is 19 % wide. */
const STEPS = 4;
/** The first bucket begins here, in powers of two of a millisecond; what is less counts for it. */
const FIRST_POWER = -6;
const LAST_POWER = 17;
export const BUCKETS = (LAST_POWER - FIRST_POWER) * STEPS;

/** A state of a histogram: how many values fell into each bucket. */
export type BucketCounts = readonly number[];

export interface Quantiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** Counts with the sum of the values: what metrics want. */
export interface HistogramState {
  readonly counts: BucketCounts;
  readonly sumMs: number;
}

export class LatencyHistogram {
  readonly #counts = new Float64Array(BUCKETS);
  #sumMs = 0;

  add(ms: number): void {
    const bucket = bucketOf(ms);
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1;
    if (ms > 0) this.#sumMs += ms;
  }

  get counts(): BucketCounts {
    return [...this.#counts];
  }

  get state(): HistogramState {
    return { counts: this.counts, sumMs: this.#sumMs };
  }
}

/** The bucket that `ms` falls into: for who counts somewhere else (shared memory). */
export function bucketOf(ms: number): number {
  const at = Math.floor((Math.log2(ms) - FIRST_POWER) * STEPS);
  // Also what is no number: log2 of 0 is -Infinity, of less it is NaN.
  return at > 0 ? Math.min(at, BUCKETS - 1) : 0;
}

/** Exclusive upper end of a bucket, ms. The last one has none: what is longer counts for it. */
export function bucketEndMs(bucket: number): number {
  return 2 ** (FIRST_POWER + (bucket + 1) / STEPS);
}

/** What was counted between two states; the later one alone when there is no earlier. */
export function countsBetween(before: BucketCounts | undefined, after: BucketCounts): BucketCounts {
  return after.map((count, bucket) => Math.max(0, count - (before?.[bucket] ?? 0)));
}

export function total(counts: BucketCounts): number {
  return counts.reduce((sum, count) => sum + count, 0);
}

/** In ms, each the middle of its bucket; undefined when nothing was counted. */
export function quantilesOf(counts: BucketCounts): Quantiles | undefined {
  const all = total(counts);
  if (all === 0) return undefined;
  const at = (share: number): number => {
    const rank = share * all;
    let seen = 0;
    for (const [bucket, count] of counts.entries()) {
      seen += count;
      if (count > 0 && seen >= rank) return middleOf(bucket);
    }
    return middleOf(BUCKETS - 1);
  };
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

function middleOf(bucket: number): number {
  return 2 ** (FIRST_POWER + (bucket + 0.5) / STEPS);
}
