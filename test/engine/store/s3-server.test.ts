/**
 * The control plane against the built-in S3 server, whose answers were not written to please this code: odd keys there
 * and back, paging, real signatures, session tokens that end, regions, faults.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import t, { type Test } from 'tap';
import { startS3Server, type S3Server, type S3ServerOptions } from '../../../dev/s3-server/server.js';
import { ManualClock } from '../../../src/base/clock.js';
import { probeBucket } from '../../../src/engine/store/probe.js';
import type { S3Connection } from '../../../src/engine/store/s3-connection.js';
import { createObjectStore } from '../../../src/engine/store/s3-store.js';
import { isolateEnvironment, openAccess, setKeys, storeErrorOf } from './harness.js';

async function startServer(t: Test, options: Partial<S3ServerOptions> = {}): Promise<S3Server> {
  const dir = mkdtempSync(join(tmpdir(), 'mount-s3x-store-'));
  mkdirSync(join(dir, 'bucket-one'));
  const server = await startS3Server({ dir, accessKey: 'AKIDEXAMPLE', secretKey: 'secret', ...options });
  t.teardown(async () => {
    await server.close();
    rmSync(dir, { recursive: true, force: true });
  });
  return server;
}

async function put(connection: S3Connection, key: string, body = 'body'): Promise<void> {
  await connection.client.send(new PutObjectCommand({ Bucket: 'bucket-one', Key: key, Body: body }));
}

t.beforeEach((t) => {
  isolateEnvironment(t);
  setKeys();
});

t.test('odd keys come back as they were put, from HEAD and from LIST', async (t) => {
  const server = await startServer(t);
  const { connection } = await openAccess(t, { endpointUrl: server.url });
  const store = createObjectStore(connection);
  const keys = [
    'plain.txt',
    'with space and+plus',
    'percent%41%',
    'line\nbreak',
    'tab\tand\x01control\x7f',
    'ünï/你好/🐙',
    'quote\'"<&>;?#=',
    'a//b',
    '/leading',
    'trailing/',
    'dots/../up',
    './here',
    '~tilde*(star)!',
    'x'.repeat(1024),
  ];
  for (const key of keys) await put(connection, key);
  const listed: string[] = [];
  let token: string | undefined;
  let pages = 0;
  do {
    const page = await store.list({
      prefix: '',
      keysMax: 5,
      ...(token === undefined ? {} : { continuationToken: token }),
    });
    listed.push(...page.objects.map((object) => object.key));
    token = page.nextToken;
    pages++;
  } while (token !== undefined && pages < 10);
  const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));
  t.same(listed, [...keys].sort(byBytes), 'all of them, in the order of UTF-8 bytes');
  t.equal(pages, 3);
  for (const key of keys) {
    const head = await store.head(key);
    t.match(
      head,
      { key, sizeBytes: 4, etag: /^"[0-9a-f]{32}"$/, storageClass: '', restored: false },
      JSON.stringify(key.slice(0, 20)),
    );
    t.same((await store.list({ prefix: key, keysMax: 1 })).objects[0], head, 'LIST says the same');
  }
  t.equal(await store.head('nothing here'), undefined);
  const level = await store.list({ prefix: 'ünï/', delimiter: '/' });
  t.same([level.objects.length, level.commonPrefixes], [0, ['ünï/你好/']]);
  t.same(
    (await store.list({ prefix: '', startAfter: 'x', keysMax: 1 })).objects.map((object) => object.key.length),
    [1024],
  );
});

t.test('probe: good, empty, wrong bucket, wrong secret, unknown key, other region', async (t) => {
  const server = await startServer(t, { region: 'eu-central-1' });
  const access = await openAccess(t, { endpointUrl: server.url });
  t.match(await probeBucket(access.connection), { region: 'eu-central-1', empty: true });
  await put(access.connection, 'data/x');
  t.match(await probeBucket(access.connection), { empty: false });
  t.match(await probeBucket((await openAccess(t, { endpointUrl: server.url, prefix: 'other/' })).connection), {
    empty: true,
  });

  const failing = async (options: Parameters<typeof openAccess>[1]): Promise<unknown> =>
    storeErrorOf(probeBucket((await openAccess(t, { endpointUrl: server.url, ...options })).connection));
  t.match(await failing({ bucket: 'nobody-has-it' }), {
    code: 'NoSuchBucket',
    message: /bucket nobody-has-it does not exist/,
  });
  t.match(await failing({ region: 'us-west-2' }), { message: /is in region eu-central-1, not in us-west-2/ });
  t.match(await failing({ anonymous: true }), { code: 'AccessDenied', message: /anonymous/ });
  setKeys('AKIDEXAMPLE', 'wrong');
  t.match(await failing({}), { code: 'SignatureDoesNotMatch' });
  setKeys('AKNOBODY', 'wrong');
  t.match(await failing({}), { code: 'InvalidAccessKeyId' });
});

t.test('session keys replaced while the mount runs', async (t) => {
  const server = await startServer(t);
  const clock = new ManualClock(Date.now());
  const { connection, credentials } = await openAccess(t, { endpointUrl: server.url }, { clock });
  const store = createObjectStore(connection);
  await put(connection, 'a');
  server.setCredentials([{ accessKey: 'AKROTATED', secretKey: 'new', sessionToken: 'token' }]);
  clock.advance(10_000);
  t.match(
    await storeErrorOf(store.list({ prefix: '' })),
    { code: 'InvalidAccessKeyId' },
    'the environment still has the old ones',
  );
  setKeys('AKROTATED', 'new');
  process.env['AWS_SESSION_TOKEN'] = 'token';
  clock.advance(10_000);
  t.match(await store.list({ prefix: '' }), { objects: [{ key: 'a' }] });
  t.match(await credentials.current(), { accessKeyId: 'AKROTATED', sessionToken: 'token' });
});

t.test('slow down and resets are lived through', async (t) => {
  const server = await startServer(t);
  const { connection } = await openAccess(t, { endpointUrl: server.url });
  await put(connection, 'a');
  server.setFaults([{ operation: ['ListObjectsV2', 'HeadObject'], status: 503, code: 'SlowDown', every: 2 }]);
  const store = createObjectStore(connection);
  for (let round = 0; round < 4; round++) {
    t.equal((await store.list({ prefix: '' })).objects.length, 1);
    t.match(await store.head('a'), { sizeBytes: 4 });
  }
});

t.test('an answer that is no HTTP is asked for again', async (t) => {
  const server = await startServer(t);
  const { connection } = await openAccess(t, { endpointUrl: server.url });
  await put(connection, 'a');
  const store = createObjectStore(connection);
  const garbage = { garbageHead: true, times: 1 };
  server.setFaults([
    { operation: 'ListObjectsV2', ...garbage },
    { operation: 'HeadObject', ...garbage },
  ]);
  t.equal((await store.list({ prefix: '' })).objects.length, 1);
  t.match(await store.head('a'), { sizeBytes: 4 });
});
