/**
 * The block index: which block goes when room is needed (evictions/*.txt), and any sequence of calls against a naive
 * model: never more slots than there are, none freed twice or lost, nothing filling or pinned ever taken.
 * Commands of the text files, on a pool of 4 slots; a block is `node.index`:
 *   fill B [spare]      allocate, fetch and settle it whole: prints the slot, what was thrown out, or `no room`
 *   begin B [spare]     allocate and start a fetch; `end B [BYTES]` settles it with so many bytes (all)
 *                       (old-B: the one that B was before it was dropped or replaced)
 *   use B               get; `read B` = consumed whole; `touch B` = a reader thread's hit; `drop B`; `retire NODE`
 * Blocks of node 100 and above are small: 16 of them in a carved slot (slot 4 is part 0 of slot 0, slot 20 of slot 1).
 *   fills N.A-B [spare] fill, block A to B of a node: prints the slots taken and what was thrown out
 *   pin B, unpin B      by a reader;  wait MS   lets the clock go on
 *   reclaim N [spare]   frees N slots and gives their memory back: prints how many and what went
 *   aside N             the next N slots that become free are put aside, until the next reclaim
 *   shared NODE         several handles of it are open
 *   allow N             at most N slots more are touched;  kept N   passed blocks (first command of a case)
 */
import fc from 'fast-check';
import t from 'tap';
import { BLOCK_BYTES, SMALL_SLOTS, allocatePool, wholeSlotOf } from '../../src/base/pool/layout.js';
import { BlockTable } from '../../src/base/pool/block-table.js';
import { PoolView } from '../../src/base/pool/pool-view.js';
import { ManualClock } from '../../src/base/clock.js';
import { BlockIndex, type Block, type Room } from '../../src/prefetch/block-index.js';
import { gapsOf } from '../../src/prefetch/block-ranges.js';
import { runTextCases } from './text-cases.js';

/** More than a small slot holds; nodes from SMALL_NODES on have small blocks. */
const BLOCK = 100_000;
const SMALL_BLOCK = 10_000;
const SMALL_NODES = 100;

function bytesOf(nodeId: number): number {
  return nodeId < SMALL_NODES ? BLOCK : SMALL_BLOCK;
}

class Bench {
  readonly clock = new ManualClock();
  readonly view: PoolView;
  readonly index: BlockIndex;
  readonly known = new Map<string, Block>();
  #nextFetch = 1;

  /** Versions that several handles have open. */
  readonly shared = new Set<number>();

  /** `passedKept`: of whole blocks and of small ones. */
  constructor(slots: number, passedKept = Infinity) {
    this.view = new PoolView(allocatePool(slots));
    this.index = new BlockIndex(new BlockTable(this.view), () => this.clock.nowMs(), {
      passedBlocksKept: passedKept,
      passedSmallBlocksKept: passedKept,
      isShared: (nodeId) => this.shared.has(nodeId),
    });
  }

  /** What the memory governor does; the slots given back. */
  reclaim(slots: number, room: Room): number[] {
    const given: number[] = [];
    const { table } = this.index;
    table.putAside(0);
    this.index.reclaim(slots - table.asideSlots, room);
    table.cool(slots, (cooled) => given.push(...cooled));
    return given;
  }

  allocate(nodeId: number, blockIndex: number, room: Room, from = 0, goalEnd = bytesOf(nodeId)): Block | undefined {
    const block = this.index.allocate({ nodeId, blockIndex, blockBytes: bytesOf(nodeId), from, to: goalEnd }, room);
    for (const fill of block?.fills ?? []) fill.fetchId = this.#nextFetch++;
    return block;
  }

  /** Ends the oldest fill of the block; so many bytes of it came. */
  settle(block: Block, bytes = Infinity): void {
    const [fill] = block.fills;
    if (!fill) throw new Error('nothing fills the block');
    const end = Math.min(fill.to, fill.from + bytes);
    if (end > fill.from) this.view.publishLanded(block.slot, fill.from, fill.from, end);
    this.index.settled(block, fill);
  }

