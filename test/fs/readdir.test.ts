/**
 * Directory handles: offsets that can be read again, listings that begin anew, pages fetched ahead, what READDIRPLUS may
 * say, and what a very large directory costs.
 */
import t, { type Test } from 'tap';
import { packPage } from '../../src/engine/listing/row-collector.js';
import { EBADF, EINTR, EIO, ENOTDIR, ESTALE } from '../../src/base/errno.js';
import { StoreError } from '../../src/engine/store-error.js';
import type { ObjectHead } from '../../src/engine/api.js';
import { inoOfKey } from '../../src/fs/ino.js';
import { context, errnoOf, makeBench, ROOT, settle, type Bench } from '../support/memory-store-kernel.js';

const plain = { etag: '"1"', sizeBytes: 0, lastModifiedMs: 0, storageClass: '', restored: false };

function fill(bench: Bench, count: number): string[] {
  const names = Array.from({ length: count }, (_, index) => `f${String(index).padStart(6, '0')}`);
  for (const name of names) bench.store.put(name, name);
  return names;
}

async function readAll(bench: Bench, handle: number, from: number, room = Infinity): Promise<string[]> {
  const names: string[] = [];
  let offset = from;
  for (;;) {
    const some = await bench.kernel.readdirOnce(ROOT, handle, offset, false, room);
    if (some.length === 0) return names;
    names.push(...some.map(({ item }) => item.name));
    offset = some.at(-1)!.item.nextOffset;
  }
}

void t.test('dot and dot dot come first, with the right inode numbers', async (t) => {
  const bench = makeBench();
  const { store, kernel } = bench;
  store.put('a/b/c', '');
  const dots = async (nodeId: number): Promise<[string, number][]> => {
    const handle = await kernel.opendir(nodeId);
    const listed = await kernel.readdirOnce(nodeId, handle, 0, true, 2);
    t.ok(
      listed.every(({ entry }) => entry === undefined),
      'and count as no lookup',
    );
    return listed.map(({ item }) => [item.name, item.ino]);
  };
  const a = (await kernel.walk('a'))!;
  const b = (await kernel.walk('a/b'))!;
  t.same(await dots(ROOT), [
    ['.', 1],
    ['..', 1],
  ]);
  t.same(await dots(a.nodeId), [
    ['.', a.attributes.ino],
    ['..', 1],
  ]);
  t.same(await dots(b.nodeId), [
    ['.', b.attributes.ino],
    ['..', a.attributes.ino],
  ]);
  t.equal(b.attributes.ino, inoOfKey('a/b/'));
});

void t.test('every offset can be read again while the handle lives', async (t) => {
  const bench = makeBench({ limits: { listKeysMax: 7 } });
  const { kernel, clock, store } = bench;
  fill(bench, 50);
  const handle = await kernel.opendir(ROOT);
  const once: { name: string; nextOffset: number }[] = [];
  let offset = 0;
  for (;;) {
    const some = await kernel.readdirOnce(ROOT, handle, offset, false, 3);
    if (some.length === 0) break;
    once.push(...some.map(({ item }) => ({ name: item.name, nextOffset: item.nextOffset })));
    offset = once.at(-1)!.nextOffset;
  }
  t.equal(once.length, 52);
  clock.advance(10_000);
  for (const key of [...store.objects.keys()].filter((_, index) => index % 2 === 0)) store.delete(key);
  store.reset();
  for (const [index, { nextOffset }] of once.entries()) {
    const rest = await readAll(bench, handle, nextOffset);
    t.same(
      rest,
      once.slice(index + 1).map(({ name }) => name),
      `from ${nextOffset}`,
    );
  }
  t.equal(store.reset(), 0, 'from memory');
});

void t.test('reading from the beginning again lists again once the listing is too old', async (t) => {
  const bench = makeBench();
  const { kernel, clock, store } = bench;
  store.put('a', '');
  const handle = await kernel.opendir(ROOT);
  t.same(await readAll(bench, handle, 0), ['.', '..', 'a']);
  store.put('b', '');
  clock.advance(1000);
  t.same(await readAll(bench, handle, 0), ['.', '..', 'a']);
  clock.advance(1);
  t.same(await readAll(bench, handle, 0), ['.', '..', 'a', 'b']);
});

