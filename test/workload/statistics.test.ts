/** Medians, ranges and quantiles of samples, and the generator of random places. */
import t from 'tap';
import { Random } from '../../src/workload/random.js';
import { median, quantile, summarize } from '../../src/workload/statistics.js';

t.test('summaries', (t) => {
  t.same(summarize([3, 1, 2]), { median: 2, least: 1, most: 3, count: 3 });
  t.same(summarize([4, 1, 2, 3]), { median: 2.5, least: 1, most: 4, count: 4 });
  t.same(summarize([7]), { median: 7, least: 7, most: 7, count: 1 });
  // As numbers, not as text.
  t.equal(median([10, 9, 100]), 10);
  t.throws(() => median([]), /no samples/);
  t.end();
});

t.test('quantiles are samples', (t) => {
  const hundred = Array.from({ length: 100 }, (_, at) => 100 - at);
  t.equal(quantile(hundred, 0.5), 50);
  t.equal(quantile(hundred, 0.99), 99);
  t.equal(quantile(hundred, 1), 100);
  t.equal(quantile([5], 0.99), 5);
  t.throws(() => quantile([], 0.5), /no samples/);
  t.end();
});

t.test('random places', (t) => {
  const draw = (seed: number): number[] => {
    const random = new Random(seed);
    return Array.from({ length: 1000 }, () => random.below(10));
  };
  t.same(draw(1), draw(1), 'the same seed gives the same');
  t.not(draw(1).join(), draw(2).join());
  t.ok(
    draw(3).every((value) => Number.isInteger(value) && value >= 0 && value < 10),
    'within the bound',
  );
  t.equal(new Set(draw(4)).size, 10, 'every value comes');
  const items = Array.from({ length: 50 }, (_, at) => at);
  const shuffled = new Random(5).shuffled(items);
  t.not(shuffled.join(), items.join());
  t.same(
    [...shuffled].sort((a, b) => a - b),
    items,
    'each once',
  );
  t.end();
});
