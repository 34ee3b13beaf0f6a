/**
 * HTTP itself: reused connections after errors, Expect: 100-continue, addressing styles, error documents, unknown requests.
 *
 * The engine keeps its connections open for hours and writes requests onto raw sockets, so a server that left half a body unread, or
 * answered twice, would poison the next request. These rows use one connection on purpose.
 */
import assert from 'node:assert/strict';
import { clientOf, expectFailure, type CaseContext, type ContractCase } from './context.js';
import { GetObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3';
import { get, head, keysOf, pattern, put, sameBytes } from './helpers.js';
import {
  agentOf,
  expectError,
  expectStatus,
  pathOf,
  send,
  signed,
  sendSigned,
  xmlText,
  type RawRequest,
  type RawResponse,
  type SigningChoices,
} from './raw.js';

type SendOne = (request: RawRequest, choices?: SigningChoices) => Promise<RawResponse>;

/** Runs `work` with a sender that has exactly one connection, and asserts that it was not opened anew. */
async function onOneConnection(ctx: CaseContext, work: (sendOne: SendOne) => Promise<void>): Promise<void> {
  const agent = agentOf(ctx.server, { keepAlive: true, maxSockets: 1 });
  const ports = new Set<number>();
  try {
    await work(async (request, choices) => {
      const answer = await send(ctx.server, await signed(ctx.server, request, choices), { agent });
      ports.add(answer.localPort);
      return answer;
    });
  } finally {
    agent.destroy();
  }
  assert.equal(ports.size, 1, 'the connection was reused');
}

/** A path-style request turned into a virtual-host one, to be signed. */
function virtualHost(ctx: CaseContext, request: RawRequest): RawRequest {
  const { port } = new URL(ctx.server.endpoint);
  const host = `${ctx.bucket}.${ctx.server.virtualHostDomain}:${port}`;
  return { ...request, headers: { ...request.headers, host } };
}

export const httpCases: readonly ContractCase[] = [
  {
    name: 'http: 30 requests of all kinds on one connection',
    run: async (ctx) => {
      await onOneConnection(ctx, async (sendOne) => {
        for (let round = 0; round < 5; round += 1) {
          const path = pathOf(ctx.bucket, `k${round}`);
          const body = pattern(1000 + round, round);
          expectStatus(await sendOne({ method: 'PUT', path, body }), 200);
          expectStatus(await sendOne({ method: 'HEAD', path }), 200);
          sameBytes((await sendOne({ method: 'GET', path })).body, body);
          expectStatus(await sendOne({ method: 'GET', path, headers: { range: 'bytes=1-5' } }), 206);
          expectStatus(await sendOne({ method: 'GET', path: pathOf(ctx.bucket), query: { 'list-type': '2' } }), 200);
          expectStatus(await sendOne({ method: 'DELETE', path }), 204);
        }
      });
    },
  },
  {
    name: 'http: a connection is good after 404, 416, 412, 304 and 403',
    run: async (ctx) => {
      await put(ctx, 'a', 'bytes');
      const path = pathOf(ctx.bucket, 'a');
      await onOneConnection(ctx, async (sendOne) => {
        const good = async (): Promise<void> => {
          assert.equal((await sendOne({ method: 'GET', path })).body.toString(), 'bytes');
        };
        expectError(await sendOne({ method: 'GET', path: pathOf(ctx.bucket, 'missing') }), 404, 'NoSuchKey');
        await good();
        expectError(await sendOne({ method: 'GET', path, headers: { range: 'bytes=100-' } }), 416, 'InvalidRange');
        await good();
        expectError(await sendOne({ method: 'GET', path, headers: { 'if-match': '"no"' } }), 412, 'PreconditionFailed');
        await good();
        assert.equal((await sendOne({ method: 'GET', path, headers: { 'if-none-match': '*' } })).body.length, 0);
        await good();
        assert.equal((await sendOne({ method: 'HEAD', path: pathOf(ctx.bucket, 'missing') })).status, 404);
        await good();
        const wrong = { secretKey: 'WRONG' };
        expectError(await sendOne({ method: 'GET', path }, wrong), 403, 'SignatureDoesNotMatch');
        await good();
      });
    },
  },
  {
    name: 'http: a refused PUT is answered, and the next request gets its own answer',
    run: async (ctx) => {
      await put(ctx, 'a', 'bytes');
      const agent = agentOf(ctx.server, { keepAlive: true, maxSockets: 1 });
      try {
        for (const size of [100, 300_000]) {
          const request = {
            method: 'PUT',
            path: pathOf(ctx.bucket, 'a'),
            body: pattern(size),
            headers: { 'if-none-match': '*' },
          };
          const refused = await send(ctx.server, await signed(ctx.server, request), { agent });
          expectError(refused, 412, 'PreconditionFailed');
          // Whether the server read the body or closed the connection, what comes next must be the answer to what was asked next.
          const next = await signed(ctx.server, { method: 'GET', path: pathOf(ctx.bucket, 'a') });
          assert.equal((await send(ctx.server, next, { agent })).body.toString(), 'bytes');
        }
      } finally {
        agent.destroy();
      }
    },
  },
  {
    name: 'http: Expect: 100-continue on a PUT that is accepted',
    run: async (ctx) => {
      const body = pattern(200_000);
      const request = await signed(ctx.server, { method: 'PUT', path: pathOf(ctx.bucket, 'a'), body });
      expectStatus(await send(ctx.server, request, { expectContinue: true }), 200);
      sameBytes((await get(ctx, 'a')).bytes, body);
    },
  },
  {
    name: 'http: Expect: 100-continue on a PUT with a wrong signature stores nothing',
    run: async (ctx) => {
      const put100 = { method: 'PUT', path: pathOf(ctx.bucket, 'a'), body: pattern(200_000) };
      const request = await signed(ctx.server, put100, { secretKey: 'WRONG' });
      expectError(await send(ctx.server, request, { expectContinue: true }), 403, 'SignatureDoesNotMatch');
      await expectFailure(head(ctx, 'a'), 404);
    },
  },
  {
    name: 'http: HEAD of a large object leaves the connection clean',
    run: async (ctx) => {
      await put(ctx, 'big', pattern(3_000_000));
      await put(ctx, 'small', 'small');
      await onOneConnection(ctx, async (sendOne) => {
        const answer = await sendOne({ method: 'HEAD', path: pathOf(ctx.bucket, 'big') });
        assert.equal(answer.headers['content-length'], '3000000');
        assert.equal((await sendOne({ method: 'GET', path: pathOf(ctx.bucket, 'small') })).body.toString(), 'small');
      });
    },
  },
  {
    name: 'http: every answer has a request id, errors repeat it in the document',
    run: async (ctx) => {
      await put(ctx, 'a', 'x');
      const good = await sendSigned(ctx, { method: 'GET', path: pathOf(ctx.bucket, 'a') });
      assert.ok((good.headers['x-amz-request-id'] ?? '') !== '');
      assert.ok((good.headers['date'] ?? '') !== '');
      const bad = await sendSigned(ctx, { method: 'GET', path: pathOf(ctx.bucket, 'no') });
      const xml = expectError(bad, 404, 'NoSuchKey');
      assert.equal(xmlText(xml, 'RequestId'), bad.headers['x-amz-request-id']);
      assert.ok((xmlText(xml, 'Message') ?? '') !== '');
      assert.notEqual(good.headers['x-amz-request-id'], bad.headers['x-amz-request-id']);
    },
  },
  {
    name: 'http: a method that does not exist is MethodNotAllowed',
    run: async (ctx) => {
      await put(ctx, 'a', 'x');
      const answer = await sendSigned(ctx, { method: 'PATCH', path: pathOf(ctx.bucket, 'a') });
      expectError(answer, 405, 'MethodNotAllowed');
    },
  },
  {
    name: 'http: a configuration that the server does not have is an S3 error, never a 500',
    run: async (ctx) => {
      for (const name of ['analytics', 'inventory', 'metrics', 'replication', 'website', 'lifecycle']) {
        const answer = await sendSigned(ctx, { method: 'GET', path: pathOf(ctx.bucket), query: { [name]: '' } });
        const code = xmlText(answer.body.toString(), 'Code') ?? '';
        assert.ok(answer.status !== 500 && answer.status !== 200 && code !== '', `${name}: ${answer.status} ${code}`);
      }
    },
  },
  {
    name: 'addressing: virtual host GET, PUT, HEAD, list and DELETE',
    run: async (ctx) => {
      const at = (method: string, path: string, extra: Partial<RawRequest> = {}): Promise<RawResponse> =>
        sendSigned(ctx, virtualHost(ctx, { method, path, ...extra }));
      expectStatus(await at('PUT', '/dir/a%20b', { body: 'virtual' }), 200);
      assert.equal((await at('GET', '/dir/a%20b')).body.toString(), 'virtual');
      expectStatus(await at('HEAD', '/dir/a%20b'), 200);
      const listed = await at('GET', '/', { query: { 'list-type': '2', prefix: 'dir/' } });
      assert.equal(xmlText(listed.body.toString(), 'Key'), 'dir/a b');
      assert.equal((await get(ctx, 'dir/a b')).bytes.toString(), 'virtual');
      expectStatus(await at('DELETE', '/dir/a%20b'), 204);
      assert.deepEqual(await keysOf(ctx), []);
    },
  },
  {
    name: "addressing: virtual host with a key that begins with the bucket's name",
    run: async (ctx) => {
      const key = `${ctx.bucket}/x`;
      const request = { method: 'PUT', path: `/${key}`, body: 'x' };
      expectStatus(await sendSigned(ctx, virtualHost(ctx, request)), 200);
      assert.deepEqual(await keysOf(ctx), [key]);
    },
  },
  {
    name: 'addressing: virtual host of a missing bucket is NoSuchBucket',
    run: async (ctx) => {
      const missing = { ...ctx, bucket: `${ctx.bucket}-no` };
      expectError(await sendSigned(ctx, virtualHost(missing, { method: 'GET', path: '/a' })), 404, 'NoSuchBucket');
    },
  },
  {
    name: 'addressing: path style with localhost as host',
    run: async (ctx) => {
      await put(ctx, 'a', 'x');
      const { port } = new URL(ctx.server.endpoint);
      const request = { method: 'GET', path: pathOf(ctx.bucket, 'a'), headers: { host: `localhost:${port}` } };
      expectStatus(await sendSigned(ctx, request), 200);
    },
  },
  {
    name: 'addressing: path style, bucket with and without a slash at its end',
    run: async (ctx) => {
      await put(ctx, 'a', 'x');
      for (const path of [`/${ctx.bucket}`, `/${ctx.bucket}/`]) {
        const answer = await sendSigned(ctx, { method: 'GET', path, query: { 'list-type': '2' } });
        expectStatus(answer, 200);
        assert.equal(xmlText(answer.body.toString(), 'Key'), 'a');
      }
    },
  },
  {
    name: 'http: 100 requests at once over 64 connections',
    run: async (ctx) => {
      const client = clientOf(ctx.server);
      try {
        const keys = Array.from({ length: 100 }, (_unused, index) => `k${index}`);
        const at = (Key: string): { Bucket: string; Key: string } => ({ Bucket: ctx.bucket, Key });
        await Promise.all(keys.map((key) => client.send(new PutObjectCommand({ ...at(key), Body: key }))));
        const texts = await Promise.all(
          keys.map(async (key) => (await client.send(new GetObjectCommand(at(key)))).Body?.transformToString()),
        );
        assert.deepEqual(texts, keys);
        const listed = await client.send(new ListObjectsV2Command({ Bucket: ctx.bucket }));
        assert.equal(listed.KeyCount, 100);
      } finally {
        client.destroy();
      }
    },
  },
];
