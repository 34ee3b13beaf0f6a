/**
 * The control plane and directory buckets of the built-in S3 server: sessions are made, used, renewed when they are refused,
 * and asked for as what they are needed for; what can be wrong is said with what to do.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PutObjectCommand } from '@aws-sdk/client-s3';
import t, { type Test } from 'tap';
import { startS3Server, type S3Server } from '../../../dev/s3-server/server.js';
import type { StoreOptions } from '../../../src/engine/api.js';
import { probeBucket } from '../../../src/engine/store/probe.js';
import { createObjectStore } from '../../../src/engine/store/s3-store.js';
import { isolateEnvironment, openAccess, setKeys, storeErrorOf, unusedPort } from './harness.js';

const bucket = 'data--use1-az4--x-s3';
const KEYS = { accessKey: 'AKIDEXAMPLE', secretKey: 'secret' };

async function startServer(t: Test): Promise<S3Server> {
  const dir = mkdtempSync(join(tmpdir(), 'mount-s3x-sessions-'));
  mkdirSync(join(dir, bucket));
  const server = await startS3Server({ dir, ...KEYS });
  t.teardown(async () => {
    await server.close();
    rmSync(dir, { recursive: true, force: true });
  });
  return server;
}

const openBucket = (t: Test, server: S3Server, more: Partial<StoreOptions> = {}) =>
  openAccess(t, { bucket, endpointUrl: server.url, region: 'us-east-1', ...more });

const sessionsOf = (server: S3Server) => server.requests().filter(({ operation }) => operation === 'CreateSession');

t.beforeEach((t) => {
  isolateEnvironment(t);
  setKeys();
});

t.test('one session for the probe, HEADs and LISTs; another when the store has ended it', async (t) => {
  const server = await startServer(t);
  const { connection, credentials } = await openBucket(t, server);
  t.match(await probeBucket(connection), { empty: true, region: 'us-east-1' });
  await connection.client.send(new PutObjectCommand({ Bucket: bucket, Key: 'dir/k ü', Body: 'body' }));
  const store = createObjectStore(connection);
  t.match(await store.head('dir/k ü'), { sizeBytes: 4, storageClass: 'EXPRESS_ONEZONE' });
  t.match((await store.list({ prefix: 'dir/' })).objects, [{ key: 'dir/k ü' }]);
  t.equal(sessionsOf(server).length, 1);
  t.equal(sessionsOf(server)[0]?.headers.get('x-amz-create-session-mode'), 'ReadWrite');
  const before = await credentials.current();
  t.match(before, { iam: { accessKeyId: KEYS.accessKey }, sessionToken: /./ });
  await new Promise((resolve) => setTimeout(resolve, 1100));
  server.endSessions();
  t.match(await store.head('dir/k ü'), { sizeBytes: 4 }, 'a HEAD has no words for why: a LIST is asked');
  t.not((await credentials.current())?.accessKeyId, before?.accessKeyId);
  t.equal(sessionsOf(server).length, 2);
});

t.test('many HEADs that are refused at once, and again soon after', async (t) => {
  const server = await startServer(t);
  const { connection } = await openBucket(t, server);
  await connection.client.send(new PutObjectCommand({ Bucket: bucket, Key: 'd/k', Body: 'body' }));
  const store = createObjectStore(connection);
  for (let round = 0; round < 3; round++) {
    await new Promise((resolve) => setTimeout(resolve, 1200));
    server.endSessions();
    const heads = await Promise.all(Array.from({ length: 12 }, () => store.head('d/k')));
    t.ok(heads.every((head) => head?.sizeBytes === 4));
  }
  t.equal(sessionsOf(server).length, 4, 'one session each time');
});

t.test('a mount that only reads asks for sessions that only read', async (t) => {
  const server = await startServer(t);
  server.setCredentials([{ ...KEYS, sessions: 'ReadOnly' }]);
  await probeBucket((await openBucket(t, server, { readsOnly: true })).connection);
  t.equal(sessionsOf(server)[0]?.headers.get('x-amz-create-session-mode'), 'ReadOnly');
  const error = await storeErrorOf(probeBucket((await openBucket(t, server)).connection));
  t.match(error, { code: 'AccessDenied', message: /ReadWrite session/, remedy: /--read-only/ });
});

t.test('the permission that is missing is named', async (t) => {
  const server = await startServer(t);
  server.setCredentials([{ ...KEYS, sessions: 'none' }]);
  const error = await storeErrorOf(probeBucket((await openBucket(t, server)).connection));
  t.match(
    error.remedy,
    /"s3express:CreateSession", "Resource": "arn:aws:s3express:us-east-1:ACCOUNT:bucket\/data--use1/,
  );
});

t.test('other things that can be wrong are said as for any bucket', async (t) => {
  const server = await startServer(t);
  const refused = async (more: Partial<StoreOptions>) =>
    (await storeErrorOf(probeBucket((await openBucket(t, server, more)).connection))).code;
  t.equal(await refused({ endpointUrl: `http://127.0.0.1:${await unusedPort()}` }), 'ConnectionRefused');
  t.equal(await refused({ bucket: 'gone--use1-az4--x-s3' }), 'NoSuchBucket');
  setKeys('AKIDOTHER');
  t.equal(await refused({}), 'InvalidAccessKeyId');
});
