/**
 * What stat, statfs and getfattr show, and what every attempt to write answers.
 */
import t from 'tap';
import { ENODATA, EROFS, ESTALE } from '../../src/base/errno.js';
import { context, errnoOf, makeBench, ROOT } from '../support/memory-store-kernel.js';

void t.test('files and directories', async (t) => {
  const { store, kernel, fs, clock } = makeBench({ uid: 7, gid: 8, dirMode: 0o750, fileMode: 0o640 });
  store.put('d/f', 'hello', { lastModifiedMs: Date.UTC(2020, 1, 2, 3, 4, 5) });
  const directory = (await kernel.walk('d'))!.attributes;
  t.match(directory, { mode: 0o040750, nlink: 2, uid: 7, gid: 8, sizeBytes: 0, mtimeMs: clock.wallMs() });
  const file = (await kernel.walk('d/f'))!.attributes;
  const time = Date.UTC(2020, 1, 2, 3, 4, 5);
  t.match(file, {
    mode: 0o100640,
    nlink: 1,
    uid: 7,
    gid: 8,
    sizeBytes: 5,
    mtimeMs: time,
    ctimeMs: time,
    atimeMs: time,
  });
  t.match(fs.getattr(context(), ROOT).attributes, { ino: 1, mode: 0o040750, uid: 7, gid: 8 });
  clock.advance(5000);
  t.equal(
    fs.getattr(context(), ROOT).attributes.mtimeMs,
    directory.mtimeMs,
    'a directory does not change by being looked at',
  );
});

void t.test('times are whole seconds, whoever told them', async (t) => {
  const { store, kernel } = makeBench();
  store.put('f', '', { lastModifiedMs: 1_700_000_000_999 });
  t.equal((await kernel.walk('f'))?.attributes.mtimeMs, 1_700_000_000_000);
});

void t.test('getattr needs no request and no freshness: a node is one version', async (t) => {
  const { store, kernel, fs, clock } = makeBench();
  store.put('f', 'abc');
  const { nodeId } = (await kernel.walk('f'))!;
  store.put('f', 'abcdef');
  store.reset();
  clock.advance(60_000);
  t.match(fs.getattr(context(), nodeId), { attributes: { sizeBytes: 3 }, ttlMs: 1000 });
  t.equal(store.reset(), 0);
  t.equal(await errnoOf(() => fs.getattr(context(), 4711)), ESTALE);
});

void t.test('statfs never looks full', (t) => {
  const { fs } = makeBench();
  const { blocksFree, blockSizeBytes, nameBytesMax, filesFree } = fs.statfs();
  t.ok(blocksFree * blockSizeBytes >= 2 ** 50);
  t.ok(filesFree > 1e9);
  t.equal(nameBytesMax, 255);
  t.end();
});

void t.test('extended attributes by name, none listed', async (t) => {
  const { store, kernel, fs } = makeBench({ prefix: 'p/' });
  store.put('p/d/f', 'x', { etag: '"abc-3"', storageClass: 'GLACIER_IR' });
  store.put('p/plain', 'x');
  const { nodeId } = (await kernel.walk('d/f'))!;
  const get = (node: number, name: string): string => Buffer.from(fs.getxattr(context(), node, name)).toString();
  t.equal(get(nodeId, 'user.s3.etag'), 'abc-3');
  t.equal(get(nodeId, 'user.s3.key'), 'p/d/f');
  t.equal(get(nodeId, 'user.s3.storage_class'), 'GLACIER_IR');
  t.equal(get((await kernel.walk('plain'))!.nodeId, 'user.s3.storage_class'), 'STANDARD');
  t.equal(get((await kernel.walk('d'))!.nodeId, 'user.s3.key'), 'p/d/');
  t.same(fs.listxattr(context(), nodeId), []);
  for (const name of ['user.other', 'security.capability', 'system.posix_acl_access'])
    t.equal(await errnoOf(() => fs.getxattr(context(), nodeId, name)), ENODATA, name);
  t.equal(await errnoOf(() => fs.getxattr(context(), ROOT, 'user.s3.etag')), ENODATA);
});

void t.test('whatever would write answers EROFS and says why', async (t) => {
  for (const readOnly of [true, false]) {
    const { fs, log } = makeBench({ readOnly });
    const writes = [
      'setattr',
      'symlink',
      'mknod',
      'mkdir',
      'unlink',
      'rmdir',
      'rename',
      'link',
      'create',
      'write',
      'fallocate',
      'setxattr',
      'removexattr',
    ] as const;
    for (const name of writes) t.equal(await errnoOf(() => (fs[name] as () => unknown).call(fs)), EROFS, name);
    t.equal(await errnoOf(() => fs.access(context(), ROOT, 2)), EROFS, 'access W_OK');
    t.equal(await errnoOf(() => fs.access(context(), ROOT, 4)), 0, 'access R_OK');
    t.equal(log.lines.length, 1, 'one line, not thirteen');
    t.match(log.lines[0]?.message, readOnly ? /--read-only/ : /cannot write yet/);
  }
});

void t.test('after destroy nothing is left', async (t) => {
  const { store, kernel, fs, prefetcher } = makeBench();
  store.put('f', 'abc');
  const { nodeId } = (await kernel.walk('f'))!;
  await fs.open(context(), nodeId, 0);
  await kernel.opendir(ROOT);
  fs.destroy();
  t.match(fs.stats(), { openFiles: 0, openDirectories: 0, listingBytes: 0 });
  t.equal(prefetcher.closed, 1);
});