  /** Another fill, of the first bytes that are neither there nor on their way. */
  extend(block: Block): boolean {
    const [gap] = gapsOf(this.view, block, 0, block.blockBytes);
    if (!gap) return false;
    const to = gap.to - gap.from > 8192 ? (Math.floor(gap.from / 4096) + 1) * 4096 : gap.to;
    this.index.extend(block, gap.from, to).fetchId = this.#nextFetch++;
    return true;
  }
}

t.test('evictions', (t) => {
  runTextCases(t, 'evictions', () => {
    let bench = new Bench(4);
    let { index, known, view } = bench;
    const of = (name: string): Block => {
      const block = known.get(name);
      if (!block) throw new Error(`no block ${name}`);
      return block;
    };
    /** A block that was dropped by its name, or replaced by another of it, is known as old-NAME. */
    const replace = (name: string): void => {
      const old = known.get(name);
      if (old?.dropped && old.fills.length > 0) known.set(`old-${name}`, old);
      if (old?.dropped) known.delete(name);
    };
    const gone = (): string => {
      const names = [...known]
        .filter(([name, block]) => block.dropped && !name.startsWith('old-'))
        .map(([name]) => name);
      for (const name of names) known.delete(name);
      return names.length > 0 ? `, ${names.join(' ')} went` : '';
    };
    return ([command, name = '', argument]) => {
      const [node = '', at = ''] = name.split('.');
      switch (command) {
        case 'fill':
        case 'begin': {
          const block = bench.allocate(Number(node), Number(at), argument === 'spare' ? 'spare' : 'any');
          if (!block) return ['no room'];
          if (command === 'fill') bench.settle(block);
          replace(name);
          const line = `slot ${block.slot}${gone()}`;
          known.set(name, block);
          return [line];
        }
        case 'fills': {
          const [first = 0, last = 0] = at.split('-').map(Number);
          const slots: number[] = [];
          for (let blockIndex = first; blockIndex <= last; blockIndex++) {
            const block = bench.allocate(Number(node), blockIndex, argument === 'spare' ? 'spare' : 'any');
            if (!block) return [`slots ${slots.join(' ')}${gone()}, then no room`];
            bench.settle(block);
            slots.push(block.slot);
            known.set(`${node}.${blockIndex}`, block);
          }
          return [`slots ${slots.join(' ')}${gone()}`];
        }
        case 'end':
          bench.settle(of(name), argument === undefined ? bytesOf(Number(node)) : Number(argument));
          return [];
        case 'use':
          return index.get(Number(node), Number(at)) ? [] : ['not there'];
        case 'read':
          index.consumed(of(name), 0, bytesOf(Number(node)));
          return [];
        case 'half':
          index.consumed(of(name), 0, bytesOf(Number(node)) / 2);
          return [];
        case 'touch': {
          const slot = view.pinResident(Number(node), 0, Number(at), 0, bytesOf(Number(node)));
          if (slot >= 0) view.unpin(slot);
          return slot >= 0 ? [] : ['not there'];
        }
        case 'pin':
          view.pin(of(name).slot);
          return [];
        case 'unpin':
          view.unpin(of(name).slot);
          return [];
        case 'drop':
          index.drop(of(name));
          known.set(`old-${name}`, of(name));
          known.delete(name);
          return [];
        case 'retire':
          index.retire(Number(node));
          return [];
        case 'wait':
          bench.clock.advance(Number(name));
          return [];
        case 'reclaim':
          return [
            `gave back ${bench.reclaim(Number(name), argument === 'spare' ? 'spare' : 'any').join(' ')}${gone()}`,
          ];
        case 'allow':
          index.table.allowFresh(Number(name));
          return [];
        case 'shared':
          bench.shared.add(Number(name));
          return [];
        case 'aside':
          index.table.putAside(Number(name));
          return [];
        case 'kept':
          bench = new Bench(4, Number(name));
          ({ index, known, view } = bench);
          return [];
        case 'counts':
          return [JSON.stringify(index.counts).replaceAll('"', '')];
        default:
          throw new Error(`unknown command ${command}`);
      }
    };
  });
  t.end();
});

