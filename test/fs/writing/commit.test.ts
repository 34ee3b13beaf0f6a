/**
 * When what was written becomes the object, and what everybody sees before and after: creation, close, fsync, closes by
 * others, killed writers, conflicts.
 */
import t from 'tap';
import { EACCES, EEXIST, EFBIG, EIO, EPERM, ESTALE } from '../../../src/base/errno.js';
import { context, errnoOf, ROOT, settle } from '../../support/memory-store-kernel.js';
import { storeError } from '../../support/memory-store-writer.js';
import { until } from '../../support/until.js';
import { O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY, TestFile, WriteBench } from './bench.js';

void t.test('a file is made, written, closed: one PUT, and the same mount reads it', async (t) => {
  const bench = new WriteBench(t);
  const { fs, kernel, writer, slots } = bench;
  const file = await bench.create('a');
  await file.write(0, 'hello ');
  await file.write(6, 'world');
  t.equal(file.size(), 11);
  t.equal(bench.object('a'), undefined, 'nothing before the close');
  const seen = await kernel.lookup(ROOT, 'a');
  t.equal(seen?.attributes.sizeBytes, 11, 'but the name is there at once');
  t.same(await kernel.names(ROOT), ['a']);
  await file.flush();
  t.equal(bench.object('a'), 'hello world');
  await file.release();
  t.match(writer.calls, [{ kind: 'put', key: 'a', sentBytes: 11, condition: { ifNoneMatch: true } }]);
  const again = await bench.open('a', O_RDONLY);
  t.equal(again.nodeId, file.nodeId, 'the node stays: its pages are what was written');
  t.equal((await again.read(0, 100)).toString(), 'hello world');
  await again.close();
  t.equal(slots.used, 0);
  t.same(bench.spooled, []);
  t.match(fs.stats(), { openFiles: 0 });
});

void t.test('a file that is made and not written is an empty object after its last close', async (t) => {
  const bench = new WriteBench(t);
  const file = await bench.create('a');
  await file.flush();
  t.equal(bench.object('a'), undefined);
  await file.release();
  t.equal(bench.object('a'), '');
});

void t.test('a file is read while it is written, by its own handle and by others', async (t) => {
  const bench = new WriteBench(t);
  bench.store.put('a', 'old content');
  const reader = await bench.open('a', O_RDONLY);
  t.equal((await reader.read(0, 100)).toString(), 'old content');
  const file = await bench.open('a', O_RDWR);
  t.equal(file.nodeId, reader.nodeId);
  await file.write(0, 'OLD');
  t.ok(bench.prefetcher.secluded.has(file.nodeId), 'reader threads find nothing of it');
  for (const each of [reader, file]) t.equal((await each.read(0, 100)).toString(), 'OLD content');
  t.equal((await reader.read(1, 5)).toString(), 'LD co');
  await file.write(11, '!');
  t.equal(reader.size(), 12);
  t.equal((await reader.read(0, 100)).toString(), 'OLD content!');
  await file.close();
  t.notOk(bench.prefetcher.secluded.has(file.nodeId));
  t.equal(bench.object('a'), 'OLD content!');
  t.equal((await reader.read(0, 100)).toString(), 'OLD content!', 'the reader goes on with the new version');
  await reader.close();
  t.equal(bench.slots.used, 0);
});

void t.test('fsync makes the object of what was written so far', async (t) => {
  const bench = new WriteBench(t);
  const file = await bench.create('log');
  await file.write(0, 'one\n');
  await file.fsync();
  t.equal(bench.object('log'), 'one\n');
  await file.write(4, 'two\n');
  t.equal(bench.object('log'), 'one\n');
  await file.fsync();
  t.equal(bench.object('log'), 'one\ntwo\n');
  t.equal(bench.prefetcher.reads.length, 0, 'nothing of a small file is fetched again while it is open');
  bench.writer.reset();
  await file.fsync();
  await file.close();
  t.equal(bench.writer.reset(), 0, 'nothing was written since');
  t.equal(bench.slots.used, 0);
});

