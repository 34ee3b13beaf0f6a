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

t.test('no more net threads than connections', (t) => {
  for (const config of [{ netThreads: 4 }, {}]) {
    const sizing = deriveSizing(profile(64, 256 * GIB, 100), { ...none, ...config, connectionsMax: 2 });
    t.match(sizing, { netThreads: 2, connectionsMax: 2 });
    t.match(
      sizing.reasons.find(({ setting }) => setting === 'net threads'),
      { value: '2', why: 'each needs a connection, and there are 2 at most' },
    );
  }
  t.end();
});

t.test('readers beyond two: by speed and cores', (t) => {
  const readers = (cores: number, gbps: number) => deriveSizing(profile(cores, 64 * GIB, gbps), none).readerThreads;
  t.equal(readers(2, 400), 2);
  t.equal(readers(23, 100), 2);
  t.equal(readers(32, 100), 4);
  t.equal(readers(96, 25), 3);
  t.equal(readers(192, 400), 8);
  t.end();
});

t.test('limits of the process', (t) => {
  const source = 'test';
  const limits = (openFiles: number | undefined, tasks: number | undefined) => ({
    limits: {
      openFilesMax: { value: openFiles, source },
      lockedBytesMax: { value: undefined, source },
      tasksLeft: { value: tasks, source },
    },
  });
  const why = (sizing: ReturnType<typeof deriveSizing>, setting: string) =>
    sizing.reasons.find((reason) => reason.setting === setting)?.why;
  const files = deriveSizing(profile(96, 768 * GIB, 100, limits(400, undefined)), none);
  t.match(files, { connectionsFirst: 200, connectionsMax: 200 }, 'half of them, where they are few');
  t.match(why(files, 'connections'), /limit of 400 open files/);
  t.match(deriveSizing(profile(96, 768 * GIB, 100, limits(1024, undefined)), none), {
    connectionsFirst: 250,
    connectionsMax: 500,
  });
  t.match(deriveSizing(profile(96, 768 * GIB, 100, limits(300, undefined)), { ...none, connectionsMax: 4000 }), {
    connectionsMax: 150,
  });
  const tasks = deriveSizing(profile(96, 768 * GIB, 100, limits(undefined, 40)), none);
  t.equal(tasks.netThreads, 8, '40 less 24 for the rest and 8 readers');
  t.match(why(tasks, 'net threads'), /only 40 more threads/);
  t.equal(deriveSizing(profile(96, 768 * GIB, 100, limits(undefined, 3)), none).netThreads, 1, 'one in any case');
  t.end();
});

t.test('each setting has a reason and the option that overrides it, and the option does', (t) => {
  const machine = profile(96, 768 * GIB, 100);
  const { reasons } = deriveSizing(machine, none);
  t.strictSame(
    reasons.map(({ setting, flag }) => [setting, flag]),
    [
      ['target', '--maximum-throughput-gbps'],
      ['connections', '--max-connections'],
      ['net threads', '--net-threads'],
      ['net CPUs', '--net-cpus'],
      ['reader threads', '--max-threads'],
      ['part', '--read-part-size'],
      ['memory target', '--memory-target'],
      ['pool', '--memory-target'],
      ['upload slots', '--memory-target'],
    ],
  );
  for (const { why, value } of reasons) t.ok(why.length > 10 && value !== '', `${value}: ${why}`);
  const said = deriveSizing(machine, {
    ...{ bindNics: [], throughputGbps: 3, connectionsMax: 5, netThreads: 3, netCpus: 'any' },
    ...{ readerThreads: 1, readPartBytes: 32 * MIB, memoryTargetBytes: GIB },
  });
  for (const { setting, why } of said.reasons) {
    if (setting === 'pool' || setting === 'upload slots') continue;
    t.match(why, /you said so/, setting);
  }
  t.match(said, {
    ...{ targetGbps: 3, linkGbps: 100, connectionsFirst: 5, connectionsMax: 5, netThreads: 3, readerThreads: 1 },
    ...{ partBytes: 32 * MIB, memoryTargetBytes: GIB, placement: { netCpus: undefined } },
  });
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
