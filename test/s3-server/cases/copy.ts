/**
 * CopyObject, and RenameObject where it exists.
 *
 * rename(2) is a copy and a delete, so a copy must carry bytes, headers and metadata exactly. RenameObject belongs to directory buckets;
 * only the embedded server has it.
 */
import assert from 'node:assert/strict';
import {
  CopyObjectCommand,
  GetObjectTaggingCommand,
  RenameObjectCommand,
  type CopyObjectCommandInput,
} from '@aws-sdk/client-s3';
import { checksumOf, etagOf } from './checksums.js';
import { expectFailure, notOnVersitygw, type CaseContext, type ContractCase } from './context.js';
import { get, head, keysOf, multipart, PART_BYTES_MIN, pattern, put, sameBytes } from './helpers.js';
import { expectError, expectStatus, pathOf, sendSigned, xmlText } from './raw.js';

const NO_RENAME = notOnVersitygw('RenameObject is not implemented');

async function copy(
  ctx: CaseContext,
  from: string,
  to: string,
  extra: Partial<CopyObjectCommandInput> = {},
): Promise<void> {
  const CopySource = encodeURIComponent(`${ctx.bucket}/${from}`);
  const answer = await ctx.s3.send(new CopyObjectCommand({ Bucket: ctx.bucket, Key: to, CopySource, ...extra }));
  assert.ok(answer.CopyObjectResult?.LastModified !== undefined);
  assert.equal(answer.CopyObjectResult.ETag, (await head(ctx, to)).ETag);
}

async function rename(
  ctx: CaseContext,
  from: string,
  to: string,
  extra: { DestinationIfNoneMatch?: string; SourceIfMatch?: string; DestinationIfMatch?: string } = {},
): Promise<void> {
  const RenameSource = `${ctx.bucket}/${from.split('/').map(encodeURIComponent).join('/')}`;
  await ctx.s3.send(new RenameObjectCommand({ Bucket: ctx.bucket, Key: to, RenameSource, ...extra }));
}

