/** Machines from a small virtual one to a large one, as rows; and rules that hold for every machine. */
import fc from 'fast-check';
import t from 'tap';
import { GIB, MIB } from '../../src/base/units.js';
import { deriveSizing } from '../../src/main/sizing.js';
import { plainProfile as profile } from './sample-profile.js';

const none = { bindNics: [] };

t.test('machines', (t) => {
  t.match(deriveSizing(profile(2, 24 * GIB, 10), none), {
    targetGbps: 10,
    netThreads: 1,
    readerThreads: 2,
    connectionsFirst: 25,
    connectionsMax: 128,
    partBytes: 8 * MIB,
    poolBytes: 782 * MIB,
    memoryTargetBytes: Math.floor(24 * GIB * 0.04),
  });
  t.match(deriveSizing(profile(8, 64 * GIB, 10), none), { netThreads: 2, poolBytes: 2395 * MIB });
  t.match(deriveSizing(profile(96, 768 * GIB, 100), none), {
    netThreads: 15,
    connectionsFirst: 250,
    memoryTargetBytes: 16 * GIB,
  });
  t.match(deriveSizing(profile(192, 2048 * GIB, 3200), none), {
    netThreads: 16,
    connectionsMax: 1024,
    connectionsFirst: 1024,
  });
  t.match(deriveSizing(profile(1, 1 * GIB, 1), none), {
    connectionsFirst: 10,
    memoryTargetBytes: 512 * MIB,
    poolBytes: 313 * MIB,
  });
  t.match(deriveSizing(profile(1, 512 * MIB, 1), none), { poolBytes: 58 * MIB, memoryTargetBytes: 256 * MIB });
  t.match(deriveSizing(profile(1, 256 * MIB, 1), none), { poolBytes: 32 * MIB, memoryTargetBytes: 224 * MIB });
  t.end();
});

t.test('what the user says', (t) => {
  const machine = profile(8, 64 * GIB, 10);
  t.equal(deriveSizing(machine, { ...none, throughputGbps: 40 }).connectionsFirst, 100);
  t.equal(deriveSizing(machine, { bindNics: ['eth0', 'eth1'] }).targetGbps, 30);
  t.equal(deriveSizing(machine, { bindNics: ['veth'] }).targetGbps, 10);
  t.match(deriveSizing(machine, { ...none, connectionsMax: 4 }), { connectionsFirst: 4, connectionsMax: 4 });
  t.equal(
    deriveSizing(machine, { ...none, readerThreads: 64 }).readerThreads,
    8,
    'a maximum is not a number of threads',
  );
  t.equal(deriveSizing(profile(2, 64 * GIB, 10), { ...none, readerThreads: 16 }).readerThreads, 2);
  t.equal(deriveSizing(machine, { ...none, readerThreads: 1 }).readerThreads, 1);
  t.equal(deriveSizing(machine, { ...none, readPartBytes: 8 * MIB + 1 }).partBytes, 9 * MIB);
  t.equal(deriveSizing(machine, { ...none, readPartBytes: 1 }).partBytes, MIB);
  t.equal(deriveSizing(machine, { ...none, memoryTargetBytes: 256 * MIB, readPartBytes: GIB }).partBytes, 14 * MIB);
  t.end();
});

t.test('any machine: within the target, whole blocks, a part fits four times', (t) => {
  fc.assert(
    fc.property(
      fc.double({ min: 0.1, max: 512, noNaN: true }),
      fc.integer({ min: 256 * MIB, max: 4 * 1024 * GIB }),
      fc.double({ min: 0.1, max: 10_000, noNaN: true }),
      fc.option(fc.integer({ min: 1, max: 5 * GIB }), { nil: undefined }),
      (cores, memory, gbps, readPartBytes) => {
        const sizing = deriveSizing(
          profile(cores, memory, gbps),
          readPartBytes === undefined ? none : { ...none, readPartBytes },
        );
        const { memory: plan } = sizing;
        const positive = Object.values(sizing).every((value) => typeof value !== 'number' || value > 0);
        const blocks = sizing.poolBytes % MIB === 0 && sizing.partBytes % MIB === 0;
        const fits = sizing.partBytes * 4 <= sizing.poolBytes;
        const sum = plan.fixedBytes + plan.poolBytes + plan.poolTableBytes;
        const inside = sizing.poolBytes === plan.poolBytes && (sum <= sizing.memoryTargetBytes || memory < GIB);
        return (
          positive &&
          blocks &&
          fits &&
          inside &&
          sizing.memoryTargetBytes <= memory &&
          sizing.connectionsFirst <= sizing.connectionsMax
        );
      },
    ),
  );
  t.end();
});
