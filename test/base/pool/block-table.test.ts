/**
 * The block table by itself: ids beyond 31 and 32 bits, a crowded hint table, the free list, checked mode, and pins by
 * the main thread.
 */
import t from 'tap';
import {
  BLOCK_BYTES,
  HINT_PROBES,
  SMALL_BYTES,
  SMALL_SLOTS,
  allocatePool,
  hintStart,
} from '../../../src/base/pool/layout.js';
import { BlockTable, FREED_FILL, type BlockKey } from '../../../src/base/pool/block-table.js';
import { PoolView } from '../../../src/base/pool/pool-view.js';
import { withHook } from '../atomics-script.js';
import { halves } from './small-pool.js';

const IDS = [1, 2 ** 31 - 1, 2 ** 31, 2 ** 31 + 1, 2 ** 32 - 1, 2 ** 32, 2 ** 32 + 1, 2 ** 52 + 2 ** 31 + 3];

t.test('node ids of every size are found, by signed and by unsigned halves, and none is taken for another', (t) => {
  const view = new PoolView(allocatePool(IDS.length));
  const table = new BlockTable(view);
  const slots = IDS.map((nodeId) => table.insert({ nodeId, blockIndex: 5 }, 0, 10));
  slots.forEach((slot) => view.publishArrived(slot, 10));
  for (const [at, nodeId] of IDS.entries()) {
    const [lo, hi] = halves(nodeId);
    t.equal(view.pinResident(lo, hi, 5, 0, 10), slots[at], `${nodeId} signed`);
    t.equal(view.pinResident(lo >>> 0, hi >>> 0, 5, 0, 10), slots[at], `${nodeId} unsigned`);
    t.equal(view.pinResident(lo, hi, 6, 0, 10), -1);
    t.equal(view.pinResident(lo, hi ^ 64, 5, 0, 10), -1);
    view.unpin(slots[at] ?? -1);
    view.unpin(slots[at] ?? -1);
  }
  t.end();
});

t.test('what is there of a block: partial fills, the last block, ranges past its end', (t) => {
  const view = new PoolView(allocatePool(4));
  const table = new BlockTable(view);
  const slot = table.insert({ nodeId: 1, blockIndex: 0 }, 100, 1000);
  const held = (from: number, to: number): boolean => {
    const found = view.pinResident(1, 0, 0, from, to);
    if (found >= 0) view.unpin(found);
    return found >= 0;
  };
  t.notOk(held(100, 101), 'nothing has arrived');
  view.publishArrived(slot, 600);
  t.ok(held(100, 600));
  t.notOk(held(99, 600), 'before what is fetched');
  t.notOk(held(100, 601), 'after what has arrived');
  view.publishArrived(slot, 1000);
  t.ok(held(900, 5000), "past the object's end");
  t.equal(view.blockBytes(slot), 1000);
  t.equal(view.arrivedFrom(slot), 100);
  t.equal(view.arrivedEnd(slot), 1000);
  t.ok(table.takeRecent(slot), 'a hit sets the recency bit');
  t.notOk(table.takeRecent(slot), 'which is taken once');
  t.end();
});

t.test('more blocks at one place of the hint table than a lookup probes', (t) => {
  const view = new PoolView(allocatePool(16));
  const table = new BlockTable(view);
  const keys: BlockKey[] = [];
  for (let blockIndex = 0; keys.length < HINT_PROBES + 3; blockIndex++) {
    if (hintStart(9, 0, blockIndex, view.hints.length) === 11) keys.push({ nodeId: 9, blockIndex });
  }
  const slots = keys.map((key) => table.insert(key, 0, 4));
  slots.forEach((slot) => view.publishArrived(slot, 4));
  const found = (): number[] => keys.map((key) => view.pinResident(9, 0, key.blockIndex, 0, 4));
  const first = found();
  t.same(first, [...slots.slice(0, HINT_PROBES), -1, -1, -1], 'those without room are a miss, nothing worse');
  first.forEach((slot) => (slot >= 0 ? view.unpin(slot) : undefined));
  t.equal(view.hints.filter((hint) => hint !== 0).length, HINT_PROBES);
  // Evicting one that was never hinted must not take another's hint; evicting a hinted one makes room for a new block.
  t.ok(table.tryEvict(slots[HINT_PROBES] ?? -1));
  t.equal(view.hints.filter((hint) => hint !== 0).length, HINT_PROBES);
  t.ok(table.tryEvict(slots[2] ?? -1));
  const again = table.insert({ nodeId: 9, blockIndex: keys[HINT_PROBES]?.blockIndex ?? -1 }, 0, 4);
  view.publishArrived(again, 4);
  const second = found();
  t.equal(second[HINT_PROBES], again, 'the place is used again');
  t.equal(second[2], -1);
  second.forEach((slot) => (slot >= 0 ? view.unpin(slot) : undefined));
  for (const slot of new Set([...slots, again])) table.tryEvict(slot);
  t.equal(table.freeSlots, 16);
  t.equal(table.carvedSlots, 0);
  t.ok(
    view.hints.every((hint) => hint === 0),
    'no hint is left',
  );
  t.end();
});

