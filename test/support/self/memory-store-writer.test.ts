/**
 * The memory writer against the embedded server: the same requests, the same versions and the same refusals. What the
 * fake says that the server does not say would make tests of the file system lie.
 */
import { strict as assert } from 'node:assert';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  PutObjectCommand,
  S3Client,
  S3ServiceException,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import t, { type Test } from 'tap';
import { EINTR, ErrnoError } from '../../../src/base/errno.js';
import { StoreError } from '../../../src/engine/store-error.js';
import type { UploadedPart } from '../../../src/engine/write-api.js';
import { MemorySlots } from '../memory-slots.js';
import { MemoryStore } from '../memory-store.js';
import { MemoryWriter, storeError } from '../memory-store-writer.js';
import { startBuiltin } from '../servers/builtin.js';

const PART_BYTES_MIN = 10;
const Bucket = 'bucket';

function bench(): { store: MemoryStore; slots: MemorySlots; writer: MemoryWriter } {
  const store = new MemoryStore();
  const slots = new MemorySlots();
  const writer = new MemoryWriter(store, slots);
  writer.partBytesMin = PART_BYTES_MIN;
  return { store, slots, writer };
}

async function startServer(t: Test): Promise<S3Client> {
  const server = await startBuiltin({ minPartBytes: PART_BYTES_MIN });
  t.teardown(() => server.stop());
  const client = new S3Client({
    endpoint: server.endpoint,
    region: server.region,
    forcePathStyle: true,
    credentials: { accessKeyId: server.accessKey, secretAccessKey: server.secretKey },
  });
  t.teardown(() => client.destroy());
  await client.send(new CreateBucketCommand({ Bucket }));
  return client;
}

/** `CODE` of a refusal, else what `work` answers. */
async function outcome<T>(work: Promise<T>): Promise<T | string> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof StoreError) return error.code;
    if (error instanceof S3ServiceException) return error.name;
    throw error;
  }
}

void t.test('one PUT: versions and conditions are the server’s', async (t) => {
  const client = await startServer(t);
  const { writer } = bench();
  const put = async (body: string, condition: { ifMatch?: string; ifNoneMatch?: boolean }): Promise<string> => {
    const ours = await outcome(writer.put('k', [Buffer.from(body)], {}, condition).then((head) => head.etag));
    const theirs = await outcome(
      client
        .send(
          new PutObjectCommand({
            Bucket,
            Key: 'k',
            Body: body,
            ...(condition.ifMatch !== undefined && { IfMatch: condition.ifMatch }),
            ...(condition.ifNoneMatch === true && { IfNoneMatch: '*' }),
          }),
        )
        .then((answer) => answer.ETag ?? ''),
    );
    assert.equal(ours, theirs, `PUT ${body} ${JSON.stringify(condition)}`);
    return ours;
  };
  t.equal(await put('a', { ifMatch: '"x"' }), 'NoSuchKey');
  const first = await put('a', { ifNoneMatch: true });
  t.equal(await put('b', { ifNoneMatch: true }), 'PreconditionFailed');
  const second = await put('b', { ifMatch: first });
  t.equal(await put('c', { ifMatch: first }), 'PreconditionFailed');
  t.not(first, second);
  t.equal(await put('', {}), '"d41d8cd98f00b204e9800998ecf8427e"');
});

