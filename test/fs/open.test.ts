/**
 * Opening and reading: which version a handle is pinned to, when it is asked for again, and what a replaced, deleted or
 * archived object answers.
 */
import t from 'tap';
import { EBADF, EINTR, EIO, EISDIR, ENOENT, ENXIO, EROFS, ESTALE } from '../../src/base/errno.js';
import { StoreError } from '../../src/engine/store-error.js';
import type { Bench } from '../support/memory-store-kernel.js';
import { context, errnoOf, makeBench, ROOT, settle } from '../support/memory-store-kernel.js';

async function openPath(bench: Bench, path: string): Promise<{ nodeId: number; handle: number }> {
  const { nodeId } = (await bench.kernel.walk(path))!;
  const { handle } = await bench.fs.open(context(), nodeId, 0);
  return { nodeId, handle };
}

void t.test('an open within the TTL asks nothing, a later one asks HEAD', async (t) => {
  const { store, kernel, fs, clock } = makeBench();
  store.put('a', 'x');
  const { nodeId } = (await kernel.lookup(ROOT, 'a'))!;
  store.reset();
  clock.advance(1000);
  await fs.open(context(), nodeId, 0);
  t.equal(store.reset(), 0);
  clock.advance(1);
  await fs.open(context(), nodeId, 0);
  t.same(store.calls, [{ operation: 'head', key: 'a' }]);
  store.reset();
  await fs.open(context(), nodeId, 0);
  t.equal(store.reset(), 0, 'and that HEAD counts for the next');
});

void t.test('indefinite: an open never asks', async (t) => {
  const { store, kernel, fs, clock } = makeBench({ metadataTtlMs: null });
  store.put('a', 'x');
  const { nodeId } = (await kernel.lookup(ROOT, 'a'))!;
  store.reset();
  clock.advance(1e9);
  await fs.open(context(), nodeId, 0);
  t.equal(store.reset(), 0);
});

void t.test('replaced between lookup and open: ESTALE, then a new node with the same st_ino', async (t) => {
  const bench = makeBench();
  const { store, kernel, fs, clock, prefetcher } = bench;
  store.put('a', 'old');
  const old = (await kernel.lookup(ROOT, 'a'))!;
  const first = await fs.open(context(), old.nodeId, 0);
  store.put('a', 'newer');
  clock.advance(1001);
  t.equal(await errnoOf(() => fs.open(context(), old.nodeId, 0)), ESTALE);
  const young = (await kernel.lookup(ROOT, 'a'))!;
  t.not(young.nodeId, old.nodeId);
  t.equal(young.attributes.ino, old.attributes.ino);
  t.equal(young.attributes.sizeBytes, 5);
  const second = await fs.open(context(), young.nodeId, 0);
  t.equal(kernel.read(young.nodeId, second.handle, 0, 100), 'newer');
  t.equal(fs.getattr(context(), old.nodeId).attributes.sizeBytes, 3, 'the old handle keeps its version');
  t.equal(kernel.read(old.nodeId, first.handle, 0, 100), -ESTALE, 'and never reads bytes of the new one');
  t.same(
    prefetcher.opened.map((version) => [version.nodeId, version.sizeBytes]),
    [
      [old.nodeId, 3],
      [young.nodeId, 5],
    ],
  );
  fs.release(context(), old.nodeId, first.handle);
  fs.release(context(), young.nodeId, second.handle);
  kernel.forgetAll();
  t.equal(fs.stats().nodes, 0);
  t.same(
    prefetcher.forgotten.toSorted((a, b) => a - b),
    [old.nodeId, young.nodeId],
    'the prefetcher is told of both',
  );
});

void t.test('deleted between lookup and open: ESTALE, and the lookup that follows finds nothing', async (t) => {
  const { store, kernel, fs, clock } = makeBench();
  store.put('a', 'old');
  const { nodeId } = (await kernel.lookup(ROOT, 'a'))!;
  store.delete('a');
  clock.advance(1001);
  t.equal(await errnoOf(() => fs.open(context(), nodeId, 0)), ESTALE);
  t.equal(await kernel.lookup(ROOT, 'a'), undefined);
});

