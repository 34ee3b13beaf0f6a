/** Quantiles of buckets against those of the values themselves. */
import fc from 'fast-check';
import t from 'tap';
import {
  BUCKETS,
  LatencyHistogram,
  countsBetween,
  quantilesOf,
  total,
  type BucketCounts,
} from '../../src/base/latency-histogram.js';

function countsOf(values: readonly number[]): BucketCounts {
  const histogram = new LatencyHistogram();
  for (const value of values) histogram.add(value);
  return histogram.counts;
}

t.test('nothing counted', (t) => {
  t.equal(quantilesOf(countsOf([])), undefined);
  t.equal(countsOf([]).length, BUCKETS);
  t.end();
});

t.test('within a tenth of the values', (t) => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0.02, max: 100_000, noNaN: true }), { minLength: 1, maxLength: 400 }),
      (values) => {
        const sorted = [...values].sort((a, b) => a - b);
        const quantiles = quantilesOf(countsOf(values));
        for (const [share, found] of [
          [0.5, quantiles?.p50],
          [0.95, quantiles?.p95],
          [0.99, quantiles?.p99],
        ] as const) {
          const exact = sorted[Math.ceil(share * sorted.length) - 1] ?? 0;
          if (found === undefined || Math.abs(found - exact) > 0.1 * exact) {
            throw new Error(`${share}: ${String(found)} for ${exact}`);
          }
        }
      },
    ),
  );
  t.end();
});

t.test('what is below and beyond counts, and so does nonsense', (t) => {
  const counts = countsOf([0, -1, Number.NaN, 1e-9, 1e12, Infinity]);
  t.equal(total(counts), 6);
  t.equal(counts[0], 4);
  t.equal(counts[BUCKETS - 1], 2);
  t.end();
});

t.test('the time between two states', (t) => {
  const histogram = new LatencyHistogram();
  for (let each = 0; each < 100; each++) histogram.add(1000);
  const before = histogram.counts;
  for (let each = 0; each < 10; each++) histogram.add(1);
  const between = countsBetween(before, histogram.counts);
  t.equal(total(between), 10);
  const p99 = quantilesOf(between)?.p99 ?? 0;
  t.ok(p99 > 0.9 && p99 < 1.2, `the slow ones are over: ${p99}`);
  t.equal(total(countsBetween(undefined, before)), 100);
  t.end();
});
