/**
 * Signatures: header, presigned URL, and every way in which they can be wrong.
 *
 * The server has to verify what the SDK signs, and refuse everything else with the code that clients act on: a client refreshes its clock on
 * RequestTimeTooSkewed, its region on AuthorizationHeaderMalformed, and gives up on the rest.
 */
import assert from 'node:assert/strict';
import { clientOf, expectFailure, onVersitygw, type CaseContext, type ContractCase } from './context.js';
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import { get, head, put } from './helpers.js';
import {
  expectError,
  expectStatus,
  pathOf,
  presigned,
  send,
  sendSigned,
  signed,
  xmlText,
  type RawRequest,
} from './raw.js';

async function object(ctx: CaseContext): Promise<RawRequest> {
  await put(ctx, 'a b', 'signed');
  return { method: 'GET', path: pathOf(ctx.bucket, 'a b') };
}

function withHeader(request: RawRequest, name: string, value: string): RawRequest {
  return { ...request, headers: { ...request.headers, [name]: value } };
}

function withoutHeader(request: RawRequest, name: string): RawRequest {
  return {
    ...request,
    headers: Object.fromEntries(Object.entries(request.headers ?? {}).filter(([key]) => key !== name)),
  };
}

const MINUTES = 60_000;

export const sigv4Cases: readonly ContractCase[] = [
  {
    name: 'sigv4: unknown access key is InvalidAccessKeyId',
    ...onVersitygw('answers 404 XAdminUserNotFound', /got 404/),
    run: async (ctx) => {
      expectError(await sendSigned(ctx, await object(ctx), { accessKey: 'UNKNOWN' }), 403, 'InvalidAccessKeyId');
    },
  },
  {
    name: 'sigv4: wrong secret is SignatureDoesNotMatch',
    run: async (ctx) => {
      expectError(await sendSigned(ctx, await object(ctx), { secretKey: 'WRONG' }), 403, 'SignatureDoesNotMatch');
    },
  },
  {
    name: 'sigv4: wrong secret on HEAD is 403 without a body',
    run: async (ctx) => {
      const answer = await sendSigned(ctx, { ...(await object(ctx)), method: 'HEAD' }, { secretKey: 'WRONG' });
      assert.equal(answer.status, 403);
      assert.equal(answer.body.length, 0);
    },
  },
  {
    name: 'sigv4: wrong secret on PUT stores nothing',
    run: async (ctx) => {
      const request = { method: 'PUT', path: pathOf(ctx.bucket, 'a'), body: 'x' };
      expectError(await sendSigned(ctx, request, { secretKey: 'WRONG' }), 403, 'SignatureDoesNotMatch');
      await expectFailure(head(ctx, 'a'), 404);
    },
  },
  {
    name: 'sigv4: a clock 20 minutes off is RequestTimeTooSkewed, 10 minutes are fine',
    run: async (ctx) => {
      const request = await object(ctx);
      for (const minutes of [-20, 20]) {
        const date = new Date(Date.now() + minutes * MINUTES);
        expectError(await sendSigned(ctx, request, { date }), 403, 'RequestTimeTooSkewed');
      }
      for (const minutes of [-10, 10]) {
        expectStatus(await sendSigned(ctx, request, { date: new Date(Date.now() + minutes * MINUTES) }), 200);
      }
    },
  },
  {
    name: 'sigv4: another region is AuthorizationHeaderMalformed and names the right one',
    run: async (ctx) => {
      const answer = await sendSigned(ctx, await object(ctx), { region: 'eu-central-1' });
      const xml = expectError(answer, 400, 'AuthorizationHeaderMalformed');
      assert.ok(xml.includes(ctx.server.region), xml);
      assert.equal(xmlText(xml, 'Region'), ctx.server.region);
    },
  },
  {
    name: 'sigv4: another service is AuthorizationHeaderMalformed',
    run: async (ctx) => {
      const answer = await sendSigned(ctx, await object(ctx), { service: 'ec2' });
      expectError(answer, 400, 'AuthorizationHeaderMalformed');
    },
  },
  {
    name: 'sigv4: an unsigned request is AccessDenied',
    run: async (ctx) => {
      expectError(await send(ctx.server, await object(ctx)), 403, 'AccessDenied');
      expectError(await send(ctx.server, { method: 'GET', path: pathOf(ctx.bucket) }), 403, 'AccessDenied');
      const write = { method: 'PUT', path: pathOf(ctx.bucket, 'a'), body: 'x' };
      expectError(await send(ctx.server, write), 403, 'AccessDenied');
    },
  },
  {
    name: 'sigv4: a malformed Authorization header is refused',
    run: async (ctx) => {
      const request = await signed(ctx.server, await object(ctx));
      for (const value of [
        'AWS4-HMAC-SHA256',
        'AWS4-HMAC-SHA256 Credential=x',
        'AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=00',
        'Basic dXNlcjpwYXNz',
        'AWS TESTKEY:abc=',
        'nonsense',
      ]) {
        const answer = await send(ctx.server, withHeader(request, 'authorization', value));
        assert.ok(answer.status === 400 || answer.status === 403, `${value}: ${answer.status}`);
        assert.ok(xmlText(answer.body.toString(), 'Code') !== undefined, 'an S3 error document');
      }
    },
  },
  {
    name: 'sigv4: a request without a date is AccessDenied',
    run: async (ctx) => {
      const request = withoutHeader(await signed(ctx.server, await object(ctx)), 'x-amz-date');
      expectError(await send(ctx.server, request), 403, 'AccessDenied');
    },
  },
  {
    name: 'sigv4: a signed header altered on the way is SignatureDoesNotMatch',
    run: async (ctx) => {
      const request = await object(ctx);
      const range = await signed(ctx.server, withHeader(request, 'range', 'bytes=0-1'));
      expectError(await send(ctx.server, withHeader(range, 'range', 'bytes=0-3')), 403, 'SignatureDoesNotMatch');
      expectError(await send(ctx.server, withoutHeader(range, 'range')), 403, [
        'SignatureDoesNotMatch',
        'AccessDenied',
      ]);
    },
  },
  {
    name: 'sigv4: path, query or method altered on the way is SignatureDoesNotMatch',
    run: async (ctx) => {
      const request = await signed(ctx.server, await object(ctx));
      for (const altered of [
        { ...request, path: pathOf(ctx.bucket, 'other') },
        { ...request, query: { partNumber: '1' } },
        { ...request, method: 'DELETE' },
      ]) {
        expectError(await send(ctx.server, altered), 403, 'SignatureDoesNotMatch');
      }
      assert.equal((await get(ctx, 'a b')).bytes.toString(), 'signed');
    },
  },
  {
    name: 'sigv4: an x-amz header that is not signed is AccessDenied',
    run: async (ctx) => {
      const request = await signed(ctx.server, { method: 'PUT', path: pathOf(ctx.bucket, 'a'), body: 'x' });
      const answer = await send(ctx.server, withHeader(request, 'x-amz-meta-smuggled', '1'));
      expectError(answer, 403, ['AccessDenied', 'SignatureDoesNotMatch']);
    },
  },
  {
    name: 'sigv4: spaces in and around signed header values are folded',
    run: async (ctx) => {
      const headers = { 'x-amz-meta-spaces': '  a   b  ' };
      const request = { method: 'PUT', path: pathOf(ctx.bucket, 'a'), body: 'x', headers };
      expectStatus(await sendSigned(ctx, request), 200);
    },
  },
  {
    name: 'sigv4: query parameters with empty values and special characters',
    run: async (ctx) => {
      const query = { 'list-type': '2', prefix: "a b+c&d=e/!'()*~", delimiter: '/', 'start-after': '' };
      expectStatus(await sendSigned(ctx, { method: 'GET', path: pathOf(ctx.bucket), query }), 200);
    },
  },
  {
    name: 'sigv4: header names in any case',
    run: async (ctx) => {
      const request = await signed(ctx.server, await object(ctx));
      const headers = Object.fromEntries(
        Object.entries(request.headers ?? {}).map(([name, value]) => [name.toUpperCase(), value]),
      );
      expectStatus(await send(ctx.server, { ...request, headers }), 200);
    },
  },
  {
    name: 'sigv4: a client with a session token signs it too',
    run: async (ctx) => {
      const request = await signed(ctx.server, withHeader(await object(ctx), 'x-amz-security-token', 'token'));
      const answer = await send(ctx.server, request);
      // A server with fixed keys knows no session tokens: it may refuse (AWS: InvalidToken) or ignore it, but not fail.
      assert.ok([200, 400, 403].includes(answer.status), String(answer.status));
    },
  },
  {
    name: 'presigned: GET works, also with a range that is not signed',
    run: async (ctx) => {
      const request = await presigned(ctx.server, await object(ctx), 60);
      const answer = await send(ctx.server, request);
      expectStatus(answer, 200);
      assert.equal(answer.body.toString(), 'signed');
      expectStatus(await send(ctx.server, withHeader(request, 'range', 'bytes=0-1')), 206);
    },
  },
  {
    name: 'presigned: PUT works',
    run: async (ctx) => {
      const request = await presigned(ctx.server, { method: 'PUT', path: pathOf(ctx.bucket, 'p'), body: 'put' }, 60);
      expectStatus(await send(ctx.server, request), 200);
      assert.equal((await get(ctx, 'p')).bytes.toString(), 'put');
    },
  },
  {
    name: 'presigned: a URL for GET is no URL for PUT, DELETE or another key',
    run: async (ctx) => {
      const request = await presigned(ctx.server, await object(ctx), 60);
      for (const altered of [
        { ...request, method: 'DELETE' },
        { ...request, method: 'PUT', body: 'x' },
        { ...request, path: pathOf(ctx.bucket, 'other') },
      ]) {
        expectError(await send(ctx.server, altered), 403, 'SignatureDoesNotMatch');
      }
      assert.equal((await get(ctx, 'a b')).bytes.toString(), 'signed');
    },
  },
  {
    name: 'presigned: expired is AccessDenied',
    run: async (ctx) => {
      const date = new Date(Date.now() - 10 * MINUTES);
      const request = await presigned(ctx.server, await object(ctx), 60, { date });
      const xml = expectError(await send(ctx.server, request), 403, 'AccessDenied');
      assert.match(xmlText(xml, 'Message') ?? '', /expired/i);
    },
  },
  {
    name: 'presigned: signed an hour ago and valid for two still works',
    run: async (ctx) => {
      const date = new Date(Date.now() - 60 * MINUTES);
      expectStatus(await send(ctx.server, await presigned(ctx.server, await object(ctx), 7200, { date })), 200);
    },
  },
  {
    name: 'presigned: longer expiry written into the URL is SignatureDoesNotMatch',
    run: async (ctx) => {
      const request = await presigned(ctx.server, await object(ctx), 60);
      const query = { ...request.query, 'X-Amz-Expires': '600' };
      expectError(await send(ctx.server, { ...request, query }), 403, 'SignatureDoesNotMatch');
    },
  },
  {
    name: 'presigned: wrong secret and unknown key',
    ...onVersitygw('an unknown key answers 404 XAdminUserNotFound', /got 404/),
    run: async (ctx) => {
      const request = await object(ctx);
      const wrong = await presigned(ctx.server, request, 60, { secretKey: 'WRONG' });
      expectError(await send(ctx.server, wrong), 403, 'SignatureDoesNotMatch');
      const unknown = await presigned(ctx.server, request, 60, { accessKey: 'UNKNOWN' });
      expectError(await send(ctx.server, unknown), 403, 'InvalidAccessKeyId');
    },
  },
  {
    name: 'presigned: an expiry of more than 7 days, or that is no number, is AuthorizationQueryParametersError',
    run: async (ctx) => {
      const request = await presigned(ctx.server, await object(ctx), 60);
      for (const expires of ['604801', '-1', 'soon']) {
        const query = { ...request.query, 'X-Amz-Expires': expires };
        expectError(await send(ctx.server, { ...request, query }), 400, 'AuthorizationQueryParametersError');
      }
    },
  },
  {
    name: 'presigned: parameters missing is AuthorizationQueryParametersError',
    run: async (ctx) => {
      const request = await presigned(ctx.server, await object(ctx), 60);
      for (const name of [
        'X-Amz-Credential',
        'X-Amz-Signature',
        'X-Amz-Date',
        'X-Amz-Expires',
        'X-Amz-SignedHeaders',
      ]) {
        const query = Object.fromEntries(Object.entries(request.query ?? {}).filter(([key]) => key !== name));
        const answer = await send(ctx.server, { ...request, query });
        expectError(answer, [400, 403], ['AuthorizationQueryParametersError', 'AccessDenied']);
      }
    },
  },
  {
    name: 'presigned: key with special characters and response overrides',
    run: async (ctx) => {
      await put(ctx, 'a+b c/ü?%.txt', 'odd');
      const request = {
        method: 'GET',
        path: pathOf(ctx.bucket, 'a+b c/ü?%.txt'),
        query: { 'response-content-disposition': 'attachment; filename="x y.txt"' },
      };
      const answer = await send(ctx.server, await presigned(ctx.server, request, 60));
      expectStatus(answer, 200);
      assert.equal(answer.headers['content-disposition'], 'attachment; filename="x y.txt"');
    },
  },
  {
    name: 'sigv4: the SDK sees the codes as errors of that name',
    run: async (ctx) => {
      const client = clientOf(ctx.server, {
        credentials: { accessKeyId: ctx.server.accessKey, secretAccessKey: 'WRONG' },
      });
      try {
        const call = client.send(new ListObjectsV2Command({ Bucket: ctx.bucket }));
        await expectFailure(call, 403, 'SignatureDoesNotMatch');
      } finally {
        client.destroy();
      }
    },
  },
];
