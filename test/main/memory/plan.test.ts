/** The sum of all memory: printed for some machines, and rules that hold for every one. */
import fc from 'fast-check';
import t from 'tap';
import { GIB, MIB } from '../../../src/base/units.js';
import { POOL_FLOOR_BYTES, describePlan, netThreadsThatFit, planMemory } from '../../../src/main/memory/plan.js';

t.test('the sum, for people', (t) => {
  const small = planMemory({ targetBytes: 256 * MIB, netThreads: 1, readerThreads: 2, connectionsMax: 20 });
  t.equal(
    describePlan(small),
    [
      'program files                        49.0 MiB',
      'native memory                        26.0 MiB',
      'main thread                          72.0 MiB',
      'net threads (1)                      20.0 MiB',
      'reader threads (2)                   24.0 MiB',
      'pool (half for writers at most)      64.0 MiB',
      'tables of the pool                    0.3 MiB',
      'sum                                 255.3 MiB',
      'target                              256.0 MiB',
    ].join('\n'),
  );
  const large = planMemory({ targetBytes: 16 * GIB, netThreads: 15, readerThreads: 2, connectionsMax: 500 });
  t.comment(describePlan(large));
  t.match(large, { exceeded: false, poolBytes: 15_838 * MIB });
  const byHand = planMemory({ targetBytes: 256 * MIB, netThreads: 8, readerThreads: 8, connectionsMax: 20 });
  t.match(byHand, { exceeded: true, poolBytes: POOL_FLOOR_BYTES }, 'threads that the user insists on');
  t.end();
});

t.test('threads that fit', (t) => {
  const needs = { readerThreads: 2, connectionsMax: 100 };
  t.equal(netThreadsThatFit(16, { ...needs, targetBytes: 16 * GIB }), 16);
  t.equal(netThreadsThatFit(16, { ...needs, targetBytes: 512 * MIB }), 10);
  t.equal(netThreadsThatFit(16, { ...needs, targetBytes: 256 * MIB }), 1);
  t.equal(netThreadsThatFit(4, { ...needs, targetBytes: 16 * MIB }), 1, 'one in any case');
  t.end();
});

t.test('any needs: the sum is the target, but for the floor of the pool, and no block more fits', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: MIB, max: 64 * GIB }),
      fc.integer({ min: 1, max: 64 }),
      fc.integer({ min: 1, max: 16 }),
      fc.integer({ min: 1, max: 2000 }),
      (targetBytes, netThreads, readerThreads, connectionsMax) => {
        const plan = planMemory({ targetBytes, netThreads, readerThreads, connectionsMax });
        const parts = plan.parts.reduce((sum, part) => sum + part.bytes, 0);
        const sum = plan.fixedBytes + plan.poolBytes + plan.poolTableBytes;
        return (
          parts === plan.fixedBytes &&
          plan.poolBytes % MIB === 0 &&
          plan.poolBytes >= POOL_FLOOR_BYTES &&
          plan.exceeded === sum > targetBytes &&
          (plan.poolBytes === POOL_FLOOR_BYTES || (sum <= targetBytes && targetBytes - sum < 2 * MIB))
        );
      },
    ),
  );
  t.end();
});