void t.test('a new handle reads what the last one fetched, while it is fresh', async (t) => {
  const bench = makeBench({ limits: { listKeysMax: 10 } });
  const { store, kernel, clock } = bench;
  fill(bench, 95);
  t.equal((await kernel.names(ROOT)).length, 95);
  isTenPages(t, store.reset());
  t.equal((await kernel.names(ROOT)).length, 95);
  t.equal(store.reset(), 0);
  clock.advance(1001);
  t.equal((await kernel.names(ROOT)).length, 95);
  isTenPages(t, store.reset());
});

/** Ten pages, and at most seven LISTs that began beyond the end, because nobody knows where that is. */
function isTenPages(t: Test, requests: number): void {
  t.ok(requests >= 10 && requests <= 17, `${requests} requests`);
}

void t.test('two readers at the same time share their pages', async (t) => {
  const bench = makeBench({ limits: { listKeysMax: 10 } });
  fill(bench, 95);
  const both = await Promise.all([bench.kernel.names(ROOT), bench.kernel.names(ROOT)]);
  t.same(both[0], both[1]);
  isTenPages(t, bench.store.reset());
});

void t.test('a file and its directory pages apart: the directory is shown, once', async (t) => {
  for (const listKeysMax of [1, 2, 3, 5]) {
    const bench = makeBench({ limits: { listKeysMax } });
    for (const key of ['m', 'm!', 'm+1', 'm-1', 'm-1-2', 'm.a', 'm.b', 'm/x', 'm0', 'n']) bench.store.put(key, '');
    const listed = await bench.kernel.readdir(ROOT, true);
    const names = listed.map(({ item }) => item.name);
    t.same(names.toSorted(), ['m', 'm!', 'm+1', 'm-1', 'm-1-2', 'm.a', 'm.b', 'm0', 'n'], `${listKeysMax} a page`);
    t.equal(listed.find(({ item }) => item.name === 'm')?.item.type, 4);
  }
});

void t.test('the next page travels while one is read, and one only', async (t) => {
  const bench = makeBench({ limits: { listKeysMax: 10 } });
  const { store, kernel } = bench;
  fill(bench, 95);
  const handle = await kernel.opendir(ROOT);
  await kernel.readdirOnce(ROOT, handle, 0, false, 3);
  await settle();
  t.equal(store.reset(), 2);
  await kernel.readdirOnce(ROOT, handle, 3, false, 3);
  await settle();
  t.equal(store.reset(), 0);
});

void t.test('a reply does not wait for a page when it has something to say', async (t) => {
  const bench = makeBench({ limits: { listKeysMax: 10 } });
  const { store, kernel } = bench;
  fill(bench, 95);
  const handle = await kernel.opendir(ROOT);
  await kernel.readdirOnce(ROOT, handle, 0, false, 2);
  store.hold();
  const some = await kernel.readdirOnce(ROOT, handle, 2, false);
  t.ok(some.length >= 9, 'the last of a page may be a directory too: it waits for the next');
  store.letGo();
});

void t.test('a listing that fails is an error, not an empty directory, and can be tried again', async (t) => {
  const bench = makeBench({ limits: { listKeysMax: 10 } });
  const { store, kernel, fs } = bench;
  fill(bench, 25);
  const trouble = (): never => {
    throw new StoreError({ errno: EIO, code: 'SlowDown', status: 503, resource: 's3://b', message: 'slow down' });
  };
  store.fault = trouble;
  const handle = await kernel.opendir(ROOT);
  t.equal(await errnoOf(() => kernel.readdirOnce(ROOT, handle, 0, true)), EIO);
  store.fault = undefined;
  await kernel.readdirOnce(ROOT, handle, 0, true, 5);
  await settle();
  store.fault = trouble;
  const rest = await errnoOf(() => readAll(bench, handle, 5));
  t.equal(rest, EIO, 'also in the middle');
  store.fault = undefined;
  t.equal((await readAll(bench, handle, 0)).length, 27);
  fs.releasedir(context(), ROOT, handle);
  kernel.forgetAll();
  t.equal(fs.stats().nodes, 0);
});

