/**
 * PutObject: plain, signed, unsigned and chunked bodies, headers and metadata kept, limits, broken uploads.
 *
 * The rule behind most rows: an object changes whole or not at all. A body that is short, altered or badly signed must leave what was
 * there before.
 */
import assert from 'node:assert/strict';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { etagOf, checksumOf } from './checksums.js';
import { signedChunksPut, unsignedChunksPut } from './chunks.js';
import { expectFailure, notOnVersitygw, onVersitygw, type CaseContext, type ContractCase } from './context.js';
import { get, head, keysOf, pattern, put, sameBytes } from './helpers.js';
import { expectError, expectStatus, pathOf, send, sendSigned, signed } from './raw.js';

/** Asserts that the failed upload over `key` left the old object. */
async function expectUntouched(ctx: CaseContext, key: string, old: string): Promise<void> {
  const { answer, bytes } = await get(ctx, key);
  sameBytes(bytes, Buffer.from(old));
  assert.equal(answer.ETag, etagOf(old));
}

/** A key with an object that a failing upload must not change. */
async function withOld(ctx: CaseContext): Promise<string> {
  await put(ctx, 'kept', 'old');
  return pathOf(ctx.bucket, 'kept');
}

const KEEPS_AWS_CHUNKED = onVersitygw('aws-chunked stays in Content-Encoding', /aws-chunked/);

const CHUNKS = [pattern(65_536, 1), pattern(65_536, 2), pattern(777, 3)];

