/**
 * The thin path: look up, stat, list, open, read, release on a small bucket.
 */
import t from 'tap';
import { EROFS } from '../../src/base/errno.js';
import { context, errnoOf, makeBench, ROOT } from '../support/memory-store-kernel.js';

void t.test('a file is found, opened, read and forgotten', async (t) => {
  const { store, kernel, fs, prefetcher } = makeBench({ prefix: 'data/' });
  store.put('data/train/a.bin', 'hello world');
  store.put('data/empty', '');
  const entry = await kernel.walk('train/a.bin');
  t.equal(entry?.attributes.sizeBytes, 11);
  t.equal(entry?.attributes.mode, 0o100644);
  const { nodeId } = entry!;
  const { handle, keepCache, noFlush } = await fs.open(context(), nodeId, 0);
  t.same([keepCache, noFlush], [true, true]);
  t.equal(kernel.read(nodeId, handle, 0, 5), 'hello');
  t.equal(kernel.read(nodeId, handle, 6, 100), 'world', 'clamped at the end');
  t.equal(kernel.read(nodeId, handle, 11, 100), '', 'nothing at the end');
  t.equal(kernel.read(nodeId, handle, 5000, 100), '', 'nothing beyond');
  t.same(prefetcher.reads.at(-1), { key: 'data/train/a.bin', offset: 6, sizeBytes: 5 });
  fs.accessed(0, handle, 0, 4);
  t.same(prefetcher.accesses, [{ key: 'data/train/a.bin', offset: 0, sizeBytes: 4 }]);
  fs.release(context(), nodeId, handle);
  t.equal(prefetcher.closed, 1);
  kernel.forgetAll();
  t.equal(fs.stats().nodes, 0);
  t.same(prefetcher.forgotten, [nodeId]);
});

void t.test('an empty object is read without a request', async (t) => {
  const { store, kernel, fs, prefetcher } = makeBench();
  store.put('empty', '');
  const { nodeId } = (await kernel.walk('empty'))!;
  const { handle } = await fs.open(context(), nodeId, 0);
  t.equal(kernel.read(nodeId, handle, 0, 4096), '');
  t.same(prefetcher.opened, []);
  fs.release(context(), nodeId, handle);
});

void t.test('a directory is listed with and without attributes', async (t) => {
  const { store, kernel, fs } = makeBench();
  for (const key of ['a', 'b/x', 'b/y/z', 'c']) store.put(key, key);
  t.same(await kernel.names(ROOT), ['a', 'b', 'c']);
  const plus = await kernel.readdir(ROOT, true, 2);
  t.same(
    plus.map(({ item, entry }) => [item.name, item.type, entry?.attributes.ino === item.ino]),
    [
      ['a', 8, true],
      ['b', 4, true],
      ['c', 8, true],
    ],
  );
  store.reset();
  t.ok(await kernel.walk('a'));
  t.ok(await kernel.walk('c'));
  t.notOk(await kernel.walk('d'));
  t.equal(store.reset(), 0, 'lookups are answered from the listing');
  t.equal((await kernel.walk('b/y'))?.attributes.mode, 0o040755);
  kernel.forgetAll();
  t.equal(fs.stats().nodes, 0);
});

void t.test('an empty bucket has a root', async (t) => {
  const { kernel, fs } = makeBench();
  t.equal(fs.getattr(context(), ROOT).attributes.mode, 0o040755);
  t.same(await kernel.names(ROOT), []);
  t.equal(await errnoOf(() => fs.mkdir(context(), ROOT, 'x', 0o755)), EROFS);
});
