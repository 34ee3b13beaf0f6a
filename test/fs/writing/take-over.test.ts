/**
 * A daemon dies with files open for writing, and the next one takes over: what of a file is nowhere but in the dead one's memory
 * is an error for good, everything else goes on, and no answer is a lie. The dead daemon is a bench that is not used any more:
 * its requests under way are held back, or take effect afterwards as a store's would.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { EEXIST, EIO, ENOSPC, ESTALE } from '../../../src/base/errno.js';
import { KIB, MIB } from '../../../src/base/units.js';
import { MappedJournal, type JournalMemory } from '../../../src/base/journal/state-journal.js';
import { processStart } from '../../../src/base/process-identity.js';
import { RECORD_WRITER } from '../../../src/fs/survival.js';
import { completeLeftOver, listLeftOvers } from '../../../src/fs/writing/recovery.js';
import { errnoOf, ROOT, settle } from '../../support/memory-store-kernel.js';
import { storeError } from '../../support/memory-store-writer.js';
import { O_CREAT, O_EXCL, O_RDONLY, O_RDWR, O_TRUNC, O_WRONLY, WriteBench } from './bench.js';

/** The daemon is killed; the next one serves. */
async function killed(
  t: Test,
  bench: WriteBench,
  options: ConstructorParameters<typeof WriteBench>[1] = {},
): Promise<WriteBench> {
  const next = new WriteBench(t, { ...options, after: bench });
  await next.fs.takeOverWriting();
  return next;
}

/** What a kill at this moment leaves; requests that are held back may take effect in the store afterwards. */
function snapshot(t: Test, bench: WriteBench): WriteBench {
  const spoolPath = mkdtempSync(join(tmpdir(), 'mount-s3x-spool-'));
  t.teardown(() => rmSync(spoolPath, { recursive: true, force: true }));
  cpSync(bench.spoolPath, spoolPath, { recursive: true });
  const dead = { memory: { bytes: Uint8Array.from(bench.memory?.bytes ?? []) }, spoolPath };
  return Object.assign(Object.create(bench) as WriteBench, dead);
}

function journalAt({ memory }: WriteBench): JournalMemory {
  return { bytes: memory?.bytes ?? new Uint8Array(0), reserve: () => true, clear: () => undefined };
}

function filled(bytes: number, salt: number): Buffer {
  const all = Buffer.allocUnsafe(bytes);
  for (let at = 0; at < bytes; at++) all[at] = (salt + at * 7 + (at >>> 8)) & 0xff;
  return all;
}

void t.test('opened and not written: it goes on', async (t) => {
  const bench = new WriteBench(t, { journalled: true });
  bench.store.put('log', 'one\n');
  const before = await bench.open('log', O_RDWR);
  const next = await killed(t, bench);
  const file = next.same(before);
  t.equal(file.size(), 4);
  t.equal((await file.read(0, 100)).toString(), 'one\n');
  await file.write(4, 'two\n');
  t.equal((await file.read(0, 100)).toString(), 'one\ntwo\n');
  await file.fsync();
  t.equal(next.object('log'), 'one\ntwo\n');
  await file.close();
  t.match(next.fs.stats(), { openFiles: 0, writing: { files: 0 } });
  t.equal(next.slots.used, 0);
});

void t.test('synced, and not written since: it goes on with what was synced', async (t) => {
  const bench = new WriteBench(t, { journalled: true });
  const before = await bench.create('log');
  await before.write(0, 'one\n');
  await before.fsync();
  const file = (await killed(t, bench)).same(before);
  await file.write(4, 'two\n');
  await file.close();
  t.equal(bench.object('log'), 'one\ntwo\n');
});

void t.test('made and still empty: it goes on, exclusive or not', async (t) => {
  const bench = new WriteBench(t, { journalled: true });
  const plain = await bench.create('plain');
  const exclusive = await bench.create('exclusive', O_WRONLY | O_CREAT | O_EXCL);
  const beaten = await bench.create('beaten', O_WRONLY | O_CREAT | O_EXCL);
  const next = await killed(t, bench);
  t.same((await next.kernel.names(ROOT)).sort(), ['beaten', 'exclusive', 'plain'], 'the names are there');
  t.equal((await next.kernel.lookup(ROOT, 'plain'))?.nodeId, plain.nodeId, 'as the nodes that the kernel knows');
  for (const each of [plain, exclusive]) {
    await next.same(each).write(0, 'x');
    await next.same(each).close();
  }
  t.equal(next.object('plain'), 'x');
  t.equal(next.object('exclusive'), 'x');
  next.store.put('beaten', 'theirs');
  await next.same(beaten).write(0, 'ours');
  t.equal(await errnoOf(() => next.same(beaten).close()), EEXIST);
  t.equal(next.object('beaten'), 'theirs');
});

