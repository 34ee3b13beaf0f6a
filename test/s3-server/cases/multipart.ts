/**
 * Multipart uploads from Create to Complete or Abort, part copies, listings of parts and uploads, and every way to get them wrong.
 *
 * Checkpoints travel this way: a Complete that put parts together in the wrong order, or took a part that was never asked for, would corrupt
 * them silently. Errors must leave the upload usable, and the object untouched.
 */
import assert from 'node:assert/strict';
import {
  AbortMultipartUploadCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
  type CompletedPart,
} from '@aws-sdk/client-s3';
import { etagOf, multipartEtagOf } from './checksums.js';
import { expectFailure, onVersitygw, type CaseContext, type ContractCase } from './context.js';
import {
  complete,
  createUpload,
  get,
  head,
  keysOf,
  multipart,
  PART_BYTES_MIN,
  pattern,
  put,
  sameBytes,
  uploadPart,
} from './helpers.js';
import { expectError, expectStatus, pathOf, sendSigned, xmlText } from './raw.js';

const NO_UPLOAD = 'AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA';

async function abort(ctx: CaseContext, key: string, uploadId: string): Promise<void> {
  await ctx.s3.send(new AbortMultipartUploadCommand({ Bucket: ctx.bucket, Key: key, UploadId: uploadId }));
}

function bodyOf(parts: readonly CompletedPart[]): string {
  const rows = parts.map((part) => `<Part><PartNumber>${part.PartNumber}</PartNumber><ETag>${part.ETag}</ETag></Part>`);
  return `<CompleteMultipartUpload>${rows.join('')}</CompleteMultipartUpload>`;
}

