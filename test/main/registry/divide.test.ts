/** Dividing a host: rows that a person can check, and rules that hold for any mounts. */
import fc from 'fast-check';
import t from 'tap';
import { GIB, MIB } from '../../../src/base/units.js';
import type { Activity, Claim } from '../../../src/main/registry/announcement.js';
import { divide } from '../../../src/main/registry/divide.js';
import { MEMORY_TARGET_LEAST } from '../../../src/main/sizing.js';

function claim(changes: Partial<Claim> = {}): Claim {
  return {
    nics: ['eth0'],
    linkGbps: 100,
    targetGbps: 100,
    defaultMemoryBytes: 512 * MIB,
    activity: 'active',
    ...changes,
  };
}

const NONE = 0;

t.test('alone: everything', (t) => {
  t.strictSame(divide(claim(), [], NONE), { networkShare: 1, activeMounts: 1, memoryTargetBytes: 512 * MIB });
  const asleep = divide(claim({ activity: 'asleep' }), [], NONE);
  t.equal(asleep.memoryTargetBytes, 512 * MIB, 'nobody else wants it');
  t.end();
});

t.test('two active ones: half each', (t) => {
  t.strictSame(divide(claim(), [claim()], NONE), {
    networkShare: 0.5,
    activeMounts: 2,
    memoryTargetBytes: 256 * MIB,
  });
  t.end();
});

t.test('an idle mount holds nobody back, but keeps its memory until it sleeps', (t) => {
  const idle = claim({ activity: 'idle' });
  t.strictSame(divide(claim(), [idle], NONE), { networkShare: 1, activeMounts: 1, memoryTargetBytes: 256 * MIB });
  t.equal(divide(idle, [claim()], NONE).networkShare, 0.5, 'it has its half as soon as it wakes up');
  const large = claim({ defaultMemoryBytes: 16 * GIB });
  const asleep = { ...large, activity: 'asleep' as const };
  t.equal(divide(large, [asleep], NONE).memoryTargetBytes, 16 * GIB - MEMORY_TARGET_LEAST);
  t.equal(divide(asleep, [large], NONE).memoryTargetBytes, MEMORY_TARGET_LEAST);
  t.equal(divide(asleep, [asleep], NONE).memoryTargetBytes, 8 * GIB);
  t.end();
});

t.test('who wants less than its part leaves the rest', (t) => {
  const small = claim({ targetGbps: 10 });
  t.equal(divide(small, [claim()], NONE).networkShare, 1);
  t.equal(divide(claim(), [small], NONE).networkShare, 0.9);
  t.equal(divide(claim(), [small, claim()], NONE).networkShare, 0.45);
  t.equal(divide(claim({ targetGbps: 40 }), [claim({ targetGbps: 40 })], NONE).networkShare, 1, 'both fit the link');
  t.end();
});

t.test('cards: other ones are not shared, unknown ones may be any', (t) => {
  t.equal(divide(claim(), [claim({ nics: ['eth1'] })], NONE).networkShare, 1);
  t.equal(divide(claim(), [claim({ nics: ['eth1', 'eth0'] })], NONE).networkShare, 0.5);
  t.equal(divide(claim({ nics: [] }), [claim({ nics: ['eth1'] })], NONE).networkShare, 0.5);
  t.end();
});

t.test('what the user said of memory is not divided, and not counted', (t) => {
  const said = claim({ defaultMemoryBytes: undefined });
  t.equal(divide(said, [claim()], 4 * GIB).memoryTargetBytes, 4 * GIB);
  t.equal(divide(claim(), [said], NONE).memoryTargetBytes, 512 * MIB);
  t.end();
});

t.test('more mounts than fit: each has what it needs to work', (t) => {
  const nine = Array.from({ length: 9 }, () => claim());
  t.equal(divide(claim(), nine, NONE).memoryTargetBytes, MEMORY_TARGET_LEAST);
  t.end();
});

t.test('any mounts: each gets something, the link and one default are held', (t) => {
  const activity = fc.constantFrom<Activity>('active', 'idle', 'asleep');
  const any = fc.record({
    nics: fc.constant(['eth0']),
    linkGbps: fc.constant(100),
    targetGbps: fc.double({ min: 0.1, max: 200, noNaN: true }),
    defaultMemoryBytes: fc.constant(64 * GIB),
    activity,
  });
  fc.assert(
    fc.property(fc.array(any, { minLength: 1, maxLength: 40 }), (claims) => {
      const shares = claims.map((mine, at) =>
        divide(
          mine,
          claims.filter((_claim, other) => other !== at),
          NONE,
        ),
      );
      const link = Math.max(100, ...claims.map((each) => each.targetGbps));
      let gbps = 0;
      let bytes = 0;
      shares.forEach((share, at) => {
        const mine = claims[at]!;
        if (share.networkShare <= 0 || share.networkShare > 1) throw new Error(`share ${share.networkShare}`);
        if (mine.activity === 'active') gbps += share.networkShare * mine.targetGbps;
        bytes += share.memoryTargetBytes;
      });
      const isShort = shares.every((share) => share.memoryTargetBytes === MEMORY_TARGET_LEAST);
      return gbps <= link * 1.000_001 && (bytes <= 64 * GIB || isShort);
    }),
  );
  t.end();
});