void t.test('a close by another process publishes nothing, the last release does', async (t) => {
  const bench = new WriteBench(t);
  const file = await bench.create('ckpt');
  await file.write(0, 'half');
  await file.flush(43);
  t.equal(bench.object('ckpt'), undefined);
  await file.write(4, ' and half');
  await file.flush(43);
  await file.release();
  t.equal(bench.object('ckpt'), 'half and half');
});

void t.test('a killed writer publishes nothing', async (t) => {
  const bench = new WriteBench(t);
  bench.store.put('ckpt', 'good');
  const file = await bench.open('ckpt', O_WRONLY | O_TRUNC);
  await file.write(0, 'torn');
  bench.witness.told.set(42, 'killed');
  await file.flush();
  await file.release();
  t.equal(bench.object('ckpt'), 'good');
  const again = await bench.open('ckpt', O_RDONLY);
  t.not(again.nodeId, file.nodeId);
  t.equal((await again.read(0, 100)).toString(), 'good');
  t.equal(bench.slots.used, 0);
});

void t.test('a killed process that changed nothing tears nothing', async (t) => {
  const bench = new WriteBench(t);
  bench.witness.told.set(7, 'killed');
  // A lock file: made by one, and another waits for it until it is told to end.
  const lock = await bench.create('a.lock');
  await (await bench.open('a.lock', O_RDWR, 7)).close();
  await lock.close();
  t.equal(bench.object('a.lock'), '');

  const log = await bench.create('log');
  await log.write(0, 'one ');
  const idle = await bench.open('log', O_WRONLY, 7);
  await idle.write(4, 'two ');
  await idle.fsync();
  await log.write(8, 'three');
  await idle.close();
  await log.close();
  t.equal(bench.object('log'), 'one two three', 'what it wrote was synced');

  for (const how of ['write', 'truncate'] as const) {
    const torn = await bench.create(how);
    await torn.write(0, 'whole ');
    const other = await bench.open(how, O_WRONLY, 7);
    await (how === 'write' ? other.write(6, 'and to') : other.truncate(3));
    await other.close();
    t.equal(await errnoOf(() => torn.close()), EIO);
    t.equal(bench.object(how), undefined, how);
  }

  // A write that waited for a commit is none of it.
  const late = await bench.create('late');
  await late.write(0, 'one');
  bench.writer.hold('put');
  const synced = late.fsync();
  await settle();
  const other = await bench.open('late', O_WRONLY, 7);
  const waiting = other.write(3, 'half');
  await settle();
  bench.writer.letGo();
  await Promise.all([synced, waiting]);
  await other.close();
  t.equal(await errnoOf(() => late.close()), EIO);
  t.equal(bench.object('late'), 'one');
  t.equal(bench.slots.used, 0);
});

void t.test('an open that truncates', async (t) => {
  const bench = new WriteBench(t);
  bench.store.put('a', 'something');
  const file = await bench.open('a', O_WRONLY | O_TRUNC);
  t.equal(file.size(), 0);
  await file.flush();
  t.equal(bench.object('a'), 'something', 'a shell closes its copy before the command has begun');
  await file.write(0, 'new');
  await file.close();
  t.equal(bench.object('a'), 'new');
  const empty = await bench.open('a', O_WRONLY | O_TRUNC);
  await empty.close();
  t.equal(bench.object('a'), '');
});

void t.test('truncate without a handle is done when it returns', async (t) => {
  const bench = new WriteBench(t);
  bench.store.put('a', 'something');
  const { nodeId } = (await bench.kernel.lookup(ROOT, 'a'))!;
  const { attributes } = await bench.fs.setattr(bench.context(), nodeId, { sizeBytes: 4 });
  t.equal(attributes.sizeBytes, 4);
  t.equal(bench.object('a'), 'some');
  await bench.fs.setattr(bench.context(), nodeId, { sizeBytes: 6 });
  t.equal(bench.object('a'), 'some\0\0');
});

