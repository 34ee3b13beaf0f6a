/** Counts of a mount across its daemons. */
import t from 'tap';
import { ManualClock } from '../../../src/base/clock.js';
import { CarriedKeeper, plus, type CarriedCounts, type CarriedSources } from '../../../src/main/stats/carried.js';

const counts = (bytesIn: number, ok: number): CarriedCounts => ({
  network: { bytesIn, bytesOut: 0, requests: ok, hedges: 0, hedgesWon: 0, retries: 0, slowDowns: 0 },
  writeBytes: 7,
  requests: { LOOKUP: ok },
  requestErrors: 1,
  store: { get: { ok } },
});

t.test('counts are added, and nothing to add to is nothing lost', (t) => {
  t.same(plus(undefined, counts(5, 1)), counts(5, 1));
  t.match(plus(counts(5, 1), counts(6, 2)), {
    network: { bytesIn: 11, requests: 3 },
    writeBytes: 14,
    requests: { LOOKUP: 3 },
    requestErrors: 2,
    store: { get: { ok: 3 } },
  });
  t.end();
});

t.test('kept while something is asked, and only then; what an earlier version wrote is not believed', async (t) => {
  const clock = new ManualClock();
  const written: unknown[] = [];
  const now = counts(5, 1);
  const totals = { ...now.network };
  const sources = (before: unknown): CarriedSources => ({
    page: { counts: () => before, setCounts: (value: object) => void written.push(value) } as never,
    clock,
    scheduler: { totals },
    kernel: { counts: () => ({}) },
    descriptions: { ask: () => Promise.resolve([]), last: [] },
  });
  const settled = (): Promise<unknown> => new Promise((resolve) => setImmediate(resolve));
  const keeper = new CarriedKeeper(sources(counts(100, 4)));
  clock.advance(5_000);
  await settled();
  t.match(written, [{ network: { bytesIn: 105, requests: 5 }, store: { get: { ok: 4 } } }]);
  clock.advance(5_000);
  await settled();
  t.equal(written.length, 1, 'nothing was asked');
  totals.requests++;
  clock.advance(5_000);
  await settled();
  t.equal(written.length, 2);
  keeper.close();
  totals.requests++;
  clock.advance(60_000);
  await settled();
  t.equal(written.length, 2, 'closed');
  t.equal(new CarriedKeeper(sources({ network: 3 })).before, undefined);
});
