/**
 * Large directories read by several key ranges at once: every name once, whatever the names, the order of answers, changes
 * meanwhile, failures, and stores that cannot begin in the middle; and how many requests and round trips it takes.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { EIO, ErrnoError } from '../../src/base/errno.js';
import type { ListRequest } from '../../src/engine/api.js';
import { StoreError } from '../../src/engine/store-error.js';
import { compareKeys } from '../../src/fs/keymap.js';
import { makeBench, ROOT, settle, type Bench } from '../support/memory-store-kernel.js';
import { bucketKeys, modelTree } from '../support/memory-store-trees.js';

// Many small runs: on a busy machine they take their time.
t.setTimeout(300_000);

const hash = (index: number): string => createHash('md5').update(String(index)).digest('hex');

/** Names as data sets have them. */
const kinds: readonly ((index: number) => string)[] = [
  (index) => `f${String(index).padStart(6, '0')}`,
  (index) => `${index}`,
  (index) => hash(index).slice(0, 10),
  (index) => `${['cat', 'dog', 'owl', 'yak'][index % 4]}_${String(index).padStart(4, '0')}.jpg`,
  (index) => `d${String(index).padStart(4, '0')}/x`,
  (index) => (index % 3 === 0 ? `m${index}/y` : `m${index}`),
  (index) => `ü${['🐙', 'é', '🐙é\uffff'][index % 3]}${index}`,
];

const directory = fc.oneof(
  fc
    .tuple(fc.constantFrom(...kinds), fc.integer({ min: 1, max: 400 }), fc.integer({ min: 0, max: 50_000 }))
    .map(([kind, count, first]) => Array.from({ length: count }, (_, index) => kind(first + index))),
  fc
    .tuple(fc.constantFrom(...kinds), fc.constantFrom(...kinds), bucketKeys)
    .map(([a, b, odd]) => [
      ...new Set([
        ...Array.from({ length: 60 }, (_, index) => a(index)),
        ...Array.from({ length: 60 }, (_, index) => b(index * 7)),
        ...odd,
      ]),
    ]),
);

interface Way {
  readonly listKeysMax: number;
  readonly listRangesMax: number;
  readonly listPagesAheadMax: number;
  readonly room: number;
  readonly seed: number;
}

const way: fc.Arbitrary<Way> = fc.record({
  listKeysMax: fc.integer({ min: 1, max: 30 }),
  listRangesMax: fc.integer({ min: 1, max: 8 }),
  listPagesAheadMax: fc.integer({ min: 1, max: 16 }),
  room: fc.integer({ min: 1, max: 50 }),
  seed: fc.nat(),
});

function benchFor(way: Way): Bench {
  const { listKeysMax, listRangesMax, listPagesAheadMax } = way;
  return makeBench({ limits: { listKeysMax, listRangesMax, listPagesAheadMax } });
}

/** Answers requests one by one in an order of its own until `work` is over. */
async function shuffled<T>(bench: Bench, seed: number, work: Promise<T>, between = (): void => undefined): Promise<T> {
  let over = false;
  const end = (): void => void (over = true);
  work.then(end, end);
  let state = seed;
  bench.store.hold();
  while (!over) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    if (bench.store.waiting === 0) await new Promise(setImmediate);
    else {
      between();
      bench.store.letGoOne((waiting) => (state >>> 8) % waiting);
      if (state % 3 === 0) await new Promise(setImmediate);
    }
  }
  bench.store.letGo();
  return work;
}

function shown(keys: readonly string[]): string[] {
  return [...(modelTree(keys, '').get('') ?? new Map<string, unknown>()).keys()].sort(compareKeys);
}

async function names(bench: Bench, room: number): Promise<string[]> {
  return (await bench.kernel.readdir(ROOT, false, room)).map(({ item }) => item.name);
}

t.test('every name once, whatever names, page sizes and order of answers', async (t) => {
  await fc.assert(
    fc.asyncProperty(directory, way, async (keys, how) => {
      const bench = benchFor(how);
      for (const key of keys) bench.store.put(key, key);
      const read = await shuffled(bench, how.seed, names(bench, how.room));
      assert.deepEqual(read.toSorted(compareKeys), shown(keys));
    }),
    { numRuns: 120 },
  );
  t.pass('120 directories');
});

t.test('while the directory changes: what stays is there once, what comes or goes at most once', async (t) => {
  await fc.assert(
    fc.asyncProperty(directory, way, async (keys, how) => {
      const bench = benchFor(how);
      const files = keys.filter((key) => !key.includes('/'));
      const changing = files.filter((_, index) => index % 3 === 0);
      const staying = files.filter((_, index) => index % 3 !== 0);
      for (const key of staying) bench.store.put(key, key);
      let turn = 0;
      const change = (): void => {
        for (let step = 0; step < 3; step++) {
          const key = changing[(turn++ * 7) % Math.max(1, changing.length)];
          if (key === undefined) return;
          if (bench.store.objects.has(key)) bench.store.delete(key);
          else bench.store.put(key, key);
        }
      };
      const read = await shuffled(bench, how.seed, names(bench, how.room), change);
      assert.equal(new Set(read).size, read.length, 'none twice');
      const there = new Set(read);
      for (const name of shown(staying)) assert.ok(there.has(name), `${name} was there all the time`);
      const all = new Set(shown(files));
      for (const name of read) assert.ok(all.has(name));
    }),
    { numRuns: 80 },
  );
  t.pass('80 directories');
});