t.test('the free list ends, hands out low slots first, and takes each slot back once', (t) => {
  const view = new PoolView(allocatePool(4));
  const table = new BlockTable(view);
  const slots = [0, 1, 2, 3, 4].map((blockIndex) => table.insert({ nodeId: 1, blockIndex }, 0, BLOCK_BYTES));
  t.same(slots, [0, 1, 2, 3, -1]);
  t.ok(table.tryEvict(2));
  t.notOk(table.tryEvict(2), 'a free slot is not freed again');
  t.equal(table.freeSlots, 1);
  t.equal(table.insert({ nodeId: 1, blockIndex: 9 }, 0, BLOCK_BYTES), 2);
  t.ok(table.tryEvict(0));
  t.throws(() => table.insert({ nodeId: 1, blockIndex: 9 }, 0, BLOCK_BYTES + 1), { name: 'InvariantError' });
  t.end();
});

t.test('checked mode fills what is freed', (t) => {
  const view = new PoolView(allocatePool(4));
  const table = new BlockTable(view, { checked: true });
  const slot = table.insert({ nodeId: 1, blockIndex: 0 }, 0, BLOCK_BYTES);
  const bytes = view.bytes(slot, 0, BLOCK_BYTES);
  bytes.fill(1);
  t.ok(table.tryEvict(slot));
  t.ok(bytes.every((byte) => byte === FREED_FILL));
  t.end();
});

t.test('the main thread pins what it knows to be live; a dead slot is a broken invariant', (t) => {
  const view = new PoolView(allocatePool(4));
  const table = new BlockTable(view);
  t.throws(() => view.pin(3), { name: 'InvariantError' });
  const slot = table.insert({ nodeId: 1, blockIndex: 0 }, 0, 8);
  // A reader that pins and unpins at each attempt starves a compare-and-swap, which then says no; pin() does not.
  const contended = (run: () => unknown): unknown =>
    withHook((at) => (at % 2 === 1 ? view.tryPin(slot) && undefined : undefined), run);
  t.equal(
    contended(() => view.tryPin(slot)),
    false,
    'tryPin gives up',
  );
  const before = table.pins(slot);
  contended(() => view.pin(slot));
  t.equal(table.pins(slot), before + 1);
  t.end();
});

t.test('small slots: 16 to a carved slot, which is whole again when the last of them is free', (t) => {
  const view = new PoolView(allocatePool(4));
  const table = new BlockTable(view, { checked: true });
  const small = (blockIndex: number): number => table.insert({ nodeId: 1, blockIndex }, 0, SMALL_BYTES);
  const first = Array.from({ length: SMALL_SLOTS }, (_, at) => small(at));
  t.same(
    first,
    Array.from({ length: SMALL_SLOTS }, (_, at) => 4 + at),
    'the parts of slot 0, in order',
  );
  t.equal(table.freeSlots, 3);
  t.equal(table.carvedSlots, 1);
  for (const [at, slot] of first.entries()) view.bytes(slot, 0, SMALL_BYTES).fill(at);
  t.ok(
    first.every((slot, at) => view.bytes(slot, 0, SMALL_BYTES).every((byte) => byte === at)),
    'parts do not overlap',
  );
  t.equal(view.bytes(0, 17 * SMALL_BYTES - BLOCK_BYTES, BLOCK_BYTES)[0], 1, "and lie in the carved slot's payload");
  t.throws(() => view.bytes(first[0] ?? -1, 0, SMALL_BYTES + 1), { name: 'InvariantError' });
  const others = [1, 2, 3].map((blockIndex) => table.insert({ nodeId: 2, blockIndex }, 0, SMALL_BYTES + 1));
  t.same(others, [1, 2, 3], 'larger blocks take whole slots');
  t.notOk(table.hasRoomFor(SMALL_BYTES));
  t.equal(small(100), -1);
  t.ok(table.tryEvict(first[3] ?? -1));
  t.ok(table.hasRoomFor(SMALL_BYTES));
  t.notOk(table.hasRoomFor(SMALL_BYTES + 1), 'a part is no room for a larger block');
  t.equal(table.insert({ nodeId: 2, blockIndex: 9 }, 0, SMALL_BYTES + 1), -1);
  t.ok(
    view.bytes(first[3] ?? -1, 0, SMALL_BYTES).every((byte) => byte === FREED_FILL),
    'checked mode fills the part',
  );
  t.equal(view.bytes(first[4] ?? -1, 0, 1)[0], 4, 'and no other');
  view.pin(first[0] ?? -1);
  for (const slot of first) table.tryEvict(slot);
  t.equal(table.freeSlots, 0, 'one pinned part holds the carved slot');
  view.unpin(first[0] ?? -1);
  t.ok(table.tryEvict(first[0] ?? -1));
  t.equal(table.freeSlots, 1);
  t.equal(table.carvedSlots, 0);
  t.notOk(table.tryEvict(first[0] ?? -1));
  t.equal(table.insert({ nodeId: 2, blockIndex: 9 }, 0, SMALL_BYTES + 1), 0, 'whole again');
  t.end();
});