export const putCases: readonly ContractCase[] = [
  {
    name: 'put: signed body, ETag is the MD5',
    run: async (ctx) => {
      const body = pattern(1000);
      const answer = await sendSigned(ctx, { method: 'PUT', path: pathOf(ctx.bucket, 'a'), body });
      expectStatus(answer, 200);
      assert.equal(answer.headers['etag'], etagOf(body));
      assert.equal(answer.body.length, 0);
      sameBytes((await get(ctx, 'a')).bytes, body);
    },
  },
  {
    name: 'put: UNSIGNED-PAYLOAD',
    run: async (ctx) => {
      const body = pattern(1000);
      const request = { method: 'PUT', path: pathOf(ctx.bucket, 'a'), body };
      expectStatus(await sendSigned(ctx, request, { payloadHash: 'UNSIGNED-PAYLOAD' }), 200);
      sameBytes((await get(ctx, 'a')).bytes, body);
    },
  },
  {
    name: 'put: body that differs from x-amz-content-sha256 is refused',
    run: async (ctx) => {
      const request = { method: 'PUT', path: await withOld(ctx), body: 'tampered' };
      const payloadHash = createHash('sha256').update('original').digest('hex');
      expectError(await sendSigned(ctx, request, { payloadHash }), 400, 'XAmzContentSHA256Mismatch');
      await expectUntouched(ctx, 'kept', 'old');
    },
  },
  {
    name: 'put: x-amz-content-sha256 that is no hash is refused',
    run: async (ctx) => {
      const request = { method: 'PUT', path: await withOld(ctx), body: 'x' };
      expectError(await sendSigned(ctx, request, { payloadHash: 'nonsense' }), 400, [
        'InvalidArgument',
        'InvalidRequest',
      ]);
      await expectUntouched(ctx, 'kept', 'old');
    },
  },
  {
    name: 'put: right Content-MD5',
    run: async (ctx) => {
      const body = pattern(500);
      const headers = { 'content-md5': createHash('md5').update(body).digest('base64') };
      expectStatus(await sendSigned(ctx, { method: 'PUT', path: pathOf(ctx.bucket, 'a'), body, headers }), 200);
    },
  },
  {
    name: 'put: wrong Content-MD5 is BadDigest',
    run: async (ctx) => {
      const headers = { 'content-md5': createHash('md5').update('other').digest('base64') };
      const answer = await sendSigned(ctx, { method: 'PUT', path: await withOld(ctx), body: 'body', headers });
      expectError(answer, 400, 'BadDigest');
      await expectUntouched(ctx, 'kept', 'old');
    },
  },
  {
    name: 'put: malformed Content-MD5 is InvalidDigest',
    run: async (ctx) => {
      const headers = { 'content-md5': 'not-an-md5' };
      const answer = await sendSigned(ctx, { method: 'PUT', path: await withOld(ctx), body: 'body', headers });
      expectError(answer, 400, 'InvalidDigest');
    },
  },
  {
    name: 'put: chunked, each chunk signed',
    ...KEEPS_AWS_CHUNKED,
    run: async (ctx) => {
      const request = await signedChunksPut(ctx.server, { path: pathOf(ctx.bucket, 'a'), chunks: CHUNKS });
      expectStatus(await send(ctx.server, request), 200);
      const { answer, bytes } = await get(ctx, 'a');
      sameBytes(bytes, Buffer.concat(CHUNKS));
      assert.equal(answer.ETag, etagOf(Buffer.concat(CHUNKS)));
      assert.equal(answer.ContentEncoding ?? '', '');
    },
  },
  {
    name: 'put: chunked and signed, empty body',
    run: async (ctx) => {
      const request = await signedChunksPut(ctx.server, { path: pathOf(ctx.bucket, 'a'), chunks: [] });
      expectStatus(await send(ctx.server, request), 200);
      assert.equal((await head(ctx, 'a')).ContentLength, 0);
    },
  },
  {
    name: 'put: chunked and signed, a chunk altered on the way is refused',
    run: async (ctx) => {
      const request = await signedChunksPut(ctx.server, { path: await withOld(ctx), chunks: CHUNKS, tamperChunk: 1 });
      expectError(await send(ctx.server, request), 403, 'SignatureDoesNotMatch');
      await expectUntouched(ctx, 'kept', 'old');
    },
  },
  {
    name: 'put: chunked and signed, last chunk altered is refused',
    run: async (ctx) => {
      const request = await signedChunksPut(ctx.server, { path: await withOld(ctx), chunks: CHUNKS, tamperChunk: 2 });
      expectError(await send(ctx.server, request), 403, 'SignatureDoesNotMatch');
      await expectUntouched(ctx, 'kept', 'old');
    },
  },
  {
    name: 'put: chunked and signed, final chunk missing is refused',
    run: async (ctx) => {
      const request = await signedChunksPut(ctx.server, { path: await withOld(ctx), chunks: CHUNKS, unfinished: true });
      const answer = await send(ctx.server, request);
      expectError(
        answer,
        [400, 403],
        ['IncompleteBody', 'InvalidRequest', 'SignatureDoesNotMatch', 'InvalidChunkSizeError'],
      );
      await expectUntouched(ctx, 'kept', 'old');
    },
  },
  {
    name: 'put: chunked, decoded length larger than the chunks is refused',
    run: async (ctx) => {
      const upload = { path: await withOld(ctx), chunks: CHUNKS, decodedBytes: 200_000 };
      const answer = await send(ctx.server, await signedChunksPut(ctx.server, upload));
      expectError(answer, 400, ['IncompleteBody', 'InvalidRequest']);
      await expectUntouched(ctx, 'kept', 'old');
    },
  },
  {
    name: 'put: chunked and signed with a signed trailer',
    run: async (ctx) => {
      const trailer = { name: 'x-amz-checksum-crc32c', value: checksumOf('CRC32C', Buffer.concat(CHUNKS)) };
      const request = await signedChunksPut(ctx.server, { path: pathOf(ctx.bucket, 'a'), chunks: CHUNKS, trailer });
      expectStatus(await send(ctx.server, request), 200);
      const { answer, bytes } = await get(ctx, 'a', { ChecksumMode: 'ENABLED' });
      sameBytes(bytes, Buffer.concat(CHUNKS));
      assert.equal(answer.ChecksumCRC32C, trailer.value);
    },
  },
  {
    name: 'put: chunked and signed, altered trailer signature is refused',
    run: async (ctx) => {
      const trailer = { name: 'x-amz-checksum-crc32c', value: checksumOf('CRC32C', Buffer.concat(CHUNKS)) };
      const upload = { path: await withOld(ctx), chunks: CHUNKS, trailer, tamperTrailerSignature: true };
      expectError(await send(ctx.server, await signedChunksPut(ctx.server, upload)), 403, 'SignatureDoesNotMatch');
      await expectUntouched(ctx, 'kept', 'old');
    },
  },
  {
    name: 'put: unsigned chunks with a trailer',
    ...KEEPS_AWS_CHUNKED,
    run: async (ctx) => {
      const trailer = { name: 'x-amz-checksum-crc32', value: checksumOf('CRC32', Buffer.concat(CHUNKS)) };
      const request = await unsignedChunksPut(ctx.server, { path: pathOf(ctx.bucket, 'a'), chunks: CHUNKS, trailer });
      expectStatus(await send(ctx.server, request), 200);
      const { answer, bytes } = await get(ctx, 'a', { ChecksumMode: 'ENABLED' });
      sameBytes(bytes, Buffer.concat(CHUNKS));
      assert.equal(answer.ChecksumCRC32, trailer.value);
      assert.equal(answer.ContentEncoding ?? '', '');
    },
  },
  {
    name: 'put: chunks of 8 KiB, the smallest that S3 takes, and a last one of one byte',
    run: async (ctx) => {
      const chunks = [...Array.from({ length: 20 }, (_unused, seed) => pattern(8192, seed)), Buffer.of(7)];
      const trailer = { name: 'x-amz-checksum-crc32', value: checksumOf('CRC32', Buffer.concat(chunks)) };
      const request = await unsignedChunksPut(ctx.server, { path: pathOf(ctx.bucket, 'a'), chunks, trailer });
      expectStatus(await send(ctx.server, request), 200);
      sameBytes((await get(ctx, 'a')).bytes, Buffer.concat(chunks));
    },
  },
  {
    name: 'put: a chunk under 8 KiB before the last is InvalidChunkSizeError',
    run: async (ctx) => {
      const upload = { path: await withOld(ctx), chunks: [pattern(100, 1), pattern(100, 2)] };
      const trailer = { name: 'x-amz-checksum-crc32', value: checksumOf('CRC32', Buffer.concat(upload.chunks)) };
      const unsignedChunks = await unsignedChunksPut(ctx.server, { ...upload, trailer });
      expectError(await send(ctx.server, unsignedChunks), 400, 'InvalidChunkSizeError');
      await expectUntouched(ctx, 'kept', 'old');
    },
  },
  {
    name: 'put: unsigned chunks, a wrong checksum in the trailer is BadDigest',
    run: async (ctx) => {
      const trailer = { name: 'x-amz-checksum-crc32', value: checksumOf('CRC32', Buffer.from('other')) };
      const upload = { path: await withOld(ctx), chunks: CHUNKS, trailer };
      expectError(await send(ctx.server, await unsignedChunksPut(ctx.server, upload)), 400, 'BadDigest');
      await expectUntouched(ctx, 'kept', 'old');
    },
  },
  {
    name: 'put: unsigned chunks, the promised trailer missing is refused',
    run: async (ctx) => {
      const request = await unsignedChunksPut(ctx.server, {
        path: await withOld(ctx),
        chunks: CHUNKS,
        headers: { 'x-amz-trailer': 'x-amz-checksum-crc32' },
      });
      expectError(await send(ctx.server, request), 400, ['MalformedTrailerError', 'InvalidRequest', 'IncompleteBody']);
      await expectUntouched(ctx, 'kept', 'old');
    },
  },
  {
    name: 'put: aws-chunked is taken off Content-Encoding, the rest stays',
    ...KEEPS_AWS_CHUNKED,
    run: async (ctx) => {
      const request = await signedChunksPut(ctx.server, {
        path: pathOf(ctx.bucket, 'a'),
        chunks: CHUNKS,
        headers: { 'content-encoding': 'aws-chunked,gzip' },
      });
      expectStatus(await send(ctx.server, request), 200);
      const answer = await sendSigned(ctx, { method: 'HEAD', path: pathOf(ctx.bucket, 'a') });
      assert.equal(answer.headers['content-encoding'], 'gzip');
    },
  },
  {
    name: 'put: stream of known length from the SDK (checksum as trailer)',
    ...notOnVersitygw('now and then it answers 400, "error when parsing the HTTP request", to such a stream'),
    run: async (ctx) => {
      const body = pattern(300_000, 4);
      await ctx.s3.send(
        new PutObjectCommand({
          Bucket: ctx.bucket,
          Key: 's',
          Body: Readable.from([body.subarray(0, 100_000), body.subarray(100_000)]),
          ContentLength: body.length,
          ChecksumAlgorithm: 'CRC32C',
        }),
      );
      const { answer, bytes } = await get(ctx, 's', { ChecksumMode: 'ENABLED' });
      sameBytes(bytes, body);
      assert.equal(answer.ChecksumCRC32C, checksumOf('CRC32C', body));
    },
  },
  {
    name: 'put: headers of the object are kept',
    run: async (ctx) => {
      await put(ctx, 'a', 'x', {
        ContentType: 'application/x-shard',
        ContentEncoding: 'gzip',
        ContentLanguage: 'en, de',
        ContentDisposition: 'inline; filename="a.tar"',
        CacheControl: 'max-age=60',
        Expires: new Date(Date.UTC(2031, 4, 5, 6, 7, 8)),
      });
      const answer = await head(ctx, 'a');
      assert.equal(answer.ContentType, 'application/x-shard');
      assert.equal(answer.ContentEncoding, 'gzip');
      assert.equal(answer.ContentLanguage, 'en, de');
      assert.equal(answer.ContentDisposition, 'inline; filename="a.tar"');
      assert.equal(answer.CacheControl, 'max-age=60');
      assert.equal(answer.ExpiresString, 'Mon, 05 May 2031 06:07:08 GMT');
    },
  },
  {
    name: 'put: content type is binary/octet-stream unless given',
    run: async (ctx) => {
      const request = { method: 'PUT', path: pathOf(ctx.bucket, 'a'), body: 'x' };
      expectStatus(await sendSigned(ctx, request), 200);
      assert.equal((await head(ctx, 'a')).ContentType, 'binary/octet-stream');
    },
  },
  {
    name: 'put: user metadata is kept, names in lower case',
    run: async (ctx) => {
      await put(ctx, 'a', 'x', { Metadata: { Mode: '0644', 'with-dash': 'a  b', empty: '', 'mixed-Case': 'VaLuE' } });
      const { Metadata } = await head(ctx, 'a');
      assert.deepEqual({ ...Metadata }, { mode: '0644', 'with-dash': 'a  b', empty: '', 'mixed-case': 'VaLuE' });
    },
  },
  {
    name: 'put: replacing an object replaces its headers and metadata',
    run: async (ctx) => {
      await put(ctx, 'a', 'x', { Metadata: { one: '1' }, ContentType: 'text/plain', CacheControl: 'no-cache' });
      await put(ctx, 'a', 'y', { Metadata: { two: '2' } });
      const answer = await head(ctx, 'a');
      assert.deepEqual({ ...answer.Metadata }, { two: '2' });
      assert.notEqual(answer.ContentType, 'text/plain');
      assert.equal(answer.CacheControl, undefined);
    },
  },
  {
    name: 'put: UTF-8 user metadata comes back as the same bytes, or as RFC 2047 of them',
    run: async (ctx) => {
      const value = 'Grüße ☃';
      const request = await signed(ctx.server, {
        method: 'PUT',
        path: pathOf(ctx.bucket, 'a'),
        body: 'x',
        headers: { 'x-amz-meta-note': value },
      });
      // The signature is over UTF-8; on the wire node:http wants one char per byte.
      const headers = { ...request.headers, 'x-amz-meta-note': Buffer.from(value).toString('latin1') };
      expectStatus(await send(ctx.server, { ...request, headers }), 200);
      const answer = await sendSigned(ctx, { method: 'HEAD', path: pathOf(ctx.bucket, 'a') });
      assert.equal(decodeMetadata(answer.headers['x-amz-meta-note'] ?? ''), value);
    },
  },
  {
    name: 'put: more than 2 KB of user metadata is MetadataTooLarge',
    run: async (ctx) => {
      await expectFailure(put(ctx, 'a', 'x', { Metadata: { big: 'v'.repeat(2100) } }), 400, 'MetadataTooLarge');
      await put(ctx, 'b', 'x', { Metadata: { big: 'v'.repeat(2000) } });
    },
  },
  {
    name: 'put: into a missing bucket is NoSuchBucket',
    run: async (ctx) => {
      await expectFailure(
        ctx.s3.send(new PutObjectCommand({ Bucket: `${ctx.bucket}-no`, Key: 'a', Body: 'x' })),
        404,
        'NoSuchBucket',
      );
    },
  },
  {
    name: 'put: without any length is MissingContentLength',
    run: async (ctx) => {
      const request = await signed(
        ctx.server,
        { method: 'PUT', path: await withOld(ctx), body: 'x', headers: {} },
        { payloadHash: 'UNSIGNED-PAYLOAD' },
      );
      const answer = await send(ctx.server, {
        ...request,
        headers: { ...request.headers, 'transfer-encoding': 'chunked' },
      });
      expectError(answer, 411, 'MissingContentLength');
      await expectUntouched(ctx, 'kept', 'old');
    },
  },
  {
    name: 'put: a client that goes away in the middle changes nothing',
    ...notOnVersitygw('an unsigned body cut short by the client is stored as it came'),
    run: async (ctx) => {
      const path = await withOld(ctx);
      const request = await signed(ctx.server, { method: 'PUT', path }, { payloadHash: 'UNSIGNED-PAYLOAD' });
      const url = new URL(ctx.server.endpoint);
      const socket = connect(Number(url.port), url.hostname);
      await once(socket, 'connect');
      const headers = Object.entries(request.headers ?? {}).map(([name, value]) => `${name}: ${value}\r\n`);
      socket.write(`PUT ${path} HTTP/1.1\r\n${headers.join('')}content-length: 1000000\r\n\r\n`);
      socket.write(pattern(500_000));
      await new Promise((wake) => setImmediate(wake));
      socket.destroy();
      await once(socket, 'close');
      // Whenever the server notices, the object must still be the old one: look several times.
      for (let round = 0; round < 5; round += 1) {
        await expectUntouched(ctx, 'kept', 'old');
        await new Promise((wake) => setTimeout(wake, 10));
      }
      assert.deepEqual(await keysOf(ctx), ['kept']);
    },
  },
  {
    name: 'put: the same bytes again are a new version with the same ETag',
    run: async (ctx) => {
      const first = await put(ctx, 'a', 'same');
      const second = await put(ctx, 'a', 'same');
      assert.equal(first.ETag, second.ETag);
      assert.deepEqual(await keysOf(ctx), ['a']);
    },
  },
  {
    name: 'put: 64 objects at once all arrive',
    run: async (ctx) => {
      const bodies = Array.from({ length: 64 }, (_unused, index) => pattern(20_000 + index, index));
      await Promise.all(bodies.map((body, index) => put(ctx, `many/${index}`, body)));
      const back = await Promise.all(bodies.map((_body, index) => get(ctx, `many/${index}`)));
      for (const [index, body] of bodies.entries())
        sameBytes(back[index]?.bytes ?? Buffer.alloc(0), body, `many/${index}`);
    },
  },
];

/** S3 returns non-ASCII metadata as RFC 2047 words or as raw bytes; either way these are the characters. */
function decodeMetadata(value: string): string {
  if (!value.includes('=?')) return Buffer.from(value, 'latin1').toString('utf8');
  return value.replace(/=\?utf-8\?([bq])\?([^?]*)\?=\s*/gi, (_all, kind: string, text: string) => {
    if (kind.toLowerCase() === 'b') return Buffer.from(text, 'base64').toString('utf8');
    const bytes = text
      .replace(/_/g, ' ')
      .replace(/=([0-9a-f]{2})/gi, (_hex, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
    return Buffer.from(bytes, 'latin1').toString('utf8');
  });
}