t.test('failures: an error for who needs the page, and going on from there brings the rest', async (t) => {
  await fc.assert(
    fc.asyncProperty(directory, way, async (keys, how) => {
      const bench = benchFor(how);
      for (const key of keys) bench.store.put(key, key);
      let count = how.seed % 5;
      bench.store.fault = (): void => {
        if (++count % 5 === 0) {
          throw new StoreError({ errno: EIO, code: 'SlowDown', status: 503, resource: 'x', message: 'busy' });
        }
      };
      const read: string[] = [];
      const handle = await bench.kernel.opendir(ROOT);
      let offset = 0;
      for (let failures = 0; ;) {
        try {
          const some = await bench.kernel.readdirOnce(ROOT, handle, offset, false, how.room);
          const last = some.at(-1);
          if (!last) break;
          offset = last.item.nextOffset;
          read.push(...some.map(({ item }) => item.name));
        } catch (error) {
          assert.ok(error instanceof ErrnoError && error.errno === EIO);
          assert.ok(++failures < 2000);
        }
      }
      assert.deepEqual(read.filter((name) => name !== '.' && name !== '..').toSorted(compareKeys), shown(keys));
    }),
    { numRuns: 60 },
  );
  t.pass('60 directories');
});

t.test('a store that ignores start-after is noticed, once, and everything is shown', async (t) => {
  await fc.assert(
    fc.asyncProperty(directory, way, async (keys, how) => {
      const bench = benchFor(how);
      for (const key of keys) bench.store.put(key, key);
      const list = bench.store.list.bind(bench.store);
      bench.store.list = ({ startAfter: _ignored, ...request }: ListRequest, signal) => list(request, signal);
      for (let round = 0; round < 2; round++) {
        const read = await shuffled(bench, how.seed + round, names(bench, how.room));
        assert.deepEqual(read.toSorted(compareKeys), shown(keys));
        bench.clock.advance(1001);
      }
      assert.ok(bench.log.lines.filter(({ message }) => message.includes('start-after')).length <= 1);
    }),
    { numRuns: 60 },
  );
  t.pass('60 directories');
});

/** Round trips until the directory is read, when every request takes one. */
async function rounds(bench: Bench): Promise<{ rounds: number; requests: number; read: number }> {
  bench.store.reset();
  bench.store.hold();
  let read = -1;
  void names(bench, 200).then((all) => (read = all.length));
  let count = 0;
  for (; read < 0; count++) {
    await settle(20);
    bench.store.letGoOldest(bench.store.waiting);
    await settle(20);
  }
  bench.store.letGo();
  await settle(20);
  return { rounds: count, requests: bench.store.reset(), read };
}

t.test('round trips and requests for 20,000 names', async (t) => {
  const most: readonly [number, number, number][] = [
    [0, 7, 28],
    [2, 9, 40],
    [3, 12, 50],
  ];
  for (const [kind, roundsMax, requestsMax] of most) {
    const make = kinds[kind];
    assert.ok(make);
    const bench = makeBench();
    for (let index = 0; index < 20_000; index++) bench.store.put(make(index), '');
    const { rounds: took, requests, read } = await rounds(bench);
    t.equal(read, 20_000);
    t.ok(took <= roundsMax && requests <= requestsMax, `${make(1)}: ${took} round trips, ${requests} requests`);
  }
  const one = makeBench({ limits: { listRangesMax: 1 } });
  for (let index = 0; index < 20_000; index++) one.store.put(kinds[0]?.(index) ?? '', '');
  t.same(await rounds(one), { rounds: 20, requests: 20, read: 20_000 }, 'without ranges');
});

t.test('nothing is listed that nobody comes near', async (t) => {
  const bench = makeBench({ limits: { listKeysMax: 10 } });
  for (let index = 0; index < 1000; index++) bench.store.put(kinds[0]?.(index) ?? '', '');
  const handle = await bench.kernel.opendir(ROOT);
  await bench.kernel.readdirOnce(ROOT, handle, 0, false, 5);
  await settle(20);
  t.equal(bench.store.reset(), 2, 'who reads the first page gets it and one page ahead');
  let offset = 5;
  for (let reads = 0; reads < 2; reads++) {
    const some = await bench.kernel.readdirOnce(ROOT, handle, offset, false, 10);
    offset = some.at(-1)!.item.nextOffset;
    await settle(20);
  }
  const few = bench.store.reset();
  t.ok(few <= 4, `${few} more for the second page`);
  for (let reads = 0; reads < 10; reads++) {
    const some = await bench.kernel.readdirOnce(ROOT, handle, offset, false, 10);
    offset = some.at(-1)!.item.nextOffset;
    await settle(20);
  }
  const many = bench.store.reset();
  t.ok(many <= 10 + 16 + 8, `${many} for ten pages and those ahead`);
  await settle(50);
  t.equal(bench.store.reset(), 0, 'and no more while he rests');
  bench.fs.releasedir({ uid: 0, gid: 0, pid: 1, signal: new AbortController().signal }, ROOT, handle);
});
