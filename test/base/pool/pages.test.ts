/**
 * Parts of one block that several fetches bring at a time, in any order and in pieces of any size: what `holds` says is
 * never more than what landed, and all of it once whole pages did; also between the steps of joining what touches.
 */
import t from 'tap';
import { BlockTable } from '../../../src/base/pool/block-table.js';
import { BLOCK_BYTES, PAGE_BYTES, allocatePool } from '../../../src/base/pool/layout.js';
import { PoolView } from '../../../src/base/pool/pool-view.js';
import { Random } from '../../support/simulated-net-random.js';
import { withHook } from '../atomics-script.js';

interface Filling {
  readonly from: number;
  readonly to: number;
  at: number;
}

t.test('any fetches of any parts, against a list of bytes', (t) => {
  const problems: string[] = [];
  let joined = 0;
  for (let seed = 1; seed <= 300; seed++) {
    const random = new Random(seed);
    const view = new PoolView(allocatePool(4));
    const table = new BlockTable(view);
    const blockBytes = random.pick([BLOCK_BYTES, 40 * PAGE_BYTES, 33 * PAGE_BYTES + 17]);
    const pages = Math.ceil(blockBytes / PAGE_BYTES);
    const landed = new Uint8Array(blockBytes);
    // Cut at page boundaries; the first to be placed is the one that the slot is inserted for.
    const cuts = [...new Set([0, pages, ...Array.from({ length: random.below(6) }, () => random.below(pages))])];
    cuts.sort((a, b) => a - b);
    const fills: Filling[] = cuts.slice(1).map((page, at) => {
      const from = (cuts[at] ?? 0) * PAGE_BYTES;
      return { from, to: Math.min(page * PAGE_BYTES, blockBytes), at: from };
    });
    fills.sort(() => random.next() - 0.5);
    const slot = table.insert({ nodeId: 5, blockIndex: 0 }, fills[0]?.from ?? 0, blockBytes);
    const check = (when: string): void => {
      const from = random.below(blockBytes);
      const to = Math.min(blockBytes, from + 1 + random.below(random.pick([100, 3 * PAGE_BYTES, blockBytes])));
      const missing = landed.subarray(from, to).indexOf(0);
      if (view.holds(slot, from, to) && missing >= 0)
        problems.push(`seed ${seed} ${when}: ${from}..${to} is not there`);
      const whole = landed.subarray(
        Math.floor(from / PAGE_BYTES) * PAGE_BYTES,
        Math.ceil(to / PAGE_BYTES) * PAGE_BYTES,
      );
      if (!view.holds(slot, from, to) && whole.indexOf(0) < 0) problems.push(`seed ${seed} ${when}: ${from}..${to} is`);
      const gap = view.arrivedUpTo(slot, from, to);
      if (gap < to && view.missingUpTo(slot, gap, to) <= gap) problems.push(`seed ${seed} ${when}: gap at ${gap}`);
    };
    const open = [...fills];
    while (open.length > 0) {
      const fill = random.pick(open);
      const end = Math.min(fill.to, fill.at + 1 + random.below(random.pick([10, PAGE_BYTES, 20 * PAGE_BYTES])));
      landed.fill(1, fill.at, end);
      view.publishLanded(slot, fill.from, fill.at, end);
      fill.at = end;
      if (end === fill.to || random.chance(0.02)) open.splice(open.indexOf(fill), 1);
      for (let times = 0; times < 3; times++) check('landing');
    }
    const before = [view.arrivedFrom(slot), view.arrivedEnd(slot)];
    withHook(
      () => check('joining'),
      () => table.joinArrived(slot),
    );
    check('joined');
    if (view.arrivedFrom(slot) !== before[0] || view.arrivedEnd(slot) !== before[1]) joined++;
  }
  t.same(problems.slice(0, 5), []);
  t.ok(joined > 50, `${joined} joined`);
  t.end();
});

t.test('a slot that is used again starts with nothing', (t) => {
  const view = new PoolView(allocatePool(4));
  const table = new BlockTable(view);
  const slot = table.insert({ nodeId: 5, blockIndex: 0 }, 0, BLOCK_BYTES);
  view.publishLanded(slot, 8 * PAGE_BYTES, 8 * PAGE_BYTES, 16 * PAGE_BYTES);
  table.setTell(slot, true);
  t.ok(view.holds(slot, 8 * PAGE_BYTES, 16 * PAGE_BYTES));
  t.ok(table.tryEvict(slot));
  t.equal(table.insert({ nodeId: 6, blockIndex: 0 }, 0, BLOCK_BYTES), slot);
  t.notOk(view.holds(slot, 8 * PAGE_BYTES, 8 * PAGE_BYTES + 1));
  t.notOk(view.tellsHits(slot));
  t.end();
});