void t.test('an interrupted READDIR ends at once', async (t) => {
  const bench = makeBench();
  const { store, kernel, fs } = bench;
  fill(bench, 5);
  const handle = await kernel.opendir(ROOT);
  store.hold();
  const abort = new AbortController();
  const left = errnoOf(() => fs.readdir(context(abort), ROOT, handle, 0, { plus: false, add: () => true }));
  await settle();
  abort.abort();
  t.equal(await left, EINTR);
  t.equal(store.aborted, 1, 'nobody else wanted the page');
  store.letGo();
  t.equal((await readAll(bench, handle, 0)).length, 7);
});

void t.test('READDIRPLUS of rows that are too old gives names only', async (t) => {
  const bench = makeBench({ limits: { listKeysMax: 10 } });
  const { kernel, clock } = bench;
  fill(bench, 10);
  const handle = await kernel.opendir(ROOT);
  const fresh = await kernel.readdirOnce(ROOT, handle, 2, true, 5);
  t.ok(fresh.every(({ entry }) => entry?.entryTtlMs === 1000));
  clock.advance(400);
  const later = await kernel.readdirOnce(ROOT, handle, 2, true, 5);
  t.ok(
    later.every(({ entry }) => entry?.entryTtlMs === 600),
    'what is left of the page',
  );
  clock.advance(601);
  const old = await kernel.readdirOnce(ROOT, handle, 2, true, 5);
  t.ok(old.every(({ entry }) => entry === undefined));
  t.equal(old.length, 5);
});

void t.test('READDIRPLUS never takes back what a younger lookup said', async (t) => {
  const bench = makeBench({ metadataTtlMs: 60_000, negativeMetadataTtlMs: 0 });
  const { kernel, clock, store, fs } = bench;
  store.put('a', 'old');
  store.put('b', 'gone soon');
  await kernel.readdir(ROOT);
  const { nodeId } = (await kernel.lookup(ROOT, 'a'))!;
  const { etag } = store.objects.get('a')!;
  store.put('a', 'newer');
  store.delete('b');
  clock.advance(10);
  fs.versionLost(nodeId, etag);
  const young = (await kernel.lookup(ROOT, 'a'))!;
  const listed = await kernel.readdir(ROOT, true);
  t.equal(listed.find(({ item }) => item.name === 'a')?.entry?.nodeId, young.nodeId);
});

void t.test('an entry that did not fit counts as no lookup', async (t) => {
  const bench = makeBench();
  fill(bench, 5);
  const handle = await bench.kernel.opendir(ROOT);
  await bench.kernel.readdirOnce(ROOT, handle, 2, true, 3);
  t.equal(bench.fs.stats().nodes, 3);
});

void t.test('the kernel may keep a copy only where listings do not age, and only of the same pages', async (t) => {
  const endless = makeBench({ metadataTtlMs: null, negativeMetadataTtlMs: null });
  endless.store.put('a', '');
  const flags = async (bench: Bench): Promise<unknown[]> => {
    const { handle, cacheDirectory, keepCache } = bench.fs.opendir(context(), ROOT);
    await readAll(bench, handle, 0);
    return [cacheDirectory ?? false, keepCache ?? false];
  };
  t.same(await flags(endless), [false, false], 'nothing is known yet');
  t.same(await flags(endless), [true, false], 'whole, but the kernel has no copy of it');
  t.same(await flags(endless), [true, true]);
  const aging = makeBench({ metadataTtlMs: 60_000 });
  aging.store.put('a', '');
  t.same(await flags(aging), [false, false]);
  t.same(await flags(aging), [false, false]);
});

void t.test('hidden keys are counted and told once', async (t) => {
  const bench = makeBench();
  const { store, kernel, fs, log } = bench;
  for (const key of ['ok', '..', 'x\0y', `${'z'.repeat(256)}`, '//deep', '/lead', 'both', 'both/x']) store.put(key, '');
  t.same((await kernel.names(ROOT)).toSorted(), ['both', 'ok']);
  t.equal(fs.stats().hiddenKeys, 4, '.., NUL, too long, and the one empty name of //deep and /lead');
  t.equal(fs.stats().shadowedFiles, 1);
  t.equal(log.lines.length, 1);
  t.match(log.lines[0]?.message, /4 keys in '' cannot be file names/);
});

void t.test('a marker in a page of its own does not end or repeat the listing', async (t) => {
  const bench = makeBench({ limits: { listKeysMax: 1 } });
  for (const key of ['d/', 'd/a', 'd/b']) bench.store.put(key, '');
  const { nodeId } = (await bench.kernel.walk('d'))!;
  t.same(await bench.kernel.names(nodeId), ['a', 'b']);
});

