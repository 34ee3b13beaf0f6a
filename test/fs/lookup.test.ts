/**
 * How a lookup is answered: how many requests it costs, how old it may be, who shares it, who is told what went wrong.
 */
import t from 'tap';
import { EACCES, EINTR, EIO, ENOTDIR, ESTALE } from '../../src/base/errno.js';
import { StoreError } from '../../src/engine/store-error.js';
import { FOREVER_MS } from '../../src/fs/freshness.js';
import { context, errnoOf, makeBench, ROOT, settle } from '../support/memory-store-kernel.js';

function storeError(errno: number): StoreError {
  return new StoreError({
    errno,
    code: 'Trouble',
    status: 403,
    resource: 's3://bucket/x',
    message: 'the store said no',
    remedy: 'grant s3:ListBucket',
  });
}

void t.test('a first lookup asks HEAD and LIST at once', async (t) => {
  const { store, kernel } = makeBench();
  store.put('dir/file', 'x');
  store.hold();
  const asked = kernel.lookup(ROOT, 'dir');
  await settle();
  t.same(
    store.calls.map((call) => [call.operation, call.key, call.request?.keysMax]),
    [
      ['list', 'dir/', 1000],
      ['head', 'dir', undefined],
    ],
  );
  store.letGo();
  t.equal((await asked)?.attributes.mode, 0o040755);
});

void t.test('the LIST that finds a directory answers the lookups in it', async (t) => {
  const { store, kernel } = makeBench();
  store.put('dir/file', 'x');
  store.put('dir/sub/y', 'x');
  const dir = (await kernel.lookup(ROOT, 'dir'))!;
  store.reset();
  t.ok(await kernel.lookup(dir.nodeId, 'file'));
  t.equal((await kernel.lookup(dir.nodeId, 'sub'))?.attributes.mode, 0o040755);
  t.equal(await kernel.lookup(dir.nodeId, 'nothing'), undefined);
  t.same(await kernel.names(dir.nodeId), ['file', 'sub']);
  t.equal(store.reset(), 0);
});

void t.test('a large directory whose first page answered nothing is asked for one key the next time', async (t) => {
  const { store, kernel, clock } = makeBench({ limits: { listKeysMax: 10 } });
  for (let index = 0; index < 30; index++) store.put(`dir/f${index + 10}`, 'x');
  const keysAsked = async (): Promise<(number | undefined)[]> => {
    store.reset();
    clock.advance(1001);
    await kernel.lookup(ROOT, 'dir');
    return store.calls.filter((call) => call.key === 'dir/').map((call) => call.request?.keysMax);
  };
  t.same(await keysAsked(), [10]);
  t.same(await keysAsked(), [1], 'nobody looked a name of its first page up');
  const dir = (await kernel.lookup(ROOT, 'dir'))!;
  await kernel.readdir(dir.nodeId);
  await kernel.lookup(dir.nodeId, 'f11');
  t.same(await keysAsked(), [10]);
});

void t.test('names that do not exist leave nothing in the listing cache', async (t) => {
  const { kernel, fs } = makeBench();
  for (let index = 0; index < 50; index++) await kernel.lookup(ROOT, `no${index}`);
  // The root's own page, which the second miss brought, is empty too.
  t.equal(fs.stats().listingBytes, 0);
});

void t.test('a directory wins over a file of the same name, and does not wait for the HEAD', async (t) => {
  const { store, kernel } = makeBench();
  store.put('both', 'file');
  store.put('both/x', '');
  t.equal((await kernel.lookup(ROOT, 'both'))?.attributes.mode, 0o040755);
  store.fault = (call) => {
    if (call.operation === 'head') throw storeError(EIO);
  };
  store.put('dir/x', '');
  t.ok(await kernel.lookup(ROOT, 'dir'), 'a failing HEAD does not hide a directory');
});

void t.test('a marker alone is a directory', async (t) => {
  const { store, kernel } = makeBench();
  store.put('empty/', '');
  const entry = await kernel.lookup(ROOT, 'empty');
  t.equal(entry?.attributes.mode, 0o040755);
  t.same(await kernel.names(entry!.nodeId), [], 'the marker is not shown inside');
});

void t.test('a name is asked again only after the TTL', async (t) => {
  const { store, kernel, clock } = makeBench();
  store.put('a', 'one');
  await kernel.lookup(ROOT, 'a');
  store.reset();
  store.put('a', 'three');
  clock.advance(1000);
  t.equal((await kernel.lookup(ROOT, 'a'))?.attributes.sizeBytes, 3);
  t.equal(store.reset(), 0);
  clock.advance(1);
  t.equal((await kernel.lookup(ROOT, 'a'))?.attributes.sizeBytes, 5);
  t.equal(store.count('head'), 1);
});

