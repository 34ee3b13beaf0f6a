/**
 * Fault rules: which requests they hit, and that each effect really happens on the wire.
 *
 * Times are only asserted from below, and only those the server promises; nothing here fails because a machine is slow.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  ListMultipartUploadsCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import t, { type Test } from 'tap';
import { FaultEngine } from '../../../dev/s3-server/faults/fault-engine.js';
import { checkFaultRules, type FaultRule } from '../../../dev/s3-server/faults/fault-rule.js';
import { Pacer } from '../../../dev/s3-server/faults/pacer.js';
import type { S3Server } from '../../../dev/s3-server/server.js';
import { clientOf, rawExchange, rawGet, startServer } from './support.js';

const BODY = Buffer.from(Array.from({ length: 100_000 }, (_, at) => at % 251));

async function serverWith(t: Test, faults: readonly FaultRule[]): Promise<S3Server> {
  const { server, dir } = await startServer(t, { faults });
  mkdirSync(join(dir, 'b'));
  writeFileSync(join(dir, 'b', 'k'), BODY);
  return server;
}

/** Which of `count` requests for a key a rule hits, by number from 1. */
function hits(rule: FaultRule, count: number, operation = 'GetObject', key: string | null = 'k'): number[] {
  const engine = new FaultEngine([{ status: 500, ...rule }]);
  const socket = new Socket();
  const numbers = Array.from({ length: count }, (_, at) => at + 1);
  return numbers.filter(() => (engine.decide({ operation, bucket: 'b', key, socket })?.error ?? null) !== null);
}

t.test('which requests a rule hits', (t) => {
  t.same(hits({}, 3), [1, 2, 3]);
  t.same(hits({ operation: 'HeadObject' }, 3), []);
  t.same(hits({ operation: ['HeadObject', 'GetObject'] }, 2), [1, 2]);
  t.same(hits({ bucket: 'other' }, 2), []);
  t.same(hits({ key: '^k$' }, 2), [1, 2]);
  t.same(hits({ key: 'x' }, 2), []);
  t.same(hits({ key: '' }, 2, 'ListObjectsV2', null), [], 'a key pattern needs a key');
  t.same(hits({ nth: 3 }, 5), [3]);
  t.same(hits({ every: 2 }, 6), [2, 4, 6]);
  t.same(hits({ skip: 2, times: 2 }, 6), [3, 4]);
  t.same(hits({ times: 1 }, 3), [1]);
  t.same(hits({ probability: 0 }, 50), []);
  t.same(hits({ probability: 1 }, 3), [1, 2, 3]);
  const drawn = hits({ probability: 0.3, seed: 7 }, 1000);
  t.ok(drawn.length > 200 && drawn.length < 400, `${drawn.length} of 1,000 at 0.3`);
  t.same(hits({ probability: 0.3, seed: 7 }, 1000), drawn, 'a seed repeats');
  t.notSame(hits({ probability: 0.3, seed: 8 }, 1000), drawn, 'another does not');
  t.same(hits({ slowDownAbovePerSecond: 4 }, 6).at(0), 5);
  t.end();
});

t.test('malformed rules are refused, and the old ones stay', (t) => {
  const refused: [unknown, RegExp][] = [
    [{}, /array/],
    [[1], /fault rule 1 is not an object/],
    [[{}, { firstBytMs: 1 }], /fault rule 2 has an unknown field "firstBytMs"; known: operation/],
    [[{ nth: 0 }], /nth cannot be 0/],
    [[{ status: '503' }], /status cannot be "503"/],
    [[{ firstByteMs: -1 }], /firstByteMs/],
    [[{ key: '(' }], /key is not a regular expression/],
    [[{ longTail: { ms: 1 } }], /longTail/],
  ];
  for (const [rules, message] of refused) t.throws(() => checkFaultRules(rules), message);
  const engine = new FaultEngine([{ status: 500 }]);
  t.throws(() => engine.set([{ nth: 0 }]));
  t.ok(engine.decide({ operation: 'GetObject', bucket: null, key: null, socket: new Socket() }));
  t.end();
});

t.test('a pacer books bytes at its rate, with no credit for idle time', (t) => {
  const pacer = new Pacer(1000);
  t.equal(pacer.book(100, 1000), 95, 'five milliseconds of credit');
  t.equal(pacer.book(100, 1000), 195);
  t.equal(pacer.book(100, 1100), 195);
  t.equal(pacer.book(100, 60_000), 95, 'a minute of silence is not saved up');
  t.end();
});

