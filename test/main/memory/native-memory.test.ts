/** Pages of free slots go back to the system: which bytes that concerns, and that it concerns no others. */
import t from 'tap';
import { BLOCK_BYTES, SEGMENT_SLOTS, allocatePool } from '../../../src/base/pool/layout.js';
import { PoolView } from '../../../src/base/pool/pool-view.js';
import { openNativeMemory, pagesWithin, runsOf } from '../../../src/main/memory/native-memory.js';
import { residentBytes } from '../../../src/main/memory/resident.js';

t.test('slots as runs of neighbours, none across two segments', (t) => {
  t.same(runsOf([5, 3, 4, 9]), [
    { first: 3, end: 6 },
    { first: 9, end: 10 },
  ]);
  t.same(runsOf([SEGMENT_SLOTS - 1, SEGMENT_SLOTS]), [
    { first: SEGMENT_SLOTS - 1, end: SEGMENT_SLOTS },
    { first: SEGMENT_SLOTS, end: SEGMENT_SLOTS + 1 },
  ]);
  t.same(runsOf([]), []);
  t.end();
});

t.test('whole pages within a run, wherever the segment begins', (t) => {
  t.same(pagesWithin({ first: 1, end: 2 }, 16, 4096), { from: BLOCK_BYTES + 4080, to: 2 * BLOCK_BYTES - 16 });
  t.same(pagesWithin({ first: 0, end: 3 }, 0, 4096), { from: 0, to: 3 * BLOCK_BYTES });
  t.same(pagesWithin({ first: SEGMENT_SLOTS, end: SEGMENT_SLOTS + 1 }, 0, 65_536), { from: 0, to: BLOCK_BYTES });
  t.end();
});

t.test('a real pool', (t) => {
  const pool = allocatePool(40);
  const view = new PoolView(pool);
  let why: unknown;
  const native = openNativeMemory(pool, (error) => (why = error));
  if (native === undefined) {
    t.comment(`skipped: koffi cannot be loaded here: ${String(why)}`);
    t.end();
    return;
  }
  for (let slot = 0; slot < 40; slot++) view.bytes(slot, 0, BLOCK_BYTES).fill(slot + 1);
  const before = residentBytes(native.pageBytes);
  native.giveBack([7, 3, 4, 5, 6]);
  native.trim();
  const after = residentBytes(native.pageBytes);
  t.ok(before > 40 * BLOCK_BYTES, `${before} bytes with a pool in use`);
  t.ok(before - after > 4 * BLOCK_BYTES, `${before - after} bytes less`);
  const value = (slot: number): number[] => [...new Set(view.bytes(slot, 0, BLOCK_BYTES))];
  t.same(value(2), [3], 'the neighbour below');
  t.same(value(8), [9], 'and above are as they were');
  t.same(value(5), [0], 'the memory itself reads as zeros');
  view.bytes(5, 0, BLOCK_BYTES).fill(77);
  t.same(value(5), [77], 'and can be used again');
  t.end();
});
