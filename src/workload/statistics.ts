/**
 * The few figures that a benchmark's samples are told in: the median, its spread, and quantiles of latencies. Medians and
 * whole ranges, not means and deviations: samples of speed are few and lopsided. Refuses empty samples.
 */
import { invariant } from '../base/invariant.js';

export interface Summary {
  readonly median: number;
  readonly least: number;
  readonly most: number;
  readonly count: number;
}

/** The middle of the samples; of an even number the mean of both in the middle. */
export function median(samples: readonly number[]): number {
  return summarize(samples).median;
}

export function summarize(samples: readonly number[]): Summary {
  invariant(samples.length > 0, 'no samples to summarize');
  const ordered = [...samples].sort((a, b) => a - b);
  const middle = ordered.length / 2;
  const at = (index: number): number => ordered[index] ?? 0;
  const value = Number.isInteger(middle) ? (at(middle - 1) + at(middle)) / 2 : at(Math.floor(middle));
  return { median: value, least: at(0), most: at(ordered.length - 1), count: ordered.length };
}

/** The sample that `share` of all lie below or at (nearest rank). */
export function quantile(samples: readonly number[], share: number): number {
  invariant(samples.length > 0, 'no samples for a quantile');
  const ordered = Float64Array.from(samples).sort();
  const rank = Math.min(ordered.length, Math.max(1, Math.ceil(share * ordered.length)));
  return ordered[rank - 1] ?? 0;
}