void t.test('truncate without a handle, while the last writer is going', async (t) => {
  const bench = new WriteBench(t);
  const file = await bench.create('a');
  const reader = await bench.open('a', O_RDONLY);
  await file.flush();
  bench.writer.hold(({ kind }) => kind === 'put');
  // The kernel does not wait for RELEASE: its commit is under way when the truncation comes.
  const released = file.release();
  const truncated = bench.fs.setattr(bench.context(), file.nodeId, { sizeBytes: 4 });
  await settle();
  bench.writer.letGo();
  await Promise.all([released, truncated]);
  t.equal(bench.object('a'), '\0\0\0\0');
  t.equal((await reader.read(0, 100)).toString(), '\0\0\0\0');
  await reader.release();
  t.same(bench.spooled, []);
});

void t.test('whoever reads what did not become an object gets ESTALE when its last writer is gone', async (t) => {
  const bench = new WriteBench(t);
  bench.store.put('a', 'something');
  const reader = await bench.open('a', O_RDONLY);
  const file = await bench.open('a', O_WRONLY);
  await file.write(9, ', and more');
  bench.writer.fail(undefined, storeError('AccessDenied', 403));
  t.equal(await errnoOf(() => file.flush()), EACCES);
  t.equal((await reader.read(0, 100)).toString(), 'something, and more');
  await file.release();
  t.equal(await errnoOf(() => reader.read(0, 100)), ESTALE);
  await reader.release();
  const again = await bench.open('a', O_RDONLY);
  t.equal((await again.read(0, 100)).toString(), 'something');
});

void t.test('bytes go to the spool while they become the object', async (t) => {
  const bench = new WriteBench(t, { slots: 1 });
  const file = await bench.create('a', O_RDWR | O_CREAT);
  const bytes = Buffer.alloc(100_000, 'x');
  await file.write(0, bytes);
  let openSpool = (): void => undefined;
  const isOpen = new Promise<void>((resolve) => (openSpool = resolve));
  const open = bench.spool.open.bind(bench.spool);
  bench.spool.open = (path, how) => isOpen.then(() => open(path, how));
  // Needs the slot: what the first file has is written to its spool file meanwhile.
  const other = await bench.create('b');
  const written = other.write(0, bytes);
  await settle();
  await file.fsync();
  t.equal(bench.object('a')?.length, 100_000);
  openSpool();
  await settle();
  t.ok((await file.read(0, 100_000)).equals(bytes), 'whoever has it open reads what is in the bucket');
  await written;
  await file.write(100_000, 'y');
  await file.close();
  t.equal(bench.object('a'), `${bytes.toString()}y`);
  await other.close();
  t.equal(bench.object('b'), bytes.toString());
  t.equal(bench.slots.used, 0);
  t.same(bench.spooled, []);
});

void t.test('a read of unchanged bytes while they become another object', async (t) => {
  const bench = new WriteBench(t);
  bench.store.put('a', 'something');
  const file = await bench.open('a', O_RDWR);
  await file.write(0, 'S');
  bench.prefetcher.isHeld = true;
  const reads = [file.read(4, 5), file.read(0, 9)];
  await settle();
  bench.prefetcher.isHeld = false;
  await file.fsync();
  t.equal(bench.object('a'), 'Something');
  bench.prefetcher.letGo();
  t.same((await Promise.all(reads)).map(String), ['thing', 'Something']);
  await file.close();
  t.same(bench.log.lines, []);
});

void t.test('a read that began before the file was written is answered before it is replaced', async (t) => {
  const bench = new WriteBench(t);
  bench.store.put('a', 'something');
  const reader = await bench.open('a', O_RDONLY);
  bench.prefetcher.isHeld = true;
  const read = reader.read(0, 9);
  const file = await bench.open('a', O_WRONLY | O_TRUNC);
  await file.write(0, 'new');
  const closed = file.close();
  await settle();
  t.equal(bench.object('a'), 'something');
  bench.prefetcher.letGo();
  t.equal((await read).toString(), 'something');
  await closed;
  t.equal(bench.object('a'), 'new');
  t.equal((await reader.read(0, 9)).toString(), 'new');
});

