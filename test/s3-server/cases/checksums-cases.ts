/**
 * Checksums: all five algorithms on PUT and parts, as headers and trailers; composite and full-object checksums of multipart objects.
 *
 * Checksums are what protects bytes between the client's memory and the store's disk, so a server must refuse a wrong one, keep a right one,
 * and return exactly what was kept; anything else would let a corrupting path pass the tests.
 */
import assert from 'node:assert/strict';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectAttributesCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  UploadPartCommand,
  type CompletedPart,
  type UploadPartCommandOutput,
} from '@aws-sdk/client-s3';
import {
  CHECKSUM_ALGORITHMS,
  checksumField,
  checksumHeader,
  checksumOf,
  compositeChecksumOf,
  multipartEtagOf,
  type Algorithm,
} from './checksums.js';
import { unsignedChunksPut } from './chunks.js';
import { expectFailure, onVersitygw, type CaseContext, type ContractCase } from './context.js';
import { get, head, multipart, PART_BYTES_MIN, pattern, put, sameBytes } from './helpers.js';
import { expectError, expectStatus, pathOf, send, sendSigned, type RawResponse } from './raw.js';

const BODY = pattern(70_000, 11);
const PARTS = [pattern(PART_BYTES_MIN, 21), pattern(PART_BYTES_MIN + 1, 22), pattern(100, 23)];
const COMPOSITE: readonly Algorithm[] = ['CRC32', 'CRC32C', 'SHA1', 'SHA256'];
const FULL_OBJECT: readonly Algorithm[] = ['CRC32', 'CRC32C', 'CRC64NVME'];

async function putWithHeader(ctx: CaseContext, key: string, algorithm: Algorithm, value: string): Promise<RawResponse> {
  const headers = { [checksumHeader(algorithm)]: value };
  return sendSigned(ctx, { method: 'PUT', path: pathOf(ctx.bucket, key), body: BODY, headers });
}

async function uploadWithChecksums(
  ctx: CaseContext,
  algorithm: Algorithm,
  type: 'COMPOSITE' | 'FULL_OBJECT',
): Promise<{ uploadId: string; parts: CompletedPart[] }> {
  const { UploadId } = await ctx.s3.send(
    new CreateMultipartUploadCommand({
      Bucket: ctx.bucket,
      Key: 'mp',
      ChecksumAlgorithm: algorithm,
      ChecksumType: type,
    }),
  );
  assert.ok(UploadId !== undefined);
  const parts: CompletedPart[] = [];
  for (const [index, body] of PARTS.entries()) {
    const field = checksumField(algorithm);
    const value = checksumOf(algorithm, body);
    const answer: UploadPartCommandOutput = await ctx.s3.send(
      new UploadPartCommand({
        ...{ Bucket: ctx.bucket, Key: 'mp', UploadId, PartNumber: index + 1, Body: body },
        [field]: value,
      }),
    );
    assert.equal(answer[field], value, 'UploadPart returns the checksum');
    assert.ok(answer.ETag !== undefined);
    parts.push({ ETag: answer.ETag, PartNumber: index + 1, [field]: value });
  }
  return { uploadId: UploadId, parts };
}

