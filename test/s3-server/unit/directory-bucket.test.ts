/**
 * Directory buckets of the embedded server, by the AWS SDK, which creates sessions by itself for such names; and by requests
 * that it would not send: without a session, with one that has ended, with one for reading only.
 */
import { createHash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { Agent, type AgentOptions } from 'node:http';
import { join } from 'node:path';
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateMultipartUploadCommand,
  CreateSessionCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  paginateListObjectsV2,
  PutObjectCommand,
  RenameObjectCommand,
  type S3Client,
  type S3ClientConfig,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { NodeHttpHandler } from '@smithy/node-http-handler';
import t, { type Test } from 'tap';
import type { S3Server, S3ServerOptions } from '../../../dev/s3-server/server.js';
import type { TestServer } from '../../support/servers/server.js';
import { expectError, expectStatus, send, signed } from '../cases/raw.js';
import { clientOf, startServer } from './support.js';

const Bucket = 'data--use1-az4--x-s3';
const IAM = { accessKeyId: 'TEST', secretAccessKey: 'SECRET' };
const DOMAIN = 's3x.test';

interface Running {
  readonly server: S3Server;
  readonly s3: S3Client;
  readonly client: (config?: S3ClientConfig) => S3Client;
}

async function start(t: Test, options: Partial<S3ServerOptions> = {}): Promise<Running> {
  const { server, dir } = await startServer(t, {
    accessKey: IAM.accessKeyId,
    secretKey: IAM.secretAccessKey,
    domains: [DOMAIN],
    ...options,
  });
  mkdirSync(join(dir, Bucket));
  mkdirSync(join(dir, 'other--use1-az4--x-s3'));
  mkdirSync(join(dir, 'general'));
  // Virtual hosts: for an address the SDK's rules put a second slash before the key.
  const lookup = (_host: string, asked: { all?: boolean }, done: (...answer: unknown[]) => void): void => {
    if (asked.all === true) done(null, [{ address: '127.0.0.1', family: 4 }]);
    else done(null, '127.0.0.1', 4);
  };
  const client = (config: S3ClientConfig = {}): S3Client =>
    clientOf(t, server, {
      endpoint: `http://${DOMAIN}:${server.port}`,
      forcePathStyle: false,
      requestHandler: new NodeHttpHandler({ httpAgent: new Agent({ lookup } as AgentOptions) }),
      ...config,
    });
  return { server, s3: client(), client };
}

/** A client that takes `session` for every request's session, and never asks for another. */
function withSession(
  running: Running,
  session: { accessKeyId: string; secretAccessKey: string; sessionToken?: string },
) {
  const s3ExpressIdentityProvider = { getS3ExpressIdentity: () => Promise.resolve(session) };
  // The SDK's types leave the provider out of the configuration that it reads it from.
  return running.client({ s3ExpressIdentityProvider });
}

async function open(s3: S3Client, SessionMode?: 'ReadOnly' | 'ReadWrite') {
  const { Credentials } = await s3.send(
    new CreateSessionCommand({ Bucket, ...(SessionMode === undefined ? {} : { SessionMode }) }),
  );
  return {
    accessKeyId: Credentials?.AccessKeyId ?? '',
    secretAccessKey: Credentials?.SecretAccessKey ?? '',
    sessionToken: Credentials?.SessionToken ?? '',
    expiresMs: Credentials?.Expiration?.getTime() ?? 0,
  };
}

const put = (s3: S3Client, Key: string, Body: string, more = {}) =>
  s3.send(new PutObjectCommand({ Bucket, Key, Body, ...more }));

async function text(s3: S3Client, Key: string): Promise<string> {
  return (await (await s3.send(new GetObjectCommand({ Bucket, Key }))).Body?.transformToString()) ?? '';
}

void t.test('one session carries many requests; ETags are no MD5, the class is EXPRESS_ONEZONE', async (t) => {
  const { server, s3 } = await start(t);
  const made = await put(s3, 'a/b', 'hello', { ChecksumAlgorithm: 'CRC64NVME' });
  t.not(made.ETag, `"${createHash('md5').update('hello').digest('hex')}"`);
  t.equal(await text(s3, 'a/b'), 'hello');
  const head = await s3.send(new HeadObjectCommand({ Bucket, Key: 'a/b', ChecksumMode: 'ENABLED' }));
  t.match(head, { StorageClass: 'EXPRESS_ONEZONE', ETag: made.ETag, ChecksumCRC64NVME: made.ChecksumCRC64NVME });
  const listed = await s3.send(new ListObjectsV2Command({ Bucket }));
  t.match(listed.Contents, [{ Key: 'a/b', StorageClass: 'EXPRESS_ONEZONE', ETag: made.ETag }]);
  t.match(await s3.send(new HeadBucketCommand({ Bucket })), { BucketLocationName: 'use1-az4' });
  const zonal = server.requests().filter((one) => one.operation !== 'CreateSession');
  t.ok(zonal.every((one) => one.headers.has('x-amz-s3session-token')));
  t.equal(server.stats().operations['CreateSession']?.requests, 1);
});

void t.test('without a session, or with a wrong, ended or foreign one, nothing is done', async (t) => {
  const running = await start(t);
  const { s3, server } = running;
  const plain = running.client({ disableS3ExpressSessionAuth: true });
  await t.rejects(put(plain, 'k', 'x'), { name: 'AccessDenied', $metadata: { httpStatusCode: 403 } });
  const session = await open(s3);
  t.ok(session.expiresMs > Date.now() + 290_000 && session.expiresMs < Date.now() + 310_000, 'five minutes');
  const own = withSession(running, session);
  await put(own, 'k', 'x');
  await t.rejects(put(withSession(running, { ...session, sessionToken: 'made up' }), 'k', 'x'), {
    name: 'InvalidToken',
  });
  await t.rejects(put(withSession(running, { ...session, secretAccessKey: 'no' }), 'k', 'x'), {
    name: 'SignatureDoesNotMatch',
  });
  await t.rejects(own.send(new PutObjectCommand({ Bucket: 'other--use1-az4--x-s3', Key: 'k', Body: 'x' })), {
    name: 'AccessDenied',
  });
  server.endSessions();
  await t.rejects(put(own, 'k', 'x'), { name: 'ExpiredToken', $metadata: { httpStatusCode: 400 } });
  await put(withSession(running, await open(s3)), 'k', 'y');
  t.equal(await text(running.client(), 'k'), 'y');
});

void t.test('sessions end when their time is over', async (t) => {
  const running = await start(t, { sessionSeconds: 1 });
  const own = withSession(running, await open(running.s3));
  await put(own, 'k', 'x');
  await new Promise((resolve) => setTimeout(resolve, 1100));
  await t.rejects(put(own, 'k', 'x'), { name: 'ExpiredToken' });
});

void t.test('a session for reading reads; who may have no other gets that one', async (t) => {
  const running = await start(t);
  await put(running.s3, 'k', 'x');
  const reader = withSession(running, await open(running.s3, 'ReadOnly'));
  t.equal(await text(reader, 'k'), 'x');
  await t.rejects(put(reader, 'k', 'y'), { name: 'AccessDenied' });
  await t.rejects(reader.send(new DeleteObjectCommand({ Bucket, Key: 'k' })), { name: 'AccessDenied' });
  const keys = { accessKey: IAM.accessKeyId, secretKey: IAM.secretAccessKey };
  running.server.setCredentials([{ ...keys, sessions: 'ReadOnly' }]);
  await t.rejects(open(running.s3, 'ReadWrite'), { name: 'AccessDenied' });
  t.equal(await text(withSession(running, await open(running.s3)), 'k'), 'x');
  running.server.setCredentials([{ ...keys, sessions: 'none' }]);
  await t.rejects(open(running.s3), { name: 'AccessDenied', message: /s3express:CreateSession/ });
});

void t.test('listings: all names once, in no order; prefixes end in a slash; nothing starts after', async (t) => {
  const { s3 } = await start(t);
  const names = Array.from({ length: 60 }, (_, at) => `d/${String(at).padStart(3, '0')}`);
  for (const name of names) await put(s3, name, 'x');
  const listed: string[] = [];
  for await (const page of paginateListObjectsV2({ client: s3 }, { Bucket, Prefix: 'd/', MaxKeys: 7 })) {
    for (const { Key } of page.Contents ?? []) listed.push(Key ?? '');
  }
  t.not(listed.join(), names.join(), 'not in key order');
  t.same([...listed].sort(), names);
  const list = (more: object) => s3.send(new ListObjectsV2Command({ Bucket, ...more }));
  await t.rejects(list({ Prefix: 'd/0' }), { name: 'InvalidRequest', message: /does not end in a delimiter/ });
  await t.rejects(list({ StartAfter: 'd/' }), { name: 'NotImplemented' });
  await t.rejects(list({ Delimiter: '0' }), { name: 'InvalidRequest' });
  await t.rejects(s3.send(new ListObjectsCommand({ Bucket })), { name: 'NotImplemented' });
  await s3.send(new CreateMultipartUploadCommand({ Bucket, Key: 'e/f' }));
  const top = await list({ Delimiter: '/' });
  t.same(top.CommonPrefixes?.map((one) => one.Prefix).sort(), ['d/', 'e/'], 'prefixes of unfinished uploads, too');
  await s3.send(new CreateMultipartUploadCommand({ Bucket, Key: 'e/g' }));
  const uploads = (more: object) => s3.send(new ListMultipartUploadsCommand({ Bucket, MaxUploads: 1, ...more }));
  const first = await uploads({});
  t.match(first, { IsTruncated: true, NextKeyMarker: 'e/f' });
  t.notOk(first.NextUploadIdMarker, 'they go on by key');
  t.match(await uploads({ KeyMarker: first.NextKeyMarker }), { IsTruncated: false, Uploads: [{ Key: 'e/g' }] });
});

void t.test('a rename keeps the object; conditions and the client token are looked at', async (t) => {
  const { s3 } = await start(t);
  const rename = (from: string, Key: string, more = {}) =>
    s3.send(new RenameObjectCommand({ Bucket, Key, RenameSource: `/${Bucket}/${encodeURIComponent(from)}`, ...more }));
  await put(s3, 'a ü', 'x', { Metadata: { m: '1' } });
  const before = await s3.send(new HeadObjectCommand({ Bucket, Key: 'a ü' }));
  await rename('a ü', 'b', { ClientToken: 'token-1' });
  const after = await s3.send(new HeadObjectCommand({ Bucket, Key: 'b' }));
  t.match(after, { ETag: before.ETag, LastModified: before.LastModified, Metadata: { m: '1' } });
  await t.rejects(s3.send(new HeadObjectCommand({ Bucket, Key: 'a ü' })), { name: 'NotFound' });
  await rename('a ü', 'b', { ClientToken: 'token-1' });
  await t.rejects(rename('b', 'c', { ClientToken: 'token-1' }), { name: 'IdempotencyParameterMismatch' });
  await put(s3, 'c', 'y');
  await t.rejects(rename('b', 'c', { DestinationIfNoneMatch: '*' }), { name: 'PreconditionFailed' });
  await t.rejects(rename('b', 'c', { SourceIfMatch: '"other"' }), { name: 'PreconditionFailed' });
  await t.rejects(rename('b', 'c', { DestinationIfMatch: '"other"' }), { name: 'PreconditionFailed' });
  await rename('b', 'c', { SourceIfMatch: after.ETag });
  t.equal(await text(s3, 'c'), 'x');
  await t.rejects(rename('gone', 'd'), { name: 'NoSuchKey' });
  await t.rejects(rename('c', 'd/'), { name: 'InvalidRequest' });
});

void t.test('parts are numbered without gaps; copies go by IAM keys', async (t) => {
  const { s3, server } = await start(t, { minPartBytes: 3 });
  await put(s3, 'source', 'source');
  const upload = {
    Bucket,
    Key: 'big',
    UploadId: (await s3.send(new CreateMultipartUploadCommand({ Bucket, Key: 'big' }))).UploadId,
  };
  const part = async (PartNumber: number, Body: string) => ({
    PartNumber,
    ETag: (await s3.send(new UploadPartCommand({ ...upload, PartNumber, Body }))).ETag,
  });
  const one = await part(1, 'one');
  const three = await part(3, 'three');
  const complete = (...Parts: object[]) =>
    s3.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload: { Parts } }));
  await t.rejects(complete(one, three), { name: 'InvalidPartOrder' });
  const copied = await s3.send(new UploadPartCopyCommand({ ...upload, PartNumber: 2, CopySource: `${Bucket}/source` }));
  await complete(one, { PartNumber: 2, ETag: copied.CopyPartResult?.ETag }, three);
  t.equal(await text(s3, 'big'), 'onesourcethree');
  await s3.send(new CopyObjectCommand({ Bucket, Key: 'copy', CopySource: `${Bucket}/big` }));
  t.equal(await text(s3, 'copy'), 'onesourcethree');
  const copies = server.requests().filter((request) => /Copy/.test(request.operation));
  t.equal(copies.length, 2);
  t.ok(copies.every((request) => request.headers.get('authorization')?.includes('Credential=TEST/')));
});