t.test('errors instead of answers', async (t) => {
  const server = await serverWith(t, [{ operation: 'GetObject', status: 503 }]);
  const slow = await rawExchange(server, rawGet('/b/k'));
  t.equal(slow.status, 503);
  t.match(slow.body.toString(), /<Code>SlowDown<\/Code>.*<Resource>\/b\/k<\/Resource><RequestId>/);
  server.setFaults([{ code: 'AccessDenied' }]);
  t.equal((await rawExchange(server, rawGet('/b?list-type=2'))).status, 403);
  server.setFaults([{ code: 'TotallyNew', status: 418, message: 'teapot' }]);
  const own = await rawExchange(server, rawGet('/b/k'));
  t.equal(own.status, 418);
  t.match(own.body.toString(), /<Code>TotallyNew<\/Code><Message>teapot/);
  t.equal(server.stats().operations['GetObject']?.errors['SlowDown'], 1);
  t.equal(server.stats().faultsInjected, 3);
  t.equal(server.requests().at(-1)?.code, 'TotallyNew');
});

t.test('a wait before the first byte', async (t) => {
  const server = await serverWith(t, [{ firstByteMs: 80, jitterMs: 5 }]);
  const startMs = performance.now();
  const answer = await rawExchange(server, rawGet('/b/k'));
  t.ok(performance.now() - startMs >= 79, 'not before its time');
  t.ok(answer.body.equals(BODY));
  server.setFaults([{ longTail: { probability: 1, ms: 60 } }]);
  const tailMs = performance.now();
  await rawExchange(server, rawGet('/b/k'));
  t.ok(performance.now() - tailMs >= 59);
});

t.test('bandwidth, of a connection and of all, down and up', async (t) => {
  const server = await serverWith(t, [{ bytesPerSecond: 1_000_000 }]);
  let startMs = performance.now();
  t.ok((await rawExchange(server, rawGet('/b/k'))).body.equals(BODY));
  t.ok(performance.now() - startMs >= 80, '100 kB at 1 MB/s');
  startMs = performance.now();
  await fetch(`${server.url}/b/up`, { method: 'PUT', body: BODY });
  t.ok(performance.now() - startMs >= 60, 'uploads too');
  server.setFaults([{ totalBytesPerSecond: 2_000_000 }]);
  startMs = performance.now();
  const both = await Promise.all([rawExchange(server, rawGet('/b/k')), rawExchange(server, rawGet('/b/k'))]);
  t.ok(both.every(({ body }) => body.equals(BODY)));
  t.ok(performance.now() - startMs >= 80, '200 kB at 2 MB/s together');
});

t.test('connections that break', async (t) => {
  const server = await serverWith(t, []);
  const under = async (rule: FaultRule): Promise<Awaited<ReturnType<typeof rawExchange>>> => {
    server.setFaults([rule]);
    return rawExchange(server, rawGet('/b/k'));
  };
  const reset = await under({ resetBeforeHead: true });
  t.same([reset.text, reset.ended], ['', 'ECONNRESET']);
  const closed = await under({ closeBeforeHead: true });
  t.same([closed.text, closed.ended], ['', 'end']);
  const garbage = await under({ garbageHead: true });
  t.notMatch(garbage.text, /^HTTP/);
  t.ok(garbage.text.length > 0);
  const midway = await under({ resetAfterBytes: 40_000 });
  // A reset that arrives together with bytes is reported as an end by libuv (it sees the hang-up first).
  t.match(midway.ended, /^(ECONNRESET|end)$/);
  t.equal(midway.headers.get('content-length'), '100000');
  t.ok(midway.body.length <= 40_000);
  t.ok(midway.body.equals(BODY.subarray(0, midway.body.length)));
  const early = await under({ closeAfterBytes: 40_000 });
  t.equal(early.ended, 'end');
  t.equal(early.headers.get('content-length'), '100000');
  t.ok(early.body.equals(BODY.subarray(0, 40_000)));
  const truncated = await under({ truncateBytes: 1 });
  t.equal(truncated.headers.get('content-length'), '100000');
  t.ok(truncated.body.equals(BODY.subarray(0, 99_999)));
  const stalled = performance.now();
  const late = await under({ stallAfterBytes: 50_000, stallMs: 60 });
  t.ok(late.body.equals(BODY), 'a stall ends');
  t.ok(performance.now() - stalled >= 59);
});