void t.test('somebody else replaced the object', async (t) => {
  const bench = new WriteBench(t);
  bench.store.put('a', 'first');
  const file = await bench.open('a', O_RDWR);
  await file.write(0, 'F');
  bench.store.put('a', 'other');
  t.equal(await errnoOf(() => file.flush()), ESTALE);
  t.equal(bench.object('a'), 'other');
  t.equal(await errnoOf(() => file.write(1, 'I')), ESTALE, 'and again');
  t.equal(await errnoOf(() => file.fsync()), ESTALE);
  t.same(bench.spooled, ['test-1.data', 'test-1.journal'], 'what was written is kept');
  t.match(bench.log.lines.at(-1)?.message, /'a' could not be written \(ESTALE\).*is kept in .*test-/);
  await file.release();
  t.same(bench.spooled, ['test-1.data', 'test-1.journal']);
  t.equal(bench.slots.used, 0);
});

void t.test('somebody else made the object meanwhile', async (t) => {
  const bench = new WriteBench(t);
  const plain = await bench.create('a');
  await plain.write(0, 'x');
  bench.store.put('a', 'other');
  t.equal(await errnoOf(() => plain.close()), ESTALE);
  const exclusive = await bench.create('b', O_WRONLY | O_CREAT | O_EXCL);
  await exclusive.write(0, 'x');
  bench.store.put('b', 'other');
  t.equal(await errnoOf(() => exclusive.close()), EEXIST);
  t.same([bench.object('a'), bench.object('b')], ['other', 'other']);
});

void t.test('--conflict last-writer', async (t) => {
  const bench = new WriteBench(t, { writing: { conflict: 'last-writer' } });
  bench.store.put('a', 'first');
  const file = await bench.open('a', O_WRONLY | O_TRUNC);
  await file.write(0, 'mine');
  bench.store.put('a', 'other');
  await file.close();
  t.equal(bench.object('a'), 'mine');
  const exclusive = await bench.create('b', O_WRONLY | O_CREAT | O_EXCL);
  await exclusive.write(0, 'x');
  bench.store.put('b', 'other');
  t.equal(await errnoOf(() => exclusive.close()), EEXIST, 'O_EXCL stays what it is');
});

void t.test('--conflict last-writer: an edit needs bytes of a version that is gone', async (t) => {
  const bench = new WriteBench(t, { writing: { conflict: 'last-writer' } });
  bench.store.put('a', 'something');
  const file = await bench.open('a', O_RDWR);
  await file.write(0, 'S');
  bench.store.put('a', 'other');
  t.equal(await errnoOf(() => file.flush()), ESTALE, 'never mixed');
  t.equal(bench.object('a'), 'other');
  t.match(
    bench.log.lines.at(-1)?.message,
    /unchanged bytes of it, which the new version needs, went with it.*\(1 B of 9 B\) is kept in/,
  );
  await file.release();
  t.same(bench.spooled, ['test-1.data', 'test-1.journal'], 'what was written is kept');
  // Whoever wrote all of it has all that is needed.
  bench.clock.advance(10_000);
  const whole = await bench.open('a', O_RDWR);
  await whole.write(0, 'OTHER');
  bench.store.put('a', 'again');
  await whole.close();
  t.equal(bench.object('a'), 'OTHER');
});

void t.test('a store that fails: the error is told by close, and again', async (t) => {
  const bench = new WriteBench(t);
  bench.writer.fail('put', storeError('InternalError', 500, 's3://b/a', 'ask who runs it'));
  const file = await bench.create('a');
  await file.write(0, 'bytes');
  t.equal(await errnoOf(() => file.flush()), EIO);
  t.match(
    bench.log.lines.at(-1)?.message,
    /\(EIO\): InternalError .*; ask who runs it; what was written \(5 B\) is kept/,
  );
  t.equal(await errnoOf(() => file.flush()), EIO);
  t.equal(await errnoOf(() => file.write(0, 'x')), EIO);
  await file.release();
  t.equal(bench.object('a'), undefined);
  t.equal(await bench.kernel.lookup(ROOT, 'a'), undefined, 'the name is gone with its last handle');
  t.same(bench.spooled, ['test-1.data', 'test-1.journal']);
});