void t.test('the kernel is told what is left of the TTL, counted from when the request was sent', async (t) => {
  const { store, kernel, clock } = makeBench();
  store.put('a', 'x');
  store.hold();
  const asked = kernel.lookup(ROOT, 'a');
  await settle();
  clock.advance(300);
  store.letGo();
  const first = await asked;
  t.same([first?.entryTtlMs, first?.attributesTtlMs], [700, 700]);
  clock.advance(400);
  t.equal((await kernel.lookup(ROOT, 'a'))?.entryTtlMs, 300, 'answering it again does not make it younger');
});

void t.test('an answer slower than the TTL gets through, once, with nothing left', async (t) => {
  const { store, kernel, clock } = makeBench();
  store.put('a', 'x');
  store.hold();
  const asked = kernel.lookup(ROOT, 'a');
  await settle();
  clock.advance(5000);
  store.letGo();
  t.equal((await asked)?.entryTtlMs, 0);
  store.reset();
  await kernel.lookup(ROOT, 'a');
  t.equal(store.count('head'), 1);
});

void t.test('indefinite: asked once, and the kernel never asks again', async (t) => {
  const { store, kernel, clock } = makeBench({ metadataTtlMs: null, negativeMetadataTtlMs: null });
  store.put('a', 'x');
  t.equal((await kernel.lookup(ROOT, 'a'))?.entryTtlMs, FOREVER_MS);
  clock.advance(1e9);
  store.reset();
  await kernel.lookup(ROOT, 'a');
  t.equal(store.reset(), 0);
});

void t.test('names that do not exist are remembered by their own TTL', async (t) => {
  const { store, kernel, fs, clock } = makeBench({ metadataTtlMs: 60_000, negativeMetadataTtlMs: 500 });
  const entry = await fs.lookup(context(), ROOT, 'no');
  t.same([entry.nodeId, entry.entryTtlMs], [0, 500]);
  store.reset();
  store.put('no', 'now');
  clock.advance(500);
  t.equal(await kernel.lookup(ROOT, 'no'), undefined);
  t.equal(store.reset(), 0);
  clock.advance(1);
  t.ok(await kernel.lookup(ROOT, 'no'));
});

void t.test('a fact is as old as the older of the two requests that it came from', async (t) => {
  const { store, kernel, clock } = makeBench();
  store.put('d/1', 'x');
  const { nodeId } = (await kernel.lookup(ROOT, 'd'))!;
  clock.advance(1001);
  store.hold();
  const listed = kernel.readdir(nodeId);
  await settle();
  store.reset();
  store.delete('d/1');
  clock.advance(400);
  const joined = kernel.lookup(ROOT, 'd');
  await settle();
  t.equal(store.count('list'), 1, 'the LIST of the readdir serves (the other is that of the root)');
  clock.advance(200);
  const late = kernel.lookup(ROOT, 'd');
  await settle();
  store.letGo();
  t.equal((await joined)?.entryTtlMs, 400, 'what it says is as old as itself');
  t.equal((await late)?.entryTtlMs, 400);
  await listed;
});

void t.test('who asks is not given what was too old when it asked, though others get it', async (t) => {
  const { store, kernel, clock } = makeBench({ negativeMetadataTtlMs: 500 });
  store.put('d/1', 'x');
  const { nodeId } = (await kernel.lookup(ROOT, 'd'))!;
  clock.advance(1001);
  store.delete('d/1');
  store.hold();
  const listed = kernel.readdir(nodeId);
  await settle();
  clock.advance(400);
  const joins = kernel.lookup(ROOT, 'd');
  await settle();
  store.put('d/1', 'y');
  clock.advance(200);
  const late = kernel.lookup(ROOT, 'd');
  await settle();
  store.letGo();
  t.equal(await joins, undefined, 'true when it asked, or 400 ms before');
  t.ok(await late, 'that was 600 ms before, and 500 are allowed');
  await listed;
});

void t.test('absence from a listing ages by the negative TTL too', async (t) => {
  const { store, kernel, clock } = makeBench({ metadataTtlMs: 60_000, negativeMetadataTtlMs: 500 });
  store.put('a', '');
  await kernel.readdir(ROOT);
  store.reset();
  t.equal(await kernel.lookup(ROOT, 'no'), undefined);
  t.equal(store.reset(), 0);
  clock.advance(501);
  t.ok(await kernel.lookup(ROOT, 'a'));
  t.equal(store.reset(), 0, 'presence is still fresh');
  t.equal(await kernel.lookup(ROOT, 'no'), undefined);
  t.equal(store.count('head'), 1);
});

void t.test('names that no key can have cost nothing', async (t) => {
  const { store, kernel } = makeBench();
  for (const name of ['.', '..', 'x\0', 'x'.repeat(256)]) t.equal(await kernel.lookup(ROOT, name), undefined);
  store.put(`${'d'.repeat(250)}/${'d'.repeat(250)}/${'d'.repeat(250)}/${'d'.repeat(250)}/x`, '');
  const deep = await kernel.walk(Array.from({ length: 4 }, () => 'd'.repeat(250)).join('/'));
  store.reset();
  t.equal(await kernel.lookup(deep!.nodeId, 'y'.repeat(21)), undefined, 'a key of 1025 bytes');
  t.equal(store.reset(), 0);
});