void t.test('made, never written, closed after: an empty object', async (t) => {
  const bench = new WriteBench(t, { journalled: true });
  const before = await bench.create('empty');
  const next = await killed(t, bench);
  await next.same(before).close();
  t.equal(next.object('empty'), '');
});

void t.test('truncated by its open, or cut: none of that is lost', async (t) => {
  const bench = new WriteBench(t, { journalled: true });
  bench.store.put('shell', 'something');
  bench.store.put('cut', 'something');
  const shell = await bench.open('shell', O_WRONLY | O_TRUNC);
  const cut = await bench.open('cut', O_RDWR);
  await cut.truncate(4);
  await cut.truncate(6);
  const next = await killed(t, bench);
  await next.same(shell).flush();
  t.equal(next.object('shell'), 'something', 'a truncation alone waits for the last descriptor');
  await next.same(shell).release();
  t.equal(next.object('shell'), '');
  t.equal((await next.same(cut).read(0, 100)).toString(), 'some\0\0');
  await next.same(cut).close();
  t.equal(next.object('cut'), 'some\0\0');
});

void t.test('written and not committed: an error for good, and nothing is published', async (t) => {
  const bench = new WriteBench(t, { journalled: true });
  bench.store.put('old', 'good');
  const fresh = await bench.create('fresh');
  await fresh.write(0, 'lost');
  const old = await bench.open('old', O_RDWR);
  await old.write(0, 'LOST');
  const reader = await bench.open('old', O_RDONLY);
  const next = await killed(t, bench);
  for (const each of [fresh, old]) {
    const file = next.same(each);
    t.equal(await errnoOf(() => file.read(0, 4)), EIO);
    t.equal(await errnoOf(() => file.write(4, 'more')), EIO);
    t.equal(await errnoOf(() => file.fsync()), EIO);
    t.equal(await errnoOf(() => file.flush()), EIO);
    t.equal(await errnoOf(() => file.truncate(0)), EIO);
    t.equal(await errnoOf(() => file.size()), EIO, 'no size at which a reader would end as if he had read it all');
  }
  t.equal(next.object('fresh'), undefined);
  t.equal(next.object('old'), 'good');
  t.notOk(await next.kernel.lookup(ROOT, 'fresh'), 'the names mean what the bucket has');
  const again = await next.open('old', O_RDWR);
  t.not(again.nodeId, reader.nodeId);
  t.equal((await again.read(0, 10)).toString(), 'good');
  await again.write(0, 'GOOD');
  await again.close();
  t.equal(next.object('old'), 'GOOD', 'and can be written again beside the handles that cannot');
  const anew = await next.create('fresh');
  await anew.write(0, 'whole');
  await anew.close();
  t.equal(next.object('fresh'), 'whole');
  for (const each of [fresh, old]) await next.same(each).release();
  t.equal(await errnoOf(() => next.same(reader).size()), EIO, 'nor when its writers are gone');
  t.equal(await errnoOf(() => next.same(reader).read(100, 4)), EIO);
  t.equal(next.object('fresh'), 'whole', 'the last close of the lost one publishes nothing');
  t.equal(next.object('old'), 'GOOD');
  t.match(next.fs.stats(), { writing: { files: 0 } });
  t.same(await listLeftOvers(next.spoolPath), [], 'of what was in memory only there is nothing to recover');
});

