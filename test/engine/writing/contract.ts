/**
 * What ObjectWriter promises, as a table that is run on every store that is at hand: the embedded server and versitygw.
 * What is written is read back with another client (the SDK), so that no mistake of ours undoes another.
 */
import { GetObjectCommand, HeadObjectCommand, ListPartsCommand, S3Client } from '@aws-sdk/client-s3';
import type { Test } from 'tap';
import { EEXIST, ENOENT, ESTALE } from '../../../src/base/errno.js';
import { MIB } from '../../../src/base/units.js';
import type { ObjectWriteOptions } from '../../../src/engine/write-options.js';
import { ObjectHeads } from '../../../src/engine/calls/object-heads.js';
import { storeErrorOf } from '../store/harness.js';
import type { TestServer } from '../../support/servers/server.js';
import { BUCKET, writerBench, type WriterBench } from './harness.js';

/** What a store is known not to do; each is said in docs/CLI.md. */
export interface StoreLacks {
  readonly conditionalWrites?: boolean;
  readonly conditionalCompletes?: boolean;
  readonly conditionalCopies?: boolean;
  /** Storage classes, or tags in answers to HEAD: which. */
  readonly describe?: string;
}

const ODD_KEYS = [
  'with space and+plus',
  'percent%41%',
  'ünï/你好/🐙',
  'quote\'"<&>;?#=',
  '~tilde*(star)!',
  'line\nbreak',
  'x'.repeat(200),
];

/** 5 MiB and a bit, out of slots cut at odd places. */
const PART = [
  { slot: 0, from: 0, to: MIB },
  { slot: 1, from: 13, to: MIB },
  { slot: 2, from: 0, to: MIB - 1 },
  { slot: 3, from: 0, to: MIB },
  { slot: 0, from: 1, to: MIB },
  { slot: 1, from: 0, to: 65_537 },
];

