/**
 * What the next daemon knows of directories and of files that are open for reading, and what becomes of what it does not know.
 */
import t from 'tap';
import { EBADF, ESTALE } from '../../../src/base/errno.js';
import { HeirBench, numbered } from '../../support/heir-bench.js';
import { context, errnoOf, ROOT } from '../../support/memory-store-kernel.js';

for (const generation of [0, 5000]) {
  void t.test(`directories that the kernel knows, from generation ${generation} on`, async (t) => {
    const bench = new HeirBench({}, { generation });
    bench.store.put('a/b/c', 'bytes');
    const a = (await bench.kernel.walk('a'))!;
    const b = (await bench.kernel.lookup(a.nodeId, 'b'))!;
    const again = (await bench.kernel.lookup(a.nodeId, 'b'))!;
    t.equal(again.nodeId, b.nodeId);
    for (let kill = 0; kill < 3; kill++) {
      bench.kill();
      const c = (await bench.kernel.lookup(b.nodeId, 'c'))!;
      t.ok(c.nodeId > generation * 2 ** 40 && Number.isSafeInteger(c.nodeId));
      t.equal(bench.fs.getattr(context(), a.nodeId).attributes.ino, a.attributes.ino);
      t.equal((await bench.kernel.walk('a/b'))!.nodeId, b.nodeId, 'its name means the same node');
      bench.kernel.forget(c.nodeId);
    }
    bench.kernel.forgetAll();
    t.equal(bench.fs.stats().nodes, 0, 'every lookup was counted');
    bench.kill();
    t.equal(bench.fs.stats().nodes, 0, 'and what is forgotten is not inherited');
    t.same(bench.log.lines, []);
  });

  void t.test(`files that are open for reading, from generation ${generation} on`, async (t) => {
    const bench = new HeirBench({}, { generation });
    bench.store.put('f', 'first version');
    const f = (await bench.kernel.walk('f'))!;
    const { handle } = await bench.fs.open(numbered(), f.nodeId, 0);
    const other = (await bench.fs.open(numbered(), f.nodeId, 0)).handle;
    for (let kill = 0; kill < 3; kill++) {
      bench.kill();
      t.equal(bench.kernel.read(f.nodeId, handle, 0, 5), 'first');
      t.equal((await bench.kernel.walk('f'))!.nodeId, f.nodeId, 'the same version is the same node: its pages stay');
    }
    const third = await bench.fs.open(numbered(), f.nodeId, 0);
    t.not(third.handle, handle);
    await bench.fs.release(context(), f.nodeId, other);
    bench.store.put('f', 'second version, longer');
    bench.clock.advance(2000);
    bench.kill();
    const now = (await bench.kernel.walk('f'))!;
    t.not(now.nodeId, f.nodeId, 'another version is another node');
    t.equal(now.attributes.sizeBytes, 22);
    t.equal(bench.fs.getattr(context(), f.nodeId).attributes.sizeBytes, 13, 'an old descriptor shows its own');
    t.equal(bench.kernel.read(f.nodeId, handle, 0, 5), -ESTALE, 'and never reads the other');
    await bench.fs.release(context(), f.nodeId, handle);
    await bench.fs.release(context(), f.nodeId, third.handle);
    bench.kernel.forgetAll();
    t.match(bench.fs.stats(), { nodes: 0, openFiles: 0 });
    t.notOk(
      bench.log.lines.some(({ message }) => message.includes('forgot')),
      'no count went wrong',
    );
  });
}

void t.test('a file that nobody has open is looked up again', async (t) => {
  const bench = new HeirBench();
  bench.store.put('f', 'x');
  const f = (await bench.kernel.walk('f'))!;
  bench.kill();
  t.equal(await errnoOf(() => bench.fs.getattr(context(), f.nodeId)), ESTALE);
  t.equal(await errnoOf(() => bench.fs.open(numbered(), f.nodeId, 0)), ESTALE);
  t.equal(await errnoOf(() => bench.fs.getxattr(context(), f.nodeId, 'user.s3.etag')), ESTALE);
  const again = (await bench.kernel.walk('f'))!;
  t.not(again.nodeId, f.nodeId);
  bench.kernel.forget(f.nodeId);
  bench.kernel.forget(again.nodeId);
  t.equal(bench.fs.stats().nodes, 0);
  t.same(bench.log.lines, [], 'forgetting what an earlier daemon told is no trouble');
});

void t.test('what was closed comes to its end twice without a word', async (t) => {
  const bench = new HeirBench();
  bench.store.put('d/f', 'x');
  const d = (await bench.kernel.walk('d'))!;
  const f = (await bench.kernel.lookup(d.nodeId, 'f'))!;
  const { handle } = await bench.fs.open(numbered(), f.nodeId, 0);
  const directory = await bench.kernel.opendir(d.nodeId);
  await bench.fs.release(context(), f.nodeId, handle);
  bench.fs.releasedir(context(), d.nodeId, directory);
  bench.kill();
  await bench.fs.release(context(), f.nodeId, handle);
  bench.fs.releasedir(context(), d.nodeId, directory);
  t.equal(await errnoOf(() => bench.kernel.readdirOnce(d.nodeId, directory, 0, false)), EBADF);
  t.match(bench.fs.stats(), { openFiles: 0, openDirectories: 0 });
});

void t.test('an OPEN that is sent again gets the handle that it was given', async (t) => {
  const bench = new HeirBench();
  bench.store.put('d/f', 'bytes');
  const d = (await bench.kernel.walk('d'))!;
  const f = (await bench.kernel.lookup(d.nodeId, 'f'))!;
  const open = numbered();
  const opendir = numbered();
  const { handle } = await bench.fs.open(open, f.nodeId, 0);
  const directory = bench.fs.opendir(opendir, d.nodeId).handle;
  bench.kill();
  t.equal((await bench.fs.open(numbered(open), f.nodeId, 0)).handle, handle);
  t.equal(bench.fs.opendir(numbered(opendir), d.nodeId).handle, directory);
  bench.kill();
  t.equal((await bench.fs.open(numbered(open), f.nodeId, 0)).handle, handle, 'after two deaths as well');
  t.match(bench.fs.stats(), { openFiles: 1, openDirectories: 1 }, 'and nothing is open twice');
  await bench.fs.release(context(), f.nodeId, handle);
  const fresh = await bench.fs.open(numbered(open), f.nodeId, 0);
  t.not(fresh.handle, handle, 'a handle that was closed is not given again');
});

void t.test('a journal without room: what is not known is an error, never something else', async (t) => {
  const bench = new HeirBench({}, { halfBytes: 4096 });
  for (let index = 0; index < 100; index++) bench.store.put(`f${index}`, `bytes of ${index}`);
  const opened: { nodeId: number; handle: number; bytes: string }[] = [];
  for (let index = 0; index < 100; index++) {
    const { nodeId } = (await bench.kernel.walk(`f${index}`))!;
    const { handle } = await bench.fs.open(numbered(), nodeId, 0);
    opened.push({ nodeId, handle, bytes: `bytes of ${index}` });
  }
  bench.kill();
  let read = 0;
  for (const { nodeId, handle, bytes } of opened) {
    try {
      t.equal(bench.kernel.read(nodeId, handle, 0, 100), bytes);
      read++;
    } catch (error) {
      t.equal((error as { errno?: number }).errno, EBADF);
    }
  }
  t.ok(read > 5 && read < 100, `${read} of 100 files`);
  t.equal((await bench.kernel.walk('f99'))!.attributes.sizeBytes, 11, 'and the mount goes on');
  bench.kernel.forget(ROOT, 0);
});
