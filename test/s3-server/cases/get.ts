/**
 * GET and HEAD: whole objects, every form of Range, part numbers, answers' headers, missing things.
 *
 * What each case expects is S3's documented behaviour and RFC 9110 where S3 follows it. A form of Range that S3 does not understand is
 * ignored (200 and the whole object), a form that it understands but cannot satisfy is 416; a client that mixes the two up would read wrong
 * bytes, hence so many rows.
 */
import assert from 'node:assert/strict';
import {
  GetBucketLocationCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { expectFailure, onVersitygw, type CaseContext, type ContractCase } from './context.js';
import { etagOf } from './checksums.js';
import { get, head, multipart, PART_BYTES_MIN, pattern, put, sameBytes } from './helpers.js';
import { expectError, expectStatus, pathOf, sendSigned, xmlText, type RawResponse } from './raw.js';

const TEN = Buffer.from('0123456789');

/** A row of the range table: what `Range` says and what must come back of the object `0123456789`. */
interface RangeRow {
  readonly what: string;
  readonly range: string;
  /** Offsets, `endOffset` exclusive; 'whole' is 200 without Content-Range; 'unsatisfiable' is 416. */
  readonly expect: readonly [number, number] | 'whole' | 'unsatisfiable';
  readonly deviation?: Pick<ContractCase, 'deviations'>;
}

const RANGES: readonly RangeRow[] = [
  { what: 'first byte', range: 'bytes=0-0', expect: [0, 1] },
  { what: 'last byte', range: 'bytes=9-9', expect: [9, 10] },
  { what: 'middle', range: 'bytes=3-6', expect: [3, 7] },
  { what: 'all of it', range: 'bytes=0-9', expect: [0, 10] },
  { what: 'end past the object is clipped', range: 'bytes=5-100', expect: [5, 10] },
  {
    what: 'end past 2^64 is clipped',
    range: 'bytes=5-99999999999999999999999',
    expect: [5, 10],
    deviation: onVersitygw('a range end past 2^63 is taken for a malformed range and ignored', /200 !== 206/),
  },
  { what: 'open end', range: 'bytes=7-', expect: [7, 10] },
  { what: 'open end from 0', range: 'bytes=0-', expect: [0, 10] },
  { what: 'suffix', range: 'bytes=-4', expect: [6, 10] },
  { what: 'suffix longer than the object', range: 'bytes=-100', expect: [0, 10] },
  { what: 'suffix of 0 bytes', range: 'bytes=-0', expect: 'unsatisfiable' },
  { what: 'start at the size', range: 'bytes=10-', expect: 'unsatisfiable' },
  { what: 'start past the size', range: 'bytes=11-20', expect: 'unsatisfiable' },
  { what: 'end before start is ignored', range: 'bytes=5-2', expect: 'whole' },
  { what: 'not a number is ignored', range: 'bytes=abc', expect: 'whole' },
  { what: 'lone dash is ignored', range: 'bytes=-', expect: 'whole' },
  { what: 'unit other than bytes is ignored', range: 'lines=0-1', expect: 'whole' },
  { what: 'several ranges are ignored', range: 'bytes=0-1,4-5', expect: 'whole' },
  { what: 'empty value is ignored', range: 'bytes=', expect: 'whole' },
];

async function getRaw(
  ctx: CaseContext,
  method: string,
  key: string,
  headers: Record<string, string>,
  query: Record<string, string> = {},
): Promise<RawResponse> {
  return sendSigned(ctx, { method, path: pathOf(ctx.bucket, key), headers, query });
}

function rangeCase(method: 'GET' | 'HEAD', row: RangeRow): ContractCase {
  return {
    name: `${method.toLowerCase()}: range ${row.what} (${row.range})`,
    ...row.deviation,
    run: async (ctx) => {
      await put(ctx, 'ten', TEN);
      const answer = await getRaw(ctx, method, 'ten', { range: row.range });
      if (row.expect === 'unsatisfiable') {
        if (method === 'HEAD') {
          assert.equal(answer.status, 416);
          assert.equal(answer.body.length, 0);
        } else {
          const xml = expectError(answer, 416, 'InvalidRange');
          assert.equal(xmlText(xml, 'ActualObjectSize'), '10');
        }
        return;
      }
      const [offset, endOffset] = row.expect === 'whole' ? [0, 10] : row.expect;
      expectStatus(answer, row.expect === 'whole' ? 200 : 206);
      const contentRange = row.expect === 'whole' ? undefined : `bytes ${offset}-${endOffset - 1}/10`;
      assert.equal(answer.headers['content-range'], contentRange);
      assert.equal(answer.headers['content-length'], String(endOffset - offset));
      assert.equal(answer.headers['etag'], etagOf(TEN));
      if (method === 'GET') sameBytes(answer.body, TEN.subarray(offset, endOffset));
      else assert.equal(answer.body.length, 0);
    },
  };
}

export const getCases: readonly ContractCase[] = [
  {
    name: 'get: whole object with its headers',
    run: async (ctx) => {
      const body = pattern(100_000);
      const before = Date.now();
      await put(ctx, 'dir/whole.bin', body, { ContentType: 'image/png' });
      const { answer, bytes } = await get(ctx, 'dir/whole.bin');
      sameBytes(bytes, body);
      assert.equal(answer.ContentLength, body.length);
      assert.equal(answer.ETag, etagOf(body));
      assert.equal(answer.ContentType, 'image/png');
      assert.equal(answer.AcceptRanges, 'bytes');
      assert.ok(answer.LastModified !== undefined);
      // LastModified has whole seconds; S3 never reports a time in the future.
      assert.ok(Math.abs(answer.LastModified.getTime() - before) < 60_000);
      assert.equal(answer.LastModified.getMilliseconds(), 0);
    },
  },
  {
    name: 'get: empty object',
    run: async (ctx) => {
      await put(ctx, 'empty', '');
      const { answer, bytes } = await get(ctx, 'empty');
      assert.equal(bytes.length, 0);
      assert.equal(answer.ContentLength, 0);
      assert.equal(answer.ETag, '"d41d8cd98f00b204e9800998ecf8427e"');
    },
  },
  {
    name: 'get: object of several megabytes arrives whole',
    run: async (ctx) => {
      const body = pattern(7 * 2 ** 20 + 13, 3);
      await put(ctx, 'big', body);
      sameBytes((await get(ctx, 'big')).bytes, body);
    },
  },
  {
    name: 'get: ranges of a large object, 64 in parallel, are each right',
    run: async (ctx) => {
      const body = pattern(4 * 2 ** 20 + 1, 4);
      await put(ctx, 'big', body);
      const partBytes = Math.ceil(body.length / 64);
      const parts = await Promise.all(
        Array.from({ length: 64 }, async (_unused, index) => {
          const offset = index * partBytes;
          const last = Math.min(offset + partBytes, body.length) - 1;
          return (await get(ctx, 'big', { Range: `bytes=${offset}-${last}` })).bytes;
        }),
      );
      sameBytes(Buffer.concat(parts), body);
    },
  },
  {
    name: 'get: an answer under way delivers the old version whole when the object is replaced',
    run: async (ctx) => {
      const old = pattern(8 * 2 ** 20, 5);
      await put(ctx, 'replaced', old);
      const answer = await ctx.s3.send(new GetObjectCommand({ Bucket: ctx.bucket, Key: 'replaced' }));
      await put(ctx, 'replaced', pattern(8 * 2 ** 20, 6));
      assert.ok(answer.Body !== undefined);
      sameBytes(Buffer.from(await answer.Body.transformToByteArray()), old);
    },
  },
  {
    name: 'get: an answer under way delivers the old version whole when the object is deleted',
    run: async (ctx) => {
      const old = pattern(8 * 2 ** 20, 7);
      await put(ctx, 'deleted', old);
      const answer = await ctx.s3.send(new GetObjectCommand({ Bucket: ctx.bucket, Key: 'deleted' }));
      await sendSigned(ctx, { method: 'DELETE', path: pathOf(ctx.bucket, 'deleted') });
      assert.ok(answer.Body !== undefined);
      sameBytes(Buffer.from(await answer.Body.transformToByteArray()), old);
    },
  },
  ...RANGES.map((row) => rangeCase('GET', row)),
  ...RANGES.filter((row) => /middle|suffix$|clipped|past the size|ignored/.test(row.what)).map((row) =>
    rangeCase('HEAD', row),
  ),
  {
    name: 'get: range on an empty object is 416',
    run: async (ctx) => {
      await put(ctx, 'empty', '');
      expectError(await getRaw(ctx, 'GET', 'empty', { range: 'bytes=0-' }), 416, 'InvalidRange');
      expectError(await getRaw(ctx, 'GET', 'empty', { range: 'bytes=0-9' }), 416, 'InvalidRange');
    },
  },
  {
    name: 'get: missing key is NoSuchKey and names the key',
    ...onVersitygw('the error document names neither key nor resource', /did not match/),
    run: async (ctx) => {
      const xml = expectError(await getRaw(ctx, 'GET', 'no/such <key>', {}), 404, 'NoSuchKey');
      const named = [xmlText(xml, 'Key'), xmlText(xml, 'Resource')].join(' ');
      assert.match(named, /no\/such( |%20)(<|%3C)key/);
    },
  },
  {
    name: 'get: missing bucket is NoSuchBucket',
    run: async (ctx) => {
      const missing = `${ctx.bucket}-missing`;
      await expectFailure(ctx.s3.send(new GetObjectCommand({ Bucket: missing, Key: 'a' })), 404, 'NoSuchBucket');
      await expectFailure(ctx.s3.send(new HeadObjectCommand({ Bucket: missing, Key: 'a' })), 404);
    },
  },
  {
    name: 'get: a folder of keys is not itself an object',
    run: async (ctx) => {
      await put(ctx, 'folder/file', 'x');
      await expectFailure(get(ctx, 'folder'), 404, 'NoSuchKey');
      await expectFailure(get(ctx, 'folder/'), 404, 'NoSuchKey');
      await expectFailure(head(ctx, 'folder'), 404, 'NotFound');
      await expectFailure(head(ctx, 'folder/'), 404, 'NotFound');
    },
  },
  {
    name: 'get: a key below an object is not an object',
    run: async (ctx) => {
      await put(ctx, 'file', 'x');
      await expectFailure(get(ctx, 'file/below'), 404, 'NoSuchKey');
      await expectFailure(get(ctx, 'file/'), 404, 'NoSuchKey');
    },
  },
  {
    name: 'get: response-* parameters replace headers',
    run: async (ctx) => {
      await put(ctx, 'a', 'x', { ContentType: 'text/plain' });
      const answer = await ctx.s3.send(
        new GetObjectCommand({
          Bucket: ctx.bucket,
          Key: 'a',
          ResponseContentType: 'application/x-test',
          ResponseContentDisposition: 'attachment; filename="a b"',
          ResponseCacheControl: 'no-store',
          ResponseContentLanguage: 'de',
          ResponseContentEncoding: 'identity',
          ResponseExpires: new Date(Date.UTC(2030, 0, 1)),
        }),
      );
      assert.equal(answer.ContentType, 'application/x-test');
      assert.equal(answer.ContentDisposition, 'attachment; filename="a b"');
      assert.equal(answer.CacheControl, 'no-store');
      assert.equal(answer.ContentLanguage, 'de');
      assert.equal(answer.ContentEncoding, 'identity');
      assert.equal(answer.ExpiresString, 'Tue, 01 Jan 2030 00:00:00 GMT');
      await answer.Body?.transformToByteArray();
    },
  },
  {
    name: 'get: partNumber returns that part of a multipart object',
    run: async (ctx) => {
      const parts = [pattern(PART_BYTES_MIN, 1), pattern(PART_BYTES_MIN + 5, 2), pattern(99, 3)];
      await multipart(ctx, 'mp', parts);
      const second = await get(ctx, 'mp', { PartNumber: 2 });
      sameBytes(second.bytes, parts[1] ?? Buffer.alloc(0));
      assert.equal(second.answer.PartsCount, 3);
      assert.equal(
        second.answer.ContentRange,
        `bytes ${PART_BYTES_MIN}-${2 * PART_BYTES_MIN + 4}/${2 * PART_BYTES_MIN + 104}`,
      );
      const third = await head(ctx, 'mp', { PartNumber: 3 });
      assert.equal(third.ContentLength, 99);
      assert.equal(third.PartsCount, 3);
      expectError(await getRaw(ctx, 'GET', 'mp', {}, { partNumber: '4' }), 416, 'InvalidPartNumber');
    },
  },
  {
    name: 'get: partNumber of an object that is no multipart object',
    run: async (ctx) => {
      await put(ctx, 'plain', TEN);
      const first = await getRaw(ctx, 'GET', 'plain', {}, { partNumber: '1' });
      expectStatus(first, 206);
      sameBytes(first.body, TEN);
      expectError(await getRaw(ctx, 'GET', 'plain', {}, { partNumber: '2' }), 416, 'InvalidPartNumber');
    },
  },
  {
    name: 'get: partNumber with Range is refused',
    run: async (ctx) => {
      await put(ctx, 'plain', TEN);
      expectError(await getRaw(ctx, 'GET', 'plain', { range: 'bytes=0-1' }, { partNumber: '1' }), 400, [
        'InvalidRequest',
        'InvalidArgument',
      ]);
    },
  },
  {
    name: 'get: ranges across the parts of a multipart object',
    run: async (ctx) => {
      const parts = [pattern(PART_BYTES_MIN, 8), pattern(PART_BYTES_MIN, 9), pattern(1000, 10)];
      await multipart(ctx, 'mp', parts);
      const whole = Buffer.concat(parts);
      for (const [offset, bytes] of [
        [PART_BYTES_MIN - 10, 20],
        [PART_BYTES_MIN - 1, PART_BYTES_MIN + 2],
        [2 * PART_BYTES_MIN, 1000],
      ] as const) {
        const got = await get(ctx, 'mp', { Range: `bytes=${offset}-${offset + bytes - 1}` });
        sameBytes(got.bytes, whole.subarray(offset, offset + bytes), `range at ${offset}`);
      }
    },
  },
  {
    name: 'head: the same headers as GET, and no body',
    run: async (ctx) => {
      await put(ctx, 'h', TEN, { ContentType: 'text/x-test', Metadata: { color: 'red' } });
      const [headAnswer, getAnswer] = [await getRaw(ctx, 'HEAD', 'h', {}), await getRaw(ctx, 'GET', 'h', {})];
      expectStatus(headAnswer, 200);
      assert.equal(headAnswer.body.length, 0);
      for (const name of [
        'content-length',
        'content-type',
        'etag',
        'last-modified',
        'accept-ranges',
        'x-amz-meta-color',
      ]) {
        assert.ok(headAnswer.headers[name] !== undefined, name);
        assert.equal(headAnswer.headers[name], getAnswer.headers[name], name);
      }
    },
  },
  {
    name: 'head: missing key is 404 without a body',
    run: async (ctx) => {
      const answer = await getRaw(ctx, 'HEAD', 'missing', {});
      assert.equal(answer.status, 404);
      assert.equal(answer.body.length, 0);
    },
  },
  {
    name: 'bucket: HEAD tells existence and region',
    run: async (ctx) => {
      const there = await ctx.s3.send(new HeadBucketCommand({ Bucket: ctx.bucket }));
      assert.equal(there.BucketRegion, ctx.server.region);
      await expectFailure(ctx.s3.send(new HeadBucketCommand({ Bucket: `${ctx.bucket}-no` })), 404, 'NotFound');
    },
  },
  {
    name: 'bucket: GetBucketLocation of us-east-1 is empty',
    run: async (ctx) => {
      const answer = await sendSigned(ctx, { method: 'GET', path: pathOf(ctx.bucket), query: { location: '' } });
      expectStatus(answer, 200);
      assert.match(answer.body.toString(), /<LocationConstraint[^>]*(\/>|><\/LocationConstraint>)/);
      await ctx.s3.send(new GetBucketLocationCommand({ Bucket: ctx.bucket }));
    },
  },
  {
    name: 'bucket: ListBuckets names the buckets in order',
    run: async (ctx) => {
      const other = await ctx.newBucket();
      const { Buckets } = await ctx.s3.send(new ListBucketsCommand({}));
      const names = (Buckets ?? []).map((bucket) => bucket.Name ?? '');
      assert.ok(names.includes(ctx.bucket) && names.includes(other));
      assert.deepEqual(names, [...names].sort());
    },
  },
  {
    name: 'put then get: the last write is read at once, by every connection',
    run: async (ctx) => {
      for (let version = 0; version < 20; version += 1) {
        await ctx.s3.send(new PutObjectCommand({ Bucket: ctx.bucket, Key: 'v', Body: `version ${version}` }));
        const reads = await Promise.all([get(ctx, 'v'), get(ctx, 'v'), head(ctx, 'v')]);
        assert.equal(reads[0].bytes.toString(), `version ${version}`);
        assert.equal(reads[1].bytes.toString(), `version ${version}`);
        assert.equal(reads[2].ETag, etagOf(`version ${version}`));
      }
    },
  },
];
