/**
 * rename: the matrix of rename(2), what the bucket sees, open files, directories, and what an interrupted one leaves.
 */
import { createHash } from 'node:crypto';
import t, { type Test } from 'tap';
import { E2BIG, EACCES, EEXIST, EINVAL, EIO, EISDIR, ENOENT, ENOTDIR, ENOTEMPTY } from '../../../src/base/errno.js';
import { ROOT } from '../../support/memory-store-kernel.js';
import { storeError } from '../../support/memory-store-writer.js';
import { O_CREAT, O_RDWR, O_WRONLY, type WriteBenchOptions } from '../writing/bench.js';
import { TreeBench } from './tree-bench.js';

const NOREPLACE = 1;
const EXCHANGE = 2;
const WHITEOUT = 4;
const INDEFINITE = { fs: { metadataTtlMs: null, negativeMetadataTtlMs: null } };

/** As S3 makes it of an object of one part: copies have the same. */
function md5(body: string): string {
  return `"${createHash('md5').update(body).digest('hex')}"`;
}

function filled(t: Test, options: WriteBenchOptions = INDEFINITE): TreeBench {
  const bench = new TreeBench(t, options);
  bench.store.put('f', 'file');
  bench.store.put('g', 'other');
  bench.store.put('d/x', 'in d');
  bench.store.put('e/', '');
  bench.store.put('full/y', 'in full');
  return bench;
}

void t.test('an object keeps its storage class under its new name', async (t) => {
  const bench = new TreeBench(t, INDEFINITE);
  for (const key of ['f', 'd/x']) bench.store.put(key, 'x', { storageClass: 'STANDARD_IA' });
  await bench.rename('f', 'g');
  const file = await bench.openAt('g', O_RDWR);
  await file.write(0, 'y');
  await bench.rename('g', 'h');
  await file.close();
  await bench.rename('d', 'e');
  for (const key of ['h', 'e/x']) t.equal(bench.store.objects.get(key)?.storageClass, 'STANDARD_IA', key);
});

void t.test('the matrix of rename(2)', async (t) => {
  const cases: readonly (readonly [string, string, number, number, readonly string[]])[] = [
    ['f', 'new', 0, 0, ['d/x', 'e/', 'full/y', 'g', 'new']],
    ['f', 'g', 0, 0, ['d/x', 'e/', 'full/y', 'g']],
    ['f', 'g', NOREPLACE, EEXIST, ['d/x', 'e/', 'f', 'full/y', 'g']],
    ['f', 'new', NOREPLACE, 0, ['d/x', 'e/', 'full/y', 'g', 'new']],
    ['f', 'g', EXCHANGE, EINVAL, ['d/x', 'e/', 'f', 'full/y', 'g']],
    ['f', 'new', WHITEOUT, EINVAL, ['d/x', 'e/', 'f', 'full/y', 'g']],
    ['f', 'f', 0, 0, ['d/x', 'e/', 'f', 'full/y', 'g']],
    ['f', 'f', NOREPLACE, EEXIST, ['d/x', 'e/', 'f', 'full/y', 'g']],
    ['f', 'd', 0, EISDIR, ['d/x', 'e/', 'f', 'full/y', 'g']],
    ['f', 'd/x', 0, 0, ['d/x', 'e/', 'full/y', 'g']],
    ['missing', 'new', 0, ENOENT, ['d/x', 'e/', 'f', 'full/y', 'g']],
    ['d', 'new', 0, 0, ['e/', 'f', 'full/y', 'g', 'new/x']],
    ['d', 'e', 0, 0, ['e/', 'e/x', 'f', 'full/y', 'g']],
    ['d', 'e', NOREPLACE, EEXIST, ['d/x', 'e/', 'f', 'full/y', 'g']],
    ['d', 'full', 0, ENOTEMPTY, ['d/x', 'e/', 'f', 'full/y', 'g']],
    ['d', 'g', 0, ENOTDIR, ['d/x', 'e/', 'f', 'full/y', 'g']],
    ['d', 'd', 0, 0, ['d/x', 'e/', 'f', 'full/y', 'g']],
    ['d', 'd/sub', 0, EINVAL, ['d/x', 'e/', 'f', 'full/y', 'g']],
    ['e', 'full/e', 0, 0, ['d/x', 'f', 'full/e/', 'full/y', 'g']],
    ['d', 'full/d', 0, 0, ['e/', 'f', 'full/d/x', 'full/y', 'g']],
  ];
  let renames = false;
  for (const [from, to, flags, errno, keys] of cases.flatMap((one) => [one, one])) {
    const bench = filled(t);
    renames = !renames;
    bench.writer.capabilities = { ...bench.writer.capabilities, renames };
    await bench.names();
    const name = `${from} -> ${to} (${flags})${renames ? ', by RenameObject' : ''}`;
    t.equal(await bench.errno(() => bench.rename(from, to, flags)), errno, name);
    t.same(bench.keys, keys, name);
    t.equal(bench.writer.sentBytes(), 0, 'no payload');
    // What is seen agrees with the bucket at once.
    const top = [...new Set(keys.map((key) => key.split('/')[0]))];
    t.same(await bench.names(), top, name);
    if (errno === 0 && from !== to) {
      t.equal(await bench.stat(from), undefined, name);
      t.ok(await bench.stat(to), name);
    }
    if (from === 'f' && errno === 0) t.equal(await bench.cat(to), 'file', name);
  }
});

