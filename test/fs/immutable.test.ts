/**
 * Reading without opens (`--immutable`): cursors and the pinned version belong to the node, readers end without a RELEASE,
 * and objects that change all the same are refused.
 */
import t from 'tap';
import { EIO, EISDIR, ENOSYS, EROFS, ESTALE } from '../../src/base/errno.js';
import { IDLE_MS, READERS_MAX } from '../../src/fs/inode-readers.js';
import type { FileSystemOptions } from '../../src/fs/file-system.js';
import { MemoryStore } from '../support/memory-store.js';
import { context, errnoOf, makeBench, ROOT, settle, type Bench } from '../support/memory-store-kernel.js';

const immutable: Partial<FileSystemOptions> = { metadataTtlMs: null, negativeMetadataTtlMs: null, withoutOpens: true };

async function found(bench: Bench, path: string): Promise<number> {
  return (await bench.kernel.walk(path))!.nodeId;
}

void t.test('OPEN and FLUSH say that they are not needed, and READs come without a handle', async (t) => {
  const bench = makeBench(immutable);
  const { store, kernel, fs, prefetcher } = bench;
  store.put('a', 'hello world');
  const nodeId = await found(bench, 'a');
  t.equal(await errnoOf(() => fs.open(context(), nodeId, 0)), ENOSYS);
  t.equal(await errnoOf(() => fs.flush(context(), nodeId, 0)), ENOSYS);
  store.reset();
  t.equal(kernel.read(nodeId, 0, 0, 5), 'hello');
  t.equal(kernel.read(nodeId, 0, 6, 100), 'world', 'clamped at the end');
  t.equal(kernel.read(nodeId, 0, 11, 100), '');
  t.equal(kernel.read(nodeId, 0, 5000, 100), '');
  fs.accessed(nodeId, 0, 0, 4);
  t.same(prefetcher.accesses, [{ key: 'a', offset: 0, sizeBytes: 4 }]);
  t.equal(prefetcher.opened.length, 1, 'one reader for all of them');
  t.equal(store.reset(), 0, 'no HEAD, no LIST');
  t.equal(fs.lseek(context(), nodeId, 0, 3, 4), 11);
  t.equal(await errnoOf(() => fs.open(context(), nodeId, 1)), EROFS);
  t.equal(await errnoOf(() => kernel.read(ROOT, 0, 0, 1)), EISDIR);
  t.equal(await errnoOf(() => kernel.read(4711, 0, 0, 1)), ESTALE);
  fs.accessed(4711, 0, 0, 1);
  t.pass('a late note of a reader thread does no harm');
  kernel.forgetAll();
  t.same([prefetcher.closed, prefetcher.forgotten], [1, [nodeId]], 'forgetting ends the reader');
  t.equal(fs.stats().openFiles, 0);
});

void t.test('an empty object has no reader', async (t) => {
  const bench = makeBench(immutable);
  bench.store.put('empty', '');
  const nodeId = await found(bench, 'empty');
  t.equal(bench.kernel.read(nodeId, 0, 0, 100), '');
  bench.fs.accessed(nodeId, 0, 0, 100);
  t.equal(bench.prefetcher.opened.length, 0);
});

void t.test('a reader ends when nobody used it for a while, and a later read begins another', async (t) => {
  const bench = makeBench(immutable);
  const { store, kernel, fs, clock, prefetcher } = bench;
  store.put('a', 'aaa');
  store.put('b', 'bbb');
  const [a, b] = [await found(bench, 'a'), await found(bench, 'b')];
  kernel.read(a, 0, 0, 1);
  clock.advance(IDLE_MS / 2);
  kernel.read(b, 0, 0, 1);
  clock.advance(IDLE_MS / 4);
  fs.accessed(a, 0, 1, 1);
  clock.advance(IDLE_MS * 0.75 - 1);
  t.equal(prefetcher.closed, 0);
  clock.advance(1);
  t.equal(prefetcher.closed, 1, 'b is over, a was used after it');
  clock.advance(IDLE_MS / 4);
  t.same([prefetcher.closed, fs.stats().openFiles, clock.pending], [2, 0, 0], 'and then there is no timer left');
  t.equal(kernel.read(a, 0, 0, 3), 'aaa');
  t.equal(prefetcher.opened.length, 3);
  fs.destroy();
  t.same([prefetcher.closed, clock.pending], [3, 0]);
});