function perAlgorithm(algorithm: Algorithm): ContractCase[] {
  const field = checksumField(algorithm);
  return [
    {
      name: `checksum ${algorithm}: right header is stored and returned on demand only`,
      run: async (ctx) => {
        const value = checksumOf(algorithm, BODY);
        const answer = await putWithHeader(ctx, 'a', algorithm, value);
        expectStatus(answer, 200);
        assert.equal(answer.headers[checksumHeader(algorithm)], value);
        const asked = await get(ctx, 'a', { ChecksumMode: 'ENABLED' });
        assert.equal(asked.answer[field], value);
        assert.equal(asked.answer.ChecksumType, 'FULL_OBJECT');
        sameBytes(asked.bytes, BODY);
        const headAnswer = await head(ctx, 'a', { ChecksumMode: 'ENABLED' });
        assert.equal(headAnswer[field], value);
        const notAsked = await sendSigned(ctx, { method: 'HEAD', path: pathOf(ctx.bucket, 'a') });
        assert.equal(notAsked.headers[checksumHeader(algorithm)], undefined);
      },
    },
    {
      name: `checksum ${algorithm}: wrong header is refused`,
      run: async (ctx) => {
        await put(ctx, 'a', 'old');
        const answer = await putWithHeader(ctx, 'a', algorithm, checksumOf(algorithm, Buffer.from('other')));
        expectError(answer, 400, 'BadDigest');
        assert.equal((await get(ctx, 'a')).bytes.toString(), 'old');
      },
    },
    {
      name: `checksum ${algorithm}: header that is no checksum is refused`,
      run: async (ctx) => {
        expectError(await putWithHeader(ctx, 'a', algorithm, 'bm90IG9uZQ'), 400, 'InvalidRequest');
        await expectFailure(head(ctx, 'a'), 404);
      },
    },
    {
      name: `checksum ${algorithm}: right trailer is stored`,
      run: async (ctx) => {
        const trailer = { name: checksumHeader(algorithm), value: checksumOf(algorithm, BODY) };
        const upload = { path: pathOf(ctx.bucket, 'a'), chunks: [BODY], trailer };
        expectStatus(await send(ctx.server, await unsignedChunksPut(ctx.server, upload)), 200);
        assert.equal((await head(ctx, 'a', { ChecksumMode: 'ENABLED' }))[field], trailer.value);
      },
    },
    {
      name: `checksum ${algorithm}: wrong trailer is refused`,
      run: async (ctx) => {
        const trailer = { name: checksumHeader(algorithm), value: checksumOf(algorithm, Buffer.from('other')) };
        const upload = { path: pathOf(ctx.bucket, 'a'), chunks: [BODY], trailer };
        expectError(await send(ctx.server, await unsignedChunksPut(ctx.server, upload)), 400, 'BadDigest');
        await expectFailure(head(ctx, 'a'), 404);
      },
    },
    {
      name: `checksum ${algorithm}: the SDK computes it when asked for the algorithm`,
      run: async (ctx) => {
        const answer = await put(ctx, 'a', BODY, { ChecksumAlgorithm: algorithm });
        assert.equal(answer[field], checksumOf(algorithm, BODY));
        sameBytes((await get(ctx, 'a', { ChecksumMode: 'ENABLED' })).bytes, BODY);
      },
    },
    {
      name: `checksum ${algorithm}: wrong on a part is refused`,
      run: async (ctx) => {
        const { UploadId } = await ctx.s3.send(
          new CreateMultipartUploadCommand({ Bucket: ctx.bucket, Key: 'mp', ChecksumAlgorithm: algorithm }),
        );
        const answer = await sendSigned(ctx, {
          method: 'PUT',
          path: pathOf(ctx.bucket, 'mp'),
          query: { uploadId: UploadId ?? '', partNumber: '1' },
          headers: { [checksumHeader(algorithm)]: checksumOf(algorithm, Buffer.from('other')) },
          body: BODY,
        });
        expectError(answer, 400, 'BadDigest');
      },
    },
  ];
}

function composite(algorithm: Algorithm): ContractCase {
  const field = checksumField(algorithm);
  return {
    name: `checksum ${algorithm}: multipart composite`,
    run: async (ctx) => {
      const { uploadId, parts } = await uploadWithChecksums(ctx, algorithm, 'COMPOSITE');
      const listed = await ctx.s3.send(new ListPartsCommand({ Bucket: ctx.bucket, Key: 'mp', UploadId: uploadId }));
      assert.equal(listed.ChecksumAlgorithm, algorithm);
      assert.equal(listed.ChecksumType, 'COMPOSITE');
      assert.deepEqual(
        (listed.Parts ?? []).map((part) => part[field]),
        PARTS.map((part) => checksumOf(algorithm, part)),
      );
      const done = await ctx.s3.send(
        new CompleteMultipartUploadCommand({
          ...{ Bucket: ctx.bucket, Key: 'mp', UploadId: uploadId, MultipartUpload: { Parts: parts } },
          ChecksumType: 'COMPOSITE',
        }),
      );
      const expected = compositeChecksumOf(algorithm, PARTS);
      assert.equal(done[field], expected);
      assert.equal(done.ChecksumType, 'COMPOSITE');
      const asked = await head(ctx, 'mp', { ChecksumMode: 'ENABLED' });
      assert.equal(asked[field], expected);
      assert.equal(asked.ChecksumType, 'COMPOSITE');
      assert.equal(asked.ETag, multipartEtagOf(PARTS));
      sameBytes((await get(ctx, 'mp', { ChecksumMode: 'ENABLED' })).bytes, Buffer.concat(PARTS));
    },
  };
}

function fullObject(algorithm: Algorithm): ContractCase[] {
  const field = checksumField(algorithm);
  const finish = async (ctx: CaseContext, value?: string): Promise<Record<string, unknown>> => {
    const { uploadId, parts } = await uploadWithChecksums(ctx, algorithm, 'FULL_OBJECT');
    const answer = await ctx.s3.send(
      new CompleteMultipartUploadCommand({
        ...{ Bucket: ctx.bucket, Key: 'mp', UploadId: uploadId, MultipartUpload: { Parts: parts } },
        ...{ ChecksumType: 'FULL_OBJECT', ...(value === undefined ? {} : { [field]: value }) },
      }),
    );
    return { ...answer };
  };
  return [
    {
      name: `checksum ${algorithm}: multipart full object`,
      run: async (ctx) => {
        const whole = checksumOf(algorithm, Buffer.concat(PARTS));
        const done = await finish(ctx, whole);
        assert.equal(done[field], whole);
        assert.equal(done['ChecksumType'], 'FULL_OBJECT');
        const asked = await get(ctx, 'mp', { ChecksumMode: 'ENABLED' });
        assert.equal(asked.answer[field], whole);
        assert.equal(asked.answer.ChecksumType, 'FULL_OBJECT');
        sameBytes(asked.bytes, Buffer.concat(PARTS));
      },
    },
    {
      name: `checksum ${algorithm}: multipart full object, wrong value at Complete is BadDigest`,
      run: async (ctx) => {
        await expectFailure(finish(ctx, checksumOf(algorithm, Buffer.from('other'))), 400, 'BadDigest');
        await expectFailure(head(ctx, 'mp'), 404);
      },
    },
  ];
}