for (const [who, viaNetThread] of [
  ['the prefetcher', false],
  ['a net thread', true],
] as const) {
  void t.test(`replaced while open, found by a read that ${who} answers`, async (t) => {
    const bench = makeBench({ metadataTtlMs: null });
    const { store, kernel, fs, prefetcher, log } = bench;
    if (viaNetThread) prefetcher.versionLost = (nodeId, etag) => fs.versionLost(nodeId, etag);
    store.put('a', 'old');
    const { nodeId, handle } = await openPath(bench, 'a');
    await kernel.readdir(ROOT);
    store.put('a', 'newer');
    t.equal(kernel.read(nodeId, handle, 0, 100), viaNetThread ? undefined : -ESTALE);
    t.equal(await errnoOf(() => fs.open(context(), nodeId, 0)), ESTALE, 'also when nothing ever expires');
    const young = (await kernel.lookup(ROOT, 'a'))!;
    t.equal(young.attributes.sizeBytes, 5, 'the listing that is older than that is not believed');
    t.match(log.lines.at(-1)?.message, /'a' was replaced or deleted while it was open/);
    t.equal(fs.stats().stale, 1);
    const entry = (await kernel.readdir(ROOT, true)).find(({ item }) => item.name === 'a')?.entry;
    t.ok(entry === undefined || entry.nodeId === young.nodeId, 'nor by readdirplus');
  });
}

void t.test('a lookup on its way when a read finds the version lost is asked again, and is not joined', async (t) => {
  const bench = makeBench();
  const { store, kernel, fs, clock } = bench;
  store.put('a', 'old');
  const { nodeId } = await openPath(bench, 'a');
  clock.advance(1001);
  store.reset();
  store.hold();
  const early = kernel.lookup(ROOT, 'a');
  await settle();
  const { etag } = store.objects.get('a')!;
  store.put('a', 'newer');
  clock.advance(1);
  fs.versionLost(nodeId, etag);
  clock.advance(1);
  const late = kernel.lookup(ROOT, 'a');
  await settle();
  t.equal(store.count('head'), 2, 'what was asked before the discovery cannot know of it');
  // The early HEAD and LIST, and the background listing that the second lookup started.
  store.letGoOldest(3);
  await settle();
  store.letGo();
  t.equal((await late)?.attributes.sizeBytes, 5);
  t.equal((await early)?.attributes.sizeBytes, 5);
});

void t.test('an object that is gone under a reader is ESTALE, not ENOENT', async (t) => {
  const bench = makeBench();
  const { store, kernel, fs, prefetcher } = bench;
  store.put('a', 'old');
  const open = prefetcher.open.bind(prefetcher);
  prefetcher.open = (version) => ({ ...open(version), read: (_offset, _size, sink) => sink.error(ENOENT) });
  const { nodeId, handle } = await openPath(bench, 'a');
  t.equal(kernel.read(nodeId, handle, 0, 1), -ESTALE);
  fs.release(context(), nodeId, handle);
});

void t.test('other read errors pass as they are, with one line', async (t) => {
  const bench = makeBench();
  const { store, kernel, fs, prefetcher, log } = bench;
  store.put('a', 'old');
  const open = prefetcher.open.bind(prefetcher);
  prefetcher.open = (version) => ({ ...open(version), read: (_offset, _size, sink) => sink.error(EIO) });
  const { nodeId, handle } = await openPath(bench, 'a');
  for (let round = 0; round < 10; round++) t.equal(kernel.read(nodeId, handle, 0, 1), -EIO);
  t.equal(log.lines.length, 1);
  t.match(log.lines[0]?.message, /read of 'a' failed with EIO/);
  t.equal(await errnoOf(() => fs.open(context(), nodeId, 0)), 0, 'the version is still good');
});

void t.test('the HEAD of an open fails: its errno, and nothing is concluded', async (t) => {
  const { store, kernel, fs, clock } = makeBench();
  store.put('a', 'x');
  const { nodeId } = (await kernel.lookup(ROOT, 'a'))!;
  clock.advance(1001);
  store.fault = () => {
    throw new StoreError({ errno: EIO, code: 'SlowDown', status: 503, resource: 's3://b/a', message: 'slow down' });
  };
  t.equal(await errnoOf(() => fs.open(context(), nodeId, 0)), EIO);
  store.fault = undefined;
  t.equal(await errnoOf(() => fs.open(context(), nodeId, 0)), 0);
});