void t.test('the least recently used reader gives way', async (t) => {
  const store = new MemoryStore();
  for (let at = 0; at <= READERS_MAX; at++) store.put(`f${at}`, 'x');
  const { kernel, fs, prefetcher } = makeBench(immutable, store);
  for (const { item } of await kernel.readdir(ROOT)) {
    const { nodeId } = (await kernel.lookup(ROOT, item.name))!;
    kernel.read(nodeId, 0, 0, 1);
  }
  t.same([prefetcher.opened.length, prefetcher.closed, fs.stats().openFiles], [READERS_MAX + 1, 1, READERS_MAX]);
  fs.destroy();
});

void t.test(
  'an object that changes all the same: ESTALE, one clear line, and the path finds the new one',
  async (t) => {
    const bench = makeBench(immutable);
    const { store, kernel, log } = bench;
    store.put('a', 'old');
    const old = await found(bench, 'a');
    t.equal(kernel.read(old, 0, 0, 3), 'old');
    store.put('a', 'newer');
    t.equal(kernel.read(old, 0, 0, 3), -ESTALE);
    t.match(log.lines.at(-1)?.message, /'a' was replaced or deleted although the mount is --immutable.*mount without/);
    const young = (await kernel.lookup(ROOT, 'a'))!;
    t.not(young.nodeId, old);
    t.equal(kernel.read(young.nodeId, 0, 0, 100), 'newer');
    t.equal(kernel.read(old, 0, 0, 3), -ESTALE, 'never bytes of the new one under the old node');
  },
);

void t.test('archived objects fail at their first READ', async (t) => {
  const bench = makeBench(immutable);
  const { store, kernel, fs, log } = bench;
  store.put('cold', 'xyz', { storageClass: 'GLACIER' });
  const nodeId = await found(bench, 'cold');
  const read = async (): Promise<number | string | undefined> => {
    let answer: number | string | undefined;
    fs.read(context(), nodeId, 0, 0, 3, {
      ticket: undefined,
      data: (parts) => (answer = Buffer.concat(parts).toString()),
      error: (errno) => (answer = -errno),
      handedOver: () => ({ finished: () => undefined }),
    });
    await settle();
    return answer;
  };
  t.equal(await read(), -EIO);
  t.match(log.lines.at(-1)?.message, /read of 'cold' is refused with EIO: the object is archived/);
  store.objects.set('cold', { ...store.objects.get('cold')!, restored: true });
  t.equal(await read(), 'xyz', 'a restore that completes is seen by the next READ');
  kernel.forgetAll();
});

void t.test('small files of the same directory are fetched ahead by what is read', async (t) => {
  const store = new MemoryStore();
  for (let at = 100; at < 160; at++) store.put(`d/${at}`, `content of ${at}`);
  const { kernel, fs } = makeBench(immutable, store, true);
  const directory = (await kernel.lookup(ROOT, 'd'))!.nodeId;
  await kernel.readdir(directory);
  for (let at = 100; at < 130; at++) {
    const { nodeId } = (await kernel.lookup(directory, `${at}`))!;
    t.equal(kernel.read(nodeId, 0, 0, 100), `content of ${at}`);
    await settle(2);
  }
  t.ok(fs.stats().fetchedAhead > 10, `${fs.stats().fetchedAhead} were fetched ahead`);
  t.ok(fs.stats().fetchedAheadUsed > 10, `${fs.stats().fetchedAheadUsed} of them were read`);
  kernel.forgetAll();
  fs.destroy();
  t.equal(fs.stats().nodes, 0, 'reservations end too');
});
