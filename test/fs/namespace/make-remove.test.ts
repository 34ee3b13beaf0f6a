/**
 * mkdir, rmdir, unlink: what is in the bucket afterwards, what is seen at once, and at which price.
 */
import t from 'tap';
import { EACCES, EEXIST, EIO, ENAMETOOLONG, ENOTEMPTY, EPERM } from '../../../src/base/errno.js';
import { O_RDWR } from '../writing/bench.js';
import { storeError } from '../../support/memory-store-writer.js';
import { until } from '../../support/until.js';
import { TreeBench } from './tree-bench.js';

const INDEFINITE = { fs: { metadataTtlMs: null, negativeMetadataTtlMs: null } };

void t.test('mkdir puts a marker, and is seen at once whatever the TTL', async (t) => {
  const bench = new TreeBench(t, INDEFINITE);
  t.same(await bench.names(), []);
  t.equal(await bench.stat('d'), undefined);
  const made = await bench.mkdir('d', 0o700);
  t.equal(made.attributes.mode, 0o040700, 'with its mode');
  t.same(bench.keys, ['d/']);
  t.equal((await bench.stat('d'))?.nodeId, made.nodeId);
  t.same(await bench.names(), ['d']);
  t.same(await bench.names('d'), []);
  await bench.mkdir('d/e');
  await bench.write('d/e/f', 'text');
  t.same(await bench.names('d'), ['e']);
  t.same(await bench.names('d/e'), ['f']);
  t.equal(await bench.cat('d/e/f'), 'text');
});

void t.test('mkdir where something is', async (t) => {
  const bench = new TreeBench(t);
  bench.store.put('file', 'x');
  bench.store.put('dir/x', 'x');
  // The kernel looks up what it is about to make.
  t.same(await bench.names(), ['dir', 'file']);
  t.equal(await bench.errno(() => bench.mkdir('file')), EEXIST);
  t.equal(await bench.errno(() => bench.mkdir('dir')), EEXIST);
  // Somebody else made it since it was looked up: as a lock.
  t.equal(await bench.stat('lock'), undefined);
  bench.store.put('lock/', '');
  t.equal(await bench.errno(() => bench.mkdir('lock')), EEXIST);
});

void t.test('names that are too long', async (t) => {
  const bench = new TreeBench(t);
  const long = 'n'.repeat(255);
  await bench.mkdir(long);
  t.equal(await bench.errno(() => bench.mkdir('n'.repeat(256))), ENAMETOOLONG);
  t.equal(await bench.errno(() => bench.createAt('ü'.repeat(128))), ENAMETOOLONG);
  const deep = [long, long, long];
  for (let depth = 2; depth <= 3; depth++) await bench.mkdir(deep.slice(0, depth).join('/'));
  const parent = deep.join('/');
  // 3 * 256 = 768 bytes before the name.
  await bench.write(`${parent}/${'k'.repeat(255)}`, 'x');
  await bench.mkdir(`${parent}/${'m'.repeat(254)}`);
  await bench.mkdir(`${parent}/${'l'.repeat(255)}`);
  t.equal(
    await bench.errno(() => bench.createAt(`${parent}/${'l'.repeat(255)}/x`)),
    ENAMETOOLONG,
    'a key of 1,025 bytes',
  );
  t.equal(await bench.errno(() => bench.rename(`${parent}/${'k'.repeat(255)}`, 'ü'.repeat(128))), ENAMETOOLONG);
});

void t.test('rmdir: a store that gives the marker on two pages, or never ends', async (t) => {
  for (const goesOn of [false, true]) {
    const bench = new TreeBench(t);
    bench.store.put('d/', '');
    const list = bench.store.list.bind(bench.store);
    let pages = 0;
    bench.store.list = async (request, signal) => {
      const answer = await list(request.prefix === 'd/' ? { prefix: 'd/' } : request, signal);
      if (request.prefix !== 'd/' || request.delimiter !== undefined) return answer;
      return { ...answer, nextToken: goesOn || pages++ === 0 ? 'more' : undefined };
    };
    t.equal(await bench.errno(() => bench.rmdir('d')), goesOn ? EIO : 0);
    t.equal(bench.store.objects.has('d/'), goesOn);
  }
});