const SLOTS = 6;

type Call =
  | {
      readonly type: 'allocate';
      readonly node: number;
      readonly at: number;
      readonly from: number;
      readonly room: Room;
    }
  | {
      readonly type: 'settle' | 'drop' | 'use' | 'pin' | 'unpin' | 'extend' | 'takeBack';
      readonly pick: number;
      readonly share: number;
    }
  | { readonly type: 'consume'; readonly pick: number; readonly from: number; readonly to: number }
  | { readonly type: 'forget' | 'retire'; readonly node: number }
  | { readonly type: 'reclaim'; readonly slots: number; readonly room: Room }
  | { readonly type: 'lend' }
  | { readonly type: 'wait'; readonly ms: number };

const call: fc.Arbitrary<Call> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      type: fc.constant('allocate' as const),
      node: fc.integer({ min: 1, max: 3 }),
      at: fc.nat(4),
      from: fc.constantFrom(0, 0, 8192),
      room: fc.constantFrom<Room>('any', 'any', 'spare'),
    }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('allocate' as const),
      node: fc.integer({ min: SMALL_NODES, max: SMALL_NODES + 1 }),
      at: fc.nat(60),
      from: fc.constantFrom(0, 0, 8192),
      room: fc.constantFrom<Room>('any', 'any', 'spare'),
    }),
  },
  {
    weight: 12,
    arbitrary: fc.record({
      type: fc.constantFrom('settle', 'settle', 'drop', 'use', 'pin', 'unpin', 'unpin', 'extend', 'takeBack'),
      pick: fc.nat(50),
      share: fc.constantFrom(0, 0.5, 1, 1),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      type: fc.constant('consume' as const),
      pick: fc.nat(50),
      from: fc.nat(BLOCK - 1),
      to: fc.constantFrom(BLOCK, 500),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({ type: fc.constantFrom('forget', 'retire'), node: fc.constantFrom(1, 2, 3, SMALL_NODES) }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('reclaim' as const),
      slots: fc.nat(SLOTS),
      room: fc.constantFrom<Room>('any', 'spare'),
    }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('lend' as const) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('wait' as const), ms: fc.constantFrom(1, 3000) }) },
);

t.test('small files that are read one after another do with the memory of a few', (t) => {
  const read = (bench: Bench, nodeId: number): Block | undefined => {
    const block = bench.allocate(nodeId, 0, 'any');
    if (block === undefined) return undefined;
    bench.settle(block);
    bench.index.consumed(block, 0, SMALL_BLOCK);
    bench.index.retire(nodeId);
    return block;
  };
  const bench = new Bench(64, 32);
  const first = read(bench, 1000);
  bench.shared.add(1001);
  const shared = read(bench, 1001);
  for (let nodeId = 1002; nodeId < 1500; nodeId++) read(bench, nodeId);
  t.equal(bench.index.table.carvedSlots, 3, '32 are kept, in two slots, with one of a file that several have open');
  t.equal(first?.dropped, true, 'the first one is gone');
  t.equal(shared?.dropped, false, 'what others may come to stays');
  t.equal(bench.index.counts.free, 61);
  const kept = new Bench(64);
  for (let nodeId = 1000; nodeId < 1500; nodeId++) read(kept, nodeId);
  t.equal(kept.index.table.carvedSlots, 32, 'without a bound all stay');
  t.end();
});