void t.test('what directory buckets do not have is refused', async (t) => {
  const { s3 } = await start(t);
  await put(s3, 'k', 'x', { StorageClass: 'EXPRESS_ONEZONE' });
  await t.rejects(put(s3, 'k', 'x', { StorageClass: 'STANDARD_IA' }), { name: 'InvalidStorageClass' });
  await t.rejects(put(s3, 'k', 'x', { Tagging: 'a=b' }), { name: 'NotImplemented' });
  await t.rejects(s3.send(new GetObjectTaggingCommand({ Bucket, Key: 'k' })), { name: 'NotImplemented' });
  await t.rejects(put(s3, 'k', 'y', { IfNoneMatch: '*' }), { name: 'PreconditionFailed' });
  const { ETag } = await s3.send(new HeadObjectCommand({ Bucket, Key: 'k' }));
  await put(s3, 'k', 'y', { IfMatch: ETag });
  await t.rejects(put(s3, 'k', 'z', { IfMatch: ETag }), { name: 'PreconditionFailed' });
});

void t.test('a general purpose bucket has no sessions, and its signatures are for s3', async (t) => {
  const { s3, server } = await start(t);
  await t.rejects(s3.send(new CreateSessionCommand({ Bucket: 'general' })), { name: 'NotImplemented' });
  const raw = { endpoint: server.url, region: 'us-east-1', accessKey: 'TEST', secretKey: 'SECRET' } as TestServer;
  const listing = { method: 'GET', path: '/general', query: { 'list-type': '2' } };
  expectStatus(await send(raw, await signed(raw, listing)), 200);
  const express = await send(raw, await signed(raw, listing, { service: 's3express' }));
  expectError(express, 400, 'AuthorizationHeaderMalformed');
  const session = { method: 'GET', path: `/${Bucket}`, query: { session: '' } };
  expectStatus(await send(raw, await signed(raw, session, { service: 's3express' })), 200);
  expectError(await send(raw, await signed(raw, session)), 400, 'AuthorizationHeaderMalformed');
});