void t.test('a file: one copy of the version that is known, one deletion', async (t) => {
  const bench = filled(t);
  const before = await bench.stat('f');
  await bench.stat('new');
  bench.requests();
  await bench.rename('f', 'new');
  t.same(bench.requests(), { copy: 1, delete: 1 });
  const after = await bench.stat('new');
  t.equal(after?.nodeId, before?.nodeId, 'the node goes along');
  t.same(bench.requests(), {}, 'and nothing is asked');
  t.same(await bench.names(), ['d', 'e', 'full', 'g', 'new']);
});

void t.test('the object was replaced since it was looked up: what is there now moves', async (t) => {
  const bench = filled(t);
  await bench.stat('f');
  bench.store.put('f', 'newer');
  await bench.rename('f', 'new');
  t.equal(bench.object('new'), 'newer');
  await bench.stat('g');
  bench.store.delete('g');
  t.equal(await bench.errno(() => bench.rename('g', 'h')), ENOENT);
  // Made by somebody else since.
  t.equal(await bench.stat('late'), undefined);
  bench.store.put('late', 'theirs');
  t.equal(await bench.errno(() => bench.rename('new', 'late', NOREPLACE)), EEXIST);
  t.equal(bench.object('late'), 'theirs');
  bench.writer.capabilities = { ...bench.writer.capabilities, conditionalCopies: false };
  t.equal(await bench.errno(() => bench.rename('new', 'late', NOREPLACE)), EEXIST, 'without conditions: asked before');
});

void t.test('the deletion is refused: both names stay, and the error says so', async (t) => {
  const bench = filled(t);
  const held = await bench.openAt('f');
  bench.writer.fail('delete', storeError('AccessDenied', 403));
  t.equal(await bench.errno(() => bench.rename('f', 'new')), EACCES);
  t.same(bench.keys, ['d/x', 'e/', 'f', 'full/y', 'g', 'new']);
  t.equal((await held.read(0, 10)).toString(), 'file');
  t.same(await bench.names(), ['d', 'e', 'f', 'full', 'g', 'new']);
  t.equal(await bench.cat('f'), 'file');
  t.equal(await bench.cat('new'), 'file');
  await held.release();
  bench.writer.fail('copy', storeError('InternalError', 500));
  t.equal(await bench.errno(() => bench.rename('g', 'h')), EIO);
  t.ok(bench.keys.includes('g'), 'never under no name');
});

void t.test('open for reading: goes on under the new key', async (t) => {
  const bench = filled(t);
  const held = await bench.openAt('f');
  const over = await bench.openAt('g');
  await bench.rename('f', 'g');
  t.equal((await held.read(0, 10)).toString(), 'file');
  t.equal((await over.read(0, 10)).toString(), 'other', 'what was replaced is read on');
  t.equal((await bench.stat('g'))?.nodeId, held.nodeId);
  await bench.rename('g', 'd/g');
  t.equal((await held.read(0, 10)).toString(), 'file');
  await bench.rename('d', 'moved');
  t.equal((await held.read(0, 10)).toString(), 'file');
  t.equal((await bench.stat('moved/g'))?.nodeId, held.nodeId);
  t.equal(bench.fs.getattr(bench.context(), held.nodeId).attributes.ino, (await bench.stat('moved/g'))?.attributes.ino);
  await held.release();
  await over.release();
});

