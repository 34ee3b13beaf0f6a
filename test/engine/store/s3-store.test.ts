/**
 * HEAD and LIST against a scripted server: what is sent, what is made of the answers, what is retried, and how each kind
 * of failure comes out. Time limits are driven by a manual clock.
 */
import t from 'tap';
import { ManualClock } from '../../../src/base/clock.js';
import { EACCES, EINTR, EIO } from '../../../src/base/errno.js';
import { decodeKey } from '../../../src/engine/store/decode-key.js';
import { createObjectStore } from '../../../src/engine/store/s3-store.js';
import {
  answerXml,
  contentsXml,
  errorXml,
  isolateEnvironment,
  listXml,
  openAccess,
  setKeys,
  startScripted,
  storeErrorOf,
} from './harness.js';

t.beforeEach((t) => {
  isolateEnvironment(t);
  setKeys();
});

t.test('keys are decoded as S3 encodes them', (t) => {
  const cases: [string, string][] = [
    ['plain/key.txt', 'plain/key.txt'],
    ['a+b', 'a b'],
    ['a%2Bb', 'a+b'],
    ['a%20b', 'a b'],
    ['line%0Abreak%01%7F', 'line\nbreak\x01\x7f'],
    ['%C3%A4%F0%9F%90%99', 'ä🐙'],
    ['100%25', '100%'],
    ['%E4%BD%A0/%E5%A5%BD', '你/好'],
    ['bad%FFbyte+x', 'bad\ufffdbyte x'],
    ['%', '%'],
  ];
  for (const [encoded, key] of cases) t.equal(decodeKey(encoded), key, encoded);
  t.end();
});

t.test('list: what is asked, what is answered', async (t) => {
  const server = await startScripted(t, (_request, response) => {
    const inner =
      contentsXml('dir/a%0Ab+c%2B', 'e1', 7) +
      '<Contents><Key>dir/old</Key><LastModified>2020-01-01T00:00:00Z</LastModified><ETag>&quot;e2&quot;</ETag><Size>5368709121</Size>' +
      '<StorageClass>GLACIER</StorageClass><RestoreStatus><IsRestoreInProgress>false</IsRestoreInProgress>' +
      '<RestoreExpiryDate>2030-01-01T00:00:00Z</RestoreExpiryDate></RestoreStatus></Contents>' +
      '<Contents><Key>dir/cold</Key><LastModified>2020-01-01T00:00:00Z</LastModified><ETag>&quot;e3&quot;</ETag><Size>1</Size><StorageClass>DEEP_ARCHIVE</StorageClass></Contents>' +
      '<CommonPrefixes><Prefix>dir/sub%0A+/</Prefix></CommonPrefixes><NextContinuationToken>tok+en/=</NextContinuationToken>';
    answerXml(response, 200, listXml(inner, true));
  });
  const { connection } = await openAccess(t, {
    endpointUrl: server.url,
    requesterPays: true,
    expectedBucketOwner: '123456789012',
    userAgentPrefix: 'job-7',
  });
  const store = createObjectStore(connection);
  const page = await store.list({
    prefix: 'dir/ü +',
    delimiter: '/',
    continuationToken: 'a+b=',
    startAfter: 'dir/ü +x',
    keysMax: 5,
  });
  t.same(page, {
    objects: [
      {
        key: 'dir/a\nb c+',
        etag: '"e1"',
        sizeBytes: 7,
        lastModifiedMs: Date.UTC(2026, 0, 2, 3, 4, 5),
        storageClass: '',
        restored: false,
      },
      {
        key: 'dir/old',
        etag: '"e2"',
        sizeBytes: 5368709121,
        lastModifiedMs: Date.UTC(2020, 0, 1),
        storageClass: 'GLACIER',
        restored: true,
      },
      {
        key: 'dir/cold',
        etag: '"e3"',
        sizeBytes: 1,
        lastModifiedMs: Date.UTC(2020, 0, 1),
        storageClass: 'DEEP_ARCHIVE',
        restored: false,
      },
    ],
    commonPrefixes: ['dir/sub\n /'],
    nextToken: 'tok+en/=',
  });
  const seen = server.requests[0];
  const query = new URLSearchParams(seen?.path.split('?')[1]);
  t.match(seen?.path, /^\/bucket-one\/?\?/);
  t.same(Object.fromEntries(query), {
    'list-type': '2',
    'encoding-type': 'url',
    prefix: 'dir/ü +',
    delimiter: '/',
    'continuation-token': 'a+b=',
    'start-after': 'dir/ü +x',
    'max-keys': '5',
  });
  t.match(seen?.headers, {
    'x-amz-request-payer': 'requester',
    'x-amz-expected-bucket-owner': '123456789012',
    'user-agent': /^job-7 mount-s3x\/\S+ aws-sdk-js\//,
    authorization: /^AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE\//,
  });
  t.notOk(seen?.headers['x-amz-checksum-mode']);
  t.notOk(seen?.headers['x-amz-optional-object-attributes'], 'asked of AWS only');
});

