/**
 * Latency histograms as exporters want them: few buckets with upper bounds in seconds. The program's own have four a
 * doubling; what is exported has one, whose bounds are ends of its own buckets, so that nothing is guessed. Pure.
 */
import { BUCKETS, bucketEndMs, type HistogramState } from '../../base/latency-histogram.js';

/** 31 microseconds to 33 seconds; what is longer has no bound. */
const FIRST_BOUND_MS = 2 ** -5;
const LAST_BOUND_MS = 2 ** 15;

/** The program's buckets that end at an exported bound. */
const ENDS: readonly number[] = Array.from({ length: BUCKETS }, (_, bucket) => bucket).filter((bucket) => {
  const endMs = bucketEndMs(bucket);
  return Number.isInteger(Math.log2(endMs)) && endMs >= FIRST_BOUND_MS && endMs <= LAST_BOUND_MS;
});

/** Inclusive upper bounds, seconds, rising. */
export const BOUNDS_SECONDS: readonly number[] = ENDS.map((bucket) => bucketEndMs(bucket) / 1000);

export interface ExportedHistogram {
  /** One more than there are bounds: the last is what is longer. Not cumulative. */
  readonly counts: readonly number[];
  readonly count: number;
  readonly sumSeconds: number;
}

export function exportedHistogram({ counts, sumMs }: HistogramState): ExportedHistogram {
  const result: number[] = [];
  let from = 0;
  for (const end of ENDS) {
    result.push(sumOf(counts, from, end + 1));
    from = end + 1;
  }
  result.push(sumOf(counts, from, counts.length));
  return { counts: result, count: sumOf(counts, 0, counts.length), sumSeconds: sumMs / 1000 };
}

function sumOf(counts: readonly number[], from: number, to: number): number {
  let sum = 0;
  for (let at = from; at < to; at++) sum += counts[at] ?? 0;
  return sum;
}