void t.test('opens at the same time share one HEAD; an interrupted one leaves alone', async (t) => {
  const { store, kernel, fs, clock } = makeBench();
  store.put('a', 'x');
  const { nodeId } = (await kernel.lookup(ROOT, 'a'))!;
  clock.advance(1001);
  store.reset();
  store.hold();
  const abort = new AbortController();
  const left = errnoOf(() => fs.open(context(abort), nodeId, 0));
  const others = [1, 2, 3].map(async () => fs.open(context(), nodeId, 0));
  await settle();
  abort.abort();
  t.equal(await left, EINTR);
  store.letGo();
  const handles = (await Promise.all(others)).map((reply) => reply.handle);
  t.equal(new Set(handles).size, 3);
  t.equal(store.reset(), 1);
  t.equal(fs.stats().openFiles, 3);
});

void t.test('archived objects', async (t) => {
  const cases: [string, boolean, number][] = [
    ['GLACIER', false, EIO],
    ['DEEP_ARCHIVE', false, EIO],
    ['GLACIER', true, 0],
    ['DEEP_ARCHIVE', true, 0],
    ['GLACIER_IR', false, 0],
    ['STANDARD_IA', false, 0],
    ['INTELLIGENT_TIERING', false, 0],
  ];
  for (const [storageClass, restored, errno] of cases) {
    const bench = makeBench({ metadataTtlMs: null });
    const { store, kernel, fs, log } = bench;
    store.put('cold', 'x', { storageClass, restored });
    await kernel.readdir(ROOT);
    const { nodeId } = (await kernel.lookup(ROOT, 'cold'))!;
    const got = await errnoOf(() => fs.open(context(), nodeId, 0));
    t.equal(got, errno, `${storageClass}${restored ? ' restored' : ''}`);
    if (errno === 0) continue;
    t.match(log.lines.at(-1)?.message, new RegExp(`'cold' .* archived \\(${storageClass}\\); restore it first`));
    store.objects.set('cold', { ...store.objects.get('cold')!, restored: true });
    t.equal(await errnoOf(() => fs.open(context(), nodeId, 0)), 0, 'a restore is seen at once, even without a TTL');
  }
});

void t.test('opens that want to write', async (t) => {
  const { store, kernel, fs } = makeBench();
  store.put('a', 'x');
  const { nodeId } = (await kernel.lookup(ROOT, 'a'))!;
  const flags: [string, number][] = [
    ['O_WRONLY', 1],
    ['O_RDWR', 2],
    ['O_RDONLY|O_TRUNC', 0o1000],
    ['O_WRONLY|O_APPEND', 1 | 0o2000],
  ];
  for (const [name, value] of flags) t.equal(await errnoOf(() => fs.open(context(), nodeId, value)), EROFS, name);
  t.equal(await errnoOf(() => fs.open(context(), nodeId, 0o100000 | 0o2000000)), 0, 'O_LARGEFILE|O_CLOEXEC');
});

void t.test('wrong things to open and read', async (t) => {
  const bench = makeBench();
  const { store, kernel, fs } = bench;
  store.put('a', 'x');
  t.equal(await errnoOf(() => fs.open(context(), ROOT, 0)), EISDIR);
  t.equal(await errnoOf(() => fs.open(context(), 4711, 0)), ESTALE);
  const { nodeId, handle } = await openPath(bench, 'a');
  fs.release(context(), nodeId, handle);
  t.equal(await errnoOf(() => kernel.read(nodeId, handle, 0, 1)), EBADF);
  t.equal(await errnoOf(() => fs.release(context(), nodeId, handle)), EBADF);
  fs.accessed(0, handle, 0, 1);
  t.pass('a late note of a reader thread does no harm');
});

void t.test('lseek finds data from start to end', async (t) => {
  const bench = makeBench();
  bench.store.put('a', 'hello');
  const { nodeId, handle } = await openPath(bench, 'a');
  const seek = (offset: number, whence: number): number => bench.fs.lseek(context(), nodeId, handle, offset, whence);
  t.equal(seek(2, 3), 2);
  t.equal(seek(2, 4), 5);
  t.equal(await errnoOf(() => seek(5, 3)), ENXIO);
});

void t.test('keepCache can be turned off; FLUSH is never wanted', async (t) => {
  const { store, kernel, fs } = makeBench({ keepCache: false });
  store.put('a', 'x');
  const { nodeId } = (await kernel.lookup(ROOT, 'a'))!;
  const { handle, keepCache, noFlush } = await fs.open(context(), nodeId, 0);
  t.same([keepCache, noFlush], [false, true]);
  t.equal(fs.flush(context(), nodeId, handle), undefined);
  t.equal(fs.fsync(context(), nodeId, handle), undefined);
});
