/** Rates and quantiles of the time between two snapshots. */
import t from 'tap';
import { MIB } from '../../../src/base/units.js';
import { reportOf } from '../../../src/main/stats/report.js';
import { busySnapshot, idleSnapshot, waitsOf } from './sample-snapshot.js';

t.test('two seconds of work', (t) => {
  const { rates, reads } = reportOf(idleSnapshot, busySnapshot);
  t.match(rates, {
    spanMs: 2000,
    inBytesPerSecond: 1e9,
    outBytesPerSecond: 250e6,
    requestsPerSecond: 617,
    hedgesPerSecond: 6,
    retriesPerSecond: 1.5,
    slowDownsPerSecond: 20,
    readBytesPerSecond: 500 * MIB,
    readsPerSecond: 500,
    writeBytesPerSecond: 150e6,
    poolHitShare: 0.9,
    kernelRequestsPerSecond: (900 + 450) / 2,
  });
  t.equal(reads.poolHitShare, 0.9);
  t.match(reads.waitMs, { reads: 100, isOfInterval: true });
  const { p50 = 0, p99 = 0 } = reads.waitMs ?? {};
  t.ok(p50 > 1.8 && p50 < 2.2, `p50 ${p50}`);
  t.ok(p99 > 45 && p99 < 55, `p99 ${p99}`);
  t.notOk('waits' in reads, 'buckets stay inside');
  t.end();
});

t.test('nothing happened: rates are 0, quantiles are of the life of the mount', (t) => {
  const later = { ...busySnapshot, atMs: busySnapshot.atMs + 1000 };
  const { rates, reads } = reportOf(busySnapshot, later);
  t.match(rates, { inBytesPerSecond: 0, readsPerSecond: 0, poolHitShare: null });
  t.match(reads.waitMs, { reads: 100, isOfInterval: false });
  const none = reportOf(idleSnapshot, { ...idleSnapshot, atMs: 61_000 });
  t.equal(none.reads.waitMs, null);
  t.equal(none.reads.poolHitShare, null);
  t.end();
});

t.test('only what was in between counts', (t) => {
  const before = { ...busySnapshot, reads: { ...busySnapshot.reads, waits: waitsOf(1000, 1000, 1000) } };
  const after = {
    ...busySnapshot,
    atMs: 63_000,
    reads: { ...busySnapshot.reads, waits: waitsOf(1000, 1000, 1000, 1) },
  };
  const { waitMs } = reportOf(before, after).reads;
  t.equal(waitMs?.reads, 1);
  t.ok((waitMs?.p99 ?? 0) < 2);
  t.end();
});

t.test('a snapshot of the same moment, and one that went backwards, are no division by zero', (t) => {
  for (const after of [busySnapshot, { ...idleSnapshot, atMs: busySnapshot.atMs - 10 }]) {
    const { poolHitShare: _share, ...rates } = reportOf(busySnapshot, after).rates;
    for (const rate of Object.values(rates)) {
      t.ok(rate === null || (Number.isFinite(rate) && rate >= 0), String(rate));
    }
  }
  t.end();
});
