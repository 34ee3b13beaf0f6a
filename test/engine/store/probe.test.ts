/**
 * The first question to a bucket, for everything that a user can get wrong: a scripted server (or none at all) on one
 * side, on the other one line that names the thing and a remedy.
 */
import { createServer as createTcpServer, type AddressInfo } from 'node:net';
import t from 'tap';
import { ManualClock, systemClock } from '../../../src/base/clock.js';
import type { StoreOptions } from '../../../src/engine/api.js';
import type { StoreError } from '../../../src/engine/store-error.js';
import { openControlPlane } from '../../../src/engine/store/control-plane.js';
import { createObjectStore } from '../../../src/engine/store/s3-store.js';
import { probeBucket } from '../../../src/engine/store/probe.js';
import {
  answerXml,
  contentsXml,
  errorXml,
  isolateEnvironment,
  listXml,
  openAccess,
  recordingLog,
  setKeys,
  startScripted,
  storeErrorOf,
  storeOptions,
  unusedPort,
  type Script,
} from './harness.js';

t.beforeEach((t) => {
  isolateEnvironment(t);
  setKeys();
});

t.test('a good bucket: one request, empty or not', async (t) => {
  const server = await startScripted(t, (_request, response, count) =>
    answerXml(response, 200, listXml(count === 1 ? contentsXml('a') : '')),
  );
  const { connection } = await openAccess(t, { endpointUrl: server.url, prefix: 'some/' });
  t.match(await probeBucket(connection), { region: 'us-east-1', empty: false });
  t.match(await probeBucket(connection), { empty: true });
  t.equal(server.requests.length, 2);
  t.match(server.requests[0]?.path, /max-keys=1/);
  t.match(server.requests[0]?.path, /prefix=some%2F/);
});

t.test('region: found from what the store says, whatever way it says it', async (t) => {
  const says: [string, Script][] = [
    [
      '400 with <Region>',
      (_q, r) => answerXml(r, 400, errorXml('AuthorizationHeaderMalformed', 'wrong', '<Region>eu-west-2</Region>')),
    ],
    [
      '301 with a header',
      (_q, r) => answerXml(r, 301, errorXml('PermanentRedirect', 'go'), { 'x-amz-bucket-region': 'eu-west-2' }),
    ],
    [
      '400 with a header',
      (_q, r) =>
        answerXml(r, 400, errorXml('IllegalLocationConstraintException', 'x'), { 'x-amz-bucket-region': 'eu-west-2' }),
    ],
    [
      'words',
      (_q, r) =>
        answerXml(
          r,
          400,
          errorXml('AuthorizationHeaderMalformed', "the region 'us-east-1' is wrong; expecting 'eu-west-2'"),
        ),
    ],
  ];
  for (const [name, script] of says) {
    const server = await startScripted(t, (request, response, count) => {
      if ((request.headers.authorization ?? '').includes('/eu-west-2/s3/')) answerXml(response, 200, listXml());
      else script(request, response, count);
    });
    const { connection } = await openAccess(t, { endpointUrl: server.url });
    t.match(await probeBucket(connection), { region: 'eu-west-2' }, name);
    t.equal(connection.region, 'eu-west-2', `${name}: stays there`);
    t.equal(server.requests.length, 2, `${name}: two requests`);

    const insisting = await openAccess(t, { endpointUrl: server.url, region: 'ap-south-1' });
    const error = await storeErrorOf(probeBucket(insisting.connection));
    t.match(
      error.message,
      /^s3:\/\/bucket-one is in region eu-west-2, not in ap-south-1$/,
      `${name}: --region is believed`,
    );
    t.match(error.remedy, /leave out --region, or use --region eu-west-2/);
  }
});

t.test('a store that sends us in circles is given up', async (t) => {
  const server = await startScripted(t, (_request, response, count) =>
    answerXml(response, 400, errorXml('AuthorizationHeaderMalformed', 'wrong', `<Region>region-${count}</Region>`)),
  );
  const { connection } = await openAccess(t, { endpointUrl: server.url });
  t.match(await storeErrorOf(probeBucket(connection)), { code: 'AuthorizationHeaderMalformed', remedy: /--region/ });
  t.equal(server.requests.length, 3);
});

