/**
 * Left-overs: what was written by a killed writer, refused by the store, or cut off by a crash is listed, completed to exactly
 * the bytes that were known, or dropped with its upload.
 */
import { appendFileSync, copyFileSync, existsSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { EACCES, EBUSY, EIO, ENOENT, ESTALE } from '../../../src/base/errno.js';
import { KIB, MIB } from '../../../src/base/units.js';
import { completeLeftOver, dropLeftOver, listLeftOvers } from '../../../src/fs/writing/recovery.js';
import { errnoOf, settle } from '../../support/memory-store-kernel.js';
import { UPLOADS_BEGAN_MS, storeError } from '../../support/memory-store-writer.js';
import { until } from '../../support/until.js';
import { O_RDWR, O_TRUNC, O_WRONLY, WriteBench } from './bench.js';

function filled(bytes: number, salt: number): Buffer {
  const all = Buffer.allocUnsafe(bytes);
  for (let at = 0; at < bytes; at++) all[at] = (salt + at * 7 + (at >>> 8)) & 0xff;
  return all;
}

/** A stream of `mib` MiB in loaned slots, part by part. */
async function stream(bench: WriteBench, mib: number, flags = O_WRONLY): Promise<{ content: Buffer; nodeId: number }> {
  const file = await bench.create('big', flags);
  const pieces: Buffer[] = [];
  for (let index = 0; index < mib; index++) {
    const piece = filled(MIB, index);
    pieces.push(piece);
    await file.write(index * MIB, piece, true);
    await settle(3);
  }
  bench.witness.told.set(42, 'killed');
  await file.flush();
  await file.release();
  return { content: Buffer.concat(pieces), nodeId: file.nodeId };
}

function deps(bench: WriteBench): { writer: WriteBench['writer']; readObject: WriteBench['readObject'] } {
  return { writer: bench.writer, readObject: bench.readObject };
}

void t.test('there is no directory', async (t) => {
  t.same(await listLeftOvers('/nonexistent/spool'), []);
});

void t.test('a killed stream is completed to all that was written', async (t) => {
  const bench = new WriteBench(t, { slots: 24 });
  const { content } = await stream(bench, 30);
  t.equal(bench.object('big'), undefined);
  t.equal(bench.slots.used, 0);
  t.equal(bench.writer.uploads.size, 1, 'its upload stays open');
  const [leftOver, ...others] = await listLeftOvers(bench.spoolPath);
  t.same(others, []);
  t.match(leftOver, {
    key: 'big',
    because: 'killed',
    sizeBytes: 30 * MIB,
    isTorn: false,
    isInUse: false,
    bucket: 'bucket',
    // A lost answer to its completion is proved with it.
    upload: { key: 'big', initiatedMs: UPLOADS_BEGAN_MS },
  });
  bench.writer.reset();
  const head = await completeLeftOver(bench.spoolPath, leftOver!.id, deps(bench));
  t.equal(head.sizeBytes, 30 * MIB);
  t.ok(bench.store.objects.get('big')?.body.equals(content));
  t.ok(bench.writer.sentBytes() < 30 * MIB, 'parts that were sent are not sent again');
  t.same(bench.spooled, []);
  t.equal(bench.writer.uploads.size, 0);
  t.equal(await errnoOf(() => completeLeftOver(bench.spoolPath, leftOver!.id, deps(bench))), ENOENT);
});

void t.test('an upload that the bucket dropped: its parts are sent again, if they are here', async (t) => {
  const bench = new WriteBench(t, { slots: 24 });
  const { content } = await stream(bench, 20, O_RDWR);
  bench.writer.uploads.clear();
  const [leftOver] = await listLeftOvers(bench.spoolPath);
  await completeLeftOver(bench.spoolPath, leftOver!.id, deps(bench));
  t.ok(bench.store.objects.get('big')?.body.equals(content));
});

void t.test('a killed stream is dropped with its upload', async (t) => {
  const bench = new WriteBench(t, { slots: 24 });
  await stream(bench, 20);
  const [leftOver] = await listLeftOvers(bench.spoolPath);
  await dropLeftOver(bench.spoolPath, leftOver!.id, bench.writer);
  t.equal(bench.writer.uploads.size, 0);
  t.same(bench.spooled, []);
  t.equal(bench.object('big'), undefined);
});

void t.test('under another key: only when all bytes are here', async (t) => {
  const bench = new WriteBench(t, { slots: 24 });
  await stream(bench, 30);
  const [leftOver] = await listLeftOvers(bench.spoolPath);
  t.equal(await errnoOf(() => completeLeftOver(bench.spoolPath, leftOver!.id, deps(bench), { key: 'other' })), EIO);
  const reading = new WriteBench(t, { slots: 24 });
  const { content } = await stream(reading, 30, O_RDWR);
  const [kept] = await listLeftOvers(reading.spoolPath);
  await completeLeftOver(reading.spoolPath, kept!.id, deps(reading), { key: 'other' });
  t.ok(reading.store.objects.get('other')?.body.equals(content));
});

void t.test('an edit that the store refused is completed on the version that it was made of', async (t) => {
  const bench = new WriteBench(t);
  const old = filled(20 * MIB, 3);
  bench.store.put('a', old, { contentType: 'text/html' });
  const file = await bench.open('a', O_RDWR);
  await file.write(7 * MIB, 'changed');
  bench.writer.fail('completeUpload', storeError('AccessDenied', 403));
  t.not(await errnoOf(() => file.close()), 0);
  t.equal(bench.writer.uploads.size, 0, 'the upload was aborted');
  const [leftOver] = await listLeftOvers(bench.spoolPath);
  t.match(leftOver, { because: 'failed', sizeBytes: 20 * MIB, isTorn: false });
  t.ok(leftOver!.spoolBytes < MIB, 'only what was changed is in the spool');
  const saved = join(bench.spoolPath, 'saved');
  for (const suffix of ['data', 'journal']) {
    copyFileSync(join(bench.spoolPath, `${leftOver!.id}.${suffix}`), `${saved}.${suffix}`);
  }
  await completeLeftOver(bench.spoolPath, leftOver!.id, deps(bench));
  const want = Buffer.from(old);
  want.write('changed', 7 * MIB);
  t.ok(bench.store.objects.get('a')?.body.equals(want));
  t.equal(bench.store.objects.get('a')?.contentType, 'text/html', 'an edit keeps what was said of the object');
  await t.rejects(completeLeftOver(bench.spoolPath, 'saved', deps(bench), { force: true }), {
    errno: ESTALE,
    message:
      /^'a' was replaced or deleted .* unchanged bytes .* lies in .*, bytes 7340032 to 7340039; --drop saved forg/,
  });
});

void t.test('a small file that somebody else replaced: only by force', async (t) => {
  const bench = new WriteBench(t);
  bench.store.put('a', 'first');
  const file = await bench.open('a', O_WRONLY | O_TRUNC);
  await file.write(0, 'mine');
  bench.store.put('a', 'other');
  t.equal(await errnoOf(() => file.close()), ESTALE);
  const [leftOver] = await listLeftOvers(bench.spoolPath);
  const completed = completeLeftOver(bench.spoolPath, leftOver!.id, deps(bench));
  await t.rejects(completed, { errno: ESTALE, message: /^'a' was replaced or deleted by somebody else .*; --force / });
  t.equal(bench.object('a'), 'other');
  await completeLeftOver(bench.spoolPath, leftOver!.id, deps(bench), { force: true });
  t.equal(bench.object('a'), 'mine');
});

function journalOf(bench: WriteBench): string {
  return join(bench.spoolPath, 'test-1.journal');
}

async function crashed(t: Test): Promise<{ bench: WriteBench; content: Buffer }> {
  const bench = new WriteBench(t, { slots: 24 });
  const file = await bench.create('big');
  t.teardown(() => file.release());
  const pieces: Buffer[] = [];
  for (let index = 0; index < 20; index++) {
    const piece = filled(MIB, index);
    pieces.push(piece);
    await file.write(index * MIB, piece, true);
    await settle(3);
  }
  // The journal is written beside: the last whole part has to be in it.
  const isNoted = (): boolean => readFileSync(journalOf(bench), 'utf8').includes(`"to":${18 * MIB},`);
  await until('it is in the journal', isNoted);
  return { bench, content: Buffer.concat(pieces) };
}

void t.test('while its mount runs it is in use', async (t) => {
  const { bench } = await crashed(t);
  const [leftOver] = await listLeftOvers(bench.spoolPath);
  t.match(leftOver, { isInUse: true, pid: process.pid });
  t.equal(await errnoOf(() => dropLeftOver(bench.spoolPath, leftOver!.id, bench.writer)), EBUSY);
});

void t.test('also where its process has no number here, as in another container', async (t) => {
  const { bench } = await crashed(t);
  const journal = journalOf(bench);
  // The same file: who has it open has it locked.
  writeFileSync(journal, readFileSync(journal, 'utf8').replace(/"pidStart":"[^"]*"/, '"pidStart":"elsewhere"'));
  const [leftOver] = await listLeftOvers(bench.spoolPath);
  t.match(leftOver, { isInUse: true });
  t.equal(await errnoOf(() => dropLeftOver(bench.spoolPath, leftOver!.id, bench.writer)), EBUSY);
  t.equal(await errnoOf(() => completeLeftOver(bench.spoolPath, leftOver!.id, deps(bench))), EBUSY);
});

void t.test('after a crash there is what the store had, up to the first gap', async (t) => {
  const { bench, content } = await crashed(t);
  const journal = journalOf(bench);
  // As another process, which is gone and has no file open, and with a last line that was cut off.
  const text = readFileSync(journal, 'utf8').replace(/"pidStart":"[^"]*"/, '"pidStart":"gone"');
  rmSync(journal);
  writeFileSync(journal, text);
  appendFileSync(journal, '{"type":"part","from":1677');
  const [leftOver] = await listLeftOvers(bench.spoolPath);
  t.match(leftOver, { because: 'crashed', isInUse: false, isTorn: true, sizeBytes: 18 * MIB });
  await completeLeftOver(bench.spoolPath, leftOver!.id, deps(bench));
  t.ok(bench.store.objects.get('big')?.body.equals(content.subarray(0, 18 * MIB)));
  t.notOk(existsSync(journal));
});

void t.test('a file of holes', async (t) => {
  const bench = new WriteBench(t);
  const file = await bench.create('sparse', O_RDWR);
  await file.write(300 * KIB, 'end');
  await file.write(0, 'begin');
  bench.witness.told.set(42, 'killed');
  await file.close();
  const [leftOver] = await listLeftOvers(bench.spoolPath);
  await completeLeftOver(bench.spoolPath, leftOver!.id, deps(bench));
  const want = Buffer.alloc(300 * KIB + 3);
  want.write('begin');
  want.write('end', 300 * KIB);
  t.ok(bench.store.objects.get('sparse')?.body.equals(want));
});

void t.test(
  'a part that fails ends the sending, and what is on its way has its spool file until it is over',
  async (t) => {
    const bench = new WriteBench(t);
    const file = await bench.create('sparse', O_RDWR);
    await file.write(0, 'begin');
    bench.witness.told.set(42, 'killed');
    await file.close();
    const [leftOver] = await listLeftOvers(bench.spoolPath);
    const { id, spoolPath } = leftOver!;
    const line = { type: 'left', because: 'killed', message: '', key: 'sparse', dirtyParts: [], atMs: 1 };
    const sizeBytes = 150 * MIB;
    const ranges = [{ from: 0, to: sizeBytes, kind: 'spool' }];
    appendFileSync(join(bench.spoolPath, `${id}.journal`), `${JSON.stringify({ ...line, sizeBytes, ranges })}\n`);
    truncateSync(spoolPath, sizeBytes);
    bench.writer.reset();
    // The fifth fails, and fast.
    bench.writer.hold(({ kind }) => kind === 'uploadPart' && bench.writer.count(kind) <= 4);
    let isOver = false;
    const completed = errnoOf(() => completeLeftOver(bench.spoolPath, id, deps(bench)));
    void completed.finally(() => (isOver = true));
    while (bench.writer.waiting.length < 4) await settle();
    bench.writer.fail('uploadPart', storeError('AccessDenied', 403));
    bench.writer.letGoOldest(1);
    while (bench.writer.count('uploadPart') < 5) await settle();
    await settle(50);
    t.notOk(isOver, 'others are on their way');
    bench.writer.letGo();
    t.equal(await completed, EACCES);
    t.equal(bench.writer.count('uploadPart'), 5, 'and none was begun afterwards');
  },
);