t.test('segments: slots beyond 1024 have bytes of their own', (t) => {
  const view = new PoolView(allocatePool(1026));
  t.equal(view.memory.segments.length, 2);
  view.bytes(1023, 0, 1)[0] = 3;
  view.bytes(1024, 0, 1)[0] = 4;
  view.bytes(1025, BLOCK_BYTES - 1, BLOCK_BYTES)[0] = 5;
  t.equal(view.bytes(1023, 0, 1)[0], 3);
  t.equal(view.bytes(1024, 0, 1)[0], 4);
  t.equal(view.bytes(0, 0, 1)[0], 0);
  t.throws(() => view.bytes(0, 0, BLOCK_BYTES + 1), { name: 'InvariantError' });
  t.throws(() => view.bytes(1026 * 17, 0, 1), { name: 'InvariantError' });
  view.bytes(1026 + 1024 * 16 + 15, 0, 1)[0] = 7;
  t.equal(view.bytes(1024, BLOCK_BYTES - SMALL_BYTES, BLOCK_BYTES)[0], 7, 'small slots of the second segment');
  t.end();
});

t.test('memory: touched as needed, given back, touched again only as far as is allowed', (t) => {
  const table = new BlockTable(new PoolView(allocatePool(4)));
  const state = (): number[] => [table.touchedSlots, table.idleSlots, table.freeSlots, table.usableSlots];
  t.same(state(), [0, 0, 4, 4], 'touched, idle, free, usable');
  const slots = [0, 1, 2].map((blockIndex) => table.insert({ nodeId: 1, blockIndex }, 0, BLOCK_BYTES));
  t.same(slots, [0, 1, 2], 'low slots first');
  table.allowFresh(0);
  t.same(state(), [3, 0, 0, 3]);
  t.notOk(table.hasRoomFor(BLOCK_BYTES), 'the fourth is withheld');
  t.equal(table.insert({ nodeId: 1, blockIndex: 3 }, 0, BLOCK_BYTES), -1);
  t.ok(table.tryEvict(0) && table.tryEvict(1));
  t.same(state(), [3, 2, 2, 3]);
  const given: number[] = [];
  t.equal(
    table.cool(1, (cooled) => given.push(...cooled)),
    1,
  );
  t.same(given, [0], 'the one that was free for the longest');
  t.same(state(), [2, 1, 1, 2]);
  t.equal(
    table.cool(9, (cooled) => given.push(...cooled)),
    1,
    'only what is free',
  );
  t.equal(
    table.cool(9, () => t.fail('nothing to give')),
    0,
  );
  table.allowFresh(2);
  t.same(state(), [1, 0, 2, 3]);
  t.equal(table.insert({ nodeId: 1, blockIndex: 4 }, 0, SMALL_BYTES), 4 * 1 + 0 * SMALL_SLOTS, 'low slots first again');
  t.same(state(), [2, 0, 1, 3], 'a small block touches a whole slot');
  t.ok(table.hasTouchedRoomFor(SMALL_BYTES), 'of which the other parts are there');
  t.notOk(table.hasTouchedRoomFor(BLOCK_BYTES));
  t.end();
});