void t.test('multipart uploads: versions and refusals are the server’s', async (t) => {
  const client = await startServer(t);
  const { store, writer } = bench();
  const source = await writer.put('source', [Buffer.from('0123456789abcdef')], {}, {});
  await client.send(new PutObjectCommand({ Bucket, Key: 'source', Body: '0123456789abcdef' }));

  const run = async (bodies: readonly (string | readonly [number, number])[], order: readonly number[]) => {
    const upload = await writer.createUpload('m', { contentType: 'text/x' });
    const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'm' }));
    const ours: UploadedPart[] = [];
    for (const [index, body] of bodies.entries()) {
      const PartNumber = index + 1;
      if (typeof body === 'string') {
        ours.push(await writer.uploadPart(upload, PartNumber, [Buffer.from(body)]));
        const sent = await client.send(new UploadPartCommand({ Bucket, Key: 'm', UploadId, PartNumber, Body: body }));
        assert.equal(ours.at(-1)?.etag, sent.ETag);
      } else {
        const [startOffset, endOffset] = body;
        ours.push(await writer.copyPart(upload, PartNumber, { ...source, startOffset, endOffset }));
        const CopySourceRange = `bytes=${startOffset}-${endOffset - 1}`;
        const CopySource = `${Bucket}/source`;
        const sent = await client.send(
          new UploadPartCopyCommand({ Bucket, Key: 'm', UploadId, PartNumber, CopySource, CopySourceRange }),
        );
        assert.equal(ours.at(-1)?.etag, sent.CopyPartResult?.ETag);
      }
    }
    const parts = order.map((index) => ours[index]).filter((part) => part !== undefined);
    const mine = await outcome(writer.completeUpload(upload, parts, {}).then((head) => head.etag));
    const Parts = parts.map(({ partNumber, etag }) => ({ PartNumber: partNumber, ETag: etag }));
    const theirs = await outcome(
      client
        .send(new CompleteMultipartUploadCommand({ Bucket, Key: 'm', UploadId, MultipartUpload: { Parts } }))
        .then((answer) => answer.ETag ?? ''),
    );
    assert.equal(mine, theirs, JSON.stringify({ bodies, order }));
    return mine;
  };
  t.match(await run(['0123456789', 'tail'], [0, 1]), /-2"$/);
  t.equal(store.text('m'), '0123456789tail');
  t.equal(store.objects.get('m')?.contentType, 'text/x');
  t.match(await run([[2, 14], 'x'], [0, 1]), /-2"$/);
  t.equal(store.text('m'), '23456789abcdx');
  const theirs = await client.send(new GetObjectCommand({ Bucket, Key: 'm' }));
  t.equal(await theirs.Body?.transformToString(), '23456789abcdx');
  t.equal(await run(['short', 'tail'], [0, 1]), 'EntityTooSmall');
  t.equal(await run(['0123456789', 'tail'], [1, 0]), 'InvalidPartOrder');
  t.equal(store.text('m'), '23456789abcdx', 'nothing of a refused Complete shows');
  t.equal(writer.uploads.size, 2);
  for (const uploadId of writer.uploads.keys()) await writer.abortUpload({ key: 'm', uploadId });
  t.equal(writer.uploads.size, 0);
});

void t.test('copies: of one version only, with a plain MD5', async (t) => {
  const client = await startServer(t);
  const { store, writer } = bench();
  const source = await writer.put('a b', [Buffer.from('body')], { userMetadata: { mode: '33188' } }, {});
  await client.send(new PutObjectCommand({ Bucket, Key: 'a b', Body: 'body' }));
  const copied = await writer.copy(source, 'c', {});
  const theirs = await client.send(new CopyObjectCommand({ Bucket, Key: 'c', CopySource: `${Bucket}/a%20b` }));
  t.equal(copied.etag, theirs.CopyObjectResult?.ETag);
  t.same(store.objects.get('c')?.userMetadata, { mode: '33188' });
  t.equal(await outcome(writer.copy({ ...source, etag: '"old"' }, 'd', {})), 'PreconditionFailed');
  t.equal(await outcome(writer.copy(source, 'c', { condition: { ifNoneMatch: true } })), 'PreconditionFailed');
  t.equal(await outcome(writer.copy(source, 'a b', {})), 'InvalidRequest');
  t.equal(
    await outcome(client.send(new CopyObjectCommand({ Bucket, Key: 'a b', CopySource: `${Bucket}/a%20b` }))),
    'InvalidRequest',
  );
});

void t.test('faults come before or after the effect, on the call that they are set for', async (t) => {
  const { store, writer } = bench();
  const broken = storeError('InternalError', 500);
  writer.fail('put', broken, { nth: 2 });
  writer.fail('delete', broken, { after: true });
  t.equal((await writer.put('a', [], {}, {})).sizeBytes, 0);
  t.equal(await outcome(writer.put('b', [], {}, {})), 'InternalError');
  t.equal(store.objects.has('b'), false);
  t.equal(await outcome(writer.delete('a')), 'InternalError');
  t.equal(store.objects.has('a'), false, 'the answer was lost, not the request');
  await writer.delete('a');
  t.equal(writer.count('delete'), 2);
});

void t.test('a held request reads its slots when it goes, and may be given up before', async (t) => {
  const { store, slots, writer } = bench();
  const slot = await slots.wait();
  slots.bytes(slot, 0, 4).set(Buffer.from('late'));
  writer.hold('put');
  const abort = new AbortController();
  const givenUp = writer.put('x', [{ slot, from: 0, to: 4 }], {}, {}, abort.signal);
  const going = writer.put('k', [{ slot, from: 0, to: 4 }], {}, {});
  abort.abort();
  const error: unknown = await givenUp.catch((reason: unknown) => reason);
  t.ok(error instanceof ErrnoError && error.errno === EINTR);
  t.equal(writer.waiting.length, 1);
  writer.letGo();
  await going;
  t.equal(store.text('k'), 'late');
  t.equal(store.objects.has('x'), false);
  slots.give(slot);
  t.equal(slots.used, 0);
  t.throws(() => slots.give(slot), 'a slot given twice');
  t.throws(() => slots.bytes(slot, 0, 1), 'a slot used after it was given');
});