t.test('answers that lie', async (t) => {
  const server = await serverWith(t, []);
  const under = async (rule: FaultRule): Promise<Awaited<ReturnType<typeof rawExchange>>> => {
    server.setFaults([rule]);
    return rawExchange(server, rawGet('/b/k', { Range: 'bytes=10-1009' }));
  };
  const honest = await under({});
  t.equal(honest.headers.get('content-range'), 'bytes 10-1009/100000');
  const flipped = await under({ flipByteAt: 500 });
  const expected = Buffer.from(BODY.subarray(10, 1010));
  expected[500] = (expected[500] ?? 0) ^ 1;
  t.ok(flipped.body.equals(expected), 'one bit');
  t.ok((await under({})).body.equals(BODY.subarray(10, 1010)), 'and the stored bytes are as they were');
  const short = await under({ shortBodyBytes: 100 });
  t.equal(short.headers.get('content-length'), '900');
  t.equal(short.headers.get('content-range'), 'bytes 10-1009/100000');
  t.equal(short.body.length, 900);
  t.equal((await under({ wrongEtag: true })).headers.get('etag'), '"00000000000000000000000000000000"');
  t.equal((await under({ wrongEtag: '"mine"' })).headers.get('etag'), '"mine"');
  t.equal((await under({ wrongContentRange: true })).headers.get('content-range'), 'bytes 11-1010/100000');
  t.equal((await under({ wrongContentRange: 'bytes 0-1/2' })).headers.get('content-range'), 'bytes 0-1/2');
});

t.test('a connection goes on after an answer that was shaped but whole', async (t) => {
  const server = await serverWith(t, [{ firstByteMs: 1, bytesPerSecond: 50_000_000 }]);
  const twice = `${rawGet('/b/k').replace('Connection: close\r\n', '')}${rawGet('/b/k')}`;
  const { text } = await rawExchange(server, twice);
  t.equal(text.split('HTTP/1.1 200 OK').length - 1, 2);
});

t.test('Complete that fails in its body, and Complete that succeeds unheard', async (t) => {
  const server = await serverWith(t, [{ operation: 'CompleteMultipartUpload', errorInBody: 'InternalError' }]);
  const s3 = clientOf(t, server);
  const begin = async (Key: string): Promise<CompleteMultipartUploadCommand> => {
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket: 'b', Key }));
    const { ETag } = await s3.send(new UploadPartCommand({ Bucket: 'b', Key, UploadId, PartNumber: 1, Body: 'x' }));
    return new CompleteMultipartUploadCommand({
      Bucket: 'b',
      Key,
      UploadId,
      MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] },
    });
  };
  await t.rejects(s3.send(await begin('one')), { name: 'InternalError' });
  t.equal((await fetch(`${server.url}/b/one`, { method: 'HEAD' })).status, 200, 'the work was done');
  server.setFaults([{ operation: 'CompleteMultipartUpload', hangAfterSuccessMs: 30 }]);
  await t.rejects(s3.send(await begin('two')), 'no answer');
  t.equal((await fetch(`${server.url}/b/two`, { method: 'HEAD' })).status, 200);
  server.setFaults([{ completeTimesOutAfterSuccess: true }]);
  const command = await begin('three');
  await t.rejects(s3.send(command, { abortSignal: AbortSignal.timeout(500) }));
  t.equal((await fetch(`${server.url}/b/three`, { method: 'HEAD' })).status, 200);
  t.equal((await s3.send(new ListMultipartUploadsCommand({ Bucket: 'b' }))).Uploads, undefined);
  server.setFaults([]);
  await s3.send(new PutObjectCommand({ Bucket: 'b', Key: 'after', Body: 'x' }));
});

t.test('a reset in the middle of a request body keeps nothing', async (t) => {
  const server = await serverWith(t, [{ operation: 'PutObject', times: 1, resetAfterReceivedBytes: 1000 }]);
  const s3 = clientOf(t, server);
  const put = new PutObjectCommand({ Bucket: 'b', Key: 'cut', Body: BODY });
  await t.rejects(s3.send(put));
  t.equal((await fetch(`${server.url}/b/cut`, { method: 'HEAD' })).status, 404);
  await s3.send(put);
  t.equal((await fetch(`${server.url}/b/cut`, { method: 'HEAD' })).status, 200);
});

t.test('resets below TLS', async (t) => {
  const { makeTestCertificate } = await import('../../support/servers/tls.js');
  const certificate = await makeTestCertificate();
  t.teardown(() => certificate.remove());
  const { readFileSync } = await import('node:fs');
  const { server, dir } = await startServer(t, {
    tls: { cert: readFileSync(certificate.certFile), key: readFileSync(certificate.keyFile) },
    faults: [{ operation: 'GetObject', resetAfterBytes: 10_000 }],
  });
  mkdirSync(join(dir, 'b'));
  writeFileSync(join(dir, 'b', 'k'), BODY);
  const { get } = await import('node:https');
  const ended = await new Promise<string>((resolve) => {
    const request = get(`${server.url}/b/k`, { ca: readFileSync(certificate.caFile) }, (response) => {
      response.resume();
      response.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
      response.on('end', () => resolve('end'));
    });
    request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? ''));
  });
  t.equal(ended, 'ECONNRESET');
});