t.test('what the store says no with', async (t) => {
  const cases: [string, number, string, string, RegExp, RegExp][] = [
    [
      'NoSuchBucket',
      404,
      'The specified bucket does not exist',
      '',
      /bucket bucket-one does not exist at http:\/\/127/,
      /name/,
    ],
    [
      'InvalidAccessKeyId',
      403,
      'does not exist in our records',
      '',
      /does not know the access key from environment/,
      /AWS_ACCESS_KEY_ID/,
    ],
    ['SignatureDoesNotMatch', 403, 'The request signature', '', /secret key from environment/, /AWS_SECRET_ACCESS_KEY/],
    [
      'ExpiredToken',
      400,
      'The provided token has expired.',
      '',
      /session token from environment has ended/,
      /sso login/,
    ],
    ['InvalidToken', 400, 'malformed', '', /session token from environment is not valid/, /AWS_SESSION_TOKEN/],
    [
      'AccessDenied',
      403,
      'Access Denied',
      '',
      /^listing s3:\/\/bucket-one under data\/ is not allowed for the credentials from environment \(AccessDenied\)$/,
      /allow s3:ListBucket on arn:aws:s3:::bucket-one and s3:GetObject on arn:aws:s3:::bucket-one\/data\/\*/,
    ],
    [
      'AccessDenied',
      403,
      'explicit deny in a service control policy',
      '',
      /\(AccessDenied\): explicit deny in a service/,
      /s3:ListBucket/,
    ],
    ['InvalidBucketName', 400, 'The specified bucket is not valid.', '', /'bucket-one' cannot be the name/, /63/],
    ['PermanentRedirect', 301, 'must be addressed', '', /another endpoint/, /--region/],
    ['SlowDown', 503, 'reduce', '', /SlowDown \(503\) again and again/, /try again/],
    ['SomethingNew', 418, 'teapot', '', /cannot be listed: SomethingNew \(418\): teapot/, /check/],
  ];
  for (const [code, status, message, extra, line, remedy] of cases) {
    const server = await startScripted(t, (_request, response) =>
      answerXml(response, status, errorXml(code, message, extra)),
    );
    const { connection } = await openAccess(t, { endpointUrl: server.url, prefix: 'data/' });
    const error = await storeErrorOf(probeBucket(connection));
    t.match(error.message, line, code);
    t.match(error.remedy, remedy, code);
    t.equal(error.status, status, code);
    t.notMatch(`${error.message}${error.remedy}`, /\n|AKIDEXAMPLE|secret\b(?! key)/, `${code}: one line, no secrets`);
    t.ok(server.requests.length <= 3, `${code}: few attempts`);
  }
});

t.test('anonymous and refused', async (t) => {
  const server = await startScripted(t, (_request, response) =>
    answerXml(response, 403, errorXml('AccessDenied', 'Access Denied')),
  );
  const { connection } = await openAccess(t, { endpointUrl: server.url, anonymous: true });
  t.match(await storeErrorOf(probeBucket(connection)), {
    message: /does not let anonymous users list/,
    remedy: /--no-sign-request/,
  });
});

t.test("a clock that is wrong by an hour: signed with the store's time, and said so", async (t) => {
  const hourMs = 3_600_000;
  const server = await startScripted(t, (request, response) => {
    const hourAgo = new Date(Date.now() - hourMs);
    const signedMs = Date.parse(
      String(request.headers['x-amz-date']).replace(/^(....)(..)(..T..)(..)(..Z)$/, '$1-$2-$3:$4:$5'),
    );
    response.setHeader('date', hourAgo.toUTCString());
    if (Math.abs(signedMs - hourAgo.getTime()) < 60_000) answerXml(response, 200, listXml());
    else answerXml(response, 403, errorXml('RequestTimeTooSkewed', 'The difference is too large.'));
  });
  const log = recordingLog();
  const { connection } = await openAccess(t, { endpointUrl: server.url }, { log });
  const { clockOffsetMs } = await probeBucket(connection);
  t.ok(Math.abs(clockOffsetMs + hourMs) < 60_000, `offset ${clockOffsetMs}`);
  t.ok(log.lines.some((line) => line.level === 'warn' && /clock differs/.test(line.message)));
  await createObjectStore(connection).list({ prefix: '' });
  t.equal(server.requests.length, 3, 'the mount itself starts with the right time');
});

t.test('a clock that cannot be corrected, as the store does not tell its own', async (t) => {
  const server = await startScripted(t, (_request, response) => {
    response.sendDate = false;
    answerXml(response, 403, errorXml('RequestTimeTooSkewed', 'The difference is too large.'));
  });
  const { connection } = await openAccess(t, { endpointUrl: server.url });
  t.match(await storeErrorOf(probeBucket(connection)), {
    code: 'RequestTimeTooSkewed',
    message: /too large/,
    remedy: /set the clock/,
  });
});

t.test('not an S3 server', async (t) => {
  const page = '<html><body>console</body></html>';
  for (const [status, type, body] of [
    [200, 'text/html; charset=utf-8', page],
    [404, 'text/html', page],
    [200, 'application/xml', '<hello/>'],
    [200, 'application/json', '{}'],
  ] as const) {
    const server = await startScripted(t, (_request, response) =>
      response.writeHead(status, { 'content-type': type }).end(body),
    );
    const { connection } = await openAccess(t, { endpointUrl: server.url });
    t.match(
      await storeErrorOf(probeBucket(connection)),
      {
        code: 'NotAnS3Server',
        message: /^http:\/\/127\.0\.0\.1:\d+ is not an S3 server: it answered/,
        remedy: /endpoint URL/,
      },
      `${status} ${type}`,
    );
  }
});

