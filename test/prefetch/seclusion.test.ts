/**
 * A node that is written: whatever was under way or is still asked for by readers of the version before, reader threads find
 * none of its blocks until it is a version again and the last such READ is over. In random interleavings.
 */
import t from 'tap';
import type { ObjectReader } from '../../src/prefetch/api.js';
import { SimulatedMount, versionOf, type KernelRead } from '../support/simulated-net-mount.js';

const MIB = 1024 * 1024;
const SIZE_MIB = 12;

/** Does a reader thread find any bytes of the node? */
function isFound(mount: SimulatedMount, nodeId: number): boolean {
  for (let block = 0; block < SIZE_MIB; block++) {
    for (const [from, to] of [
      [0, 4096],
      [MIB - 4096, MIB],
    ] as const) {
      const slot = mount.view.pinResident(nodeId, 0, block, from, to);
      if (slot < 0) continue;
      mount.view.unpin(slot);
      return true;
    }
  }
  return false;
}

t.test('no interleaving brings old bytes back under the node', (t) => {
  for (let seed = 1; seed <= 60; seed++) {
    const mount = new SimulatedMount({ seed, slots: seed % 3 === 0 ? 6 : 32, threads: 2, partBytes: 4 * MIB });
    const { random, prefetcher, net } = mount;
    const version = versionOf(5, SIZE_MIB * MIB);
    const read = (reader: ObjectReader): KernelRead => {
      const sizeBytes = random.pick([4096, 128 * 1024, MIB]);
      return mount.read(reader, version, random.below(SIZE_MIB * MIB - sizeBytes), sizeBytes);
    };
    const steps = (most: number): void => {
      for (let left = random.below(most); left > 0; left--) net.step();
    };
    for (let round = 0; round < 3; round++) {
      const before = [prefetcher.open(version), prefetcher.open(version)];
      const early = before.flatMap((reader) => [read(reader), read(reader), read(reader)]);
      steps(60);
      prefetcher.seclude(version.nodeId);
      for (const reader of before) {
        // Notes of reader threads, and READs that were on their way to this thread.
        reader.accessed(random.below(SIZE_MIB) * MIB, MIB);
        if (random.chance(0.5)) early.push(read(reader));
      }
      for (let turn = 0; turn < 20; turn++) {
        if (turn === 10) for (const reader of before) reader.close();
        if (isFound(mount, version.nodeId)) throw new Error(`seed ${seed}: bytes are found while the node is written`);
        if (prefetcher.speculate(versionOf(6, 1000))) steps(2);
        steps(8);
      }
      prefetcher.share(version.nodeId);
      const after = prefetcher.open(version);
      const late = [read(after)];
      while (early.some(({ errno }) => errno === undefined)) {
        if (isFound(mount, version.nodeId))
          throw new Error(`seed ${seed}: found while READs from before are under way`);
        if (!net.step()) mount.clock.advance(1);
      }
      mount.run();
      // A whole block, when nothing of before is under way any more.
      late.push(mount.read(after, version, 0, MIB));
      mount.run(() => late.every(({ errno }) => errno !== undefined));
      if (!isFound(mount, version.nodeId)) throw new Error(`seed ${seed}: blocks of the new version are not shared`);
      after.close();
    }
    prefetcher.forgetVersion(version.nodeId);
    t.same(mount.finish(), [], `seed ${seed}`);
  }
  t.end();
});