export const copyCases: readonly ContractCase[] = [
  {
    name: 'copy: bytes, headers and metadata of the source',
    run: async (ctx) => {
      const body = pattern(300_000);
      await put(ctx, 'from', body, { ContentType: 'a/b', CacheControl: 'no-cache', Metadata: { step: '7' } });
      await copy(ctx, 'from', 'dir/to');
      const { answer, bytes } = await get(ctx, 'dir/to');
      sameBytes(bytes, body);
      assert.equal(answer.ETag, etagOf(body));
      assert.equal(answer.ContentType, 'a/b');
      assert.equal(answer.CacheControl, 'no-cache');
      assert.deepEqual({ ...answer.Metadata }, { step: '7' });
    },
  },
  {
    name: 'copy: from another bucket',
    run: async (ctx) => {
      const other = await ctx.newBucket();
      await put(ctx, 'from', 'x');
      await ctx.s3.send(new CopyObjectCommand({ Bucket: other, Key: 'to', CopySource: `/${ctx.bucket}/from` }));
      assert.equal((await get({ ...ctx, bucket: other }, 'to')).bytes.toString(), 'x');
    },
  },
  {
    name: "copy: metadata directive REPLACE takes the request's",
    run: async (ctx) => {
      await put(ctx, 'from', 'x', { ContentType: 'a/b', Metadata: { old: '1' } });
      await copy(ctx, 'from', 'to', { MetadataDirective: 'REPLACE', ContentType: 'c/d', Metadata: { new: '2' } });
      const answer = await head(ctx, 'to');
      assert.equal(answer.ContentType, 'c/d');
      assert.deepEqual({ ...answer.Metadata }, { new: '2' });
    },
  },
  {
    name: "copy: without REPLACE the request's metadata is ignored",
    run: async (ctx) => {
      await put(ctx, 'from', 'x', { Metadata: { old: '1' } });
      await copy(ctx, 'from', 'to', { Metadata: { new: '2' } });
      assert.deepEqual({ ...(await head(ctx, 'to')).Metadata }, { old: '1' });
    },
  },
  {
    name: 'copy: onto itself without a change is InvalidRequest, with REPLACE it changes the metadata',
    run: async (ctx) => {
      await put(ctx, 'self', 'bytes', { Metadata: { old: '1' } });
      await expectFailure(copy(ctx, 'self', 'self'), 400, 'InvalidRequest');
      await copy(ctx, 'self', 'self', { MetadataDirective: 'REPLACE', Metadata: { new: '2' } });
      const { answer, bytes } = await get(ctx, 'self');
      assert.equal(bytes.toString(), 'bytes');
      assert.deepEqual({ ...answer.Metadata }, { new: '2' });
    },
  },
  {
    name: 'copy: unknown metadata directive is InvalidArgument',
    run: async (ctx) => {
      await put(ctx, 'from', 'x');
      const headers = { 'x-amz-copy-source': `/${ctx.bucket}/from`, 'x-amz-metadata-directive': 'MERGE' };
      expectError(
        await sendSigned(ctx, { method: 'PUT', path: pathOf(ctx.bucket, 'to'), headers }),
        400,
        'InvalidArgument',
      );
    },
  },
  {
    name: 'copy: missing source key and bucket',
    run: async (ctx) => {
      await expectFailure(copy(ctx, 'missing', 'to'), 404, 'NoSuchKey');
      const call = ctx.s3.send(
        new CopyObjectCommand({ Bucket: ctx.bucket, Key: 'to', CopySource: `${ctx.bucket}-no/from` }),
      );
      await expectFailure(call, 404, 'NoSuchBucket');
      assert.deepEqual(await keysOf(ctx), []);
    },
  },
  {
    name: 'copy: source without a key is InvalidArgument',
    run: async (ctx) => {
      const headers = { 'x-amz-copy-source': ctx.bucket };
      const answer = await sendSigned(ctx, { method: 'PUT', path: pathOf(ctx.bucket, 'to'), headers });
      expectError(answer, 400, ['InvalidArgument', 'InvalidRequest']);
    },
  },
  {
    name: 'copy: keys with spaces, plus, percent, question mark, umlauts',
    run: async (ctx) => {
      for (const key of ['a b', 'a+b', 'a%b', 'a%2Fb', 'a?b', 'ä€\u{1F600}', 'a&b=c#d']) {
        await put(ctx, key, `bytes of ${key}`);
        await copy(ctx, key, `copy of ${key}`);
        assert.equal((await get(ctx, `copy of ${key}`)).bytes.toString(), `bytes of ${key}`);
      }
    },
  },
  {
    name: 'copy: of a multipart object is a plain object with the MD5 as ETag',
    run: async (ctx) => {
      const parts = [pattern(PART_BYTES_MIN, 1), pattern(7, 2)];
      await multipart(ctx, 'from', parts);
      await copy(ctx, 'from', 'to');
      const { answer, bytes } = await get(ctx, 'to');
      sameBytes(bytes, Buffer.concat(parts));
      assert.equal(answer.ETag, etagOf(Buffer.concat(parts)));
    },
  },
  {
    name: 'copy: keeps the checksum, or makes the one asked for',
    run: async (ctx) => {
      const body = pattern(1000);
      await put(ctx, 'from', body, { ChecksumAlgorithm: 'SHA256' });
      await copy(ctx, 'from', 'kept');
      assert.equal((await head(ctx, 'kept', { ChecksumMode: 'ENABLED' })).ChecksumSHA256, checksumOf('SHA256', body));
      await copy(ctx, 'from', 'other', { ChecksumAlgorithm: 'CRC32C' });
      assert.equal((await head(ctx, 'other', { ChecksumMode: 'ENABLED' })).ChecksumCRC32C, checksumOf('CRC32C', body));
    },
  },
  {
    name: 'copy: carries tags, or replaces them',
    run: async (ctx) => {
      await put(ctx, 'from', 'x', { Tagging: 'a=1' });
      await copy(ctx, 'from', 'kept');
      await copy(ctx, 'from', 'replaced', { TaggingDirective: 'REPLACE', Tagging: 'b=2' });
      const tagsOf = async (key: string): Promise<unknown> =>
        (await ctx.s3.send(new GetObjectTaggingCommand({ Bucket: ctx.bucket, Key: key }))).TagSet;
      assert.deepEqual(await tagsOf('kept'), [{ Key: 'a', Value: '1' }]);
      assert.deepEqual(await tagsOf('replaced'), [{ Key: 'b', Value: '2' }]);
    },
  },
  {
    name: 'copy: answer is a CopyObjectResult',
    run: async (ctx) => {
      await put(ctx, 'from', 'x');
      const headers = { 'x-amz-copy-source': `/${ctx.bucket}/from` };
      const answer = await sendSigned(ctx, { method: 'PUT', path: pathOf(ctx.bucket, 'to'), headers });
      expectStatus(answer, 200);
      const xml = answer.body.toString();
      assert.match(xml, /<CopyObjectResult/);
      assert.equal(xmlText(xml, 'ETag'), etagOf('x'));
    },
  },
  {
    name: 'rename: moves bytes, ETag and metadata',
    ...NO_RENAME,
    run: async (ctx) => {
      await put(ctx, 'from', 'bytes', { Metadata: { step: '7' } });
      await rename(ctx, 'from', 'dir/to');
      const { answer, bytes } = await get(ctx, 'dir/to');
      assert.equal(bytes.toString(), 'bytes');
      assert.equal(answer.ETag, etagOf('bytes'));
      assert.deepEqual({ ...answer.Metadata }, { step: '7' });
      assert.deepEqual(await keysOf(ctx), ['dir/to']);
      await expectFailure(get(ctx, 'from'), 404, 'NoSuchKey');
    },
  },
  {
    name: 'rename: keys with odd characters',
    ...NO_RENAME,
    run: async (ctx) => {
      await put(ctx, 'a b/ü+%', 'bytes');
      await rename(ctx, 'a b/ü+%', 'c//d?');
      assert.equal((await get(ctx, 'c//d?')).bytes.toString(), 'bytes');
      assert.deepEqual(await keysOf(ctx), ['c//d?']);
    },
  },
  {
    name: 'rename: replaces the target',
    ...NO_RENAME,
    run: async (ctx) => {
      await put(ctx, 'from', 'new');
      await put(ctx, 'to', 'old');
      await rename(ctx, 'from', 'to');
      assert.equal((await get(ctx, 'to')).bytes.toString(), 'new');
      assert.deepEqual(await keysOf(ctx), ['to']);
    },
  },
  {
    name: 'rename: missing source is NoSuchKey',
    ...NO_RENAME,
    run: async (ctx) => {
      await put(ctx, 'to', 'old');
      await expectFailure(rename(ctx, 'from', 'to'), 404, 'NoSuchKey');
      assert.equal((await get(ctx, 'to')).bytes.toString(), 'old');
    },
  },
  {
    name: 'rename: If-None-Match * over a target is PreconditionFailed',
    ...NO_RENAME,
    run: async (ctx) => {
      await put(ctx, 'from', 'new');
      await put(ctx, 'to', 'old');
      await expectFailure(rename(ctx, 'from', 'to', { DestinationIfNoneMatch: '*' }), 412, 'PreconditionFailed');
      assert.equal((await get(ctx, 'to')).bytes.toString(), 'old');
      assert.equal((await get(ctx, 'from')).bytes.toString(), 'new');
    },
  },
  {
    name: 'rename: If-Match on source and target',
    ...NO_RENAME,
    run: async (ctx) => {
      await put(ctx, 'from', 'new');
      await put(ctx, 'to', 'old');
      await expectFailure(rename(ctx, 'from', 'to', { SourceIfMatch: etagOf('x') }), 412, 'PreconditionFailed');
      await expectFailure(rename(ctx, 'from', 'to', { DestinationIfMatch: etagOf('x') }), 412, 'PreconditionFailed');
      await rename(ctx, 'from', 'to', { SourceIfMatch: etagOf('new'), DestinationIfMatch: etagOf('old') });
      assert.deepEqual(await keysOf(ctx), ['to']);
    },
  },
];
