/**
 * DeleteObject and DeleteObjects, and deleting buckets.
 *
 * Deleting is idempotent in S3: a key that is not there is deleted successfully. Deleting one key never touches another, however their
 * names overlap.
 */
import assert from 'node:assert/strict';
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  HeadBucketCommand,
} from '@aws-sdk/client-s3';
import { createHash } from 'node:crypto';
import { assertFailure, expectFailure, onVersitygw, type ContractCase } from './context.js';
import { get, head, keysOf, put, putAll } from './helpers.js';
import { expectError, expectStatus, pathOf, sendSigned, xmlTexts } from './raw.js';

export const deleteCases: readonly ContractCase[] = [
  {
    name: 'delete: 204 without a body, and the key is gone',
    run: async (ctx) => {
      await put(ctx, 'a', 'x');
      const answer = await sendSigned(ctx, { method: 'DELETE', path: pathOf(ctx.bucket, 'a') });
      expectStatus(answer, 204);
      assert.equal(answer.body.length, 0);
      await expectFailure(get(ctx, 'a'), 404, 'NoSuchKey');
      assert.deepEqual(await keysOf(ctx), []);
    },
  },
  {
    name: 'delete: of a missing key is 204',
    run: async (ctx) => {
      for (const key of ['missing', 'missing/below', 'missing/']) {
        expectStatus(await sendSigned(ctx, { method: 'DELETE', path: pathOf(ctx.bucket, key) }), 204);
      }
    },
  },
  {
    name: 'delete: in a missing bucket is NoSuchBucket',
    run: async (ctx) => {
      const call = ctx.s3.send(new DeleteObjectCommand({ Bucket: `${ctx.bucket}-no`, Key: 'a' }));
      await expectFailure(call, 404, 'NoSuchBucket');
    },
  },
  {
    name: 'delete: the last key below a folder leaves no folder behind',
    run: async (ctx) => {
      await put(ctx, 'x/y/z', '1');
      await ctx.s3.send(new DeleteObjectCommand({ Bucket: ctx.bucket, Key: 'x/y/z' }));
      await expectFailure(head(ctx, 'x/y/'), 404);
      assert.deepEqual(await keysOf(ctx), []);
      await put(ctx, 'x', 'now a file');
      assert.equal((await get(ctx, 'x')).bytes.toString(), 'now a file');
    },
  },
  {
    name: 'delete: of a marker leaves the keys below it',
    run: async (ctx) => {
      await putAll(ctx, ['dir/', 'dir/a']);
      await ctx.s3.send(new DeleteObjectCommand({ Bucket: ctx.bucket, Key: 'dir/' }));
      assert.deepEqual(await keysOf(ctx), ['dir/a']);
    },
  },
  {
    name: 'delete: of a folder name without a key of that name deletes nothing',
    ...onVersitygw('DELETE of a folder that is no object answers 400', /Directory object not empty/),
    run: async (ctx) => {
      await put(ctx, 'dir/a', 'x');
      for (const key of ['dir', 'dir/']) {
        expectStatus(await sendSigned(ctx, { method: 'DELETE', path: pathOf(ctx.bucket, key) }), 204);
      }
      assert.deepEqual(await keysOf(ctx), ['dir/a']);
    },
  },
  {
    name: 'delete: of a key whose prefix is an object deletes nothing',
    run: async (ctx) => {
      await put(ctx, 'file', 'x');
      for (const key of ['file/', 'file/below']) {
        expectStatus(await sendSigned(ctx, { method: 'DELETE', path: pathOf(ctx.bucket, key) }), 204);
      }
      assert.deepEqual(await keysOf(ctx), ['file']);
    },
  },
  {
    name: 'delete many: reports every key, missing ones too',
    run: async (ctx) => {
      await putAll(ctx, ['a', 'b/c', 'keep']);
      const Objects = ['a', 'b/c', 'missing'].map((Key) => ({ Key }));
      const answer = await ctx.s3.send(new DeleteObjectsCommand({ Bucket: ctx.bucket, Delete: { Objects } }));
      assert.deepEqual((answer.Deleted ?? []).map((entry) => entry.Key).sort(), ['a', 'b/c', 'missing']);
      assert.deepEqual(answer.Errors ?? [], []);
      assert.deepEqual(await keysOf(ctx), ['keep']);
    },
  },
  {
    name: 'delete many: quiet reports nothing that went well',
    ...onVersitygw('Quiet is ignored', /deep-equal/),
    run: async (ctx) => {
      await putAll(ctx, ['a', 'b']);
      const Objects = ['a', 'b'].map((Key) => ({ Key }));
      const answer = await ctx.s3.send(
        new DeleteObjectsCommand({ Bucket: ctx.bucket, Delete: { Objects, Quiet: true } }),
      );
      assert.deepEqual([answer.Deleted ?? [], answer.Errors ?? []], [[], []]);
      assert.deepEqual(await keysOf(ctx), []);
    },
  },
  {
    name: 'delete many: keys that XML must escape',
    run: async (ctx) => {
      const keys = ['a&b', '<x>', '"q"', "it's", ' leading and trailing ', 'ü\u{1F600}', 'a&amp;b'];
      await putAll(ctx, keys);
      const Objects = keys.map((Key) => ({ Key }));
      const answer = await ctx.s3.send(new DeleteObjectsCommand({ Bucket: ctx.bucket, Delete: { Objects } }));
      assert.deepEqual((answer.Deleted ?? []).map((entry) => entry.Key).sort(), [...keys].sort());
      assert.deepEqual(await keysOf(ctx), []);
    },
  },
  {
    name: 'delete many: 1,000 keys are accepted, 1,001 are MalformedXML',
    ...onVersitygw('more than 1,000 keys are accepted', /succeeded/),
    run: async (ctx) => {
      await put(ctx, 'k1', 'x');
      const objects = (count: number): { Key: string }[] =>
        Array.from({ length: count }, (_unused, index) => ({ Key: `k${index}` }));
      const many = (count: number): DeleteObjectsCommand =>
        new DeleteObjectsCommand({ Bucket: ctx.bucket, Delete: { Objects: objects(count) } });
      await expectFailure(ctx.s3.send(many(1001)), 400, 'MalformedXML');
      assert.deepEqual(await keysOf(ctx), ['k1']);
      assert.equal((await ctx.s3.send(many(1000))).Deleted?.length, 1000);
      assert.deepEqual(await keysOf(ctx), []);
    },
  },
  {
    name: 'delete many: a body that is not what it should be is MalformedXML',
    ...onVersitygw('answers InvalidRequest', /InvalidRequest/),
    run: async (ctx) => {
      await put(ctx, 'a', 'x');
      for (const body of ['not xml', '<Delete></Delete>', '<Delete><Object><Key>a</Key>']) {
        const headers = { 'content-md5': createHash('md5').update(body).digest('base64') };
        const request = { method: 'POST', path: pathOf(ctx.bucket), query: { delete: '' }, headers, body };
        expectError(await sendSigned(ctx, request), 400, 'MalformedXML');
      }
      assert.deepEqual(await keysOf(ctx), ['a']);
    },
  },
  {
    name: 'delete many: wrong Content-MD5 is BadDigest and deletes nothing',
    run: async (ctx) => {
      await put(ctx, 'a', 'x');
      const body = '<Delete><Object><Key>a</Key></Object></Delete>';
      const headers = { 'content-md5': createHash('md5').update('other').digest('base64') };
      const request = { method: 'POST', path: pathOf(ctx.bucket), query: { delete: '' }, headers, body };
      expectError(await sendSigned(ctx, request), 400, 'BadDigest');
      assert.deepEqual(await keysOf(ctx), ['a']);
    },
  },
  {
    name: 'delete many: plain request with Content-MD5',
    run: async (ctx) => {
      await putAll(ctx, ['a', 'b']);
      const body =
        '<?xml version="1.0" encoding="UTF-8"?><Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">' +
        '<Object><Key>a</Key></Object><Object><Key>b</Key></Object></Delete>';
      const headers = { 'content-md5': createHash('md5').update(body).digest('base64') };
      const request = { method: 'POST', path: pathOf(ctx.bucket), query: { delete: '' }, headers, body };
      const answer = await sendSigned(ctx, request);
      expectStatus(answer, 200);
      assert.deepEqual(xmlTexts(answer.body.toString(), 'Key'), ['a', 'b']);
      assert.deepEqual(await keysOf(ctx), []);
    },
  },
  {
    name: 'bucket: create, delete; a bucket with objects is BucketNotEmpty',
    run: async (ctx) => {
      await put(ctx, 'a', 'x');
      await expectFailure(ctx.s3.send(new DeleteBucketCommand({ Bucket: ctx.bucket })), 409, 'BucketNotEmpty');
      await ctx.s3.send(new DeleteObjectCommand({ Bucket: ctx.bucket, Key: 'a' }));
      await ctx.s3.send(new DeleteBucketCommand({ Bucket: ctx.bucket }));
      await expectFailure(ctx.s3.send(new HeadBucketCommand({ Bucket: ctx.bucket })), 404);
      await expectFailure(ctx.s3.send(new DeleteBucketCommand({ Bucket: ctx.bucket })), 404, 'NoSuchBucket');
    },
  },
  {
    name: 'bucket: bad names are InvalidBucketName, an existing one is refused or kept',
    run: async (ctx) => {
      await put(ctx, 'a', 'x');
      for (const name of ['ab', 'UPPER-case', '-dash', 'under_score', 'x'.repeat(64)]) {
        expectError(await sendSigned(ctx, { method: 'PUT', path: `/${name}` }), 400, 'InvalidBucketName');
      }
      try {
        // us-east-1 answers 200 to the owner, other regions BucketAlreadyOwnedByYou.
        await ctx.s3.send(new CreateBucketCommand({ Bucket: ctx.bucket }));
      } catch (error) {
        const codes = ['BucketAlreadyOwnedByYou', 'BucketAlreadyExists'];
        assertFailure(error, 409, codes);
      }
      assert.deepEqual(await keysOf(ctx), ['a']);
    },
  },
];