void t.test('a store that never ends its listing is given up', async (t) => {
  const bench = makeBench({ limits: { emptyPagesMax: 3 } });
  const nothing = packPage({ objects: [], commonPrefixes: [], nextToken: 'again' }, '');
  bench.store.list = () => Promise.resolve(nothing);
  const handle = await bench.kernel.opendir(ROOT);
  t.equal(await errnoOf(() => readAll(bench, handle, 0)), EIO);
  t.match(
    bench.log.lines[0]?.message,
    /the listing of '' does not end: the store gives the same token again .*; check/,
  );
  let asked = 0;
  bench.store.list = () => Promise.resolve({ ...nothing, nextToken: `${asked++}` });
  const other = await bench.kernel.opendir(ROOT);
  t.equal(await errnoOf(() => readAll(bench, other, 0)), EIO);
  t.equal(asked, 3);
});

/** A store whose answers stand written; after the last comes `after` again and again. */
function scripted(bench: Bench, pages: readonly (readonly string[])[], after: readonly string[] | undefined) {
  const state = { asked: 0, token: (at: number): string => `${at}` };
  bench.store.list = (request) => {
    if (request.continuationToken === undefined) state.asked = 0;
    const keys = pages[state.asked] ?? after ?? [];
    state.asked++;
    const isLast = after === undefined && state.asked >= pages.length;
    const objects = keys.filter((key) => !key.endsWith('/')).map((key) => ({ ...plain, key }));
    const commonPrefixes = keys.filter((key) => key.endsWith('/'));
    const nextToken = isLast ? undefined : state.token(state.asked);
    return Promise.resolve(packPage({ objects, commonPrefixes, nextToken }, request.prefix));
  };
  return state;
}

void t.test('a store that repeats keys on two pages: each name once, in order', async (t) => {
  for (const pages of [
    [['a', 'b'], ['b', 'c'], ['d']],
    [['a', 'b/'], ['b/', 'c'], ['c']],
    [['a', 'b', 'c'], ['b', 'c', 'd', 'e'], ['e']],
    [['a', 'b'], ['a', 'b'], ['c']],
  ]) {
    const bench = makeBench();
    scripted(bench, pages, undefined);
    const names = [...new Set(pages.flat())].map((key) => key.replace('/', ''));
    t.same(await bench.kernel.names(ROOT), names, JSON.stringify(pages));
    t.same(bench.log.lines, [], 'and nothing else is thought of the store');
  }
});

void t.test('a store whose listing goes round is given up, in words', async (t) => {
  const page = ['a', 'b'];
  for (const [name, pages, after, token] of [
    ['the first page for ever, and the same token', [page], page, (): string => 'same'],
    ['the first page for ever', [page], page, undefined],
    ['two pages in turn', [page, ['c', 'd'], page, ['c', 'd'], page, ['c', 'd']], page, undefined],
    ['the last page for ever', [page, ['c', 'd']], ['c', 'd'], undefined],
  ] as const) {
    const bench = makeBench();
    const state = scripted(bench, pages, after);
    if (token) state.token = token;
    const handle = await bench.kernel.opendir(ROOT);
    t.equal(await errnoOf(() => readAll(bench, handle, 0)), EIO, name);
    t.ok(state.asked < 20, `${name}: after ${state.asked} requests`);
    t.match(bench.log.lines.at(-1)?.message, /the listing of '' does not end: .* again .*; check the store/, name);
  }
});