t.test('a store that does not encode, and one without a Contents', async (t) => {
  const server = await startScripted(t, (_request, response, count) => {
    const plain = listXml(contentsXml('a+b%20c')).replace('<EncodingType>url</EncodingType>', '');
    answerXml(response, 200, count === 1 ? plain : listXml());
  });
  const store = createObjectStore((await openAccess(t, { endpointUrl: server.url })).connection);
  t.match(await store.list({ prefix: '' }), { objects: [{ key: 'a+b%20c' }], nextToken: undefined });
  t.same(await store.list({ prefix: '' }), { objects: [], commonPrefixes: [], nextToken: undefined });
  t.notMatch(server.requests[0]?.path, /prefix=/);
});

t.test('head: found, archived, missing; odd keys reach the server as they are', async (t) => {
  const server = await startScripted(t, (request, response) => {
    if (request.path.includes('missing')) response.writeHead(404).end();
    else {
      response.writeHead(200, {
        etag: '"abc"',
        'content-length': '42',
        'last-modified': 'Fri, 02 Jan 2026 03:04:05 GMT',
        ...(request.path.includes('cold')
          ? {
              'x-amz-storage-class': 'GLACIER',
              'x-amz-restore': 'ongoing-request="false", expiry-date="Fri, 01 Jan 2027 00:00:00 GMT"',
            }
          : {}),
      });
      response.end();
    }
  });
  const store = createObjectStore((await openAccess(t, { endpointUrl: server.url, requesterPays: true })).connection);
  t.same(await store.head('a/b.bin'), {
    key: 'a/b.bin',
    etag: '"abc"',
    sizeBytes: 42,
    lastModifiedMs: Date.UTC(2026, 0, 2, 3, 4, 5),
    storageClass: '',
    restored: false,
  });
  t.match(await store.head('cold'), { storageClass: 'GLACIER', restored: true });
  t.equal(await store.head('missing'), undefined);
  const before = server.requests.length;
  const keys = ['/lead', 'a//b', 'a/../b', './x', 'a\nb', "q?x=1#y&'()*!", 'ü 🐙+%', 'dir/'];
  for (const key of keys) await store.head(key);
  t.same(
    server.requests.slice(before).map((request) => decodeURIComponent(request.path.replace('/bucket-one/', ''))),
    keys,
  );
  t.ok(server.requests.every((request) => request.headers['x-amz-request-payer'] === 'requester'));
});

t.test('503 and resets are tried again up to AWS_MAX_ATTEMPTS, 403 and 404 are not', async (t) => {
  process.env['AWS_MAX_ATTEMPTS'] = '4';
  const answers: ('slow' | 'reset' | 'ok' | 'no')[] = [
    'slow',
    'reset',
    'slow',
    'ok',
    'slow',
    'slow',
    'slow',
    'slow',
    'ok',
    'no',
  ];
  const server = await startScripted(t, (_request, response, count) => {
    const what = answers[count - 1];
    if (what === 'slow') answerXml(response, 503, errorXml('SlowDown', 'Please reduce your request rate.'));
    else if (what === 'reset') response.socket?.destroy();
    else if (what === 'no') answerXml(response, 403, errorXml('AccessDenied', 'Access Denied'));
    else answerXml(response, 200, listXml());
  });
  const store = createObjectStore((await openAccess(t, { endpointUrl: server.url })).connection);
  await store.list({ prefix: 'one' });
  t.equal(server.requests.length, 4, 'third try after 503, reset, 503');
  t.match(await storeErrorOf(store.list({ prefix: 'two/x' })), {
    code: 'SlowDown',
    status: 503,
    errno: EIO,
    resource: 's3://bucket-one/two/x',
    message: /^ListObjectsV2 s3:\/\/bucket-one\/two\/x: SlowDown \(503\): Please reduce/,
  });
  t.equal(server.requests.length, 8);
  await store.list({ prefix: 'three' });
  t.match(await storeErrorOf(store.list({ prefix: 'four' })), { code: 'AccessDenied', status: 403, errno: EACCES });
  t.equal(server.requests.length, 10);
});