void t.test('the same question at the same time is one question', async (t) => {
  const { store, kernel } = makeBench();
  store.put('a', 'x');
  store.hold();
  const asked = Array.from({ length: 10 }, () => kernel.lookup(ROOT, 'a'));
  await settle();
  t.equal(store.count('head'), 1);
  store.letGo();
  const entries = await Promise.all(asked);
  t.equal(new Set(entries.map((entry) => entry?.nodeId)).size, 1);
  t.equal(kernel.counts.get(entries[0]!.nodeId), 10, 'each answer counts as a lookup');
});

void t.test(
  'an interrupted lookup ends at once, the others go on, the last one takes the requests along',
  async (t) => {
    const { store, kernel, fs } = makeBench();
    store.put('a', 'x');
    store.hold();
    const abort = new AbortController();
    const left = errnoOf(() => fs.lookup(context(abort), ROOT, 'a'));
    const stays = kernel.lookup(ROOT, 'a');
    await settle();
    abort.abort();
    t.equal(await left, EINTR);
    t.equal(store.aborted, 0);
    store.letGo();
    t.ok(await stays);

    store.hold();
    const last = new AbortController();
    const alone = errnoOf(() => fs.lookup(context(last), ROOT, 'b'));
    await settle();
    last.abort();
    t.equal(await alone, EINTR);
    t.equal(store.aborted, 2, 'HEAD and LIST');
    kernel.forgetAll();
    t.equal(fs.stats().nodes, 0, 'an interrupted lookup counts nothing');
  },
);

void t.test('the errno of the store reaches the caller, one line says what to do', async (t) => {
  const { store, kernel, log } = makeBench();
  store.fault = () => {
    throw storeError(EACCES);
  };
  for (let round = 0; round < 5; round++) t.equal(await errnoOf(() => kernel.lookup(ROOT, `x${round}`)), EACCES);
  const lines = log.lines.filter((line) => line.level === 'warn');
  t.ok(lines.length <= 2, 'not one line for each (lookups, and their background listing)');
  t.match(lines[0]?.message, /lookup of 'x0' failed with EACCES: the store said no; grant s3:ListBucket/);
  store.fault = undefined;
  store.put('x0', 'now');
  t.ok(await kernel.lookup(ROOT, 'x0'), 'failures are not remembered');
});

void t.test('an object that may be read is found without permission to list', async (t) => {
  const { store, kernel } = makeBench();
  store.put('a', 'x');
  store.fault = (call) => {
    if (call.operation === 'list') throw storeError(EACCES);
  };
  t.equal((await kernel.lookup(ROOT, 'a'))?.attributes.sizeBytes, 1);
  t.equal(await errnoOf(() => kernel.lookup(ROOT, 'b')), EACCES, 'but nobody can say that something is not there');
});

void t.test('a parent that is a file, or not known', async (t) => {
  const { store, kernel } = makeBench();
  store.put('a', 'x');
  const { nodeId } = (await kernel.lookup(ROOT, 'a'))!;
  t.equal(await errnoOf(() => kernel.lookup(nodeId, 'x')), ENOTDIR);
  t.equal(await errnoOf(() => kernel.lookup(4711, 'x')), ESTALE);
});

void t.test('many names of one directory at the same time wait for one listing, not for a question each', async (t) => {
  const { store, kernel } = makeBench();
  for (let index = 10; index < 42; index++) store.put(`f${index}`, 'x');
  store.hold();
  const asked = Array.from({ length: 32 }, (_, index) => kernel.lookup(ROOT, `f${index + 10}`));
  await settle();
  t.equal(store.count('head'), 2, 'the first two: then a listing is on its way');
  t.equal(store.calls.filter((call) => call.operation === 'list' && call.key === '').length, 1);
  store.letGo();
  for (const entry of await Promise.all(asked)) t.equal(entry?.attributes.sizeBytes, 1);
  t.equal(store.count('head'), 2);
});

void t.test(
  'a name that the listing on its way does not speak of, or fails with, is asked for by itself',
  async (t) => {
    const { store, kernel } = makeBench({ limits: { listKeysMax: 10 } });
    for (let index = 10; index < 42; index++) store.put(`f${index}`, 'x');
    store.hold();
    const asked = ['f10', 'f11', 'f41', 'f99'].map((name) => kernel.lookup(ROOT, name));
    await settle();
    t.equal(store.count('head'), 2);
    store.letGo();
    const [, , last, none] = await Promise.all(asked);
    t.equal(last?.attributes.sizeBytes, 1);
    t.equal(none, undefined);
    t.ok(store.count('head') > 2);
  },
);