t.test('any calls: slots are never overbooked, lost or freed twice; filling and pinned blocks stay', (t) => {
  let refusedAny = 0;
  let evicted = 0;
  let reclaimed = 0;
  let lentByEviction = 0;
  fc.assert(
    fc.property(
      fc.constantFrom(0, 2, 64),
      fc.array(call, { minLength: 60, maxLength: 160, size: 'max' }),
      (passedBlocksKept, calls) => {
        const bench = new Bench(SLOTS, passedBlocksKept);
        const { index, view } = bench;
        /** The model: every block whose slot may still be taken, whether fetched, and its pins. */
        const blocks: { readonly block: Block; filling: boolean; pins: number }[] = [];
        /** Slots that writers have. */
        const lent: number[] = [];
        /** What may not be thrown out. */
        const bound = (): number[] =>
          blocks.filter(({ filling, pins }) => filling || pins > 0).map(({ block }) => block.slot);
        const check = (): void => {
          const held = new Set<number>(lent);
          if (held.size !== index.table.lentSlots) throw new Error('writers have other slots');
          for (const { block, filling, pins } of blocks) {
            const inIndex = index.peek(block.nodeId, block.blockIndex) === block;
            if (inIndex === block.dropped) throw new Error('dropped means out of the index');
            if (!inIndex && !filling && pins === 0) continue;
            if (held.has(block.slot)) throw new Error(`slot ${block.slot} is held twice`);
            held.add(block.slot);
            if (index.table.pins(block.slot) !== pins) throw new Error('pins');
            if (view.words[block.slot * 32 + 3] !== block.blockIndex) throw new Error('a slot was taken over');
            if (inIndex && filling === (block.fills.length === 0)) throw new Error('filling means under a fetch');
          }
          const wholes = new Set([...held].map((slot) => wholeSlotOf(slot, SLOTS)));
          const smalls = [...held].filter((slot) => slot >= SLOTS);
          for (const slot of smalls)
            if (held.has(wholeSlotOf(slot, SLOTS))) throw new Error('carved and whole at once');
          const { resident, filling, free, dropped, spent } = index.counts;
          if (free + wholes.size > SLOTS) throw new Error('more slots than there are');
          if (spent > resident) throw new Error('spent blocks are resident');
          // Dropped ones whose last pin went hold their slot until room is made.
          const droppedFilling = blocks.filter((one) => one.block.dropped && one.filling).length;
          if (resident + filling + dropped + droppedFilling + lent.length < held.size)
            throw new Error('a block is lost');
          if (dropped === 0 && free + wholes.size !== SLOTS) throw new Error('a slot is lost');
          if (dropped === 0 && index.table.carvedSlots !== new Set(smalls.map((slot) => wholeSlotOf(slot, SLOTS))).size)
            throw new Error('carved slots do not add up');
        };
        for (const one of calls) {
          const live = blocks.filter(({ block, filling, pins }) => !block.dropped || filling || pins > 0);
          const picked = 'pick' in one ? live[one.pick % Math.max(1, live.length)] : undefined;
          switch (one.type) {
            case 'allocate': {
              const before = index.counts;
              const block = bench.allocate(one.node, one.at, one.room, one.from);
              if (block) blocks.push({ block, filling: true, pins: 0 });
              if (block && before.free === 0) evicted++;
              if (!block && one.room === 'any') {
                refusedAny++;
                // Refused only when every slot is pinned or filling, or a part of it is when a whole one is wanted.
                const slots = [...bound(), ...lent];
                const parts = (whole: number): number =>
                  slots.filter((slot) => wholeSlotOf(slot, SLOTS) === whole).length;
                const isBound = (whole: number): boolean =>
                  slots.includes(whole) || parts(whole) >= (one.node < SMALL_NODES ? 1 : SMALL_SLOTS);
                for (let whole = 0; whole < SLOTS; whole++) {
                  if (!isBound(whole)) throw new Error(`refused although slot ${whole} could be had`);
                }
              }
              break;
            }
            case 'settle':
              if (!picked?.filling) break;
              bench.settle(picked.block, Math.floor(BLOCK * one.share));
              picked.filling = picked.block.fills.length > 0;
              break;
            case 'extend':
              if (!picked || picked.block.dropped || picked.block.fills.length > 3) break;
              if (bench.extend(picked.block)) picked.filling = true;
              break;
            case 'drop':
              if (picked) index.drop(picked.block);
              break;
            case 'use':
              if (picked) index.get(picked.block.nodeId, picked.block.blockIndex);
              break;
            case 'pin':
              if (!picked || picked.block.dropped) break;
              view.pin(picked.block.slot);
              picked.pins++;
              break;
            case 'unpin':
              if (!picked || picked.pins === 0) break;
              view.unpin(picked.block.slot);
              picked.pins--;
              break;
            case 'consume':
              if (picked && one.from < one.to && one.to <= picked.block.blockBytes)
                index.consumed(picked.block, one.from, one.to);
              break;
            case 'forget':
              index.dropVersion(one.node);
              break;
            case 'retire':
              index.retire(one.node);
              break;
            case 'reclaim': {
              const given = bench.reclaim(one.slots, one.room);
              reclaimed += given.length;
              const inUse = blocks
                .filter(({ block, filling, pins }) => !block.dropped || filling || pins > 0)
                .map(({ block }) => wholeSlotOf(block.slot, SLOTS));
              if (given.length > one.slots) throw new Error('more given back than asked for');
              if (given.some((slot) => inUse.includes(slot))) throw new Error('memory in use was given back');
              break;
            }
            case 'lend': {
              const { free } = index.counts;
              const slot = index.lend();
              if (slot === undefined) {
                const wholes = new Set([...bound(), ...lent].map((other) => wholeSlotOf(other, SLOTS)));
                if (wholes.size < SLOTS) throw new Error('no slot for a writer although one could be had');
                break;
              }
              if (slot >= SLOTS) throw new Error('a writer got a part of a slot');
              if (free === 0) lentByEviction++;
              lent.push(slot);
              break;
            }
            case 'takeBack': {
              const [slot] = lent.splice(one.pick % Math.max(1, lent.length), 1);
              if (slot !== undefined) index.table.takeBack(slot);
              break;
            }
            case 'wait':
              bench.clock.advance(one.ms);
              break;
          }
          // A dropped block whose last pin went waits in the index's list: its slot is still its own until room is made.
          check();
        }
        for (const one of blocks) {
          for (; one.pins > 0; one.pins--) view.unpin(one.block.slot);
          while (one.block.fills.length > 0) bench.settle(one.block);
          one.filling = false;
        }
        for (const slot of lent) index.table.takeBack(slot);
        for (let at = 0; at < SLOTS; at++)
          if (!bench.allocate(9, at, 'any')) throw new Error('not all slots come back');
        return bench.allocate(9, SLOTS, 'any') === undefined;
      },
    ),
    { numRuns: 900 },
  );
  t.ok(evicted > 100, `${evicted} evictions`);
  t.ok(reclaimed > 100, `${reclaimed} slots given back`);
  t.ok(lentByEviction > 100, `${lentByEviction} evictions for writers`);
  t.ok(refusedAny > 10, `${refusedAny} refusals`);
  t.end();
});

t.test('broken invariants are caught', (t) => {
  const bench = new Bench(4);
  const block = bench.allocate(1, 0, 'any');
  if (!block) throw new Error('an empty pool has room');
  const [fill] = block.fills;
  if (!fill) throw new Error('a new block has a fill');
  t.throws(() => bench.index.extend(block, 4096, BLOCK), { name: 'InvariantError' }, 'one fetch brings a byte');
  bench.settle(block, 500);
  t.equal(block.heldBytes, 500);
  t.throws(() => bench.index.extend(block, 500, BLOCK + 1), { name: 'InvariantError' });
  t.throws(() => bench.index.settled(block, fill), { name: 'InvariantError' }, 'settled once');
  t.throws(() => bench.allocate(1, 1, 'any', 0, BLOCK_BYTES + 1), { name: 'InvariantError' });
  const slot = bench.index.lend();
  if (slot === undefined) throw new Error('there is room for a writer');
  t.throws(() => bench.index.table.takeBack(slot + 1), { name: 'InvariantError' }, 'only a slot that a writer has');
  bench.index.table.takeBack(slot);
  t.throws(() => bench.index.table.takeBack(slot), { name: 'InvariantError' }, 'once');
  t.end();
});