void t.test('written and not in the bucket: only the key changes', async (t) => {
  const bench = filled(t);
  const file = await bench.createAt('f.tmp', O_WRONLY | O_CREAT);
  await file.write(0, 'checkpoint');
  await bench.stat('f');
  bench.requests();
  await bench.rename('f.tmp', 'f');
  t.same(bench.requests(), {}, 'free');
  t.equal(await bench.stat('f.tmp'), undefined);
  t.equal((await bench.stat('f'))?.nodeId, file.nodeId);
  t.equal(bench.object('f'), 'file', 'others see the old one until it is committed');
  t.same(await bench.names(), ['d', 'e', 'f', 'full', 'g']);
  await file.close();
  t.equal(bench.object('f'), 'checkpoint');
  t.notOk(bench.keys.includes('f.tmp'));
  const { put, ...others } = bench.requests();
  t.equal(put, 1, 'uploaded once');
  t.equal(others['copy'], undefined);
  // Over a directory's file that is being written too.
  const target = await bench.openAt('g', O_RDWR);
  await target.write(0, 'lost with its name');
  const source = await bench.createAt('tmp', O_RDWR | O_CREAT);
  await source.write(0, 'kept');
  await bench.rename('tmp', 'g');
  await target.close();
  await source.close();
  t.equal(bench.object('g'), 'kept');
});

void t.test('edited and in the bucket: the object moves, the changes follow at close', async (t) => {
  const bench = filled(t);
  const file = await bench.openAt('f', O_RDWR);
  await file.write(0, 'F');
  await bench.rename('f', 'moved');
  t.same(bench.keys, ['d/x', 'e/', 'full/y', 'g', 'moved']);
  t.equal(bench.object('moved'), 'file');
  t.equal((await file.read(0, 10)).toString(), 'File');
  t.equal(await bench.cat('moved'), 'File');
  await file.write(4, '!');
  await file.close();
  t.equal(bench.object('moved'), 'File!');
  t.equal(await bench.stat('f'), undefined);
  // Open for writing and not changed yet.
  const late = await bench.openAt('moved', O_RDWR);
  await bench.rename('moved', 'd/late');
  await late.write(4, '?');
  await late.close();
  t.equal(bench.object('d/late'), 'File?');
  t.notOk(bench.keys.includes('moved'));
});

void t.test('a directory with files that are open and written', async (t) => {
  const bench = filled(t);
  const reading = await bench.openAt('d/x');
  const fresh = await bench.createAt('d/fresh', O_RDWR | O_CREAT);
  await fresh.write(0, 'fresh');
  const edited = await bench.openAt('d/x', O_RDWR);
  await edited.write(0, 'IN');
  await bench.mkdir('d/sub');
  await bench.write('d/sub/deep', 'deep');
  bench.store.put('d//odd', 'a key that is no name');
  await bench.rename('d', 'full/d');
  t.same(bench.keys, ['e/', 'f', 'full/d//odd', 'full/d/sub/', 'full/d/sub/deep', 'full/d/x', 'full/y', 'g']);
  t.same(await bench.names('full/d'), ['fresh', 'sub', 'x']);
  t.equal(await bench.stat('d'), undefined);
  t.equal(await bench.cat('full/d/sub/deep'), 'deep');
  t.equal((await reading.read(0, 10)).toString(), 'IN d');
  await fresh.close();
  await edited.close();
  t.equal(bench.object('full/d/fresh'), 'fresh');
  t.equal(bench.object('full/d/x'), 'IN d');
  t.notOk(bench.keys.some((key) => key.startsWith('d/')));
  await reading.release();
});

void t.test('a directory of a thousand files: one listing, parallel copies, one deletion', async (t) => {
  const bench = new TreeBench(t);
  for (let at = 0; at < 1000; at++) bench.store.put(`many/${String(at).padStart(4, '0')}`, `${at}`);
  await bench.stat('many');
  await bench.stat('moved');
  bench.requests();
  await bench.rename('many', 'moved');
  t.same(bench.requests(), { list: 1, copy: 1000, deleteMany: 1 });
  t.equal(bench.keys.length, 1000);
  t.equal((await bench.names('moved')).length, 1000);
  t.equal(await bench.cat('moved/0777'), '777');
  t.equal(await bench.stat('many'), undefined);
});

void t.test('a directory with too many files is refused before anything is done', async (t) => {
  const bench = new TreeBench(t, { fs: { renameDirectoryKeysMax: 2 } });
  for (const name of ['a', 'b', 'c']) bench.store.put(`d/${name}`, name);
  t.equal(await bench.errno(() => bench.rename('d', 'e')), E2BIG);
  t.same(bench.keys, ['d/a', 'd/b', 'd/c']);
  t.ok(bench.log.lines.some(({ message }) => message.includes('--rename-dir-max')));
});