void t.test('O_EXCL on a name that is there', async (t) => {
  const bench = new WriteBench(t);
  bench.store.put('a', 'x');
  await bench.kernel.lookup(ROOT, 'a');
  t.equal(await errnoOf(() => bench.create('a', O_WRONLY | O_CREAT | O_EXCL)), EEXIST);
  const file = await bench.create('a', O_WRONLY | O_CREAT | O_TRUNC);
  await file.write(0, 'y');
  await file.close();
  t.equal(bench.object('a'), 'y');
  t.match(bench.writer.calls, [{ kind: 'put', condition: { ifMatch: /"/ } }]);
});

void t.test('--commit-interval', async (t) => {
  const bench = new WriteBench(t, { writing: { commitIntervalMs: 5000 } });
  const log = await bench.create('events');
  await log.write(0, 'one\n');
  bench.clock.advance(4999);
  await settle();
  t.equal(bench.object('events'), undefined);
  bench.clock.advance(1);
  await settle();
  t.equal(bench.object('events'), 'one\n');
  await log.write(4, 'two\n');
  bench.clock.advance(5000);
  await settle();
  t.equal(bench.object('events'), 'one\ntwo\n');
  await log.write(8, 'last\n');
  bench.witness.told.set(42, 'killed');
  await log.close();
  t.equal(bench.object('events'), 'one\ntwo\nlast\n', 'a killed writer of such a file loses nothing');
  t.equal(bench.clock.pending, 0);
});

void t.test('the mount ends: what is whole is committed, what is torn is left', async (t) => {
  const bench = new WriteBench(t);
  const empty = await bench.create('empty');
  const inherited = await bench.create('inherited');
  await inherited.write(0, 'by a child');
  await inherited.flush(43);
  const torn = await bench.create('torn');
  await torn.write(0, 'half');
  const ended = bench.fs.drain(60_000, true);
  await ended;
  t.same([bench.object('empty'), bench.object('inherited'), bench.object('torn')], ['', 'by a child', undefined]);
  t.match(bench.log.lines.at(-1)?.message, /the mount ended before 'torn' was in the bucket; .* is kept in/);
  t.equal(await errnoOf(() => torn.write(4, 'x')), EIO);
  for (const file of [empty, inherited, torn]) await file.release();
  t.equal(bench.object('torn'), undefined);
  t.equal(bench.spooled.length, 2);
  t.equal(bench.slots.used, 0);
});

void t.test('the mount is told to end while somebody writes: it waits, but not for ever', async (t) => {
  const bench = new WriteBench(t);
  const ready = await bench.create('ready');
  await ready.write(0, 'in time');
  const late = await bench.create('late');
  await late.write(0, 'too late');
  const ended = bench.fs.drain(60_000, false);
  await settle();
  await ready.close();
  bench.clock.advance(100);
  await settle();
  t.equal(bench.object('ready'), 'in time');
  bench.clock.advance(59_900);
  await ended;
  t.equal(bench.object('late'), undefined);
  t.equal(await errnoOf(() => late.close()), EIO);
  t.equal(bench.spooled.length, 2);
  t.equal(bench.clock.pending, 0);
});

void t.test('the mount ends, and the writer that hears of it closes: what it wrote is kept first', async (t) => {
  const bench = new WriteBench(t);
  const file = await bench.create('a');
  for (let at = 0; at < 3; at++) await file.write(at << 20, Buffer.alloc(1 << 20, at), true);
  const ended = bench.fs.drain(60_000, false);
  await settle();
  bench.clock.advance(60_000);
  let refused = 0;
  for (let tries = 0; tries < 100 && refused !== EIO; tries++) refused = await errnoOf(() => file.flush());
  t.equal(refused, EIO);
  await file.release();
  await ended;
  t.match(
    bench.log.lines.at(-1)?.message,
    /the mount ended before 'a' was in the bucket; what was written \(3 MiB\) is kept/,
  );
  t.equal(bench.spooled.length, 2);
  t.equal(bench.slots.used, 0);
});

void t.test('the mount is told to end while the store is silent', async (t) => {
  const bench = new WriteBench(t);
  bench.writer.hold('put');
  const file = await bench.create('a');
  await file.write(0, 'bytes');
  const closing = errnoOf(() => file.close());
  const ended = bench.fs.drain(60_000, false);
  await settle();
  bench.clock.advance(60_000);
  await ended;
  t.equal(await closing, EIO);
  t.equal(bench.object('a'), undefined);
  t.equal(bench.spooled.length, 2);
  t.equal(bench.slots.used, 0);
});

void t.test('small files that stay open give their memory to those who need it', async (t) => {
  const bench = new WriteBench(t, { slots: 8 });
  const logs = [];
  for (let index = 0; index < 6; index++) {
    const log = await bench.create(`log${index}`, O_RDWR | O_CREAT);
    await log.write(0, Buffer.alloc(100_000, index));
    await log.fsync();
    logs.push(log);
  }
  t.equal(bench.slots.used, 6, 'kept for what is written next');
  const big = await bench.create('big');
  for (let index = 0; index < 8; index++) await big.write(index << 20, Buffer.alloc(1 << 20, index), true);
  await big.close();
  for (const [index, log] of logs.entries()) {
    t.ok((await log.read(0, 200_000)).equals(Buffer.alloc(100_000, index)));
    await log.write(100_000, 'more');
    await log.close();
    t.equal(bench.store.objects.get(`log${index}`)?.body.length, 100_004);
  }
  t.equal(bench.slots.used, 0);
});

void t.test('what is written while the last close commits is committed too', async (t) => {
  const bench = new WriteBench(t);
  bench.writer.hold('put');
  const first = await bench.create('a');
  await first.write(0, 'one');
  const released = first.release();
  await settle();
  const second = await bench.open('a', O_WRONLY);
  const written = second.write(3, ' two');
  await second.flush(99);
  const both = Promise.all([released, written.then(() => second.release())]);
  bench.writer.letGo();
  await both;
  t.equal(bench.object('a'), 'one two');
  t.same(bench.spooled, []);
});

void t.test('the last writer goes while its file is being replaced, or renamed', async (t) => {
  for (const [from, to] of [
    ['other', 'written'],
    ['written', 'other'],
  ] as const) {
    const bench = new WriteBench(t);
    bench.store.put('other', 'other');
    const file = await bench.create('written');
    await file.write(0, 'bytes');
    await file.fsync();
    bench.writer.hold('copy');
    const renamed = errnoOf(() => bench.fs.rename(context(), ROOT, from, ROOT, to, 0));
    // What the open handle may still read goes to a real file first.
    await until(`${from} to ${to}: the copy waits`, () => bench.writer.waiting.length === 1);
    await file.close();
    bench.writer.letGo();
    t.equal(await renamed, 0);
    t.equal(bench.object(to), from === 'other' ? 'other' : 'bytes');
    t.equal(bench.object(from), undefined);
    const again = await bench.create('again');
    await again.write(0, 'x');
    await again.close();
    t.equal(bench.object('again'), 'x', 'the mount goes on');
  }
});

void t.test('what would not fit into 10,000 parts is refused when it is written', async (t) => {
  const bench = new WriteBench(t, { slots: 32 });
  const file = await bench.create('a');
  t.equal(await errnoOf(() => file.write(21 * 1024 ** 4, 'x')), EFBIG);
  t.equal(await errnoOf(() => file.truncate(21 * 1024 ** 4)), EFBIG);
  await file.write(0, 'fits');
  await file.close();
  t.equal(bench.object('a'), 'fits');
});

void t.test('a thousand open writers share sixteen slots', async (t) => {
  const bench = new WriteBench(t, { slots: 16 });
  const files = await Promise.all(Array.from({ length: 1000 }, (_, index) => bench.create(`w${index}`)));
  for (let turn = 0; turn < 3; turn++) {
    await Promise.all(files.map((file, index) => file.write(turn * 50_000, Buffer.alloc(50_000, index + turn))));
  }
  t.ok(bench.slots.peak <= 16);
  await Promise.all(files.map((file) => file.close()));
  const wrong = files.filter((_, index) => {
    const want = Buffer.concat([0, 1, 2].map((turn) => Buffer.alloc(50_000, index + turn)));
    return bench.store.objects.get(`w${index}`)?.body.equals(want) !== true;
  });
  t.equal(wrong.length, 0);
  t.equal(bench.slots.used, 0);
  t.same(bench.spooled, []);
});

void t.test('a file is renamed while parts of it are sent', async (t) => {
  for (const slots of [400, 12]) {
    const bench = new WriteBench(t, { slots });
    const file = await bench.create('a');
    const content: Buffer[] = [];
    for (let index = 0; index < 40; index++) {
      content.push(Buffer.alloc(1 << 20, index + 1));
      await file.write(index << 20, Buffer.alloc(1 << 20, index + 1), true);
      if (index !== 30) continue;
      await settle();
      await bench.fs.rename(context(), ROOT, 'a', ROOT, 'b', 0);
      // Whoever takes the old name keeps it.
      if (slots === 400) bench.store.put('a', 'somebody else');
    }
    await file.close();
    t.equal(bench.object('a'), slots === 400 ? 'somebody else' : undefined, `${slots} slots`);
    t.ok(bench.store.objects.get('b')?.body.equals(Buffer.concat(content)));
    t.equal(bench.writer.uploads.size, 0);
    t.equal(bench.slots.used, 0);
    t.same(bench.spooled, []);
  }
});

void t.test('a new file is renamed over an object, and goes before it is in the bucket', async (t) => {
  const bench = new WriteBench(t);
  for (const how of ['unlink', 'rename'] as const) {
    bench.store.put('b', 'old');
    bench.clock.advance(10_000);
    const file = await bench.create('a', O_RDWR | O_CREAT);
    await file.write(0, 'new');
    await bench.fs.rename(context(), ROOT, 'a', ROOT, 'b', 0);
    t.equal(bench.object('b'), 'old', 'replaced whole, at the close');
    if (how === 'unlink') await bench.fs.unlink(context(), ROOT, 'b');
    else await bench.fs.rename(context(), ROOT, 'b', ROOT, 'c', 0);
    t.equal(bench.object('b'), undefined, `${how}: what it was put over is gone for good`);
    t.equal((await file.read(0, 10)).toString(), 'new');
    await file.close();
    t.equal(bench.object('b'), undefined);
    t.equal(bench.object('c'), how === 'rename' ? 'new' : undefined);
  }
  t.equal(bench.slots.used, 0);
  t.same(bench.log.lines, []);
});

void t.test('a late refusal of the version before ours retires nothing', async (t) => {
  const bench = new WriteBench(t);
  bench.store.put('a', 'old');
  const { etag } = bench.store.objects.get('a') ?? {};
  const file = await bench.open('a', O_WRONLY | O_TRUNC);
  await file.write(0, 'while it is written');
  bench.fs.versionLost(file.nodeId, etag ?? '');
  await file.flush();
  bench.fs.versionLost(file.nodeId, etag ?? '');
  await file.release();
  const again = await bench.open('a', O_RDONLY);
  t.equal(again.nodeId, file.nodeId);
  t.equal((await again.read(0, 100)).toString(), 'while it is written');
  await again.close();
  t.same(bench.log.lines, []);
});

void t.test('a file that is unlinked while its parts are on their way', async (t) => {
  const bench = new WriteBench(t, { writing: { partBytes: 4096, partBytesMin: 4096 } });
  for (const flags of [O_WRONLY | O_CREAT, O_RDWR | O_CREAT]) {
    const file = await bench.create('a', flags);
    bench.writer.hold('uploadPart');
    for (let part = 0; part < 4; part++) await file.write(part * 4096, Buffer.alloc(4096, part + 1));
    await settle();
    t.ok(bench.writer.waiting.length > 0, 'a part is on its way');
    await bench.fs.unlink(context(), ROOT, 'a');
    await settle();
    t.equal(bench.writer.uploads.size, 0, 'its upload goes with its name, not with its last handle');
    const again = await bench.create('a');
    await again.write(0, 'another');
    await file.write(4 * 4096, 'goes on');
    t.equal((await file.read(2 * 4096, 3)).toString('hex'), '030303');
    await file.fsync();
    await file.close();
    bench.writer.letGo();
    await again.close();
    t.equal(bench.object('a'), 'another');
    t.equal(bench.writer.uploads.size, 0);
    t.equal(bench.slots.used, 0);
    t.same(bench.spooled, []);
    await bench.fs.unlink(context(), ROOT, 'a');
  }
});

void t.test('a file that is unlinked after parts of it were sent', async (t) => {
  const bench = new WriteBench(t, { writing: { partBytes: 4096, partBytesMin: 4096 } });
  const file = await bench.create('a');
  for (let part = 0; part < 4; part++) await file.write(part * 4096, Buffer.alloc(4096, part + 1));
  await settle();
  t.equal(bench.writer.uploads.size, 1);
  await bench.fs.unlink(context(), ROOT, 'a');
  await settle();
  t.equal(bench.writer.uploads.size, 0);
  await file.close();
  t.equal(bench.slots.used, 0);
  t.same(bench.spooled, []);
});

void t.test('a file that is renamed while its parts are sent becomes an object under its new name only', async (t) => {
  const parts = Buffer.concat(Array.from({ length: 24 }, (_, part) => Buffer.alloc(4096, part + 1)));
  for (const isLost of [false, true]) {
    for (const [from, to] of [
      ['a', 'b'],
      ['d/a', 'e/a'],
    ] as const) {
      const bench = new WriteBench(t, { slots: 16, writing: { partBytes: 4096, partBytesMin: 4096 } });
      bench.store.put('d/old', 'old');
      const directory = await bench.kernel.lookup(ROOT, 'd');
      const parent = from === 'a' ? ROOT : (directory?.nodeId ?? 0);
      const { entry, open } = await bench.fs.create(bench.context(), parent, 'a', 0o644, O_WRONLY | O_CREAT);
      const file = new TestFile(bench, entry.nodeId, open.handle, 42);
      const half = isLost ? 20 * 4096 : 8 * 4096;
      for (let at = 0; at < half; at += 4096) {
        await file.write(at, parts.subarray(at, at + 4096));
        await settle();
      }
      t.equal(bench.writer.uploads.size, 1, 'parts are sent');
      const [name, newName] = from === 'a' ? ['a', 'b'] : ['d', 'e'];
      await bench.fs.rename(context(), ROOT, name, ROOT, newName, 0);
      const other = from === 'a' ? await bench.create('a') : undefined;
      await other?.write(0, 'the next one');
      await other?.close();
      for (let at = half; at < parts.length; at += 4096) await file.write(at, parts.subarray(at, at + 4096));
      await file.close();
      t.ok(bench.store.objects.get(to)?.body.equals(parts) === true, `${from} to ${to}, ${isLost ? 'lost' : 'kept'}`);
      t.equal(bench.object(from), from === 'a' ? 'the next one' : undefined);
      t.equal(bench.writer.uploads.size, 0);
      t.equal(bench.slots.used, 0);
      t.same(bench.spooled, []);
    }
  }
});

void t.test('a file without a name is read until its last handle is closed, whoever wrote it', async (t) => {
  const bench = new WriteBench(t);
  const file = await bench.create('a');
  await file.write(0, 'never in the bucket');
  const reader = await bench.open('a', O_RDONLY);
  const other = await bench.open('a', O_RDONLY);
  await bench.fs.unlink(context(), ROOT, 'a');
  await file.close();
  t.equal((await reader.read(0, 100)).toString(), 'never in the bucket');
  await reader.close();
  t.equal((await other.read(6, 2)).toString(), 'in');
  await other.close();
  await settle();
  t.equal(bench.object('a'), undefined);
  t.equal(bench.slots.used, 0);
  t.same(bench.spooled, []);
  t.match(bench.fs.stats(), { openFiles: 0 });
});

void t.test('a CREATE that finds a file and may not open it leaves no lookup behind', async (t) => {
  for (const storageClass of ['', 'GLACIER']) {
    const bench = new WriteBench(t, { fs: { noOverwrite: storageClass === '' } });
    bench.store.put('a', 'here', { storageClass });
    await bench.kernel.lookup(ROOT, 'a');
    bench.kernel.forgetAll();
    const create = (): unknown => bench.fs.create(context(), ROOT, 'a', 0o644, O_WRONLY);
    t.equal(await errnoOf(create), storageClass === '' ? EPERM : EIO);
    t.match(bench.fs.stats(), { nodes: 0, openFiles: 0 });
  }
});
