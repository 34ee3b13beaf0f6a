/**
 * Lookups that walk a directory name by name become listings: when one begins, where, and when it stops.
 */
import assert from 'node:assert/strict';
import t from 'tap';
import { makeBench, ROOT, settle, type Bench } from '../support/memory-store-kernel.js';

/** Names in the root, which nobody looks up: the LIST that finds a directory would list it already. */
function many(bench: Bench, count: number): string[] {
  const names = Array.from({ length: count }, (_, index) => `f${String(index).padStart(6, '0')}`);
  for (const name of names) bench.store.put(name, name);
  return names;
}

/** Requests that look up one name; the rest are pages of the listing. */
function pages(bench: Bench): { startAfter: string | undefined; token: string | undefined }[] {
  return bench.store.calls
    .filter((call) => call.request?.prefix === '')
    .map(({ request }) => ({ startAfter: request?.startAfter, token: request?.continuationToken }));
}

void t.test('the second lookup lists the directory, the third needs no request', async (t) => {
  const bench = makeBench();
  const { store, kernel } = bench;
  const names = many(bench, 500);
  const nodeId = ROOT;
  await kernel.lookup(nodeId, names[10]!);
  t.same(pages(bench), [], 'one lookup means nothing');
  await kernel.lookup(nodeId, names[11]!);
  await settle();
  t.same(pages(bench), [{ startAfter: undefined, token: undefined }]);
  store.reset();
  let found = 0;
  for (const name of names) if (await kernel.lookup(nodeId, name)) found++;
  t.equal(found, 500);
  t.equal(await kernel.lookup(nodeId, 'nothing'), undefined);
  t.equal(store.reset(), 0, '500 lookups and a miss from one page');
});

void t.test('a large directory is listed around the names that are asked for', async (t) => {
  const bench = makeBench({ limits: { listKeysMax: 100 } });
  const { store, kernel } = bench;
  const names = many(bench, 2000);
  const nodeId = ROOT;
  let asked = 0;
  for (const name of names) {
    store.reset();
    assert.ok(await kernel.lookup(nodeId, name));
    await settle(2);
    asked += store.calls.length;
  }
  t.ok(asked < (2000 / 100) * 8, `a walk in order cost ${asked} requests for 2000 names`);
});

void t.test('a directory of a few pages is listed once, in whatever order its names are asked for', async (t) => {
  const bench = makeBench({ metadataTtlMs: 60_000, limits: { listKeysMax: 100 } });
  const { kernel } = bench;
  const names = many(bench, 300);
  const nodeId = ROOT;
  for (let at = 0; at < 300; at++) {
    assert.ok(await kernel.lookup(nodeId, names[(at * 151 + 77) % 300]!));
    await settle(4);
  }
  t.equal(pages(bench).length, 3);
});

void t.test('random names in a large directory stop being listed', async (t) => {
  const bench = makeBench({ limits: { listKeysMax: 10 } });
  const { kernel, clock } = bench;
  const names = many(bench, 5000);
  const nodeId = ROOT;
  let index = 7;
  for (let round = 0; round < 1000; round++) {
    index = (index * 3221 + 1237) % names.length;
    assert.ok(await kernel.lookup(nodeId, names[index]!));
    clock.advance(100);
    await settle(2);
  }
  const listed = pages(bench).length;
  t.ok(listed < 100, `${listed} pages that answered nothing for 1000 lookups`);
});

void t.test('with an endless TTL the whole directory is listed, once, by tokens', async (t) => {
  const bench = makeBench({ metadataTtlMs: null, negativeMetadataTtlMs: null, limits: { listKeysMax: 100 } });
  const { store, kernel } = bench;
  const names = many(bench, 1000);
  const nodeId = ROOT;
  await kernel.lookup(nodeId, names[500]!);
  await kernel.lookup(nodeId, names[900]!);
  await settle(100);
  t.equal(pages(bench).length, 10);
  t.ok(pages(bench).every((page) => page.startAfter === undefined));
  store.reset();
  for (const name of names) await kernel.lookup(nodeId, name);
  t.equal(store.reset(), 0);
});

void t.test('a cache that cannot hold the directory is not filled in vain', async (t) => {
  const bench = makeBench({
    metadataTtlMs: null,
    negativeMetadataTtlMs: null,
    limits: { listKeysMax: 100, listingCacheBytesMax: 50_000 },
  });
  const { kernel, fs } = bench;
  const names = many(bench, 5000);
  const nodeId = ROOT;
  await kernel.lookup(nodeId, names[4000]!);
  await kernel.lookup(nodeId, names[4001]!);
  await settle(200);
  t.ok(pages(bench).length < 15, `${pages(bench).length} pages`);
  t.ok(fs.stats().listingBytes <= 50_000);
});

void t.test('stores that cannot begin in the middle are listed from the beginning', async (t) => {
  const bench = makeBench({ listsInOrder: false, limits: { listKeysMax: 50 } });
  const { kernel, clock } = bench;
  const names = many(bench, 300);
  const nodeId = ROOT;
  for (const name of names) {
    await kernel.lookup(nodeId, name);
    clock.advance(50);
    await settle(2);
  }
  t.ok(pages(bench).length > 0);
  t.ok(pages(bench).every((page) => page.startAfter === undefined));
});

void t.test('no more directories at a time than the bound, and none after the end', async (t) => {
  const bench = makeBench({ limits: { backgroundListingsMax: 2 } });
  const { store, kernel, fs, clock } = bench;
  const listings = (): number => store.calls.filter((call) => /^d\d\/$/.test(call.request?.prefix ?? '')).length;
  const parents: number[] = [];
  for (let index = 0; index < 5; index++) store.put(`d${index}/x`, '');
  for (let index = 0; index < 5; index++) {
    parents.push((await kernel.lookup(ROOT, `d${index}`))!.nodeId);
  }
  await settle();
  clock.advance(1001);
  store.reset();
  store.hold();
  for (const parent of parents) for (const name of ['x', 'y']) void kernel.lookup(parent, name).catch(() => undefined);
  await settle();
  t.equal(listings(), 2);
  fs.destroy();
  await settle();
  t.equal(listings(), 2);
});