void t.test('rmdir asks the store', async (t) => {
  const bench = new TreeBench(t, INDEFINITE);
  await bench.mkdir('d');
  await bench.mkdir('d/e');
  t.equal(await bench.errno(() => bench.rmdir('d')), ENOTEMPTY);
  bench.store.put('d/e/elsewhere', 'x');
  t.equal(await bench.errno(() => bench.rmdir('d/e')), ENOTEMPTY, 'somebody else put a file there');
  bench.store.delete('d/e/elsewhere');
  await bench.rmdir('d/e');
  t.same(bench.keys, ['d/']);
  t.equal(await bench.stat('d/e'), undefined);
  const writing = await bench.createAt('d/f');
  t.equal(await bench.errno(() => bench.rmdir('d')), ENOTEMPTY, 'a file that is being written');
  await writing.close();
  await bench.unlink('d/f');
  await bench.rmdir('d');
  t.same(bench.keys, []);
  t.same(await bench.names(), []);
  await bench.mkdir('d');
  t.same(await bench.names('d'), [], 'what was known of it is void');
});

void t.test('unlink deletes the object and answers what S3 said', async (t) => {
  const bench = new TreeBench(t, INDEFINITE);
  bench.store.put('d/a', '1');
  bench.store.put('d/b', '2');
  t.same(await bench.names('d'), ['a', 'b']);
  await bench.unlink('d/a');
  t.same(bench.keys, ['d/b']);
  t.equal(await bench.stat('d/a'), undefined);
  t.same(await bench.names('d'), ['b']);
  bench.writer.fail('delete', storeError('AccessDenied', 403));
  t.equal(await bench.errno(() => bench.unlink('d/b')), EACCES);
  t.same(await bench.names('d'), ['b']);
  t.equal(await bench.cat('d/b'), '2');
});

void t.test('what nobody has open is not fetched before it goes', async (t) => {
  const bench = new TreeBench(t, INDEFINITE);
  for (const key of ['a', 'b', 'c', 'open']) bench.store.put(key, 'bytes');
  t.same(await bench.names(), ['a', 'b', 'c', 'open']);
  for (const name of ['a', 'b', 'c', 'open']) t.ok(await bench.stat(name));
  const reader = await bench.openAt('open');
  bench.prefetcher.reads.length = 0;
  await bench.unlink('a');
  await bench.rename('b', 'c');
  t.same(bench.prefetcher.reads, [], 'neither what is deleted nor what is replaced');
  await bench.unlink('open');
  t.same(bench.prefetcher.reads, [{ key: 'open', offset: 0, sizeBytes: 5 }]);
  t.equal((await reader.read(0, 100)).toString(), 'bytes');
  await reader.release();
});

void t.test('a directory stays when its last file goes', async (t) => {
  const bench = new TreeBench(t);
  bench.store.put('known/a', '1');
  bench.store.put('known/b', '2');
  bench.store.put('unknown/deep/a', '1');
  t.same(await bench.names('known'), ['a', 'b']);
  await bench.unlink('known/a');
  t.same(bench.keys, ['known/b', 'unknown/deep/a'], 'not the last: no marker');
  await bench.unlink('known/b');
  t.same(bench.keys, ['known/', 'unknown/deep/a'], 'the listing showed that it was the last');
  await bench.unlink('unknown/deep/a');
  bench.clock.advance(60_000);
  t.same(await bench.names('known'), []);
  t.same(await bench.names('unknown'), ['deep']);
  t.same(await bench.names('unknown/deep'), []);
  t.same(await bench.names(), ['known', 'unknown']);
  await bench.write('unknown/deep/b', 'again');
  t.same(await bench.names('unknown/deep'), ['b']);
  await bench.unlink('unknown/deep/b');
  await bench.rmdir('unknown/deep');
  await bench.rmdir('unknown');
  bench.clock.advance(60_000);
  t.same(await bench.names(), ['known']);
});

