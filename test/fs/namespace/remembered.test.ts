/**
 * chmod, chown, utimens and extended attributes: remembered while the mount lives, or kept with the objects as s3fs and
 * rclone keep them.
 */
import t from 'tap';
import { EEXIST, EINVAL, ENODATA, ENOSPC, EOPNOTSUPP, EPERM } from '../../../src/base/errno.js';
import { context, ROOT } from '../../support/memory-store-kernel.js';
import { O_RDWR } from '../writing/bench.js';
import { TreeBench } from './tree-bench.js';

const KEPT = { fs: { posixMetadata: true } };

void t.test('what was set is shown, through our own commits and renames', async (t) => {
  const bench = new TreeBench(t);
  const { fs } = bench;
  const file = await bench.createAt('f', undefined, 0o600);
  await file.write(0, 'text');
  await fs.setattr(context(), file.nodeId, { mtimeMs: 1_000_000_000_123, uid: 7, gid: 8 });
  await file.close();
  const shown = { mode: 0o100600, uid: 7, gid: 8, mtimeMs: 1_000_000_000_123 };
  t.match((await bench.stat('f'))?.attributes, shown);
  await bench.rename('f', 'g');
  t.match((await bench.stat('g'))?.attributes, shown);
  await bench.mkdir('d', 0o700);
  await bench.rename('g', 'd/g');
  await bench.rename('d', 'e');
  t.match((await bench.stat('e/g'))?.attributes, shown);
  t.equal((await bench.stat('e'))?.attributes.mode, 0o040700);
  bench.kernel.forgetAll();
  t.match((await bench.stat('e/g'))?.attributes, shown, 'also when the kernel has forgotten it');
  const listed = await bench.kernel.readdir((await bench.stat('e'))!.nodeId, true);
  t.match(listed[0]?.entry?.attributes, shown);
  const again = await bench.openAt('e/g', O_RDWR);
  await again.write(0, 'T');
  t.not((await bench.stat('e/g'))?.attributes.mtimeMs, shown.mtimeMs, 'a write has a time of its own');
  await again.close();
  t.equal((await bench.stat('e/g'))?.attributes.mode, 0o100600);
  bench.store.put('e/g', 'of somebody else');
  bench.clock.advance(2000);
  t.equal((await bench.stat('e/g'))?.attributes.mode, 0o100644, 'another version has none of it');
});

void t.test('others come in: what they make is theirs while it is remembered', async (t) => {
  for (const gid of [true, false]) {
    const bench = new TreeBench(t, { fs: { uid: 0, gid: 0, fileMode: 0o666, makersOwn: { uid: true, gid } } });
    bench.store.put('there', 'x');
    await (await bench.createAt('f', undefined, 0o644)).close();
    await bench.mkdir('d', 0o755);
    await bench.rename('f', 'd/f');
    const theirs = { uid: 1000, gid: gid ? 100 : 0 };
    t.match((await bench.stat('d/f'))?.attributes, { mode: 0o100644, ...theirs });
    t.match((await bench.stat('d'))?.attributes, { mode: 0o040755, ...theirs });
    t.notOk(bench.store.objects.get('d/')?.userMetadata?.['mode'], 'and kept nowhere');
    t.match((await bench.stat('there'))?.attributes, { mode: 0o100666, uid: 0, gid: 0 });
    bench.store.put('d/f', 'of somebody else');
    bench.clock.advance(2000);
    t.match((await bench.stat('d/f'))?.attributes, { mode: 0o100666, uid: 0, gid: 0 });
  }
});

void t.test('extended attributes', async (t) => {
  const bench = new TreeBench(t);
  const { fs } = bench;
  bench.store.put('f', 'x');
  const { nodeId } = (await bench.stat('f'))!;
  const set = (name: string, value: string, flags = 0): unknown =>
    fs.setxattr(context(), nodeId, name, Buffer.from(value), flags);
  set('user.a', '1');
  t.equal(Buffer.from(fs.getxattr(context(), nodeId, 'user.a')).toString(), '1');
  t.same(fs.listxattr(context(), nodeId), ['user.a']);
  t.equal(await bench.errno(() => set('user.a', '2', 1)), EEXIST);
  t.equal(await bench.errno(() => set('user.b', '2', 2)), ENODATA);
  t.equal(await bench.errno(() => set('security.x', '2')), EOPNOTSUPP);
  t.equal(await bench.errno(() => set('user.s3.etag', '2')), EPERM);
  t.equal(await bench.errno(() => set('user.big', 'x'.repeat(70_000))), ENOSPC);
  fs.removexattr(context(), nodeId, 'user.a');
  t.equal(await bench.errno(() => fs.getxattr(context(), nodeId, 'user.a')), ENODATA);
  t.equal(await bench.errno(() => fs.removexattr(context(), nodeId, 'user.a')), ENODATA);
});

