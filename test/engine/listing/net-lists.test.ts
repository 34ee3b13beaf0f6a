/**
 * LISTs by net threads against a scripted server: what is sent, what is retried, how each failure comes out, who is told of
 * credentials, and that cancelling and closing leave nothing behind.
 */
import t from 'tap';
import { ManualClock } from '../../../src/base/clock.js';
import { EACCES, EINTR, EIO } from '../../../src/base/errno.js';
import { ColumnViews, headOfRow, type ListColumns } from '../../../src/engine/listing/columns.js';
import {
  answerXml,
  contentsXml,
  errorXml,
  listXml,
  startScripted,
  storeErrorOf,
  unusedPort,
} from '../store/harness.js';
import { listBench } from './harness.js';

const credentials = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret', sessionToken: 'a/token+=' };

function keys(columns: ListColumns, prefix = ''): string[] {
  const views = new ColumnViews(columns.buffer, columns.rows);
  return Array.from({ length: columns.rows }, (_, row) => headOfRow(views, columns.classNames, row, prefix).key);
}

t.test('what is asked, what is answered', async (t) => {
  const server = await startScripted(t, (_request, response) => {
    const inner =
      contentsXml('dir/%C3%BC+%2Ba%0Ab', 'e1', 7) +
      '<Contents><Key>dir/%C3%BC+%2Bold</Key><LastModified>2020-01-01T00:00:00Z</LastModified><ETag>&quot;e2&quot;</ETag>' +
      '<Size>5368709121</Size><StorageClass>GLACIER</StorageClass><RestoreStatus><IsRestoreInProgress>false' +
      '</IsRestoreInProgress><RestoreExpiryDate>2030-01-01T00:00:00Z</RestoreExpiryDate></RestoreStatus></Contents>' +
      '<CommonPrefixes><Prefix>dir/%C3%BC+%2Bsub/</Prefix></CommonPrefixes>' +
      '<NextContinuationToken>tok+en/=</NextContinuationToken>';
    answerXml(response, 200, listXml(inner, true));
  });
  const { plane } = listBench(t, {
    port: server.port,
    credentials,
    asksRestore: true,
    target: { headers: { 'x-amz-request-payer': 'requester', 'x-amz-expected-bucket-owner': '123456789012' } },
  });
  const prefix = 'dir/ü +';
  const columns = await plane.list({
    prefix,
    delimiter: '/',
    continuationToken: 'a+b/=',
    startAfter: "dir/ü +x'(*)!~",
    keysMax: 5,
  });
  t.same(keys(columns, prefix), ['dir/ü +a\nb', 'dir/ü +old', 'dir/ü +sub/']);
  t.equal(columns.nextToken, 'tok+en/=');
  t.match(headOfRow(new ColumnViews(columns.buffer, 3), columns.classNames, 1, prefix), {
    etag: '"e2"',
    sizeBytes: 5368709121,
    lastModifiedMs: Date.UTC(2020, 0, 1),
    storageClass: 'GLACIER',
    restored: true,
  });
  const seen = server.requests[0];
  t.match(seen?.path, /^\/bucket-one\/\?/);
  t.notMatch(seen?.path, /[ '()*!+]/, 'encoded as it is signed');
  t.same(Object.fromEntries(new URLSearchParams(seen?.path.split('?')[1])), {
    'list-type': '2',
    'encoding-type': 'url',
    prefix,
    delimiter: '/',
    'continuation-token': 'a+b/=',
    'start-after': "dir/ü +x'(*)!~",
    'max-keys': '5',
  });
  t.match(seen?.headers, {
    'x-amz-request-payer': 'requester',
    'x-amz-expected-bucket-owner': '123456789012',
    'x-amz-optional-object-attributes': 'RestoreStatus',
    'x-amz-security-token': 'a/token+=',
    'user-agent': 'mount-s3x-test',
    authorization: /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\/.*x-amz-optional-object-attributes/,
  });
});

t.test('anonymous requests carry no signature, and ask nothing that other stores may not know', async (t) => {
  const server = await startScripted(t, (_request, response) => answerXml(response, 200, listXml()));
  const { plane } = listBench(t, { port: server.port });
  t.equal((await plane.list({ prefix: '' })).rows, 0);
  t.match(server.requests[0]?.path, /^\/bucket-one\/\?encoding-type=url&list-type=2$/);
  t.notOk(server.requests[0]?.headers.authorization);
  t.notOk(server.requests[0]?.headers['x-amz-optional-object-attributes']);
});

t.test('503, resets and answers cut short are tried again up to the bound, 403 and 404 are not', async (t) => {
  const whole = `<?xml version="1.0"?>${listXml(contentsXml('a'))}`;
  let answers: ('slow' | 'reset' | 'cut' | 'short' | 'ok' | 'no' | 'gone' | 'error200')[] = [];
  const server = await startScripted(t, (_request, response) => {
    switch (answers.shift()) {
      case 'slow':
        return answerXml(response, 503, errorXml('SlowDown', 'Please reduce your request rate.'));
      case 'reset':
        return void response.socket?.destroy();
      case 'cut':
        response.writeHead(200, { 'content-length': String(whole.length) });
        response.write(whole.slice(0, 200));
        return void setImmediate(() => response.socket?.destroy());
      case 'short':
        response.writeHead(200, { 'content-type': 'application/xml' });
        return void response.end(whole.slice(0, -9));
      case 'error200':
        return answerXml(response, 200, errorXml('InternalError', 'We encountered an internal error'));
      case 'no':
        return answerXml(response, 403, errorXml('AccessDenied', 'Access Denied'));
      case 'gone':
        return answerXml(response, 404, errorXml('NoSuchBucket', 'The specified bucket does not exist'));
      default:
        return answerXml(response, 200, listXml(contentsXml('a')));
    }
  });
  const { plane } = listBench(t, { port: server.port });
  answers = ['slow', 'reset', 'cut', 'ok'];
  t.same(keys(await plane.list({ prefix: '' })), ['a']);
  answers = ['short', 'error200', 'ok'];
  t.same(keys(await plane.list({ prefix: '' })), ['a']);
  server.requests.length = 0;
  answers = ['slow', 'slow', 'slow', 'slow', 'ok'];
  t.match(await storeErrorOf(plane.list({ prefix: 'two/x' })), {
    code: 'SlowDown',
    status: 503,
    errno: EIO,
    resource: 's3://bucket-one/two/x',
    message: /^ListObjectsV2 s3:\/\/bucket-one\/two\/x: SlowDown \(503\): Please reduce/,
    remedy: /busy/,
  });
  t.equal(server.requests.length, 4);
  answers = ['no'];
  t.match(await storeErrorOf(plane.list({ prefix: '' })), {
    code: 'AccessDenied',
    status: 403,
    errno: EACCES,
    remedy: /s3:ListBucket/,
  });
  answers = ['gone'];
  t.match(await storeErrorOf(plane.list({ prefix: '' })), { code: 'NoSuchBucket', status: 404, errno: EIO });
  t.equal(server.requests.length, 6);
});

t.test(
  'a web page, an empty answer and a listing that never ends are not believed, and not asked for again',
  async (t) => {
    const page = '<html><head><title>Log in</title></head><body>hello</body></html>';
    const bodies: [number, string, string][] = [
      [200, 'text/html', page],
      [200, 'application/xml', '<html><body>hello</body></html>'],
      [200, 'text/plain', ''],
      [404, 'text/html', page],
      [200, 'application/xml', listXml('', true)],
      [200, 'application/json', '{"hello":1}'],
    ];
    const server = await startScripted(t, (_request, response, count) => {
      const [status, type, body] = bodies[count - 1] ?? [500, 'text/plain', ''];
      response.writeHead(status, { 'content-type': type });
      response.end(body);
    });
    const { plane } = listBench(t, { port: server.port });
    for (const [status, type] of bodies) {
      const error = await storeErrorOf(plane.list({ prefix: '' }));
      t.match(error, { code: 'NotAnS3Server', errno: EIO, remedy: /proxy/ }, `${status} ${type}`);
    }
    t.equal(server.requests.length, bodies.length);
  },
);

t.test('chunked answers, and those that end with the connection', async (t) => {
  const many = Array.from({ length: 900 }, (_, index) => contentsXml(`k${String(index).padStart(4, '0')}`));
  const server = await startScripted(t, (_request, response, count) => {
    const xml = Buffer.from(listXml(many.join('')));
    if (count === 2) {
      response.socket?.end(Buffer.concat([Buffer.from('HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n'), xml]));
      return;
    }
    response.writeHead(200, { 'content-type': 'application/xml' });
    for (let at = 0; at < xml.length; at += 3000) response.write(xml.subarray(at, at + 3000));
    response.end();
  });
  const { plane } = listBench(t, { port: server.port });
  for (let round = 0; round < 3; round++) t.equal((await plane.list({ prefix: '' })).rows, 900);
});

t.test('refused credentials: told once, and asked again with new ones', async (t) => {
  const used: string[] = [];
  const server = await startScripted(t, (request, response) => {
    const key = /Credential=(\w+)/.exec(request.headers.authorization ?? '')?.[1] ?? '';
    used.push(key);
    if (key === 'AKNEW') answerXml(response, 200, listXml());
    else answerXml(response, 400, errorXml('ExpiredToken', 'The provided token has expired.'));
  });
  const bench = listBench(t, { port: server.port, credentials });
  const both = [bench.plane.list({ prefix: 'a' }), bench.plane.list({ prefix: 'b' })];
  while (used.length < 2 || bench.events.length < 2) await new Promise((resolve) => setTimeout(resolve, 1));
  t.same(
    bench.events.map((event) => event.type),
    ['ready', 'credentialsRefused'],
  );
  bench.setCredentials({ ...credentials, accessKeyId: 'AKNEW' });
  await Promise.all(both);
  t.same(used.slice(2), ['AKNEW', 'AKNEW']);
});

t.test('deadline, cancellation and close end a call that hangs', async (t) => {
  const clock = new ManualClock(Date.now());
  let arrived = (): void => undefined;
  const server = await startScripted(t, () => arrived());
  const { plane, threads } = listBench(t, { port: server.port, clock });
  const asked = (): Promise<void> => new Promise((resolve) => (arrived = resolve));

  const stop = new AbortController();
  let hanging = asked();
  let work = storeErrorOf(plane.list({ prefix: 'a' }, stop.signal));
  await hanging;
  stop.abort();
  t.match(await work, { code: 'Cancelled', errno: EINTR, resource: 's3://bucket-one/a' });
  t.match(await storeErrorOf(plane.list({ prefix: 'a' }, stop.signal)), { code: 'Cancelled' }, 'aborted before');

  hanging = asked();
  work = storeErrorOf(plane.list({ prefix: 'b' }));
  await hanging;
  clock.advance(61_000);
  const message = 'ListObjectsV2 s3://bucket-one/b: no answer within 60 s';
  t.match(await work, { code: 'Timeout', errno: EIO, message });

  hanging = asked();
  work = storeErrorOf(plane.list({ prefix: 'c' }));
  await hanging;
  plane.close();
  t.match(await work, { code: 'Cancelled' });
  t.match(await storeErrorOf(plane.list({ prefix: 'd' })), { code: 'Cancelled' }, 'closed is closed');
  t.equal(plane.size, 0);
  for (const thread of threads) thread.handle({ type: 'close' });
});

t.test('a cancelled LIST gives its connection back', async (t) => {
  const server = await startScripted(t, (request, response) => {
    if (request.path.includes('slow')) setTimeout(() => answerXml(response, 200, listXml(contentsXml('x'))), 20);
    else answerXml(response, 200, listXml());
  });
  const { plane, threads } = listBench(t, { port: server.port });
  for (let round = 0; round < 3; round++) {
    const stop = new AbortController();
    const work = storeErrorOf(plane.list({ prefix: 'slow' }, stop.signal));
    while (threads[0]?.counts.connections === threads[0]?.counts.idle) await new Promise(setImmediate);
    stop.abort();
    t.match(await work, { errno: EINTR });
    while (threads[0]?.counts.connections !== threads[0]?.counts.idle) await new Promise((done) => setTimeout(done, 1));
    await plane.list({ prefix: 'next' });
  }
  t.equal(threads[0]?.counts.connections, 1, 'one connection served all');
});

t.test('nobody listens', async (t) => {
  // The waits between attempts keep no process alive by themselves.
  const alive = setInterval(() => undefined, 1000);
  t.teardown(() => clearInterval(alive));
  const { plane } = listBench(t, { port: await unusedPort() });
  t.match(await storeErrorOf(plane.list({ prefix: '' })), { code: 'ECONNREFUSED', status: 0, errno: EIO });
});

t.test('listings spread over the net threads', async (t) => {
  const server = await startScripted(t, (_request, response) => answerXml(response, 200, listXml()));
  const { plane, threads } = listBench(t, { port: server.port, threads: 3 });
  await Promise.all([1, 2, 3].map(() => plane.list({ prefix: '' })));
  t.same(
    threads.map((thread) => thread.counts.connections),
    [1, 1, 1],
  );
});
