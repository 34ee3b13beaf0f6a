/**
 * The writers' share of the pool: how large it is, who is served first, what is evicted for a writer, and that giving a
 * slot back wakes READs and writers. (Any sequence of calls: block-index.test.ts and histories.test.ts.)
 */
import t from 'tap';
import { EINTR, ErrnoError } from '../../src/base/errno.js';
import { FREED_FILL } from '../../src/base/pool/block-table.js';
import { BLOCK_BYTES } from '../../src/base/pool/layout.js';
import type { PoolWriteSlots } from '../../src/prefetch/write-slots.js';
import { SimulatedMount, versionOf } from '../support/simulated-net-mount.js';

const MIB = 1024 * 1024;

function takeAll(slots: PoolWriteSlots): number[] {
  const taken: number[] = [];
  for (let slot = slots.take(); slot !== undefined; slot = slots.take()) taken.push(slot);
  return taken;
}

function settledOrder(): { readonly order: string[]; note: (name: string) => (slot?: unknown) => void } {
  const order: string[] = [];
  return { order, note: (name) => () => void order.push(name) };
}

t.test('the share: half of the pool, 16 slots if that leaves READs what they need', (t) => {
  const shares: [poolSlots: number, slotsMax: number][] = [
    [4, 0],
    [8, 4],
    [20, 16],
    [32, 16],
    [40, 20],
    [100, 50],
  ];
  for (const [poolSlots, slotsMax] of shares) {
    const { writeSlots } = new SimulatedMount({ seed: 1, slots: poolSlots }).prefetcher;
    t.equal(writeSlots.slotsMax, slotsMax, `of ${poolSlots}`);
    const taken = takeAll(writeSlots);
    t.equal(taken.length, slotsMax);
    t.equal(writeSlots.used, slotsMax);
    t.equal(new Set(taken).size, slotsMax, 'all different');
    for (const slot of taken) writeSlots.give(slot);
    t.equal(writeSlots.used, 0);
  }
  t.end();
});

t.test('what the memory governor lets the pool have is what is shared', (t) => {
  const { index, writeSlots } = new SimulatedMount({ seed: 1, slots: 64 }).prefetcher;
  index.table.allowFresh(40);
  t.equal(writeSlots.slotsMax, 20);
  const taken = takeAll(writeSlots);
  t.equal(taken.length, 20);
  // Touched slots count as before: used or not, their memory is taken.
  t.equal(index.table.usableSlots, 40);
  index.table.allowFresh(0);
  t.equal(writeSlots.slotsMax, 16);
  t.equal(writeSlots.take(), undefined, 'more than the share are out: nobody gets another');
  for (const slot of taken) writeSlots.give(slot);
  t.equal(takeAll(writeSlots).length, 16);
  t.end();
});

t.test('first come, first served; who gives up is passed over', async (t) => {
  const { writeSlots } = new SimulatedMount({ seed: 1, slots: 8 }).prefetcher;
  const taken = takeAll(writeSlots);
  const { order, note } = settledOrder();
  const controller = new AbortController();
  const got: number[] = [];
  const first = writeSlots.wait().then((slot) => {
    got.push(slot);
    note('first')();
  });
  const second = writeSlots.wait(controller.signal);
  second.catch(note('second gave up'));
  const third = writeSlots.wait().then((slot) => {
    got.push(slot);
    note('third')();
  });
  t.equal(writeSlots.waiting, 3);
  controller.abort();
  await t.rejects(second, new ErrnoError(EINTR));
  t.equal(writeSlots.waiting, 2);
  writeSlots.give(taken[0] ?? -1);
  t.equal(writeSlots.take(), undefined, 'nobody passes those that wait');
  await first;
  writeSlots.give(taken[1] ?? -1);
  await third;
  t.same(order, ['second gave up', 'first', 'third']);
  t.same(got, taken.slice(0, 2));
  await t.rejects(writeSlots.wait(AbortSignal.abort()), new ErrnoError(EINTR));
  t.end();
});

t.test('who has slots that he can do without is asked before anybody waits', async (t) => {
  const { writeSlots } = new SimulatedMount({ seed: 1, slots: 8 }).prefetcher;
  const taken = takeAll(writeSlots);
  writeSlots.onShort = () => {
    const slot = taken.pop();
    if (slot !== undefined) writeSlots.give(slot);
  };
  const slot = await writeSlots.wait();
  t.equal(writeSlots.waiting, 0);
  t.equal(taken.length, 3);
  for (const one of [slot, ...taken]) writeSlots.give(one);
  t.equal(writeSlots.used, 0);
});

t.test('blocks make room, but none that is pinned or on its way', (t) => {
  const mount = new SimulatedMount({ seed: 3, slots: 8, readAround: false });
  const { writeSlots, index } = mount.prefetcher;
  const version = versionOf(7, 8 * MIB);
  const reader = mount.prefetcher.open(version);
  // Seven blocks resident, one of them pinned as by a reader thread.
  for (const block of [0, 2, 4, 6, 1, 3, 5]) mount.read(reader, version, block * MIB, MIB);
  mount.run();
  const resident = [...(index.blocksOf(7)?.values() ?? [])];
  t.ok(resident.length >= 6, `${resident.length} blocks`);
  const pinned = resident[0];
  if (!pinned) throw new Error('something is resident');
  mount.view.pin(pinned.slot);
  const taken = takeAll(writeSlots);
  t.equal(taken.length, 4);
  t.notOk(taken.includes(pinned.slot));
  mount.view.unpin(pinned.slot);
  for (const slot of taken) t.notOk([...(index.blocksOf(7)?.values() ?? [])].some((block) => block.slot === slot));
  for (const slot of taken) {
    writeSlots.bytes(slot, 0, BLOCK_BYTES).fill(1);
    writeSlots.give(slot);
    t.ok(
      writeSlots.bytes(slot, 0, BLOCK_BYTES).every((byte) => byte === FREED_FILL),
      'checked mode fills what is given back',
    );
  }
  reader.close();
  t.same(mount.finish(), []);
  t.end();
});

t.test('with all their slots out READs still succeed, and writers wait for what READs hold', async (t) => {
  const mount = new SimulatedMount({ seed: 5, slots: 8, readAround: false });
  const { writeSlots } = mount.prefetcher;
  const version = versionOf(9, 24 * MIB);
  const reader = mount.prefetcher.open(version);
  // Everything is on its way: no slot can be evicted.
  const reads = Array.from({ length: 8 }, (_, at) => mount.read(reader, version, at * 2 * MIB, MIB));
  t.equal(writeSlots.take(), undefined);
  const { order, note } = settledOrder();
  const waits = Array.from({ length: 6 }, (_, at) => writeSlots.wait().then((slot) => (note(`${at}`)(), slot)));
  mount.run();
  const taken = await Promise.all(waits.slice(0, 4));
  t.same(order, ['0', '1', '2', '3'], 'their share, in order');
  t.ok(
    reads.every((read) => read.errno === 0),
    'every READ was answered meanwhile',
  );
  const late = Array.from({ length: 12 }, (_, at) => mount.read(reader, version, at * 2 * MIB + 4096, MIB));
  mount.run();
  t.ok(
    late.every((read) => read.errno === 0),
    'and those after',
  );
  for (const slot of taken) writeSlots.give(slot);
  for (const slot of await Promise.all(waits.slice(4))) writeSlots.give(slot);
  t.equal(writeSlots.used, 0);
  reader.close();
  t.same(mount.finish(), []);
  t.end();
});