void t.test(
  'interrupted anywhere, asked for again: no object is ever missing, and in the end all have moved',
  async (t) => {
    const names = ['a', 'b', 'c', 'sub/d', 'sub/e'];
    for (const [kind, nth] of [
      ['copy', 1],
      ['copy', 3],
      ['copy', 5],
      ['deleteMany', 1],
    ] as const) {
      for (const sameMount of [true, false]) {
        let bench = new TreeBench(t);
        for (const name of names) bench.store.put(`d/${name}`, name, { etag: md5(name) });
        bench.writer.fail(kind, storeError('InternalError', 500), { nth });
        t.equal(await bench.errno(() => bench.rename('d', 'e')), EIO);
        for (const name of names) {
          t.ok(
            bench.store.objects.has(`d/${name}`) || bench.store.objects.has(`e/${name}`),
            `${name} after ${kind} ${nth}`,
          );
        }
        if (!sameMount) {
          const other = new TreeBench(t);
          for (const [key, object] of bench.store.objects) other.store.put(key, object.body, object);
          bench = other;
        }
        bench.clock.advance(2000);
        if (bench.keys.some((key) => key.startsWith('d/'))) await bench.rename('d', 'e');
        t.same(
          bench.keys,
          names.map((name) => `e/${name}`),
          `${kind} ${nth}, finished`,
        );
        t.same(await bench.names(), ['e']);
      }
    }
  },
);

void t.test('half of it was deleted by the interrupted one', async (t) => {
  const bench = new TreeBench(t);
  for (const name of ['a', 'b', 'c']) bench.store.put(`d/${name}`, name);
  for (const name of ['a', 'b', 'c']) {
    const { etag } = bench.store.objects.get(`d/${name}`)!;
    bench.store.put(`e/${name}`, name, { etag });
  }
  bench.store.delete('d/a');
  await bench.rename('d', 'e');
  t.same(bench.keys, ['e/a', 'e/b', 'e/c']);
  // Other bytes under a common name: not ours to replace.
  bench.store.put('d/a', 'not the same');
  bench.clock.advance(2000);
  t.equal(await bench.errno(() => bench.rename('d', 'e')), ENOTEMPTY);
  t.equal(bench.object('e/a'), 'a');
});

void t.test('directory buckets: one request, atomic', async (t) => {
  const bench = filled(t);
  bench.writer.capabilities = { ...bench.writer.capabilities, renames: true };
  const held = await bench.openAt('f');
  bench.requests();
  await bench.rename('f', 'g');
  const { renameObject, copy, delete: deletions } = bench.requests();
  t.same({ renameObject, copy, deletions }, { renameObject: 1, copy: undefined, deletions: undefined });
  t.equal((await held.read(0, 10)).toString(), 'file');
  t.equal(await bench.cat('g'), 'file');
  await held.release();
});

/** A bench on a directory bucket. */
function inDirectoryBucket(t: Test, keys: readonly string[]): TreeBench {
  const bench = new TreeBench(t);
  bench.writer.capabilities = { ...bench.writer.capabilities, renames: true };
  for (const key of keys) bench.store.put(key, key.endsWith('/') ? '' : key);
  return bench;
}

void t.test('directory buckets, a tree: each object by a request, open ones read and written go along', async (t) => {
  const bench = inDirectoryBucket(t, ['d/', 'd/a', 'd/sub/', 'd/sub/b', 'd/sub/c', 'other']);
  const reading = await bench.openAt('d/a');
  const edited = await bench.openAt('d/sub/b', O_RDWR);
  await edited.write(0, 'D');
  const made = await bench.createAt('d/sub/new');
  await made.write(0, 'made');
  bench.requests();
  await bench.rename('d', 'e');
  const { renameObject, copy, put, deleteMany } = bench.requests();
  t.same({ renameObject, copy, put, deleteMany }, { renameObject: 3, copy: undefined, put: 2, deleteMany: 1 });
  t.same(bench.keys, ['e/', 'e/a', 'e/sub/', 'e/sub/b', 'e/sub/c', 'other']);
  t.equal((await reading.read(0, 10)).toString(), 'd/a');
  t.equal((await edited.read(0, 10)).toString(), 'D/sub/b');
  await edited.close();
  await made.close();
  await reading.release();
  t.equal(await bench.cat('e/sub/b'), 'D/sub/b');
  t.equal(await bench.cat('e/sub/new'), 'made');
  t.same(await bench.names(), ['e', 'other']);
  t.same(await bench.names('e/sub'), ['b', 'c', 'new']);
  t.equal(await bench.stat('d'), undefined);
});