void t.test('a stream: what arrived is offered, nothing is completed', async (t) => {
  const bench = new WriteBench(t, { journalled: true, slots: 32 });
  const before = await bench.create('big');
  const pieces: Buffer[] = [];
  for (let index = 0; index < 30; index++) {
    const piece = filled(MIB, index);
    pieces.push(piece);
    await before.write(index * MIB, piece, true);
    await settle(3);
  }
  for (let turns = 0; bench.fs.stats().writing?.partsSending !== 0 && turns < 100; turns++) await settle(5);
  await settle(50);
  const next = await killed(t, bench);
  const file = next.same(before);
  t.equal(await errnoOf(() => file.write(30 * MIB, 'x')), EIO);
  t.equal(await errnoOf(() => file.flush()), EIO);
  await file.release();
  t.equal(next.store.objects.size, 0);
  t.equal(next.writer.uploads.size, 1, 'its upload stays');
  const [leftOver, ...others] = await listLeftOvers(next.spoolPath);
  t.same(others, []);
  t.match(leftOver, { key: 'big', because: 'crashed', isInUse: false, isTorn: true });
  t.ok(leftOver!.sizeBytes >= 16 * MIB, `${leftOver!.sizeBytes} bytes are kept`);
  const { writer, readObject } = next;
  await completeLeftOver(next.spoolPath, leftOver!.id, { writer, readObject });
  const kept = next.store.objects.get('big')?.body;
  t.ok(kept?.equals(Buffer.concat(pieces).subarray(0, leftOver!.sizeBytes)), 'exactly the bytes that are known');
});

void t.test('a part that was changed after it was sent is not offered as it was', async (t) => {
  const bench = new WriteBench(t, { journalled: true, slots: 48 });
  const before = await bench.create('header', O_RDWR);
  for (let index = 0; index < 20; index++) {
    await before.write(index * MIB, filled(MIB, index), true);
    await settle(3);
  }
  await settle(50);
  await before.write(0, 'HEADER');
  await settle(20);
  const next = await killed(t, bench);
  await next.same(before).release();
  const [leftOver] = await listLeftOvers(next.spoolPath);
  t.match(leftOver, { sizeBytes: 0, isTorn: true });
});

void t.test('a close whose PUT had reached the store succeeds; one whose had not fails', async (t) => {
  for (const [name, isThere] of [
    ['it had', true],
    ['it had not', false],
  ] as const) {
    await t.test(name, async (t) => {
      const bench = new WriteBench(t, { journalled: true });
      bench.store.put('a', 'before');
      const before = await bench.open('a', O_WRONLY | O_TRUNC);
      await before.write(0, 'content');
      bench.writer.hold(({ kind }) => kind === 'put');
      void before.flush().catch(() => undefined);
      await settle();
      const dead = snapshot(t, bench);
      if (isThere) {
        bench.writer.letGo();
        await settle();
        t.equal(bench.object('a'), 'content');
      }
      const next = await killed(t, dead);
      const file = next.same(before);
      if (isThere) {
        await file.flush();
        t.equal((await (await next.open('a', O_RDONLY)).read(0, 10)).toString(), 'content');
        await file.write(7, '!');
        await file.close();
        t.equal(next.object('a'), 'content!');
      } else {
        t.equal(await errnoOf(() => file.flush()), EIO);
        await file.release();
        t.equal(next.object('a'), 'before');
      }
      t.match(next.fs.stats(), { writing: { files: 0 } });
    });
  }
});

void t.test('a close whose PUT another object hides: somebody else was faster', async (t) => {
  const bench = new WriteBench(t, { journalled: true });
  const before = await bench.create('a');
  await before.write(0, 'ours!');
  bench.writer.hold(({ kind }) => kind === 'put');
  void before.flush().catch(() => undefined);
  await settle();
  bench.store.put('a', 'their');
  const next = await killed(t, bench);
  t.equal(await errnoOf(() => next.same(before).flush()), EIO, 'same size, other bytes');
  t.equal(next.object('a'), 'their');
});