void t.test('the time of a directory moves with our own changes of its names', async (t) => {
  const bench = new TreeBench(t);
  bench.store.put('d/elsewhere', 'x');
  bench.store.put('d/sub/x', 'x');
  const ofDirectory = async (path: string): Promise<number> =>
    bench.fs.getattr(bench.context(), await bench.directory(path)).attributes.mtimeMs;
  const seen = [await ofDirectory('d')];
  const changed = async (what: string, work: () => Promise<unknown>): Promise<void> => {
    await work();
    seen.push(await ofDirectory('d'));
    t.ok((seen.at(-1) ?? 0) > (seen.at(-2) ?? 0), what);
  };
  // The clock of the bench stands still.
  const file = await bench.createAt('d/f');
  await changed('a file that was only made', () => bench.createAt('d/g'));
  await changed('mkdir', () => bench.mkdir('d/e'));
  await changed('rmdir', () => bench.rmdir('d/e'));
  await changed('rename', () => bench.rename('d/elsewhere', 'd/here'));
  await changed('rename out', async () => {
    bench.clock.advance(5);
    const before = await ofDirectory('d/sub');
    await bench.rename('d/here', 'd/sub/here');
    t.ok((await ofDirectory('d/sub')) > before, 'and where it goes');
  });
  await changed('unlink', () => bench.unlink('d/f'));
  await file.close();
  const before = await ofDirectory('d');
  t.equal(await bench.errno(() => bench.rmdir('d/sub')), ENOTEMPTY);
  t.equal(await ofDirectory('d'), before, 'not by what was refused');
  const d = await bench.directory('d');
  await bench.fs.setattr(bench.context(), d, { mtimeMs: 1_000_000 });
  t.equal(await ofDirectory('d'), 1_000_000, 'what utimens said stands');
  await bench.mkdir('d/again');
  t.ok((await ofDirectory('d')) > 1_000_000, 'until the next change');
});

void t.test('an open file that we removed or replaced has no links', async (t) => {
  const bench = new TreeBench(t);
  for (const name of ['read', 'replaced', 'elsewhere']) bench.store.put(name, name);
  const linksOf = (file: { readonly nodeId: number }): number =>
    bench.fs.getattr(bench.context(), file.nodeId).attributes.nlink;
  const read = await bench.openAt('read');
  const written = await bench.createAt('written');
  const replaced = await bench.openAt('replaced');
  const elsewhere = await bench.openAt('elsewhere');
  t.same([read, written, replaced, elsewhere].map(linksOf), [1, 1, 1, 1]);
  await bench.unlink('read');
  await bench.unlink('written');
  await bench.write('new', 'new');
  await bench.rename('new', 'replaced');
  t.same([read, written, replaced].map(linksOf), [0, 0, 0]);
  t.equal((await bench.stat('replaced'))?.attributes.nlink, 1, 'what replaced it');
  bench.store.put('elsewhere', 'another');
  bench.clock.advance(2000);
  t.equal((await bench.stat('elsewhere'))?.attributes.nlink, 1);
  t.equal(linksOf(elsewhere), 1, 'what others replaced is stale, not removed');
});

void t.test('a file that is open for reading is read on after its removal', async (t) => {
  const bench = new TreeBench(t);
  const body = 'x'.repeat(3_000_000);
  bench.store.put('f', body);
  const first = await bench.openAt('f');
  const second = await bench.openAt('f');
  await bench.unlink('f');
  t.same(bench.keys, []);
  t.equal(await bench.stat('f'), undefined);
  t.equal((await first.read(2_900_000, 200_000)).toString(), body.slice(2_900_000));
  await first.release();
  t.equal((await second.read(0, 4)).toString(), 'xxxx');
  await second.release();
  await until('what was kept is gone with the last handle', () => bench.spooled.length === 0);
  bench.kernel.forgetAll();
  t.equal(bench.fs.stats().nodes, 0);
});