t.test('nobody there', async (t) => {
  const error = async (options: Partial<StoreOptions>): Promise<StoreError> => {
    const { connection } = await openAccess(t, options);
    return storeErrorOf(probeBucket(connection));
  };
  t.match(await error({ endpointUrl: `http://127.0.0.1:${await unusedPort()}` }), {
    code: 'ConnectionRefused',
    message: /^http:\/\/127\.0\.0\.1:\d+ refuses connections$/,
    remedy: /endpoint URL/,
  });
  t.match(await error({ endpointUrl: 'http://no-such-host.invalid', forcePathStyle: true }), {
    code: /^(HostNotFound|NameServerFailed)$/,
    message: /no-such-host\.invalid/,
  });
  const virtual = await error({ endpointUrl: 'http://no-such-host.invalid:9000' });
  if (virtual.code === 'HostNotFound') {
    t.equal(virtual.message, 'the host bucket-one.no-such-host.invalid is not known to DNS');
    t.match(virtual.remedy, /^use --force-path-style, which asks no-such-host\.invalid itself/);
  }

  const closer = createTcpServer((socket) => socket.destroy());
  await new Promise<void>((resolve) => closer.listen(0, '127.0.0.1', resolve));
  t.teardown(() => closer.close());
  const { port } = closer.address() as AddressInfo;
  t.match(await error({ endpointUrl: `http://127.0.0.1:${port}` }), {
    code: 'ConnectionReset',
    message: /closed the connection without an answer/,
    remedy: /https:\/\//,
  });

  const talker = createTcpServer((socket) => {
    socket.on('error', () => undefined);
    socket.end('SSH-2.0-OpenSSH_9.2\r\n');
  });
  await new Promise<void>((resolve) => talker.listen(0, '127.0.0.1', resolve));
  t.teardown(() => talker.close());
  const talking = (talker.address() as AddressInfo).port;
  t.match(await error({ endpointUrl: `http://127.0.0.1:${talking}` }), { code: 'NotHttp' });

  const plain = await startScripted(t, (_request, response) => answerXml(response, 200, listXml()));
  t.match(await error({ endpointUrl: plain.url.replace('http:', 'https:') }), {
    code: 'TlsFailed',
    message: /does not speak TLS on this port/,
    remedy: /http:\/\//,
  });
});

t.test('silence ends after 7 seconds', async (t) => {
  const clock = new ManualClock(Date.now());
  let arrived = (): void => undefined;
  const asked = new Promise<void>((resolve) => (arrived = resolve));
  const server = await startScripted(t, () => arrived());
  const { connection } = await openAccess(t, { endpointUrl: server.url }, { clock });
  const work = storeErrorOf(probeBucket(connection));
  await asked;
  clock.advance(7_000);
  t.match(await work, { code: 'Timeout', message: /does not answer within 7 s/, remedy: /endpoint URL/ });
  t.equal(clock.pending, 0);
});

t.test('AWS_MAX_ATTEMPTS=1 is one attempt', async (t) => {
  process.env['AWS_MAX_ATTEMPTS'] = '1';
  const server = await startScripted(t, (_request, response) =>
    answerXml(response, 500, errorXml('InternalError', 'x')),
  );
  const { connection } = await openAccess(t, { endpointUrl: server.url });
  t.match(await storeErrorOf(probeBucket(connection)), { code: 'InternalError' });
  t.equal(server.requests.length, 1);
});

t.test('the whole control plane', async (t) => {
  const server = await startScripted(t, (request, response) => {
    if ((request.headers.authorization ?? '').includes('/eu-west-2/s3/'))
      answerXml(response, 200, listXml(contentsXml('k')));
    else answerXml(response, 400, errorXml('AuthorizationHeaderMalformed', 'wrong', '<Region>eu-west-2</Region>'));
  });
  const log = recordingLog();
  const plane = await openControlPlane(
    storeOptions({ endpointUrl: server.url }),
    { clock: systemClock, log },
    { localAddresses: ['127.0.0.1'] },
  );
  t.match(plane.target, {
    signingRegion: 'eu-west-2',
    basePath: '/bucket-one',
    port: server.port,
    localAddresses: ['127.0.0.1'],
  });
  t.match(await plane.store.list({ prefix: '' }), { objects: [{ key: 'k' }] });
  t.match(await plane.credentials.current(), { accessKeyId: 'AKIDEXAMPLE' });
  t.ok(
    log.lines.some(
      (line) =>
        line.level === 'info' && line.message === 'the bucket is in another region' && line['to'] === 'eu-west-2',
    ),
  );
  plane.close();
  t.match(await storeErrorOf(plane.store.list({ prefix: '' })), { code: 'Cancelled' });

  const deps = { clock: systemClock, log };
  t.match(await storeErrorOf(openControlPlane(storeOptions({ bucket: 'x--x-s3' }), deps)), {
    code: 'DirectoryBucket',
  });
  delete process.env['AWS_ACCESS_KEY_ID'];
  delete process.env['AWS_SECRET_ACCESS_KEY'];
  t.match(await storeErrorOf(openControlPlane(storeOptions({ endpointUrl: server.url }), deps)), {
    code: 'NoCredentials',
  });
  setKeys();
  t.match(await storeErrorOf(openControlPlane(storeOptions({ bucket: 'a/b', endpointUrl: server.url }), deps)), {
    remedy: /name/,
  });
});
