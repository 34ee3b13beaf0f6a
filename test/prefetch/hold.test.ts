/**
 * An object that the store renames in one step: from that step on its old key is nobody's, and readers must never ask for it,
 * nor for the new one before. In random interleavings of READs, reading ahead and renames, by a pool with room and by a full one.
 */
import t from 'tap';
import { ESTALE } from '../../src/base/errno.js';
import type { ObjectVersion } from '../../src/prefetch/api.js';
import { SimulatedMount, versionOf, type KernelRead } from '../support/simulated-net-mount.js';

const MIB = 1024 * 1024;
const SIZE_MIB = 12;
const RENAMES = 6;

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test('no request goes to a key where the object is not', async (t) => {
  for (let seed = 1; seed <= 40; seed++) {
    /** Where the store has it. */
    let at = 'objects/5';
    const mount = new SimulatedMount({
      seed,
      slots: seed % 3 === 0 ? 6 : 32,
      threads: 2,
      partBytes: 4 * MIB,
      outcome: ({ key }) => (key === 'objects/6' || key === at ? undefined : { afterBytes: 0, errno: ESTALE }),
    });
    const { random, prefetcher, net, clock } = mount;
    const version = { ...versionOf(5, SIZE_MIB * MIB), key: at };
    const bystander = versionOf(6, SIZE_MIB * MIB);
    const readers = [version, version, bystander].map((of: ObjectVersion) => ({ of, reader: prefetcher.open(of) }));
    const reads: KernelRead[] = [];
    const disturb = (): void => {
      const { of, reader } = random.pick(readers);
      if (random.chance(0.3)) reader.accessed(random.below(SIZE_MIB) * MIB, MIB);
      const sizeBytes = random.pick([4096, 128 * 1024, MIB]);
      reads.push(mount.read(reader, of, random.below(SIZE_MIB * MIB - sizeBytes), sizeBytes));
    };
    const steps = (most: number): void => {
      for (let left = random.below(most); left > 0; left--) net.step();
    };
    for (let rename = 1; rename <= RENAMES; rename++) {
      for (let turn = 0; turn < 4; turn++) {
        disturb();
        steps(20);
      }
      let resume: (() => void) | undefined;
      void prefetcher.hold(version.key).then((given) => (resume = given));
      await settle();
      while (resume === undefined) {
        if (random.chance(0.2)) disturb();
        if (!net.step()) clock.advance(1);
        await settle();
      }
      at = rename % 2 === 1 ? 'renamed/5' : 'objects/5';
      for (let turn = 0; turn < 4; turn++) {
        disturb();
        steps(20);
        clock.advance(20);
      }
      version.key = at;
      resume();
    }
    mount.run(() => reads.every(({ errno }) => errno !== undefined));
    t.same(mount.lost, [], `seed ${seed}: no version was lost`);
    t.same(
      reads.filter(({ errno }) => errno !== 0),
      [],
      'every READ got its bytes',
    );
    for (const { reader } of readers) reader.close();
    for (const { nodeId } of [version, bystander]) prefetcher.forgetVersion(nodeId);
    t.same(mount.finish(), [], `seed ${seed}`);
  }
});