export const checksumCases: readonly ContractCase[] = [
  ...CHECKSUM_ALGORITHMS.flatMap(perAlgorithm),
  ...COMPOSITE.map(composite),
  ...FULL_OBJECT.flatMap(fullObject),
  {
    name: 'checksum: composite CRC64NVME and full-object SHA256 are refused',
    run: async (ctx) => {
      for (const [algorithm, type] of [
        ['CRC64NVME', 'COMPOSITE'],
        ['SHA256', 'FULL_OBJECT'],
        ['SHA1', 'FULL_OBJECT'],
      ] as const) {
        await expectFailure(
          ctx.s3.send(
            new CreateMultipartUploadCommand({
              ...{ Bucket: ctx.bucket, Key: 'mp', ChecksumAlgorithm: algorithm, ChecksumType: type },
            }),
          ),
          400,
          'InvalidRequest',
        );
      }
    },
  },
  {
    name: 'checksum: two different ones in one request are refused',
    run: async (ctx) => {
      const headers = {
        'x-amz-checksum-crc32': checksumOf('CRC32', BODY),
        'x-amz-checksum-sha256': checksumOf('SHA256', BODY),
      };
      const answer = await sendSigned(ctx, { method: 'PUT', path: pathOf(ctx.bucket, 'a'), body: BODY, headers });
      expectError(answer, 400, 'InvalidRequest');
    },
  },
  {
    name: 'checksum: an object put without one has CRC64NVME',
    run: async (ctx) => {
      expectStatus(await sendSigned(ctx, { method: 'PUT', path: pathOf(ctx.bucket, 'a'), body: BODY }), 200);
      const answer = await head(ctx, 'a', { ChecksumMode: 'ENABLED' });
      assert.equal(answer.ChecksumCRC64NVME, checksumOf('CRC64NVME', BODY));
    },
  },
  {
    name: 'checksum: ranged GET with checksum mode passes the SDK',
    run: async (ctx) => {
      await put(ctx, 'a', BODY, { ChecksumAlgorithm: 'CRC32' });
      const { bytes } = await get(ctx, 'a', { ChecksumMode: 'ENABLED', Range: 'bytes=10-99' });
      sameBytes(bytes, BODY.subarray(10, 100));
    },
  },
  {
    name: 'checksum: listings name the algorithm',
    run: async (ctx) => {
      await put(ctx, 'a', BODY, { ChecksumAlgorithm: 'SHA256' });
      const { Contents } = await ctx.s3.send(new ListObjectsV2Command({ Bucket: ctx.bucket }));
      assert.deepEqual(Contents?.[0]?.ChecksumAlgorithm, ['SHA256']);
    },
  },
  {
    name: 'checksum: GetObjectAttributes of a plain object',
    ...onVersitygw(
      'attribute names after a comma and a space, as the SDK writes them, are refused',
      /Invalid attribute name/,
    ),
    run: async (ctx) => {
      await put(ctx, 'a', BODY, { ChecksumAlgorithm: 'SHA256' });
      const answer = await ctx.s3.send(
        new GetObjectAttributesCommand({
          ...{ Bucket: ctx.bucket, Key: 'a' },
          ObjectAttributes: ['ETag', 'Checksum', 'ObjectSize', 'StorageClass'],
        }),
      );
      assert.equal(answer.ObjectSize, BODY.length);
      assert.equal(answer.Checksum?.ChecksumSHA256, checksumOf('SHA256', BODY));
      assert.equal(answer.Checksum?.ChecksumType, 'FULL_OBJECT');
      // Unlike everywhere else, S3 writes this ETag without quotes.
      assert.match(answer.ETag ?? '', /^[0-9a-f]{32}$/);
      assert.equal(answer.StorageClass, 'STANDARD');
    },
  },
  {
    name: 'checksum: GetObjectAttributes of a multipart object lists its parts',
    ...onVersitygw(
      'attribute names after a comma and a space, as the SDK writes them, are refused',
      /Invalid attribute name/,
    ),
    run: async (ctx) => {
      await multipart(ctx, 'mp', PARTS, { ChecksumAlgorithm: 'CRC32' });
      const answer = await ctx.s3.send(
        new GetObjectAttributesCommand({
          ...{ Bucket: ctx.bucket, Key: 'mp' },
          ObjectAttributes: ['ObjectParts', 'ObjectSize', 'Checksum'],
        }),
      );
      assert.equal(answer.ObjectParts?.TotalPartsCount, 3);
      assert.equal(
        answer.ObjectSize,
        PARTS.reduce((sum, part) => sum + part.length, 0),
      );
    },
  },
];