t.test('a web page, an empty answer and a listing that never ends are not believed', async (t) => {
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
    const [status, type, body] = bodies[count - 1] ?? [200, 'text/plain', ''];
    response.writeHead(status, { 'content-type': type });
    response.end(body);
  });
  const store = createObjectStore((await openAccess(t, { endpointUrl: server.url, maxAttempts: 1 })).connection);
  for (const [status, type] of bodies) {
    t.match(await storeErrorOf(store.list({ prefix: '' })), { code: 'NotAnS3Server', errno: EIO }, `${status} ${type}`);
  }
});

t.test('403 on HEAD is EACCES, and a LIST tells the reason once in a while', async (t) => {
  const clock = new ManualClock(Date.now());
  const server = await startScripted(t, (request, response) => {
    if (request.method === 'HEAD') response.writeHead(403).end();
    else if (request.path.includes('skewed'))
      answerXml(response, 403, errorXml('RequestTimeTooSkewed', 'The difference is too large'));
    else answerXml(response, 200, listXml());
  });
  const store = createObjectStore(
    (await openAccess(t, { endpointUrl: server.url, maxAttempts: 1 }, { clock })).connection,
  );
  t.match(await storeErrorOf(store.head('denied')), { code: 'AccessDenied', status: 403, errno: EACCES });
  t.equal(server.requests.length, 2, 'HEAD and the LIST that explains');
  t.match(await storeErrorOf(store.head('skewed')), { code: 'AccessDenied' });
  t.equal(server.requests.length, 3, 'not explained again so soon');
  clock.advance(11_000);
  t.match(await storeErrorOf(store.head('skewed')), { code: 'RequestTimeTooSkewed' });
});

t.test('refused credentials are loaded again and the call repeated, HEAD included', async (t) => {
  const clock = new ManualClock(Date.now());
  const used: string[] = [];
  const server = await startScripted(t, (request, response) => {
    const key = /Credential=(\w+)/.exec(request.headers.authorization ?? '')?.[1] ?? '';
    used.push(`${request.method} ${key}`);
    if (key === 'AKNEW') {
      if (request.method === 'HEAD') response.writeHead(200, { etag: '"e"', 'content-length': '1' }).end();
      else answerXml(response, 200, listXml());
    } else if (request.method === 'HEAD') response.writeHead(400).end();
    else answerXml(response, 400, errorXml('ExpiredToken', 'The provided token has expired.'));
  });
  const store = createObjectStore(
    (await openAccess(t, { endpointUrl: server.url, maxAttempts: 1 }, { clock })).connection,
  );
  setKeys('AKNEW');
  clock.advance(6_000);
  t.match(await store.head('x'), { etag: '"e"' }, 'the reason came from a LIST, then the HEAD again');
  t.same(used, ['HEAD AKIDEXAMPLE', 'GET AKIDEXAMPLE', 'GET AKNEW', 'HEAD AKNEW']);
});

t.test('deadline, cancellation and close end a call that hangs', async (t) => {
  const clock = new ManualClock(Date.now());
  let arrived = (): void => undefined;
  const server = await startScripted(t, () => arrived());
  const store = createObjectStore((await openAccess(t, { endpointUrl: server.url }, { clock })).connection);
  const asked = (): Promise<void> => new Promise((resolve) => (arrived = resolve));

  const stop = new AbortController();
  let hanging = asked();
  let work = storeErrorOf(store.list({ prefix: 'a' }, stop.signal));
  await hanging;
  stop.abort();
  t.match(await work, { code: 'Cancelled', errno: EINTR, resource: 's3://bucket-one/a' });

  hanging = asked();
  work = storeErrorOf(store.head('b'));
  await hanging;
  clock.advance(61_000);
  t.match(await work, { code: 'Timeout', errno: EIO, message: 'HeadObject s3://bucket-one/b: no answer within 60 s' });

  hanging = asked();
  work = storeErrorOf(store.list({ prefix: 'c' }));
  await hanging;
  store.close();
  t.match(await work, { code: 'Cancelled' });
  t.match(await storeErrorOf(store.list({ prefix: 'd' })), { code: 'Cancelled' }, 'closed is closed');
  t.equal(clock.pending, 0, 'no timer left');
});

t.test('anonymous requests carry no signature', async (t) => {
  delete process.env['AWS_ACCESS_KEY_ID'];
  const server = await startScripted(t, (_request, response) => answerXml(response, 200, listXml()));
  const store = createObjectStore((await openAccess(t, { endpointUrl: server.url, anonymous: true })).connection);
  await store.list({ prefix: '' });
  t.notOk(server.requests[0]?.headers.authorization);
  t.notOk(server.requests[0]?.headers['x-amz-security-token']);
});
