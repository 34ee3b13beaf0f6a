/** Where a mount's controller starts and ends: rows, and rules that hold for every sizing. */
import fc from 'fast-check';
import t from 'tap';
import { BLOCK_BYTES } from '../../src/base/pool/layout.js';
import { GIB, MIB } from '../../src/base/units.js';
import type { Setting } from '../../src/engine/scheduler/api.js';
import { controllerBounds } from '../../src/main/sizing-bounds.js';
import { deriveSizing } from '../../src/main/sizing.js';
import { plainProfile } from './sample-profile.js';

t.test('nothing said: everything may move', (t) => {
  const sizing = deriveSizing(plainProfile(8, 64 * GIB, 10), { bindNics: [] });
  t.strictSame(controllerBounds(sizing, {}), {
    first: { connections: 25, partBytes: 8 * MIB, netThreads: 2 },
    least: { connections: 2, partBytes: 2 * MIB, netThreads: 1 },
    most: { connections: 128, partBytes: 64 * MIB, netThreads: 2 },
    fixed: { connections: false, partBytes: false, netThreads: false },
    targetGbps: 10,
  });
  t.end();
});

t.test('what the user says stays', (t) => {
  const said = { connectionsMax: 48, readPartBytes: 16 * MIB, netThreads: 3 };
  const sizing = deriveSizing(plainProfile(8, 64 * GIB, 10), { bindNics: [], ...said });
  const { first, least, most, fixed } = controllerBounds(sizing, said);
  t.strictSame(first, { connections: 48, partBytes: 16 * MIB, netThreads: 3 });
  t.strictSame(least, first);
  t.strictSame(most, first);
  t.strictSame(fixed, { connections: true, partBytes: true, netThreads: true });
  t.end();
});

t.test('any machine: least <= first <= most, and four parts of the most fit the pool', (t) => {
  const some = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
  fc.assert(
    fc.property(
      fc.double({ min: 0.1, max: 512, noNaN: true }),
      fc.integer({ min: 256 * MIB, max: 4 * 1024 * GIB }),
      fc.double({ min: 0.1, max: 10_000, noNaN: true }),
      some(fc.integer({ min: 1, max: 4096 })),
      some(fc.integer({ min: 1, max: 5 * GIB })),
      some(fc.integer({ min: 1, max: 64 })),
      (cores, memory, gbps, connectionsMax, readPartBytes, netThreads) => {
        const config = {
          bindNics: [],
          ...(connectionsMax === undefined ? {} : { connectionsMax }),
          ...(readPartBytes === undefined ? {} : { readPartBytes }),
          ...(netThreads === undefined ? {} : { netThreads }),
        };
        const sizing = deriveSizing(plainProfile(cores, memory, gbps), config);
        const { first, least, most, fixed } = controllerBounds(sizing, config);
        const names: (keyof Setting)[] = ['connections', 'partBytes', 'netThreads'];
        return (
          names.every((name) => least[name] >= 1 && least[name] <= first[name] && first[name] <= most[name]) &&
          names.every((name) => !fixed[name] || least[name] === most[name]) &&
          [least, first, most].every((setting) => setting.partBytes % BLOCK_BYTES === 0) &&
          4 * most.partBytes <= sizing.poolBytes
        );
      },
    ),
  );
  t.end();
});