export const multipartCases: readonly ContractCase[] = [
  {
    name: 'multipart: parts in order make the object, its ETag is the MD5 of MD5s',
    run: async (ctx) => {
      const parts = [pattern(PART_BYTES_MIN, 1), pattern(PART_BYTES_MIN, 2), pattern(1, 3)];
      const done = await multipart(ctx, 'dir/mp', parts, { ContentType: 'x/y', Metadata: { step: '7' } });
      assert.equal(done.ETag, multipartEtagOf(parts));
      assert.equal(done.Bucket, ctx.bucket);
      assert.equal(done.Key, 'dir/mp');
      const { answer, bytes } = await get(ctx, 'dir/mp');
      sameBytes(bytes, Buffer.concat(parts));
      assert.equal(answer.ETag, multipartEtagOf(parts));
      assert.equal(answer.ContentType, 'x/y');
      assert.deepEqual({ ...answer.Metadata }, { step: '7' });
    },
  },
  {
    name: 'multipart: one small part',
    run: async (ctx) => {
      const done = await multipart(ctx, 'mp', [Buffer.from('tiny')]);
      assert.equal(done.ETag, multipartEtagOf([Buffer.from('tiny')]));
      assert.equal((await get(ctx, 'mp')).bytes.toString(), 'tiny');
    },
  },
  {
    name: 'multipart: one empty part',
    run: async (ctx) => {
      await multipart(ctx, 'mp', [Buffer.alloc(0)]);
      assert.equal((await head(ctx, 'mp')).ContentLength, 0);
    },
  },
  {
    name: 'multipart: parts uploaded at once and out of order, with gaps in their numbers',
    run: async (ctx) => {
      const uploadId = await createUpload(ctx, 'mp');
      const numbers = [900, 3, 10_000, 17];
      const bodies = new Map(numbers.map((number) => [number, pattern(PART_BYTES_MIN, number)]));
      const parts = await Promise.all(
        numbers.map((number) => uploadPart(ctx, 'mp', uploadId, number, bodies.get(number) ?? Buffer.alloc(0))),
      );
      parts.sort((left, right) => (left.PartNumber ?? 0) - (right.PartNumber ?? 0));
      await complete(ctx, 'mp', uploadId, parts);
      const expected = [3, 17, 900, 10_000].map((number) => bodies.get(number) ?? Buffer.alloc(0));
      sameBytes((await get(ctx, 'mp')).bytes, Buffer.concat(expected));
    },
  },
  {
    name: 'multipart: a part sent twice is the last one, and its old ETag is InvalidPart',
    run: async (ctx) => {
      const uploadId = await createUpload(ctx, 'mp');
      const first = await uploadPart(ctx, 'mp', uploadId, 1, Buffer.from('first'));
      const second = await uploadPart(ctx, 'mp', uploadId, 1, Buffer.from('second'));
      await expectFailure(complete(ctx, 'mp', uploadId, [first]), 400, 'InvalidPart');
      await complete(ctx, 'mp', uploadId, [second]);
      assert.equal((await get(ctx, 'mp')).bytes.toString(), 'second');
    },
  },
  {
    name: 'multipart: parts not named at Complete are left out',
    run: async (ctx) => {
      const uploadId = await createUpload(ctx, 'mp');
      const one = await uploadPart(ctx, 'mp', uploadId, 1, pattern(PART_BYTES_MIN, 1));
      await uploadPart(ctx, 'mp', uploadId, 2, pattern(PART_BYTES_MIN, 2));
      const three = await uploadPart(ctx, 'mp', uploadId, 3, pattern(9, 3));
      await complete(ctx, 'mp', uploadId, [one, three]);
      sameBytes((await get(ctx, 'mp')).bytes, Buffer.concat([pattern(PART_BYTES_MIN, 1), pattern(9, 3)]));
    },
  },
  {
    name: 'multipart: invisible until Complete, then replaces the object whole',
    run: async (ctx) => {
      await put(ctx, 'mp', 'old');
      const uploadId = await createUpload(ctx, 'mp');
      const part = await uploadPart(ctx, 'mp', uploadId, 1, Buffer.from('new'));
      assert.equal((await get(ctx, 'mp')).bytes.toString(), 'old');
      await complete(ctx, 'mp', uploadId, [part]);
      assert.equal((await get(ctx, 'mp')).bytes.toString(), 'new');
    },
  },
  {
    name: 'multipart: ETags without quotes and as entities are accepted at Complete',
    run: async (ctx) => {
      for (const write of [
        (etag: string) => etag.slice(1, -1),
        (etag: string) => etag.replace(/"/g, '&quot;'),
        (etag: string) => etag.replace(/"/g, '&#34;'),
      ]) {
        const uploadId = await createUpload(ctx, 'mp');
        const part = await uploadPart(ctx, 'mp', uploadId, 1, Buffer.from('x'));
        const answer = await sendSigned(ctx, {
          method: 'POST',
          path: pathOf(ctx.bucket, 'mp'),
          query: { uploadId },
          body: bodyOf([{ ETag: write(part.ETag ?? ''), PartNumber: 1 }]),
        });
        expectStatus(answer, 200);
        assert.equal(xmlText(answer.body.toString(), 'ETag'), multipartEtagOf([Buffer.from('x')]));
      }
    },
  },
  {
    name: 'multipart: a part but the last under 5 MiB is EntityTooSmall, and the upload goes on',
    run: async (ctx) => {
      const uploadId = await createUpload(ctx, 'mp');
      const small = await uploadPart(ctx, 'mp', uploadId, 1, pattern(PART_BYTES_MIN - 1));
      const last = await uploadPart(ctx, 'mp', uploadId, 2, pattern(10));
      await expectFailure(complete(ctx, 'mp', uploadId, [small, last]), 400, 'EntityTooSmall');
      await expectFailure(head(ctx, 'mp'), 404);
      const enough = await uploadPart(ctx, 'mp', uploadId, 1, pattern(PART_BYTES_MIN));
      await complete(ctx, 'mp', uploadId, [enough, last]);
      assert.equal((await head(ctx, 'mp')).ContentLength, PART_BYTES_MIN + 10);
    },
  },
  {
    name: 'multipart: wrong ETag is InvalidPart',
    run: async (ctx) => {
      const uploadId = await createUpload(ctx, 'mp');
      await uploadPart(ctx, 'mp', uploadId, 1, Buffer.from('x'));
      const wrong = { ETag: etagOf('other'), PartNumber: 1 };
      await expectFailure(complete(ctx, 'mp', uploadId, [wrong]), 400, 'InvalidPart');
      await expectFailure(head(ctx, 'mp'), 404);
    },
  },
  {
    name: 'multipart: a part never uploaded is InvalidPart',
    run: async (ctx) => {
      const uploadId = await createUpload(ctx, 'mp');
      const one = await uploadPart(ctx, 'mp', uploadId, 1, pattern(PART_BYTES_MIN));
      const two = { ETag: etagOf('x'), PartNumber: 2 };
      await expectFailure(complete(ctx, 'mp', uploadId, [one, two]), 400, 'InvalidPart');
    },
  },
  {
    name: 'multipart: parts in the wrong order are InvalidPartOrder',
    run: async (ctx) => {
      const uploadId = await createUpload(ctx, 'mp');
      const one = await uploadPart(ctx, 'mp', uploadId, 1, pattern(PART_BYTES_MIN));
      const two = await uploadPart(ctx, 'mp', uploadId, 2, pattern(PART_BYTES_MIN));
      await expectFailure(complete(ctx, 'mp', uploadId, [two, one]), 400, 'InvalidPartOrder');
      await expectFailure(complete(ctx, 'mp', uploadId, [one, one]), 400, 'InvalidPartOrder');
    },
  },
  {
    name: 'multipart: Complete without parts, or with a body that is not XML, is MalformedXML',
    run: async (ctx) => {
      const uploadId = await createUpload(ctx, 'mp');
      for (const body of ['<CompleteMultipartUpload></CompleteMultipartUpload>', 'not xml', '']) {
        const request = { method: 'POST', path: pathOf(ctx.bucket, 'mp'), query: { uploadId }, body };
        expectError(await sendSigned(ctx, request), 400, ['MalformedXML', 'InvalidRequest']);
      }
    },
  },
  {
    name: 'multipart: wrong x-amz-mp-object-size is refused',
    run: async (ctx) => {
      const uploadId = await createUpload(ctx, 'mp');
      const part = await uploadPart(ctx, 'mp', uploadId, 1, Buffer.from('12345'));
      await expectFailure(complete(ctx, 'mp', uploadId, [part], { MpuObjectSize: 6 }), 400, 'InvalidRequest');
      await complete(ctx, 'mp', uploadId, [part], { MpuObjectSize: 5 });
    },
  },
  {
    name: 'multipart: a second Complete is answered as the first was, or NoSuchUpload',
    run: async (ctx) => {
      const uploadId = await createUpload(ctx, 'mp');
      const part = await uploadPart(ctx, 'mp', uploadId, 1, Buffer.from('x'));
      const done = await complete(ctx, 'mp', uploadId, [part]);
      // S3 itself does either: it remembers a completed upload for a while. A client must accept both.
      try {
        assert.equal((await complete(ctx, 'mp', uploadId, [part])).ETag, done.ETag);
      } catch {
        await expectFailure(complete(ctx, 'mp', uploadId, [part]), 404, 'NoSuchUpload');
      }
    },
  },
  {
    name: 'multipart: unknown upload is NoSuchUpload everywhere',
    run: async (ctx) => {
      const upload = { Bucket: ctx.bucket, Key: 'mp', UploadId: NO_UPLOAD };
      await expectFailure(uploadPart(ctx, 'mp', NO_UPLOAD, 1, Buffer.from('x')), 404, 'NoSuchUpload');
      await expectFailure(ctx.s3.send(new ListPartsCommand(upload)), 404, 'NoSuchUpload');
      await expectFailure(abort(ctx, 'mp', NO_UPLOAD), 404, 'NoSuchUpload');
      const call = complete(ctx, 'mp', NO_UPLOAD, [{ ETag: etagOf('x'), PartNumber: 1 }]);
      await expectFailure(call, 404, 'NoSuchUpload');
    },
  },
  {
    name: 'multipart: an upload id belongs to its key',
    run: async (ctx) => {
      const uploadId = await createUpload(ctx, 'mine');
      await expectFailure(uploadPart(ctx, 'other', uploadId, 1, Buffer.from('x')), 404, 'NoSuchUpload');
      await expectFailure(abort(ctx, 'other', uploadId), 404, 'NoSuchUpload');
      await uploadPart(ctx, 'mine', uploadId, 1, Buffer.from('x'));
    },
  },
  {
    name: 'multipart: two uploads of one key do not mix; the one completed last stays',
    run: async (ctx) => {
      const [first, second] = [await createUpload(ctx, 'mp'), await createUpload(ctx, 'mp')];
      assert.notEqual(first, second);
      const partOfFirst = await uploadPart(ctx, 'mp', first, 1, Buffer.from('first'));
      const partOfSecond = await uploadPart(ctx, 'mp', second, 1, Buffer.from('second'));
      await complete(ctx, 'mp', second, [partOfSecond]);
      assert.equal((await get(ctx, 'mp')).bytes.toString(), 'second');
      await complete(ctx, 'mp', first, [partOfFirst]);
      assert.equal((await get(ctx, 'mp')).bytes.toString(), 'first');
    },
  },
  {
    name: 'multipart: abort makes parts and upload disappear and leaves the object',
    ...onVersitygw('Complete of an upload that is gone answers 200 when the object exists', /succeeded/),
    run: async (ctx) => {
      await put(ctx, 'mp', 'old');
      const uploadId = await createUpload(ctx, 'mp');
      const part = await uploadPart(ctx, 'mp', uploadId, 1, Buffer.from('new'));
      await abort(ctx, 'mp', uploadId);
      await expectFailure(complete(ctx, 'mp', uploadId, [part]), 404, 'NoSuchUpload');
      await expectFailure(uploadPart(ctx, 'mp', uploadId, 2, Buffer.from('x')), 404, 'NoSuchUpload');
      const { Uploads } = await ctx.s3.send(new ListMultipartUploadsCommand({ Bucket: ctx.bucket }));
      assert.deepEqual(Uploads ?? [], []);
      assert.equal((await get(ctx, 'mp')).bytes.toString(), 'old');
    },
  },
  {
    name: 'multipart: part numbers 0 and 10001 are InvalidArgument',
    run: async (ctx) => {
      const uploadId = await createUpload(ctx, 'mp');
      for (const partNumber of ['0', '10001', '-1', 'x']) {
        const request = { method: 'PUT', path: pathOf(ctx.bucket, 'mp'), query: { uploadId, partNumber }, body: 'x' };
        expectError(await sendSigned(ctx, request), 400, 'InvalidArgument');
      }
    },
  },
  {
    name: 'multipart: create in a missing bucket is NoSuchBucket',
    run: async (ctx) => {
      const request = { method: 'POST', path: pathOf(`${ctx.bucket}-no`, 'mp'), query: { uploads: '' } };
      expectError(await sendSigned(ctx, request), 404, 'NoSuchBucket');
    },
  },
  {
    name: 'multipart: part with a wrong Content-MD5 is BadDigest',
    run: async (ctx) => {
      const uploadId = await createUpload(ctx, 'mp');
      const call = ctx.s3.send(
        new UploadPartCommand({
          ...{ Bucket: ctx.bucket, Key: 'mp', UploadId: uploadId, PartNumber: 1, Body: 'x' },
          ContentMD5: 'AAAAAAAAAAAAAAAAAAAAAA==',
        }),
      );
      await expectFailure(call, 400, 'BadDigest');
    },
  },
  {
    name: 'multipart: ListParts with sizes and ETags, in pages',
    run: async (ctx) => {
      const uploadId = await createUpload(ctx, 'mp');
      const bodies = [5, 1, 9, 3].map((number) => ({ number, body: pattern(100 + number, number) }));
      for (const { number, body } of bodies) await uploadPart(ctx, 'mp', uploadId, number, body);
      const upload = { Bucket: ctx.bucket, Key: 'mp', UploadId: uploadId };
      const all = await ctx.s3.send(new ListPartsCommand(upload));
      assert.deepEqual(
        (all.Parts ?? []).map((part) => [part.PartNumber, part.Size, part.ETag]),
        [1, 3, 5, 9].map((number) => [number, 100 + number, etagOf(pattern(100 + number, number))]),
      );
      assert.equal(all.IsTruncated, false);
      assert.ok(all.Parts?.[0]?.LastModified !== undefined);
      const first = await ctx.s3.send(new ListPartsCommand({ ...upload, MaxParts: 3 }));
      assert.deepEqual(
        (first.Parts ?? []).map((part) => part.PartNumber),
        [1, 3, 5],
      );
      assert.equal(first.IsTruncated, true);
      assert.equal(String(first.NextPartNumberMarker), '5');
      const second = await ctx.s3.send(new ListPartsCommand({ ...upload, MaxParts: 3, PartNumberMarker: '5' }));
      assert.deepEqual(
        (second.Parts ?? []).map((part) => part.PartNumber),
        [9],
      );
      assert.equal(second.IsTruncated, false);
    },
  },
  {
    name: 'multipart: ListParts of an upload without parts',
    run: async (ctx) => {
      const uploadId = await createUpload(ctx, 'mp');
      const answer = await ctx.s3.send(new ListPartsCommand({ Bucket: ctx.bucket, Key: 'mp', UploadId: uploadId }));
      assert.deepEqual(answer.Parts ?? [], []);
      assert.equal(answer.UploadId, uploadId);
      assert.equal(answer.Key, 'mp');
      assert.equal(answer.StorageClass, 'STANDARD');
    },
  },
  {
    name: 'multipart: ListMultipartUploads by prefix, in order of keys',
    run: async (ctx) => {
      const ids = new Map<string, string>();
      for (const key of ['b/2', 'a', 'b/1', 'c']) ids.set(key, await createUpload(ctx, key));
      const all = await ctx.s3.send(new ListMultipartUploadsCommand({ Bucket: ctx.bucket }));
      assert.deepEqual(
        (all.Uploads ?? []).map((upload) => [upload.Key, upload.UploadId]),
        ['a', 'b/1', 'b/2', 'c'].map((key) => [key, ids.get(key)]),
      );
      assert.ok(all.Uploads?.[0]?.Initiated !== undefined);
      const below = await ctx.s3.send(new ListMultipartUploadsCommand({ Bucket: ctx.bucket, Prefix: 'b/' }));
      assert.deepEqual(
        (below.Uploads ?? []).map((upload) => upload.Key),
        ['b/1', 'b/2'],
      );
    },
  },
  {
    name: 'multipart: ListMultipartUploads in pages, with several uploads of one key',
    ...onVersitygw('its own upload id marker is refused between uploads of one key', /Invalid uploadId marker/),
    run: async (ctx) => {
      const expected = new Set<string>();
      for (const key of ['a', 'b', 'b', 'b', 'c']) expected.add(await createUpload(ctx, key));
      const seen: string[] = [];
      let markers: { KeyMarker?: string; UploadIdMarker?: string } = {};
      for (let pages = 0; pages < 10; pages += 1) {
        const answer = await ctx.s3.send(
          new ListMultipartUploadsCommand({ Bucket: ctx.bucket, MaxUploads: 2, ...markers }),
        );
        for (const upload of answer.Uploads ?? []) seen.push(upload.UploadId ?? '');
        if (answer.IsTruncated !== true) break;
        assert.ok(answer.NextKeyMarker !== undefined && answer.NextUploadIdMarker !== undefined);
        markers = { KeyMarker: answer.NextKeyMarker, UploadIdMarker: answer.NextUploadIdMarker };
      }
      assert.equal(seen.length, expected.size);
      assert.deepEqual(new Set(seen), expected);
    },
  },
  {
    name: 'multipart: ListMultipartUploads with delimiter',
    run: async (ctx) => {
      for (const key of ['a', 'b/1', 'b/2']) await createUpload(ctx, key);
      const answer = await ctx.s3.send(new ListMultipartUploadsCommand({ Bucket: ctx.bucket, Delimiter: '/' }));
      assert.deepEqual(
        (answer.Uploads ?? []).map((upload) => upload.Key),
        ['a'],
      );
      assert.deepEqual(
        (answer.CommonPrefixes ?? []).map((entry) => entry.Prefix),
        ['b/'],
      );
    },
  },
  {
    name: 'multipart: UploadPartCopy of a whole object and of ranges',
    run: async (ctx) => {
      const source = pattern(2 * PART_BYTES_MIN + 100, 5);
      await put(ctx, 'source dir/ü+%.bin', source);
      const CopySource = encodeURIComponent(`${ctx.bucket}/source dir/ü+%.bin`);
      const uploadId = await createUpload(ctx, 'mp');
      const parts: CompletedPart[] = [];
      const ranges = [`bytes=0-${PART_BYTES_MIN - 1}`, `bytes=100-${PART_BYTES_MIN + 99}`, undefined];
      for (const [index, range] of ranges.entries()) {
        const answer = await ctx.s3.send(
          new UploadPartCopyCommand({
            ...{ Bucket: ctx.bucket, Key: 'mp', UploadId: uploadId, PartNumber: index + 1, CopySource },
            ...(range === undefined ? {} : { CopySourceRange: range }),
          }),
        );
        assert.ok(answer.CopyPartResult?.ETag !== undefined && answer.CopyPartResult.LastModified !== undefined);
        parts.push({ ETag: answer.CopyPartResult.ETag, PartNumber: index + 1 });
      }
      assert.equal(parts[2]?.ETag, etagOf(source));
      const last = await uploadPart(ctx, 'mp', uploadId, 4, Buffer.from('end'));
      await complete(ctx, 'mp', uploadId, [...parts, last]);
      const expected = [source.subarray(0, PART_BYTES_MIN), source.subarray(100, PART_BYTES_MIN + 100), source];
      sameBytes((await get(ctx, 'mp')).bytes, Buffer.concat([...expected, Buffer.from('end')]));
    },
  },
  {
    name: 'multipart: UploadPartCopy with a range past the source is refused',
    ...onVersitygw('a copy range without an end is accepted', /succeeded/),
    run: async (ctx) => {
      await put(ctx, 'source', '0123456789');
      const uploadId = await createUpload(ctx, 'mp');
      for (const range of ['bytes=5-10', 'bytes=20-30', 'bytes=5-', 'bytes=-3', 'bytes=4-2', '0-3']) {
        const call = ctx.s3.send(
          new UploadPartCopyCommand({
            ...{ Bucket: ctx.bucket, Key: 'mp', UploadId: uploadId, PartNumber: 1 },
            ...{ CopySource: `${ctx.bucket}/source`, CopySourceRange: range },
          }),
        );
        await expectFailure(call, [400, 416], ['InvalidArgument', 'InvalidRange', 'InvalidRequest']);
      }
    },
  },
  {
    name: 'multipart: UploadPartCopy honours x-amz-copy-source-if-match',
    run: async (ctx) => {
      await put(ctx, 'source', 'source');
      const uploadId = await createUpload(ctx, 'mp');
      const copy = {
        Bucket: ctx.bucket,
        Key: 'mp',
        UploadId: uploadId,
        PartNumber: 1,
        CopySource: `${ctx.bucket}/source`,
      };
      const wrong = ctx.s3.send(new UploadPartCopyCommand({ ...copy, CopySourceIfMatch: etagOf('other') }));
      await expectFailure(wrong, 412, 'PreconditionFailed');
      await ctx.s3.send(new UploadPartCopyCommand({ ...copy, CopySourceIfMatch: etagOf('source') }));
    },
  },
  {
    name: 'multipart: UploadPartCopy from a missing key is NoSuchKey',
    run: async (ctx) => {
      const uploadId = await createUpload(ctx, 'mp');
      const copy = { Bucket: ctx.bucket, Key: 'mp', UploadId: uploadId, PartNumber: 1, CopySource: `${ctx.bucket}/no` };
      await expectFailure(ctx.s3.send(new UploadPartCopyCommand(copy)), 404, 'NoSuchKey');
    },
  },
  {
    name: 'multipart: an upload leaves no trace in listings or GET before Complete',
    run: async (ctx) => {
      const uploadId = await createUpload(ctx, 'dir/mp');
      await uploadPart(ctx, 'dir/mp', uploadId, 1, Buffer.from('x'));
      assert.deepEqual(await keysOf(ctx), []);
      await expectFailure(get(ctx, 'dir/mp'), 404, 'NoSuchKey');
      await abort(ctx, 'dir/mp', uploadId);
    },
  },
];