void t.test('directory buckets, a tree: interrupted, it is finished when it is asked for again', async (t) => {
  for (const nth of [1, 3, 5]) {
    const names = ['a', 'b', 'c', 'sub/d', 'sub/e'];
    const bench = inDirectoryBucket(
      t,
      names.map((name) => `d/${name}`),
    );
    const reading = await bench.openAt('d/sub/e');
    bench.writer.fail('renameObject', storeError('InternalError', 500), { nth });
    t.equal(await bench.errno(() => bench.rename('d', 'e')), EIO);
    t.equal(bench.keys.length, names.length, 'nothing is in two places, or in none');
    t.equal((await reading.read(0, 10)).toString(), 'd/sub/e', 'wherever it is');
    bench.clock.advance(2000);
    await bench.rename('d', 'e');
    t.same(
      bench.keys,
      names.map((name) => `e/${name}`),
    );
    t.equal((await reading.read(0, 10)).toString(), 'd/sub/e');
    await reading.release();
    t.same(await bench.names(), ['e']);
  }
  const bench = inDirectoryBucket(t, ['d/a', 'e/b']);
  t.equal(await bench.errno(() => bench.rename('d', 'e')), ENOTEMPTY, 'what is not ours stays');
  t.same(bench.keys, ['d/a', 'e/b']);
});

void t.test('directory buckets: READs that come while it is renamed wait for the new name', async (t) => {
  const bench = inDirectoryBucket(t, ['f']);
  const held = await bench.openAt('f');
  let read: Promise<Buffer> | undefined;
  const { writer } = bench;
  const renameObject = writer.renameObject.bind(writer);
  writer.renameObject = async (...asked) => {
    await renameObject(...asked);
    // The object has gone, and nobody has been told.
    read = held.read(0, 10);
    await new Promise((resolve) => setImmediate(resolve));
  };
  await bench.rename('f', 'g');
  t.equal((await read)?.toString(), 'f');
  await held.release();
});

void t.test('directory buckets: a source that somebody replaced, and a target that somebody made', async (t) => {
  const bench = inDirectoryBucket(t, ['f', 'h']);
  await bench.stat('f');
  bench.store.put('f', 'younger');
  await bench.rename('f', 'g');
  t.equal(await bench.cat('g'), 'younger');
  await bench.stat('h');
  t.equal(await bench.stat('i'), undefined);
  bench.store.put('i', 'theirs');
  t.equal(await bench.errno(() => bench.rename('h', 'i', NOREPLACE)), EEXIST);
  t.same(bench.keys, ['g', 'h', 'i']);
});

void t.test('lookups and listings that were under way when it was renamed say nothing', async (t) => {
  const bench = filled(t);
  await bench.stat('f');
  bench.store.hold();
  const listing = bench.kernel.names(ROOT);
  const lookup = bench.kernel.lookup(ROOT, 'new');
  await new Promise((resolve) => setImmediate(resolve));
  const renamed = bench.rename('f', 'new');
  await new Promise((resolve) => setTimeout(resolve, 20));
  bench.store.letGo();
  await Promise.all([listing, lookup, renamed]);
  t.ok(await bench.stat('new'));
  t.equal(await bench.stat('f'), undefined);
  t.same(await bench.names(), ['d', 'e', 'full', 'g', 'new']);
});

void t.test(
  'what is listed between the copies and the deletions of a directory does not bring the old one back',
  async (t) => {
    const bench = filled(t, {});
    bench.store.put('d/sub/x', 'x');
    await bench.names('d/sub');
    const sub = await bench.directory('d/sub');
    bench.writer.hold((call) => call.kind === 'deleteMany');
    const renamed = bench.rename('d', 'moved');
    while (bench.writer.waiting.length === 0) await new Promise((resolve) => setImmediate(resolve));
    bench.clock.advance(1500);
    // The listing that reads ahead for who opened the directory earlier; the old objects are still there.
    t.ok((await bench.names()).includes('moved'));
    bench.clock.advance(100);
    bench.writer.letGo();
    await renamed;
    t.notOk((await bench.names()).includes('d'));
    t.equal(await bench.stat('d'), undefined);
    await bench.mkdir('d');
    t.same(await bench.names('d'), []);
    t.equal(await bench.stat('d/sub'), undefined);
    t.same(await bench.kernel.names(sub), ['x']);
  },
);