void t.test('a close whose completion was under way', async (t) => {
  for (const name of ['it had reached the store', 'it had not', 'somebody else made the object meanwhile'] as const) {
    await t.test(name, async (t) => {
      const bench = new WriteBench(t, { journalled: true });
      const before = await bench.create('big');
      const content = filled(20 * MIB, 1);
      for (let at = 0; at < content.length; at += MIB) await before.write(at, content.subarray(at, at + MIB), true);
      bench.writer.hold(({ kind }) => kind === 'completeUpload');
      void before.flush().catch(() => undefined);
      while (bench.writer.calls[bench.writer.calls.length - 1]?.kind !== 'completeUpload') await settle(5);
      const dead = snapshot(t, bench);
      if (name === 'it had reached the store') {
        bench.writer.letGo();
        await settle(5);
        t.ok(bench.store.objects.has('big'));
      }
      if (name.startsWith('somebody')) bench.store.put('big', 'theirs');
      const next = await killed(t, dead);
      const file = next.same(before);
      const flushed = await errnoOf(() => file.flush());
      if (name.startsWith('somebody')) {
        t.equal(flushed, ESTALE);
        t.equal(next.object('big'), 'theirs');
        const [leftOver] = await listLeftOvers(next.spoolPath);
        t.match(leftOver, { sizeBytes: content.length, isTorn: false }, 'ours is whole, and kept');
      } else {
        t.equal(flushed, 0);
        t.ok(next.store.objects.get('big')?.body.equals(content));
        t.equal(next.writer.uploads.size, 0);
        t.equal((await file.read(5, 3)).compare(content, 5, 8), 0);
        t.same(await listLeftOvers(next.spoolPath), [], 'nothing is left of it in the spool');
      }
      await file.release();
    });
  }
});

void t.test('a file in the spool and in parts goes on where it was, through a planned hand-over', async (t) => {
  for (const flags of [O_WRONLY, O_RDWR]) {
    await t.test(flags === O_RDWR ? 'read and written' : 'only written', async (t) => {
      const bench = new WriteBench(t, { journalled: true, slots: 40 });
      const before = await bench.create('ckpt', flags);
      const content = filled(60 * MIB + 5 * KIB, 3);
      const half = 33 * MIB;
      for (let at = 0; at < half; at += MIB) {
        await before.write(at, content.subarray(at, at + MIB), true);
        await settle(2);
      }
      const small = await bench.create('small');
      await small.write(0, 'in memory');
      await bench.fs.handOver(10_000);
      // The kernel asks both: the first never answers.
      void before.write(half, content.subarray(half, half + MIB)).catch(() => undefined);
      const next = await killed(t, bench, { slots: 40 });
      const sentBefore = next.writer.calls.length;
      const file = next.same(before);
      t.equal(file.size(), half);
      if (flags === O_RDWR) t.equal((await file.read(10 * MIB, 100)).compare(content, 10 * MIB, 10 * MIB + 100), 0);
      t.ok(
        (await listLeftOvers(next.spoolPath)).every(({ isInUse }) => isInUse),
        'recover leaves them alone',
      );
      for (let at = half; at < content.length; at += MIB) {
        await file.write(at, content.subarray(at, Math.min(at + MIB, content.length)));
        await settle(2);
      }
      await next.same(small).write(9, ', then more');
      await next.same(small).close();
      await file.close();
      t.ok(next.store.objects.get('ckpt')?.body.equals(content));
      t.equal(next.object('small'), 'in memory, then more');
      const parts = next.writer.calls.slice(sentBefore).filter(({ kind }) => kind === 'uploadPart');
      t.ok(parts.reduce((sum, { sentBytes }) => sum + sentBytes, 0) < 50 * MIB, 'parts that were sent stay sent');
      t.equal(next.writer.uploads.size, 0);
      t.same(next.spooled, []);
      t.match(next.fs.stats(), { openFiles: 0, writing: { files: 0 } });
    });
  }
});

void t.test('an edit whose upload is taken over does not ask what it keeps once the object is made', async (t) => {
  const bench = new WriteBench(t, { journalled: true, slots: 40 });
  bench.store.put('big', filled(60 * MIB, 1), { contentType: 'text/html' });
  const before = await bench.open('big', O_RDWR);
  const content = filled(33 * MIB, 3);
  for (let at = 0; at < content.length; at += MIB) {
    await before.write(at, content.subarray(at, at + MIB), true);
    await settle(2);
  }
  t.equal(bench.writer.uploads.size, 1);
  await bench.fs.handOver(10_000);
  const next = await killed(t, bench, { slots: 40 });
  next.writer.describe = () => Promise.reject(storeError('SlowDown', 503));
  await next.same(before).close();
  t.ok(next.store.objects.get('big')?.body.subarray(0, content.length).equals(content));
  t.equal(next.store.objects.get('big')?.contentType, 'text/html');
});