for (const listsInOrder of [false, true]) {
  const how = listsInOrder ? 'found out' : 'told';
  void t.test(`a store that lists in no order (${how}) shows everything once`, async (t) => {
    const bench = makeBench({ listsInOrder });
    const { store, kernel, log } = bench;
    const object = (key: string): ObjectHead => ({ ...plain, key });
    const pages = [
      { objects: ['m', 'n', 'both'], prefixes: ['p/'] },
      { objects: ['a', 'b'], prefixes: [] },
      { objects: ['z', 'c'], prefixes: ['both/', 'q/'] },
    ];
    for (const { objects, prefixes } of pages) {
      for (const key of objects) store.put(key, '');
      for (const key of prefixes) store.put(`${key}x`, '');
    }
    const list = store.list.bind(store);
    store.list = (request, signal) => {
      if (request.prefix !== '') return list(request, signal);
      const index = Number(request.continuationToken ?? 0);
      const page = pages[index]!;
      const nextToken = index + 1 < pages.length ? String(index + 1) : undefined;
      return Promise.resolve(
        packPage({ objects: page.objects.map(object), commonPrefixes: page.prefixes, nextToken }, request.prefix),
      );
    };
    for (let round = 0; round < 3; round++) {
      const listed = await kernel.readdir(ROOT, true, 2);
      const names = listed.map(({ item }) => item.name).toSorted();
      t.same(names, ['a', 'b', 'both', 'c', 'm', 'n', 'p', 'q', 'z']);
      t.equal(listed.find(({ item }) => item.name === 'both')?.item.type, 4);
      for (const name of names) t.ok(await kernel.lookup(ROOT, name), `${name} is found`);
    }
    t.equal(log.lines.length, listsInOrder ? 1 : 0);
    if (listsInOrder) t.match(log.lines[0]?.message, /does not list '' in the order of keys/);
  });
}

void t.test('wrong handles', async (t) => {
  const bench = makeBench();
  bench.store.put('a', '');
  const { nodeId } = (await bench.kernel.walk('a'))!;
  t.equal(await errnoOf(() => bench.fs.opendir(context(), nodeId)), ENOTDIR);
  t.equal(await errnoOf(() => bench.kernel.readdirOnce(ROOT, 99, 0, false)), EBADF);
  t.equal(await errnoOf(() => bench.fs.releasedir(context(), ROOT, 99)), EBADF);
});

void t.test('an open directory gives memory back, and reads again what somebody seeks back to', async (t) => {
  const bench = makeBench({ limits: { listKeysMax: 10, openListingBytesMax: 12_000, listPagesAheadMax: 1 } });
  const { store, kernel, fs, clock } = bench;
  fill(bench, 500);
  const handle = await kernel.opendir(ROOT);
  const once: { name: string; nextOffset: number }[] = [];
  for (let offset = 0; ;) {
    const some = await kernel.readdirOnce(ROOT, handle, offset, false, 7);
    const last = some.at(-1);
    if (!last) break;
    offset = last.item.nextOffset;
    once.push(...some.map(({ item }) => item));
    t.ok(fs.stats().openListingBytes < 12_000 + 3 * 2_000, 'bounded');
  }
  t.equal(once.length, 502);
  clock.advance(2000);
  store.reset();
  for (const index of [400, 37, 250, 3]) {
    const { nextOffset } = once[index]!;
    const some = await kernel.readdirOnce(ROOT, handle, nextOffset, false, 3);
    t.same(
      some.map(({ item }) => item.name),
      once.slice(index + 1, index + 4).map(({ name }) => name),
    );
  }
  t.ok(store.reset() > 0, 'from the store');
  store.delete('f000100');
  clock.advance(2000);
  t.equal(await errnoOf(() => kernel.readdirOnce(ROOT, handle, once[105]!.nextOffset, false)), ESTALE);
  t.equal((await readAll(bench, handle, 0)).length, 501, 'from the beginning it is a new listing');
});

void t.test('200,000 entries stream, stay under 200 bytes each, and go with the handle', async (t) => {
  const bench = makeBench({ limits: { listingCacheBytesMax: 4 * 1024 * 1024 } });
  const { store, kernel, fs } = bench;
  const count = 200_000;
  for (let index = 0; index < count; index++) store.put(`train/n01440764_${index}.JPEG`, 'x');
  const { nodeId } = (await kernel.walk('train'))!;
  const handle = await kernel.opendir(nodeId);
  let offset = 0;
  let seen = 0;
  for (;;) {
    const some = await kernel.readdirOnce(nodeId, handle, offset, false, 500);
    const last = some.at(-1);
    if (!last) break;
    seen += some.length;
    offset = last.item.nextOffset;
  }
  t.equal(seen, count + 2);
  const perEntry = fs.stats().openListingBytes / count;
  t.ok(perEntry < 200, `${perEntry.toFixed(1)} bytes an entry`);
  t.ok(fs.stats().listingBytes <= 4 * 1024 * 1024, 'the cache keeps its bound');
  t.equal(fs.stats().nodes, 1, 'names alone make no nodes');
  fs.releasedir(context(), nodeId, handle);
  t.equal(fs.stats().openListingBytes, 0);
});
