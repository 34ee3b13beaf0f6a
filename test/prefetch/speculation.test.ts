/**
 * Fetching of files that nobody has opened: after everything else, within its bounds, joined by the READ that comes, and
 * never at the cost of what others are about to read.
 */
import t, { type Test } from 'tap';
import { EIO, ESTALE } from '../../src/base/errno.js';
import { PRIORITY_SPECULATIVE } from '../../src/engine/api.js';
import { SimulatedMount, versionOf } from '../support/simulated-net-mount.js';

const KIB = 1024;
const MIB = 1024 * KIB;

function finish(t: Test, mount: SimulatedMount): void {
  t.same(mount.finish(), [], 'nothing is left over');
}

t.test('fetched once, whole, at the lowest priority; READs of it need no other GET', (t) => {
  const mount = new SimulatedMount({ seed: 1, slots: 8 });
  const versions = [40 * KIB, 64 * KIB, 65 * KIB, MIB].map((sizeBytes, at) => versionOf(10 + at, sizeBytes));
  for (const version of versions) {
    t.notOk(mount.prefetcher.holds(version.nodeId));
    t.ok(mount.prefetcher.speculate(version));
    t.ok(mount.prefetcher.speculate(version), 'said again: it is on its way');
    t.ok(mount.prefetcher.holds(version.nodeId));
  }
  t.same(
    mount.net.gets.map(({ startOffset, endOffset, priority }) => [startOffset, endOffset, priority]),
    [],
    'the net thread has not looked yet',
  );
  // The first is read while it is under way, the others when they are there.
  for (const [at, version] of versions.entries()) {
    if (at > 0) mount.run();
    const reader = mount.prefetcher.open(version);
    const reads = [0, 16 * KIB].map((offset) => mount.read(reader, version, offset, version.sizeBytes - offset));
    mount.run();
    t.same(
      reads.map(({ errno }) => errno),
      [0, 0],
    );
    reader.close();
  }
  t.same(
    mount.net.gets.map(({ startOffset, endOffset, priority }) => [startOffset, endOffset, priority]),
    versions.map(({ sizeBytes }) => [0, sizeBytes, PRIORITY_SPECULATIVE]),
  );
  finish(t, mount);
  t.end();
});

t.test('no more than 128 under way, nor 32 MiB', (t) => {
  for (const [sizeBytes, most] of [
    [40 * KIB, 128],
    [MIB, 32],
  ] as const) {
    const mount = new SimulatedMount({ seed: 2, slots: 64 });
    let started = 0;
    while (started < 1000 && mount.prefetcher.speculate(versionOf(100 + started, sizeBytes))) started++;
    t.equal(started, most);
    mount.run();
    t.ok(mount.prefetcher.speculate(versionOf(5000, sizeBytes)), 'others when those are there');
    finish(t, mount);
  }
  t.end();
});

t.test('only into spare room: not what was fetched just now and not yet read', (t) => {
  const mount = new SimulatedMount({ seed: 3, slots: 4 });
  for (let at = 0; at < 64; at++) t.ok(mount.prefetcher.speculate(versionOf(100 + at, 40 * KIB)));
  mount.run();
  t.notOk(mount.prefetcher.speculate(versionOf(300, 40 * KIB)), 'the pool is full of what may be read soon');
  const version = versionOf(100, 40 * KIB);
  const reader = mount.prefetcher.open(version);
  mount.read(reader, version, 0, version.sizeBytes);
  mount.run();
  reader.close();
  t.ok(mount.prefetcher.speculate(versionOf(300, 40 * KIB)), 'what was read and closed makes room');
  t.notOk(mount.prefetcher.holds(100));
  mount.prefetcher.forgetVersion(101);
  t.ok(mount.prefetcher.speculate(versionOf(301, 40 * KIB)), 'and so does what was forgotten');
  finish(t, mount);
  t.end();
});

t.test('forgotten while under way: the fetch is cancelled and nothing is kept', (t) => {
  const mount = new SimulatedMount({ seed: 4, slots: 8, chunkBytesMax: 4096 });
  for (let at = 0; at < 20; at++) mount.prefetcher.speculate(versionOf(10 + at, 60 * KIB));
  for (let steps = 0; steps < 40; steps++) mount.net.step();
  for (let at = 0; at < 20; at++) mount.prefetcher.forgetVersion(10 + at);
  mount.run();
  for (let at = 0; at < 20; at++) if (mount.prefetcher.holds(10 + at)) t.fail(`version ${10 + at} is still held`);
  t.ok(mount.net.bytesBrought < 20 * 60 * KIB, 'not all of it came');
  t.ok(mount.prefetcher.speculate(versionOf(10, 60 * KIB)), 'and may be fetched again');
  finish(t, mount);
  t.end();
});

t.test('a fetch that fails leaves nothing and is not tried again at once; a replaced version is reported', (t) => {
  const outcomes = new Map([
    ['objects/10', { errno: EIO, afterBytes: 0 }],
    ['objects/11', { errno: ESTALE, afterBytes: 0 }],
  ]);
  const mount = new SimulatedMount({ seed: 5, slots: 8, outcome: ({ key }) => outcomes.get(key) });
  for (const nodeId of [10, 11]) t.ok(mount.prefetcher.speculate(versionOf(nodeId, 1000)));
  mount.run();
  t.notOk(mount.prefetcher.holds(10));
  t.notOk(mount.prefetcher.speculate(versionOf(10, 1000)));
  t.same(mount.lost, [11]);
  mount.clock.advance(1001);
  outcomes.clear();
  t.ok(mount.prefetcher.speculate(versionOf(10, 1000)));
  finish(t, mount);
  t.end();
});