void t.test('random edits through two hand-overs and no hand-over', async (t) => {
  let bench = new WriteBench(t, { journalled: true, slots: 8 });
  const content = filled(3 * MIB, 5);
  bench.store.put('edited', content);
  let file = await bench.open('edited', O_RDWR);
  for (let round = 0; round < 3; round++) {
    for (let edit = 0; edit < 40; edit++) {
      const at = ((round * 40 + edit) * 77_003) % (3 * MIB - 100);
      const bytes = filled(100, round + edit);
      bytes.copy(content, at);
      await file.write(at, bytes);
    }
    await bench.fs.handOver(10_000);
    bench = await killed(t, bench, { slots: 8 });
    file = bench.same(file);
    const seen = Buffer.concat([await file.read(0, MIB), await file.read(MIB, MIB), await file.read(2 * MIB, MIB)]);
    t.ok(seen.equals(content), `round ${round}`);
  }
  await file.close();
  t.ok(bench.store.objects.get('edited')?.body.equals(content));
});

void t.test('a hand-over that finds no room: an error, and only for that file', async (t) => {
  const bench = new WriteBench(t, { journalled: true });
  const before = await bench.create('a');
  await before.write(0, filled(100, 1));
  const empty = await bench.create('b');
  bench.spool.open = () => Promise.reject(Object.assign(new Error('full'), { errno: ENOSPC }));
  await bench.fs.handOver(10_000);
  const next = await killed(t, bench);
  t.equal(await errnoOf(() => next.same(before).flush()), EIO);
  await next.same(empty).write(0, 'x');
  await next.same(empty).close();
  t.equal(next.object('b'), 'x');
});

void t.test('a file that had failed stays failed, one whose writer was killed stays torn', async (t) => {
  const bench = new WriteBench(t, { journalled: true });
  const failed = await bench.create('failed');
  await failed.write(0, 'x');
  bench.writer.fail('put', storeError('AccessDenied', 403));
  const errno = await errnoOf(() => failed.flush());
  const torn = await bench.create('torn');
  await torn.write(0, 'half');
  bench.witness.told.set(42, 'killed');
  await torn.flush();
  while (!(await listLeftOvers(bench.spoolPath)).some(({ key, isInUse }) => key === 'torn' && !isInUse))
    await settle(5);
  const next = await killed(t, bench);
  t.equal(await errnoOf(() => next.same(failed).flush()), errno);
  await next.same(failed).release();
  await next.same(torn).release();
  t.same([...next.store.objects.keys()], []);
  t.same((await listLeftOvers(next.spoolPath)).map(({ key, because }) => `${key} ${because}`).sort(), [
    'failed failed',
    'torn killed',
  ]);
});

void t.test('renamed before it was committed: it goes on under its last name', async (t) => {
  const bench = new WriteBench(t, { journalled: true });
  bench.store.put('ckpt', 'old');
  const before = await bench.create('ckpt.tmp');
  await bench.kernel.lookup(ROOT, 'ckpt');
  await bench.fs.rename(bench.context(), ROOT, 'ckpt.tmp', ROOT, 'ckpt', 0);
  const next = await killed(t, bench);
  const file = next.same(before);
  await file.write(0, 'new');
  await file.close();
  t.equal(next.object('ckpt'), 'new');
  t.equal(next.object('ckpt.tmp'), undefined);
});

void t.test('it replaced a file that is still read: its name is its own, and its writers share it', async (t) => {
  for (const isWritten of [false, true]) {
    const bench = new WriteBench(t, { journalled: true });
    bench.store.put('new', 'new');
    bench.store.put('name', 'old');
    await (await bench.open('new', O_RDONLY)).close();
    const reader = await bench.open('name', O_RDONLY);
    await bench.fs.rename(bench.context(), ROOT, 'new', ROOT, 'name', 0);
    const before = await bench.open('name', O_RDWR);
    t.ok(before.nodeId < reader.nodeId, 'the version that was replaced has the younger node');
    if (isWritten) await before.truncate(2);
    const next = await killed(t, bench);
    const file = next.same(before);
    await file.write(0, 'NEW');
    const second = await next.open('name', O_RDWR);
    t.equal(second.nodeId, file.nodeId);
    t.equal((await second.read(0, 10)).toString(), 'NEW');
    await second.write(3, '!');
    await file.close();
    await second.close();
    t.equal(next.object('name'), 'NEW!');
  }
});

