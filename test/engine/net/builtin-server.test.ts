/**
 * The net thread against a real S3 server (the embedded one): signatures verified, odd keys, replaced and deleted objects,
 * wrong secrets, expired tokens, and the server's own faults, over HTTP and HTTPS.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import https from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DeleteObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import t, { type Test } from 'tap';
import { startS3Server, type FaultRule, type S3Server } from '../../../dev/s3-server/server.js';
import { EACCES, EIO, ESTALE } from '../../../src/base/errno.js';
import { MIB } from '../../../src/base/units.js';
import { TEST_CA_PEM, TEST_SERVER_CERT_PEM, TEST_SERVER_KEY_PEM } from '../../support/raw-server-certs.js';
import { Harness, pattern, type HarnessOptions } from './harness.js';

const credentials = { accessKeyId: 'AKIDTEST', secretAccessKey: 'the secret' };
const temporary = { accessKeyId: 'ASIATEMP', secretAccessKey: 'another', sessionToken: 'token/+= of a session' };
const object = pattern(2 * MIB + 4321);

class Store {
  readonly server: S3Server;
  readonly client: S3Client;
  readonly isTls: boolean;

  constructor(server: S3Server, isTls: boolean) {
    this.server = server;
    this.isTls = isTls;
    this.client = new S3Client({
      region: 'us-east-1',
      endpoint: server.url,
      forcePathStyle: true,
      credentials,
      ...(isTls ? { requestHandler: new NodeHttpHandler({ httpsAgent: new https.Agent({ ca: TEST_CA_PEM }) }) } : {}),
    });
  }

  async put(key: string, body: Buffer): Promise<string> {
    const { ETag } = await this.client.send(new PutObjectCommand({ Bucket: 'bucket', Key: key, Body: body }));
    return ETag ?? '';
  }

  harness(t: Test, more: Partial<HarnessOptions> = {}): Harness {
    const harness = new Harness({
      object,
      port: this.server.port,
      anonymous: false,
      ...more,
      target: {
        hostHeader: `127.0.0.1:${this.server.port}`,
        ...(this.isTls ? { tls: true, caPem: TEST_CA_PEM } : {}),
        ...more.target,
      },
    });
    harness.thread.handle({ type: 'credentials', credentials });
    t.teardown(() => harness.close());
    return harness;
  }
}

async function start(t: Test, isTls = false): Promise<Store> {
  const dir = await mkdtemp(join(tmpdir(), 'mount-s3x-net-'));
  await mkdir(join(dir, 'bucket'));
  const server = await startS3Server({
    dir,
    accessKey: credentials.accessKeyId,
    secretKey: credentials.secretAccessKey,
    ...(isTls ? { tls: { cert: TEST_SERVER_CERT_PEM, key: TEST_SERVER_KEY_PEM } } : {}),
  });
  const store = new Store(server, isTls);
  t.teardown(async () => {
    store.client.destroy();
    await server.close();
    await rm(dir, { recursive: true, force: true });
  });
  return store;
}

for (const isTls of [false, true]) {
  t.test(`signed ranges of odd keys over ${isTls ? 'https' : 'http'}`, async (t) => {
    const store = await start(t, isTls);
    const keys = [
      'plain',
      'a b+c',
      'dir//x',
      'dir/../up',
      './here',
      'ümlaut/日本/🦊',
      'q?a=b#c%20',
      "x*()!'~",
      'tail/',
    ];
    const harness = store.harness(t);
    for (const key of keys) {
      const etag = await store.put(key, object);
      for (const [startOffset, endOffset] of [
        [0, object.length],
        [MIB - 3, MIB + 3],
        [object.length - 1, object.length],
      ] as const) {
        for (let slot = 0; slot < 4; slot++) harness.wipe(slot);
        const end = await harness.fetch(startOffset, endOffset, 0, { key, etag });
        t.match(end, { type: 'fetchDone' }, `${key} ${startOffset}`);
        harness.expect(startOffset, endOffset);
        harness.assertPool(t, `${key} ${startOffset}: bytes`);
      }
    }
    t.ok(store.server.stats().connections <= 2 + keys.length, 'connections are reused');
  });
}

t.test('an object that is replaced or deleted is stale, and no byte of the new one lands', async (t) => {
  const store = await start(t);
  const harness = store.harness(t);
  const etag = await store.put('file', object);
  await store.put('file', pattern(object.length, 99));
  t.match(await harness.fetch(0, 1000, 0, { key: 'file', etag }), {
    type: 'fetchFailed',
    errno: ESTALE,
    code: 'PreconditionFailed',
  });
  await store.client.send(new DeleteObjectCommand({ Bucket: 'bucket', Key: 'file' }));
  t.match(await harness.fetch(0, 1000, 0, { key: 'file', etag }), {
    type: 'fetchFailed',
    errno: ESTALE,
    code: 'NoSuchKey',
  });
  harness.assertPool(t);
});

t.test('who may not read', async (t) => {
  const store = await start(t);
  const etag = await store.put('file', object);
  const wrong = store.harness(t);
  wrong.thread.handle({ type: 'credentials', credentials: { ...credentials, secretAccessKey: 'not it' } });
  t.match(await wrong.fetch(0, 10, 0, { key: 'file', etag }), { errno: EACCES, code: 'SignatureDoesNotMatch' });
  const anonymous = store.harness(t);
  anonymous.thread.handle({ type: 'credentials', credentials: undefined });
  t.match(await anonymous.fetch(0, 10, 0, { key: 'file', etag }), { errno: EACCES, code: 'AccessDenied' });
  const { accessKeyId: accessKey, secretAccessKey: secretKey, sessionToken } = temporary;
  store.server.setCredentials([{ accessKey, secretKey, sessionToken }]);
  const renewed = store.harness(t);
  const ended = renewed.fetch(0, 10, 0, { key: 'file', etag });
  await renewed.until(() => renewed.of('credentialsRefused').length === 1);
  t.match(renewed.of('credentialsRefused'), [{ code: 'InvalidAccessKeyId' }]);
  renewed.thread.handle({ type: 'credentials', credentials: temporary });
  t.match(await ended, { type: 'fetchDone' }, 'with the session token that came later');
  renewed.expect(0, 10);
  renewed.assertPool(t);
});

t.test("the server's faults", async (t) => {
  const store = await start(t);
  const etag = await store.put('file', object);
  const timeouts = { firstByteMs: 150, stallMs: 150 };
  const rows: [string, FaultRule, object][] = [
    ['reset before the head', { resetBeforeHead: true, times: 2 }, { type: 'fetchDone' }],
    ['close before the head', { closeBeforeHead: true, times: 2 }, { type: 'fetchDone' }],
    ['garbage', { garbageHead: true, times: 2 }, { type: 'fetchDone' }],
    ['reset in the body', { resetAfterBytes: 700_000, times: 2 }, { type: 'fetchDone' }],
    ['close in the body', { closeAfterBytes: 1_500_000, times: 3 }, { type: 'fetchDone' }],
    ['truncated', { truncateBytes: 1, times: 2 }, { type: 'fetchDone' }],
    ['a short body that says so', { shortBodyBytes: 10, times: 2 }, { type: 'fetchDone' }],
    ['a stall', { stallAfterBytes: 500_000, stallMs: 5000, times: 1 }, { type: 'fetchDone' }],
    ['a late first byte', { firstByteMs: 5000, times: 1 }, { type: 'fetchDone' }],
    ['503', { status: 503, code: 'SlowDown', times: 2 }, { type: 'fetchDone' }],
    ['500 for ever', { status: 500, code: 'InternalError' }, { errno: EIO, code: 'InternalError' }],
    ['a wrong ETag for ever', { wrongEtag: true }, { errno: ESTALE, code: 'ETagMismatch' }],
    ['a wrong Content-Range for ever', { wrongContentRange: true }, { errno: EIO, code: 'ContentRangeMismatch' }],
  ];
  for (const [what, rule, want] of rows) {
    store.server.setFaults([{ operation: 'GetObject', ...rule }]);
    const harness = store.harness(t, { timeouts });
    // Not the whole object: that has no Content-Range.
    const end = await harness.fetch(1, object.length, 0, { key: 'file', etag });
    t.match(end, want, what);
    if (end.type === 'fetchDone') harness.expect(1, object.length);
    harness.assertPool(t, `${what}: bytes`);
    harness.close();
  }
});
