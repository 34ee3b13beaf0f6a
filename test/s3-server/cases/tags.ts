/**
 * Object tags: as a header of PUT and as a document of their own.
 *
 * Tags never touch the object's bytes or ETag; a mount ignores them, but copies must carry them and tools that share the bucket set them.
 */
import assert from 'node:assert/strict';
import {
  DeleteObjectTaggingCommand,
  GetObjectTaggingCommand,
  PutObjectTaggingCommand,
  type Tag,
} from '@aws-sdk/client-s3';
import { expectFailure, type CaseContext, type ContractCase } from './context.js';
import { head, multipart, put } from './helpers.js';
import { pathOf, sendSigned } from './raw.js';

async function tagsOf(ctx: CaseContext, key: string): Promise<Tag[]> {
  const { TagSet } = await ctx.s3.send(new GetObjectTaggingCommand({ Bucket: ctx.bucket, Key: key }));
  return [...(TagSet ?? [])].sort((left, right) => ((left.Key ?? '') < (right.Key ?? '') ? -1 : 1));
}

async function setTags(ctx: CaseContext, key: string, tags: readonly Tag[]): Promise<void> {
  await ctx.s3.send(new PutObjectTaggingCommand({ Bucket: ctx.bucket, Key: key, Tagging: { TagSet: [...tags] } }));
}

export const tagCases: readonly ContractCase[] = [
  {
    name: 'tags: set, read, replace, delete; the ETag stays',
    run: async (ctx) => {
      const { ETag } = await put(ctx, 'a', 'x');
      assert.deepEqual(await tagsOf(ctx, 'a'), []);
      await setTags(ctx, 'a', [
        { Key: 'k1', Value: 'v 1' },
        { Key: 'k2', Value: 'ü +-=._:/@' },
      ]);
      assert.deepEqual(await tagsOf(ctx, 'a'), [
        { Key: 'k1', Value: 'v 1' },
        { Key: 'k2', Value: 'ü +-=._:/@' },
      ]);
      await setTags(ctx, 'a', [{ Key: 'k3', Value: '' }]);
      assert.deepEqual(await tagsOf(ctx, 'a'), [{ Key: 'k3', Value: '' }]);
      await ctx.s3.send(new DeleteObjectTaggingCommand({ Bucket: ctx.bucket, Key: 'a' }));
      assert.deepEqual(await tagsOf(ctx, 'a'), []);
      assert.equal((await head(ctx, 'a')).ETag, ETag);
    },
  },
  {
    name: 'tags: as a header of PUT, counted on GET',
    run: async (ctx) => {
      await put(ctx, 'a', 'x', { Tagging: 'k1=v%201&k2=' });
      assert.deepEqual(await tagsOf(ctx, 'a'), [
        { Key: 'k1', Value: 'v 1' },
        { Key: 'k2', Value: '' },
      ]);
      const answer = await sendSigned(ctx, { method: 'GET', path: pathOf(ctx.bucket, 'a') });
      assert.equal(answer.headers['x-amz-tagging-count'], '2');
    },
  },
  {
    name: 'tags: given at the start of a multipart upload',
    run: async (ctx) => {
      await multipart(ctx, 'mp', [Buffer.from('x')], { Tagging: 'step=7' });
      assert.deepEqual(await tagsOf(ctx, 'mp'), [{ Key: 'step', Value: '7' }]);
    },
  },
  {
    name: 'tags: replacing the object takes them off',
    run: async (ctx) => {
      await put(ctx, 'a', 'x', { Tagging: 'k=v' });
      await put(ctx, 'a', 'y');
      assert.deepEqual(await tagsOf(ctx, 'a'), []);
    },
  },
  {
    name: 'tags: more than 10, doubled or too long ones are refused',
    run: async (ctx) => {
      await put(ctx, 'a', 'x');
      const many = Array.from({ length: 11 }, (_unused, index) => ({ Key: `k${index}`, Value: 'v' }));
      await expectFailure(setTags(ctx, 'a', many), 400, ['BadRequest', 'InvalidTag']);
      const double = [
        { Key: 'k', Value: '1' },
        { Key: 'k', Value: '2' },
      ];
      await expectFailure(setTags(ctx, 'a', double), 400, 'InvalidTag');
      await expectFailure(setTags(ctx, 'a', [{ Key: 'k'.repeat(129), Value: 'v' }]), 400, 'InvalidTag');
      await expectFailure(setTags(ctx, 'a', [{ Key: 'k', Value: 'v'.repeat(257) }]), 400, 'InvalidTag');
      assert.deepEqual(await tagsOf(ctx, 'a'), []);
    },
  },
  {
    name: 'tags: of a missing key are NoSuchKey',
    run: async (ctx) => {
      await expectFailure(tagsOf(ctx, 'missing'), 404, 'NoSuchKey');
      await expectFailure(setTags(ctx, 'missing', []), 404, 'NoSuchKey');
    },
  },
];