void t.test('--posix-metadata: written with the object, read by HEAD, once for each version', async (t) => {
  const bench = new TreeBench(t, KEPT);
  const { fs, store } = bench;
  const file = await bench.createAt('f', undefined, 0o640);
  await file.write(0, 'text');
  await fs.setattr(context(), file.nodeId, { mtimeMs: 1_000_000_000_500 });
  await file.close();
  t.same(store.objects.get('f')?.userMetadata, {
    mode: String(0o100640),
    uid: '1000',
    gid: '100',
    mtime: '1000000000.500000000',
  });
  await bench.mkdir('d', 0o750);
  t.match(store.objects.get('d/')?.userMetadata, { mode: String(0o040750), uid: '1000' });
  // Another mount of the same bucket.
  const other = new TreeBench(t, KEPT);
  for (const [key, object] of store.objects) other.store.put(key, object.body, object);
  other.store.put('rclone', 'x', { userMetadata: { mtime: '981173106.25', mode: '100600' } });
  other.store.put('plain', 'x');
  const listed = await other.kernel.readdir(ROOT, true);
  const of = (name: string): unknown => listed.find(({ item }) => item.name === name)?.entry?.attributes;
  t.match(of('f'), { mode: 0o100640, uid: 1000, gid: 100, mtimeMs: 1_000_000_000_500 });
  t.match(of('d'), { mode: 0o040750 });
  t.match(of('rclone'), { mode: 0o100600, mtimeMs: 981_173_106_250 });
  t.match(of('plain'), { mode: 0o100644, uid: 1000 });
  t.equal(other.requests()['head'], 4, 'one each');
  await other.kernel.readdir(ROOT, true);
  other.clock.advance(2000);
  await other.stat('f');
  t.ok((other.requests()['head'] ?? 0) <= 1, 'no more than the lookup itself');
});

void t.test('--posix-metadata: chmod of a file that is not written copies it onto itself', async (t) => {
  const bench = new TreeBench(t, KEPT);
  bench.store.put('f', 'text', { contentType: 'text/plain', userMetadata: { theirs: 'stays' } });
  const reading = await bench.openAt('f');
  const { nodeId } = (await bench.stat('f'))!;
  bench.requests();
  await bench.fs.setattr(context(), nodeId, { mode: 0o100400 });
  t.equal(bench.requests()['copy'], 1);
  t.match(bench.store.objects.get('f'), {
    contentType: 'text/plain',
    userMetadata: { theirs: 'stays', mode: String(0o100400) },
  });
  t.equal((await reading.read(0, 10)).toString(), 'text');
  t.equal((await bench.stat('f'))?.nodeId, nodeId);
  t.equal((await bench.stat('f'))?.attributes.mode, 0o100400);
  await reading.release();
});

void t.test('symbolic links, only where they are kept', async (t) => {
  const plain = new TreeBench(t);
  t.equal(await plain.errno(() => plain.fs.symlink(context(), ROOT, 'l', 'target')), EPERM);
  const bench = new TreeBench(t, KEPT);
  const { fs, kernel } = bench;
  const made = await fs.symlink(context(), ROOT, 'l', 'some/target');
  t.match(made.attributes, { mode: 0o120777, sizeBytes: 11 });
  t.equal(await fs.readlink(context(), made.nodeId), 'some/target');
  const other = new TreeBench(t, KEPT);
  for (const [key, object] of bench.store.objects) other.store.put(key, object.body, object);
  other.store.put('file', 'x');
  const found = (await other.stat('l'))!;
  t.match(found.attributes, { mode: 0o120777, sizeBytes: 11 });
  t.equal(await other.fs.readlink(context(), found.nodeId), 'some/target');
  t.equal(await other.errno(async () => other.fs.readlink(context(), (await other.stat('file'))!.nodeId)), EINVAL);
  const types = (await other.kernel.readdir(ROOT, true)).map(({ item }) => [item.name, item.type]);
  t.same(types, [
    ['file', 8],
    ['l', 10],
  ]);
  await bench.rename('l', 'm');
  t.equal((await bench.stat('m'))?.attributes.mode, 0o120777);
  kernel.forget((await kernel.lookup(ROOT, 'm'))!.nodeId);
});