void t.test('a file that is being written is dropped by its removal', async (t) => {
  const bench = new TreeBench(t);
  const file = await bench.createAt('tmp', O_RDWR | 0o300);
  await bench.unlink('tmp');
  await file.write(0, 'private');
  t.equal((await file.read(0, 100)).toString(), 'private');
  await file.close();
  t.same(bench.keys, [], 'never committed');
  t.same(bench.requests()['delete'], undefined, 'nothing to delete');
  t.same(await bench.names(), []);
  // One that is in the bucket and open for writing.
  bench.store.put('g', 'old bytes');
  const writer = await bench.openAt('g', O_RDWR);
  await writer.write(0, 'new');
  await bench.unlink('g');
  t.same(bench.keys, []);
  t.equal((await writer.read(0, 100)).toString(), 'new bytes');
  await writer.close();
  t.same(bench.keys, []);
});

void t.test('odd names', async (t) => {
  const bench = new TreeBench(t);
  for (const name of [' ', '%', '+', '?', '#', 'new\nline', 'ümlaut', '日本', '😀', 'a b%20c', '\\', '&amp;', '*']) {
    await bench.mkdir(`${name} dir`);
    await bench.write(`${name} dir/${name}`, name);
    t.equal(await bench.cat(`${name} dir/${name}`), name);
    await bench.rename(`${name} dir/${name}`, `${name} dir/moved${name}`);
    await bench.rename(`${name} dir`, `${name} moved`);
    t.equal(await bench.cat(`${name} moved/moved${name}`), name);
    await bench.unlink(`${name} moved/moved${name}`);
    await bench.rmdir(`${name} moved`);
  }
  t.same(bench.keys, []);
});

void t.test('--no-delete and --no-overwrite', async (t) => {
  const noDelete = new TreeBench(t, { fs: { noDelete: true } });
  noDelete.store.put('f', 'x');
  await noDelete.mkdir('d');
  t.equal(await noDelete.errno(() => noDelete.unlink('f')), EPERM);
  t.equal(await noDelete.errno(() => noDelete.rmdir('d')), EPERM);
  t.equal(await noDelete.errno(() => noDelete.rename('f', 'g')), EPERM);
  const noOverwrite = new TreeBench(t, { fs: { noOverwrite: true } });
  noOverwrite.store.put('f', 'x');
  noOverwrite.store.put('g', 'y');
  t.equal(await noOverwrite.errno(() => noOverwrite.rename('f', 'g')), EPERM);
  t.equal(await noOverwrite.errno(() => noOverwrite.openAt('f', O_RDWR)), EPERM);
  await noOverwrite.rename('f', 'h');
  await noOverwrite.write('new', 'may be written');
  t.same(noOverwrite.keys, ['g', 'h', 'new']);
});

void t.test('what new files in a listed directory cost', async (t) => {
  const bench = new TreeBench(t, { fs: { metadataTtlMs: 60_000, negativeMetadataTtlMs: 60_000 } });
  bench.store.put('d/old', 'x');
  await bench.names('d');
  bench.requests();
  const files = 3000;
  for (let at = 0; at < files; at++) {
    t.equal(await bench.stat(`d/new-${at}`), undefined);
    await bench.write(`d/new-${at}`, 'body');
  }
  t.same(bench.requests(), { put: files }, 'one PUT each');
  t.equal((await bench.names('d')).length, files + 1);
  // A directory that was just made is known to be empty.
  t.equal(await bench.stat('e'), undefined);
  bench.requests();
  await bench.mkdir('e');
  for (let at = 0; at < 10; at++) {
    t.equal(await bench.stat(`e/${at}`), undefined);
    await bench.write(`e/${at}`, 'body');
  }
  t.same(bench.requests(), { put: 11 });
});