void t.test('unlinked while open: it never comes back', async (t) => {
  const bench = new WriteBench(t, { journalled: true });
  const before = await bench.create('gone');
  await bench.fs.unlink(bench.context(), ROOT, 'gone');
  const next = await killed(t, bench);
  await next.same(before).release();
  t.equal(next.object('gone'), undefined);
  t.notOk(await next.kernel.lookup(ROOT, 'gone'));
});

void t.test('a CREATE that was cut off before it had a handle leaves nothing', async (t) => {
  const bench = new WriteBench(t, { journalled: true });
  const made = await bench.create('a', O_WRONLY | O_CREAT | O_EXCL);
  const dead = snapshot(t, bench);
  // The record of the handle comes after that of the file.
  new MappedJournal(journalAt(dead)).remove(RECORD_WRITER, made.handle);
  const next = await killed(t, dead);
  t.notOk(await next.kernel.lookup(ROOT, 'a'));
  const again = await next.create('a', O_WRONLY | O_CREAT | O_EXCL);
  await again.write(0, 'x');
  await again.close();
  t.equal(next.object('a'), 'x');
  t.match(next.fs.stats(), { writing: { files: 0 } });
});

void t.test('a truncation by path that was cut off is finished', async (t) => {
  const bench = new WriteBench(t, { journalled: true });
  bench.store.put('a', 'something');
  const reader = await bench.open('a', O_RDONLY);
  bench.writer.hold(({ kind }) => kind === 'put');
  void Promise.resolve(bench.fs.setattr(bench.context(), reader.nodeId, { sizeBytes: 0 })).catch(() => undefined);
  await settle(20);
  const next = await killed(t, snapshot(t, bench));
  // Its PUT might have been on its way.
  while (next.fs.stats().writing?.files !== 0) await settle(5);
  t.equal(next.object('a'), '');
});

void t.test(
  'while the supervisor lives, what a dead daemon wrote is in use until its successor has spoken',
  async (t) => {
    const self = { pid: process.pid, pidStart: processStart(process.pid) ?? '' };
    const bench = new WriteBench(t, { journalled: true, slots: 32, keeper: self });
    const file = await bench.create('big');
    for (let index = 0; index < 20; index++) {
      await file.write(index * MIB, filled(MIB, index), true);
      await settle(3);
    }
    while (!(await listLeftOvers(bench.spoolPath)).some(({ upload }) => upload)) await settle(5);
    const dead = snapshot(t, bench);
    // The process that wrote it is dead.
    const gone = (id: string): void => {
      const path = join(dead.spoolPath, `${id}.journal`);
      const text = readFileSync(path, 'utf8').replace(
        /"pid":\d+,"pidStart":"[^"]*","keeper"/,
        '"pid":1,"pidStart":"x","keeper"',
      );
      writeFileSync(path, text);
    };
    const [live] = await listLeftOvers(dead.spoolPath);
    gone(live!.id);
    // One of which no record tells any more.
    const unclaimed = readFileSync(join(dead.spoolPath, `${live!.id}.journal`), 'utf8').replaceAll('"big"', '"other"');
    writeFileSync(join(dead.spoolPath, 'unclaimed.journal'), unclaimed);
    t.same(
      (await listLeftOvers(dead.spoolPath)).map(({ isInUse }) => isInUse),
      [true, true],
    );
    const next = await killed(t, dead, { keeper: self });
    const left = await listLeftOvers(next.spoolPath);
    t.same(left.map(({ key, because, isInUse }) => [key, because, isInUse]).sort(), [
      ['big', 'crashed', false],
      ['other', 'crashed', false],
    ]);
    await next.same(file).release();
  },
);

void t.test('the first write after a commit is one store in the record, the others none', async (t) => {
  const bench = new WriteBench(t, { journalled: true });
  bench.store.put('a', 'x'.repeat(100));
  const file = await bench.open('a', O_RDWR);
  const before = Uint8Array.from(bench.memory!.bytes);
  await file.write(0, 'y');
  const first = Uint8Array.from(bench.memory!.bytes);
  for (let at = 1; at < 100; at++) await file.write(at, 'y');
  t.equal(
    first.reduce((sum, byte, at) => sum + (byte === before[at] ? 0 : 1), 0),
    1,
    'one byte is another one',
  );
  t.equal(Buffer.compare(first, bench.memory!.bytes), 0);
});
