/**
 * The AWS SDK for JavaScript against the server: what the contract table does not cover because it is about this server's
 * own options (regions, public buckets, temporary credentials, TLS, storage classes, small parts), and the connection
 * level (pipelining, refused bodies, broken heads).
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { Agent } from 'node:https';
import { connect } from 'node:net';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  paginateListObjectsV2,
  PutObjectCommand,
  PutObjectTaggingCommand,
  RenameObjectCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import t, { type Test } from 'tap';
import type { S3ServerOptions } from '../../../dev/s3-server/server.js';
import { makeTestCertificate } from '../../support/servers/tls.js';
import { clientOf, rawExchange, rawGet, startServer } from './support.js';

const KEYS = { accessKey: 'TEST', secretKey: 'SECRET' };
const Bucket = 'bucket';

async function start(t: Test, options: Partial<S3ServerOptions> = {}) {
  const { server, dir } = await startServer(t, { ...KEYS, ...options });
  mkdirSync(join(dir, Bucket));
  return { server, dir, s3: clientOf(t, server) };
}

t.test('multipart from create to complete, with copied parts, for every checksum', async (t) => {
  const { s3 } = await start(t, { minPartBytes: 1000 });
  const source = randomBytes(50_000);
  await s3.send(new PutObjectCommand({ Bucket, Key: 'source', Body: source }));
  for (const [ChecksumAlgorithm, ChecksumType] of [
    ['CRC32', 'COMPOSITE'],
    ['CRC32', 'FULL_OBJECT'],
    ['CRC32C', 'FULL_OBJECT'],
    ['CRC64NVME', 'FULL_OBJECT'],
    ['SHA1', 'COMPOSITE'],
    ['SHA256', 'COMPOSITE'],
  ] as const) {
    const Key = `mp-${ChecksumAlgorithm}-${ChecksumType}`;
    const { UploadId } = await s3.send(
      new CreateMultipartUploadCommand({ Bucket, Key, ChecksumAlgorithm, ChecksumType, Metadata: { of: 'upload' } }),
    );
    const base = { Bucket, Key, UploadId };
    const one = await s3.send(
      new UploadPartCommand({ ...base, PartNumber: 1, Body: source.subarray(0, 20_000), ChecksumAlgorithm }),
    );
    const copied = await s3.send(
      new UploadPartCopyCommand({
        ...base,
        PartNumber: 5,
        CopySource: `${Bucket}/source`,
        CopySourceRange: 'bytes=20000-49999',
      }),
    );
    const listed = (await s3.send(new ListPartsCommand(base))).Parts ?? [];
    t.same(
      listed.map(({ PartNumber, Size }) => [PartNumber, Size]),
      [
        [1, 20_000],
        [5, 30_000],
      ],
    );
    const Parts = [
      { ...one, PartNumber: 1 },
      { ...copied.CopyPartResult, PartNumber: 5 },
    ];
    const done = await s3.send(new CompleteMultipartUploadCommand({ ...base, MultipartUpload: { Parts } }));
    t.equal(done.ChecksumType, ChecksumType, Key);
    const md5 = (bytes: Buffer): Buffer => createHash('md5').update(bytes).digest();
    const etag = md5(Buffer.concat([md5(source.subarray(0, 20_000)), md5(source.subarray(20_000))])).toString('hex');
    t.equal(done.ETag, `"${etag}-2"`);
    const got = await s3.send(new GetObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }));
    t.ok(Buffer.from((await got.Body?.transformToByteArray()) ?? []).equals(source), 'the SDK verified it on the way');
    t.same(got.Metadata, { of: 'upload' });
    const second = await s3.send(new HeadObjectCommand({ Bucket, Key, PartNumber: 2 }));
    t.same([second.ContentLength, second.PartsCount], [30_000, 2]);
    const attributes = await s3.send(
      new GetObjectAttributesCommand({
        Bucket,
        Key,
        ObjectAttributes: ['ETag', 'ObjectParts', 'ObjectSize', 'Checksum'],
      }),
    );
    t.same([attributes.ObjectSize, attributes.ObjectParts?.TotalPartsCount], [50_000, 2]);
    t.equal(attributes.Checksum?.ChecksumType, ChecksumType);
  }
});

t.test('uploads listed and aborted; small parts refused unless allowed', async (t) => {
  const { s3, server } = await start(t);
  const begin = async (Key: string): Promise<string | undefined> =>
    (await s3.send(new CreateMultipartUploadCommand({ Bucket, Key }))).UploadId;
  for (const key of ['a/1', 'a/2', 'b']) await begin(key);
  const UploadId = await begin('c');
  const first = await s3.send(new ListMultipartUploadsCommand({ Bucket, Delimiter: '/', MaxUploads: 2 }));
  t.same([first.CommonPrefixes?.map(({ Prefix }) => Prefix), first.Uploads?.map(({ Key }) => Key)], [['a/'], ['b']]);
  t.ok(first.IsTruncated);
  const rest = await s3.send(
    new ListMultipartUploadsCommand({
      Bucket,
      KeyMarker: first.NextKeyMarker,
      UploadIdMarker: first.NextUploadIdMarker,
    }),
  );
  t.same(
    rest.Uploads?.map(({ Key }) => Key),
    ['c'],
  );
  const base = { Bucket, Key: 'c', UploadId };
  const Parts: CompletedPart[] = [];
  for (const PartNumber of [1, 2]) {
    Parts.push({ ...(await s3.send(new UploadPartCommand({ ...base, PartNumber, Body: 'small' }))), PartNumber });
  }
  await t.rejects(s3.send(new CompleteMultipartUploadCommand({ ...base, MultipartUpload: { Parts } })), {
    name: 'EntityTooSmall',
  });
  await s3.send(new AbortMultipartUploadCommand(base));
  await t.rejects(s3.send(new ListPartsCommand(base)), { name: 'NoSuchUpload' });
  t.equal(server.stats().operations['UploadPart']?.bytesIn, 10);
});

t.test('two Completes of one upload at once: one wins, the other finds no upload', async (t) => {
  const { s3 } = await start(t, { minPartBytes: 1 });
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key: 'k' }));
  const Parts: CompletedPart[] = [];
  for (const PartNumber of [1, 2]) {
    const part = new UploadPartCommand({ Bucket, Key: 'k', UploadId, PartNumber, Body: randomBytes(3_000_000) });
    Parts.push({ PartNumber, ETag: (await s3.send(part)).ETag });
  }
  const complete = () =>
    s3.send(new CompleteMultipartUploadCommand({ Bucket, Key: 'k', UploadId, MultipartUpload: { Parts } }));
  const outcomes = await Promise.allSettled([complete(), complete()]);
  t.same(outcomes.map(({ status }) => status).sort(), ['fulfilled', 'rejected']);
  const lost = outcomes.find((outcome) => outcome.status === 'rejected');
  t.match(lost?.reason, { name: 'NoSuchUpload' });
});

t.test('a race of conditional writes has one winner', async (t) => {
  const { s3 } = await start(t);
  const race = await Promise.allSettled(
    Array.from({ length: 8 }, (_, at) =>
      s3.send(new PutObjectCommand({ Bucket, Key: 'k', Body: `${at}`.repeat(100_000), IfNoneMatch: '*' })),
    ),
  );
  t.equal(race.filter(({ status }) => status === 'fulfilled').length, 1);
});

t.test('copy, rename, tags and storage classes', async (t) => {
  const { s3, dir } = await start(t);
  await s3.send(new PutObjectCommand({ Bucket, Key: 'a', Body: 'bytes', Metadata: { m: '1' }, Tagging: 'x=1&y=2' }));
  await s3.send(new CopyObjectCommand({ Bucket, Key: 'dir/a b', CopySource: `${Bucket}/a` }));
  const copied = await s3.send(new HeadObjectCommand({ Bucket, Key: 'dir/a b' }));
  t.same([copied.Metadata, copied.TagCount], [{ m: '1' }, 2]);
  await s3.send(new RenameObjectCommand({ Bucket, Key: 'a/b', RenameSource: 'a' }));
  t.equal(readFileSync(join(dir, Bucket, 'a/b'), 'utf8'), 'bytes', 'a becomes a folder');
  t.same((await s3.send(new HeadObjectCommand({ Bucket, Key: 'a/b' }))).Metadata, { m: '1' });
  const taken = new RenameObjectCommand({ Bucket, Key: 'dir/a b', RenameSource: 'a/b', DestinationIfNoneMatch: '*' });
  await t.rejects(s3.send(taken), { name: 'PreconditionFailed' });
  const TagSet = [{ Key: 'k ü', Value: '<&>' }];
  await s3.send(new PutObjectTaggingCommand({ Bucket, Key: 'a/b', Tagging: { TagSet } }));
  t.same((await s3.send(new GetObjectTaggingCommand({ Bucket, Key: 'a/b' }))).TagSet, TagSet);
  await s3.send(new PutObjectCommand({ Bucket, Key: 'cold', Body: 'x', StorageClass: 'GLACIER' }));
  t.equal((await s3.send(new HeadObjectCommand({ Bucket, Key: 'cold' }))).StorageClass, 'GLACIER');
  await t.rejects(s3.send(new GetObjectCommand({ Bucket, Key: 'cold' })), { name: 'InvalidObjectState' });
  await t.rejects(s3.send(new CopyObjectCommand({ Bucket, Key: 'warm', CopySource: `${Bucket}/cold` })), {
    name: 'InvalidObjectState',
  });
});

t.test('over TLS: unsigned payload with a trailer, from a stream', async (t) => {
  const certificate = await makeTestCertificate();
  t.teardown(() => certificate.remove());
  const { server } = await start(t, {
    tls: { cert: readFileSync(certificate.certFile), key: readFileSync(certificate.keyFile) },
  });
  const httpsAgent = new Agent({ ca: readFileSync(certificate.caFile) });
  const s3 = clientOf(t, server, { requestHandler: new NodeHttpHandler({ httpsAgent }) });
  const body = randomBytes(3_000_000);
  const stream = Readable.from([body.subarray(0, 1_000_001), body.subarray(1_000_001)], { objectMode: false });
  await s3.send(new PutObjectCommand({ Bucket, Key: 'k', Body: stream, ContentLength: body.length }));
  const put = server.requests().find(({ operation }) => operation === 'PutObject');
  t.equal(put?.headers.get('x-amz-content-sha256'), 'STREAMING-UNSIGNED-PAYLOAD-TRAILER');
  const got = await s3.send(new GetObjectCommand({ Bucket, Key: 'k', ChecksumMode: 'ENABLED' }));
  t.type(got.ChecksumCRC32, 'string');
  t.ok(Buffer.from((await got.Body?.transformToByteArray()) ?? []).equals(body));
});

t.test('regions: what a client that guessed wrong is told', async (t) => {
  const { server, dir, s3 } = await start(t, { region: 'eu-west-1', bucketRegions: { far: 'ap-south-1' } });
  mkdirSync(join(dir, 'far'));
  const wrong = (await fetchedError(() => s3.send(new ListObjectsV2Command({ Bucket })))) as { Region?: string };
  t.match(wrong, { name: 'AuthorizationHeaderMalformed', Region: 'eu-west-1' });
  const right = clientOf(t, server, { region: 'eu-west-1' });
  t.equal((await right.send(new HeadBucketCommand({ Bucket }))).BucketRegion, 'eu-west-1');
  const redirected = (await fetchedError(() => right.send(new HeadBucketCommand({ Bucket: 'far' })))) as {
    $response?: { statusCode: number; headers: Record<string, string> };
  };
  t.equal(redirected.$response?.statusCode, 301);
  t.equal(redirected.$response?.headers['x-amz-bucket-region'], 'ap-south-1');
  const there = clientOf(t, server, { region: 'ap-south-1' });
  t.equal((await there.send(new HeadBucketCommand({ Bucket: 'far' }))).BucketRegion, 'ap-south-1');
  await right.send(
    new CreateBucketCommand({ Bucket: 'made', CreateBucketConfiguration: { LocationConstraint: 'eu-west-1' } }),
  );
  t.equal((await right.send(new HeadBucketCommand({ Bucket: 'made' }))).BucketRegion, 'eu-west-1');
});

async function fetchedError(call: () => Promise<unknown>): Promise<unknown> {
  try {
    await call();
  } catch (error) {
    return error;
  }
  return undefined;
}

t.test('credentials: none, wrong, anonymous, temporary, and changed while running', async (t) => {
  const { server, dir, s3 } = await start(t, { publicBuckets: ['public'] });
  mkdirSync(join(dir, 'public'));
  writeFileSync(join(dir, 'public', 'k'), 'open');
  const list = new ListObjectsV2Command({ Bucket });
  const credentials = { accessKeyId: 'TEST', secretAccessKey: 'WRONG' };
  await t.rejects(clientOf(t, server, { credentials }).send(list), { name: 'SignatureDoesNotMatch' });
  const unknown = { accessKeyId: 'OTHER', secretAccessKey: 'SECRET' };
  await t.rejects(clientOf(t, server, { credentials: unknown }).send(list), { name: 'InvalidAccessKeyId' });
  t.equal((await fetch(`${server.url}/${Bucket}?list-type=2`)).status, 403);
  t.equal(await (await fetch(`${server.url}/public/k`)).text(), 'open');
  t.equal((await fetch(`${server.url}/public?list-type=2`)).status, 200);
  t.equal((await fetch(`${server.url}/public/k`, { method: 'DELETE' })).status, 403);
  server.setCredentials([{ accessKey: 'TEST', secretKey: 'NEW', sessionToken: 'TOKEN' }]);
  await t.rejects(s3.send(list), { name: 'InvalidToken' });
  const temporary = { accessKeyId: 'TEST', secretAccessKey: 'NEW', sessionToken: 'TOKEN' };
  t.equal((await clientOf(t, server, { credentials: temporary }).send(list)).KeyCount, 0);
  server.setCredentials([{ accessKey: 'TEST', secretKey: 'NEW', sessionToken: 'TOKEN', expiresMs: 1 }]);
  await t.rejects(clientOf(t, server, { credentials: temporary }).send(list), { name: 'ExpiredToken' });
  server.setCredentials(null);
  t.equal((await fetch(`${server.url}/${Bucket}?list-type=2`)).status, 200);
});

t.test('listings of 2,500 keys in pages, with a delimiter, virtual-host style', async (t) => {
  const { s3, dir, server } = await start(t);
  const names: string[] = [];
  for (let at = 0; at < 2500; at++) {
    const name = `d${at % 50}/f ${at}`;
    mkdirSync(join(dir, Bucket, `d${at % 50}`), { recursive: true });
    writeFileSync(join(dir, Bucket, name), '');
    names.push(name);
  }
  const seen: string[] = [];
  for await (const page of paginateListObjectsV2({ client: s3 }, { Bucket })) {
    seen.push(...(page.Contents ?? []).map(({ Key }) => Key ?? ''));
  }
  t.same(seen, names.sort());
  const prefixes: string[] = [];
  for await (const page of paginateListObjectsV2({ client: s3, pageSize: 7 }, { Bucket, Delimiter: '/' })) {
    prefixes.push(...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix ?? ''));
  }
  t.equal(prefixes.length, 50);
  t.equal(server.stats().operations['ListObjectsV2']?.requests, 3 + 8);
});

t.test('pipelined requests are answered in order; HEAD has no body; a broken head ends the connection', async (t) => {
  const { server, dir } = await startServer(t);
  mkdirSync(join(dir, 'b'));
  writeFileSync(join(dir, 'b', 'k'), 'body');
  const get = rawGet('/b/k').replace('Connection: close\r\n', '');
  const pipelined = `${get}${get.replace('GET', 'HEAD')}${get.replace('/b/k', '/b/none')}${get}BROKEN\r\n\r\n`;
  const { text, ended } = await rawExchange(server, pipelined);
  const statuses = [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map((match) => match[1]);
  t.same(statuses, ['200', '200', '404', '200', '400']);
  t.equal(text.split('\r\n\r\nbody').length - 1, 2, 'two bodies, none for HEAD');
  t.equal(ended, 'end');
});

t.test('a response override cannot smuggle a header', async (t) => {
  const { server, dir } = await startServer(t);
  mkdirSync(join(dir, 'b'));
  writeFileSync(join(dir, 'b', 'k'), 'body');
  for (const value of ['a\r\nx-smuggled: 1', 'a\u010d\u010ax-smuggled: 1']) {
    const path = `/b/k?response-content-type=${encodeURIComponent(value)}`;
    const answer = await rawExchange(server, rawGet(path));
    t.equal(answer.status, 200);
    t.notOk(answer.headers.has('x-smuggled'));
    t.equal(answer.body.toString(), 'body');
  }
});

t.test('a refused upload: the answer comes without the body being asked for', async (t) => {
  const { server } = await startServer(t);
  const head = 'PUT /nobucket/k HTTP/1.1\r\nHost: h\r\nContent-Length: 50000000\r\n';
  const waiting = await rawExchange(server, `${head}Expect: 100-continue\r\n\r\n`);
  t.equal(waiting.status, 404, 'no 100 before it');
  t.equal(waiting.headers.get('connection'), 'close');
  // One that sends all the same gets the answer too, and is not cut off before it could read it.
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = connect({ port: server.port, host: '127.0.0.1' });
    let text = '';
    socket.on('data', (piece) => (text += piece.toString()));
    socket.on('end', () => resolve(text));
    socket.on('error', reject);
    socket.write(`${head}\r\n`);
    for (let at = 0; at < 50; at++) socket.write(Buffer.alloc(1_000_000));
  });
  t.match(answer, /^HTTP\/1\.1 404 /);
});

t.test('the admin endpoint, only when asked for', async (t) => {
  const { server, dir } = await startServer(t, { admin: true });
  mkdirSync(join(dir, 'b'));
  const post = (path: string, body: unknown) =>
    fetch(`${server.url}/-/${path}`, { method: 'POST', body: JSON.stringify(body) });
  t.equal((await post('faults', [{ operation: 'HeadBucket', status: 503 }])).status, 200);
  t.equal((await fetch(`${server.url}/b`, { method: 'HEAD' })).status, 503);
  t.equal((await post('faults', [{ wrong: 1 }])).status, 400);
  const stats = (await (await fetch(`${server.url}/-/stats`)).json()) as { requests: number; faultsInjected: number };
  t.match(stats, { requests: 1, faultsInjected: 1 });
  const requests = (await (await fetch(`${server.url}/-/requests`)).json()) as { operation: string }[];
  t.equal(requests[0]?.operation, 'HeadBucket');
  t.equal((await post('stats/reset', null)).status, 200);
  t.equal(server.stats().requests, 0);
  t.equal((await post('rescan', null)).status, 200);
  t.equal((await fetch(`${server.url}/-/nothing`)).status, 404);
  const { server: plain } = await startServer(t);
  t.match(await (await fetch(`${plain.url}/-/stats`)).text(), /NoSuchBucket/);
});