export function runWriterContract(t: Test, server: TestServer, lacks: StoreLacks = {}): void {
  const url = new URL(server.endpoint);
  const sdk = new S3Client({
    region: server.region,
    endpoint: server.endpoint,
    forcePathStyle: true,
    credentials: { accessKeyId: server.accessKey, secretAccessKey: server.secretKey },
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
  });
  t.teardown(() => sdk.destroy());
  const bench = (t: Test, objects: Partial<ObjectWriteOptions> = {}): WriterBench =>
    writerBench(t, {
      port: Number(url.port),
      credentials: { accessKeyId: server.accessKey, secretAccessKey: server.secretKey },
      objects,
      target: { signingRegion: server.region },
    });
  const read = async (key: string): Promise<Buffer> => {
    const answer = await sdk.send(new GetObjectCommand({ Bucket: BUCKET, Key: key }));
    return Buffer.from((await answer.Body?.transformToByteArray()) ?? []);
  };

  for (const checksums of ['off', 'crc32', 'crc32c', 'crc64nvme'] as const) {
    t.test(`put and parts with checksums ${checksums}`, async (t) => {
      const { writer, bytesOf } = bench(t, { checksums });
      const key = `sums/${checksums}`;
      const pieces = [{ slot: 2, from: 7, to: 300_001 }];
      const head = await writer.put(key, [Buffer.from('head '), ...pieces], {}, {});
      const whole = Buffer.concat([Buffer.from('head '), bytesOf(pieces)]);
      t.ok((await read(key)).equals(whole));
      const told = await sdk.send(new HeadObjectCommand({ Bucket: BUCKET, Key: key }));
      t.equal(head.etag, told.ETag);
      t.equal(head.sizeBytes, whole.length);
      t.ok(Math.abs(head.lastModifiedMs - (told.LastModified?.getTime() ?? 0)) <= 2_000);

      const upload = await writer.createUpload(`${key}-parts`, {});
      const first = await writer.uploadPart(upload, 1, PART);
      t.equal(first.sizeBytes, bytesOf(PART).length);
      t.equal(first.checksum === undefined, checksums === 'off');
      const second = await writer.uploadPart(upload, 2, [Buffer.from('tail')]);
      const made = await writer.completeUpload(upload, [first, second], {});
      const all = Buffer.concat([bytesOf(PART), Buffer.from('tail')]);
      t.ok((await read(`${key}-parts`)).equals(all));
      t.equal(made.sizeBytes, all.length);
      t.match(made.etag, /^"[0-9a-f]{32}-2"$/);
    });
  }

  t.test('an empty object, and keys of all kinds', async (t) => {
    const { writer, caller } = bench(t);
    const heads = new ObjectHeads(caller, {
      head: () => Promise.reject(new Error('unexpected')),
      close: () => undefined,
    });
    for (const name of ODD_KEYS) {
      const key = `odd/${name}`;
      const made = await writer.put(key, name.startsWith('x') ? [] : [Buffer.from(name)], {}, {});
      t.equal((await read(key)).toString(), name.startsWith('x') ? '' : name, key);
      t.equal((await heads.head(key))?.etag, made.etag);
      const copied = await writer.copy({ key, etag: made.etag, sizeBytes: made.sizeBytes }, `copy of ${key}`, {});
      t.equal(copied.sizeBytes, made.sizeBytes);
      t.equal((await read(`copy of ${key}`)).toString(), name.startsWith('x') ? '' : name);
    }
    const keys = ODD_KEYS.map((name) => `odd/${name}`);
    t.same(await writer.deleteMany([...keys, 'odd/never was']), []);
    for (const key of keys) t.equal(await heads.head(key), undefined, key);
    for (const name of ODD_KEYS) await writer.delete(`copy of odd/${name}`);
    await writer.delete('odd/never was');
    t.equal(await heads.head(`copy of odd/${ODD_KEYS[0] ?? ''}`), undefined);
  });

  t.test('properties are kept, copied or replaced', async (t) => {
    const { writer, caller } = bench(t);
    const heads = new ObjectHeads(caller, {
      head: () => Promise.reject(new Error('unexpected')),
      close: () => undefined,
    });
    const made = await writer.put(
      'props',
      [Buffer.from('x')],
      { contentType: 'text/x-one', userMetadata: { mode: '33188', Name: 'a value' } },
      {},
    );
    t.match(await heads.head('props'), { contentType: 'text/x-one', userMetadata: { mode: '33188', name: 'a value' } });
    const source = { key: 'props', etag: made.etag, sizeBytes: 1 };
    await writer.copy(source, 'props-same', {});
    t.match(await heads.head('props-same'), { contentType: 'text/x-one', userMetadata: { mode: '33188' } });
    await writer.copy(source, 'props-other', { properties: { contentType: 'text/x-two', userMetadata: { uid: '7' } } });
    t.same((await heads.head('props-other'))?.userMetadata, { uid: '7' });
    // In place: the way chmod is kept.
    await writer.copy(source, 'props', { properties: { contentType: 'text/x-one', userMetadata: { mode: '1' } } });
    t.same((await heads.head('props'))?.userMetadata, { mode: '1' });
    const upload = await writer.createUpload('props-parts', { userMetadata: { gid: '9' } });
    await writer.completeUpload(upload, [await writer.uploadPart(upload, 1, [Buffer.from('p')])], {});
    t.same((await heads.head('props-parts'))?.userMetadata, { gid: '9' });
  });

  t.test('what an edited object keeps', { skip: lacks.describe ?? false }, async (t) => {
    const { writer } = bench(t);
    const properties = {
      contentType: 'text/html',
      userMetadata: { who: 'me' },
      headers: {
        'cache-control': 'max-age=7,  private',
        'content-disposition': `attachment; filename="${Buffer.from('ü à ł.pdf').toString('latin1')}"`,
        'content-encoding': 'gzip',
        'content-language': 'de',
      },
      storageClass: 'STANDARD_IA',
      tags: [
        { key: 'a b', value: '1&2' },
        { key: 'c', value: '' },
      ],
    };
    const made = await writer.put('kept', [Buffer.from('x')], properties, {});
    t.equal(made.storageClass, 'STANDARD_IA');
    t.same((await writer.describe('kept'))?.properties, properties);
    t.match(await writer.describe('kept'), { head: { etag: made.etag, sizeBytes: 1 } });
    const source = { key: 'kept', etag: made.etag, sizeBytes: 1, storageClass: 'STANDARD_IA' };
    t.equal((await writer.copy(source, 'kept-copy', {})).storageClass, 'STANDARD_IA');
    t.same((await writer.describe('kept-copy'))?.properties, properties, 'a copy, for a rename');
    const other = { ...properties, userMetadata: { mode: '1' } };
    await writer.copy(source, 'kept', { properties: other });
    t.same((await writer.describe('kept'))?.properties, other, 'onto itself, for chmod');
    const upload = await writer.createUpload('kept-parts', properties);
    const parts = [await writer.uploadPart(upload, 1, [Buffer.from('p')])];
    t.equal((await writer.completeUpload(upload, parts, {})).storageClass, 'STANDARD_IA');
    t.equal(upload.storageClass, 'STANDARD_IA');
    t.same((await writer.describe('kept-parts'))?.properties, properties);
    t.equal(await writer.describe('kept-never'), undefined);
    const archived = { ...source, storageClass: 'GLACIER' };
    t.equal((await writer.copy(archived, 'kept-copy', {})).storageClass, '', 'not back into the archive');
    const restored = await writer.createUpload('kept-parts', { storageClass: 'DEEP_ARCHIVE' });
    const again = [await writer.uploadPart(restored, 1, [Buffer.from('p')])];
    t.equal((await writer.completeUpload(restored, again, {})).storageClass, '', 'and not told to be in it');
    for (const key of ['kept', 'kept-copy', 'kept-parts']) await writer.delete(key);
  });

  t.test('conditions of puts', { skip: lacks.conditionalWrites ? 'the store ignores them' : false }, async (t) => {
    const { writer } = bench(t);
    const made = await writer.put('cond', [Buffer.from('1')], {}, { ifNoneMatch: true });
    t.match(await storeErrorOf(writer.put('cond', [Buffer.from('2')], {}, { ifNoneMatch: true })), {
      errno: EEXIST,
      code: 'PreconditionFailed',
    });
    t.equal((await read('cond')).toString(), '1');
    const next = await writer.put('cond', [Buffer.from('3')], {}, { ifMatch: made.etag });
    t.match(await storeErrorOf(writer.put('cond', [Buffer.from('4')], {}, { ifMatch: made.etag })), { errno: ESTALE });
    t.equal((await read('cond')).toString(), '3');
    await writer.delete('cond');
    t.match(await storeErrorOf(writer.put('cond', [Buffer.from('5')], {}, { ifMatch: next.etag })), { errno: ESTALE });
  });

  t.test(
    'conditions of Complete',
    { skip: lacks.conditionalCompletes ? 'the store ignores them' : false },
    async (t) => {
      const { writer } = bench(t);
      const old = await writer.put('cond-parts', [Buffer.from('old')], {}, {});
      const upload = await writer.createUpload('cond-parts', {});
      const parts = [await writer.uploadPart(upload, 1, [Buffer.from('new')])];
      t.match(await storeErrorOf(writer.completeUpload(upload, parts, { ifNoneMatch: true })), { errno: EEXIST });
      t.match(await storeErrorOf(writer.completeUpload(upload, parts, { ifMatch: '"other"' })), { errno: ESTALE });
      t.equal((await read('cond-parts')).toString(), 'old');
      await writer.completeUpload(upload, parts, { ifMatch: old.etag });
      t.equal((await read('cond-parts')).toString(), 'new');
    },
  );

  t.test('copies pin their source, and may spare their target', async (t) => {
    const { writer } = bench(t);
    const made = await writer.put('from', [Buffer.from('source')], {}, {});
    const source = { key: 'from', etag: made.etag, sizeBytes: 6 };
    t.match(await storeErrorOf(writer.copy({ ...source, etag: '"other"' }, 'to', {})), { errno: ESTALE });
    t.match(await storeErrorOf(writer.copy({ ...source, key: 'never was' }, 'to', {})), { status: /404|412/ });
    await writer.copy(source, 'to', {});
    // Said of the store or looked at just before: either way.
    t.match(await storeErrorOf(writer.copy(source, 'to', { condition: { ifNoneMatch: true } })), { errno: EEXIST });
    await writer.copy(source, 'to-new', { condition: { ifNoneMatch: true } });
    t.equal((await read('to-new')).toString(), 'source');
  });

  t.test('a condition of a copy', { skip: lacks.conditionalCopies ? 'the store ignores it' : false }, async (t) => {
    const { writer } = bench(t, { capabilities: { conditionalCopies: true } });
    const made = await writer.put('from', [Buffer.from('source')], {}, {});
    const source = { key: 'from', etag: made.etag, sizeBytes: 6 };
    t.match(await storeErrorOf(writer.copy(source, 'to', { condition: { ifNoneMatch: true } })), { errno: EEXIST });
  });

  t.test('parts may be copied, and uploads looked at', async (t) => {
    const { writer, uploads, bytesOf } = bench(t);
    const all = bytesOf(PART);
    const made = await writer.put('big', PART, {}, {});
    const upload = await writer.createUpload('mixed/key', {});
    const range = { key: 'big', etag: made.etag, startOffset: 1, endOffset: 5 * MIB + 1 };
    const first = await writer.copyPart(upload, 1, range);
    t.equal(first.sizeBytes, 5 * MIB);
    const second = await writer.uploadPart(upload, 2, [Buffer.from('tail')]);
    t.match(await storeErrorOf(writer.copyPart(upload, 3, { ...range, etag: '"other"' })), { errno: ESTALE });

    const open = await uploads.listUploads('mixed/');
    t.match(open, [{ key: 'mixed/key', uploadId: upload.uploadId }]);
    t.ok(Math.abs((open[0]?.initiatedMs ?? 0) - Date.now()) < 60_000);
    const listed = await uploads.listParts(upload);
    t.same(
      listed?.map((part) => [part.partNumber, part.sizeBytes, part.etag]),
      [
        [1, first.sizeBytes, first.etag],
        [2, 4, second.etag],
      ],
    );
    // As `recover` does: completed from what the store says.
    await writer.completeUpload(upload, listed ?? [], {});
    t.ok((await read('mixed/key')).equals(Buffer.concat([all.subarray(1, 5 * MIB + 1), Buffer.from('tail')])));
    t.equal(await uploads.listParts(upload), undefined);
    t.same(await uploads.listUploads('mixed/'), []);

    const dropped = await writer.createUpload('mixed/dropped', {});
    await writer.uploadPart(dropped, 1, [Buffer.from('x')]);
    await writer.abortUpload(dropped);
    await writer.abortUpload(dropped);
    t.same(await uploads.listUploads('mixed/'), []);
    const answer = sdk.send(new ListPartsCommand({ Bucket: BUCKET, Key: 'mixed/dropped', UploadId: dropped.uploadId }));
    await t.rejects(answer, { name: 'NoSuchUpload' });
    t.match(await storeErrorOf(writer.uploadPart(dropped, 2, [Buffer.from('y')])), { code: 'NoSuchUpload' });
    t.match(await storeErrorOf(writer.completeUpload(dropped, [second], {})), { code: 'NoSuchUpload' });
  });

  t.test('a source that is not there', async (t) => {
    const { writer } = bench(t);
    const upload = await writer.createUpload('no-source', {});
    const range = { key: 'never was', etag: '"e"', startOffset: 0, endOffset: 1 };
    const error = await storeErrorOf(writer.copyPart(upload, 1, range));
    t.ok(error.errno === ENOENT || error.errno === ESTALE, `${error.errno} ${error.message}`);
    await writer.abortUpload(upload);
  });
}
