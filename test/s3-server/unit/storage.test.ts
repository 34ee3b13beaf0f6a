/**
 * Storage: keys that are no file names, files laid by hand, restarts, and what the data directory looks like.
 */
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import t from 'tap';
import { startS3Server } from '../../../dev/s3-server/server.js';
import { ObjectLog } from '../../../dev/s3-server/storage/object-log.js';
import { isBucketName, isPlainKey } from '../../../dev/s3-server/storage/layout.js';
import { clientOf, eventually, startServer, tempDir } from './support.js';

const Bucket = 'bucket';

async function put(s3: S3Client, Key: string, Body = Key): Promise<void> {
  await s3.send(new PutObjectCommand({ Bucket, Key, Body, Metadata: { tag: 'kept' } }));
}

async function get(s3: S3Client, Key: string): Promise<string | undefined> {
  return (await s3.send(new GetObjectCommand({ Bucket, Key }))).Body?.transformToString();
}

async function keys(s3: S3Client): Promise<string[]> {
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket }));
  return Contents.map(({ Key }) => Key ?? '');
}

t.test('which keys can be plain files', (t) => {
  for (const key of ['a', 'a/b', '.a', 'a b', '日本', 'x'.repeat(255), 'é'.repeat(127)]) t.ok(isPlainKey(key), key);
  for (const key of [
    '',
    '/',
    'a/',
    '/a',
    'a//b',
    '.',
    '..',
    'a/../b',
    './a',
    'x'.repeat(256),
    'é'.repeat(128),
    'a\0',
  ]) {
    t.notOk(isPlainKey(key), JSON.stringify(key));
  }
  for (const name of ['abc', 'a.b-c', '0ab']) t.ok(isBucketName(name), name);
  for (const name of ['ab', 'Abc', 'a_b', '-ab', 'ab-', 'a..b', '1.2.3.4', 'x'.repeat(64)])
    t.notOk(isBucketName(name), name);
  t.end();
});

t.test('odd keys live beside plain ones, are listed in order, survive a restart, and go', async (t) => {
  const dir = tempDir(t);
  mkdirSync(join(dir, Bucket));
  const odd = [
    'a',
    'a/b',
    'a/b/c',
    'a/',
    'a//',
    'a//b',
    '/',
    '//x',
    '.',
    '..',
    'd/../e',
    'x'.repeat(256),
    'y/'.repeat(512),
    'é'.repeat(512),
    'z/z',
    'z',
  ];
  const sorted = [...odd].sort((one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other)));
  const first = await startS3Server({ dir });
  const s3 = clientOf(t, first);
  for (const key of odd) await put(s3, key);
  for (const key of odd) t.equal(await get(s3, key), key, JSON.stringify(key.slice(0, 20)));
  t.same(await keys(s3), sorted);
  t.equal(readFileSync(join(dir, Bucket, 'a'), 'utf8'), 'a', 'the plain one is a plain file');
  t.equal(readFileSync(join(dir, Bucket, 'z/z'), 'utf8'), 'z/z');
  await first.close();

  const { server: second } = await startServer(t, { dir });
  const again = clientOf(t, second);
  t.same(await keys(again), sorted, 'after a restart');
  for (const key of odd) {
    t.equal(await get(again, key), key, JSON.stringify(key.slice(0, 20)));
    t.same((await again.send(new HeadObjectCommand({ Bucket, Key: key }))).Metadata, { tag: 'kept' });
  }
  for (const [at, key] of odd.entries()) {
    await again.send(new DeleteObjectCommand({ Bucket, Key: key }));
    t.equal((await keys(again)).length, odd.length - at - 1);
  }
  t.same(readdirSync(join(dir, Bucket)), [], 'folders that became empty are gone');
  t.same(readdirSync(join(dir, '.s3-server', 'buckets', Bucket, 'odd')), []);
});

t.test('overwriting: the odd place and the plain place never hold two objects of one key', async (t) => {
  const { server, dir } = await startServer(t);
  mkdirSync(join(dir, Bucket));
  const s3 = clientOf(t, server);
  await put(s3, 'a/b');
  await put(s3, 'a', 'odd, because a/ is a folder');
  await s3.send(new DeleteObjectCommand({ Bucket, Key: 'a/b' }));
  await put(s3, 'a', 'plain, because nothing is in the way');
  t.equal(await get(s3, 'a'), 'plain, because nothing is in the way');
  t.same(await keys(s3), ['a']);
  t.same(readdirSync(join(dir, '.s3-server', 'buckets', Bucket, 'odd')), []);
  await s3.send(new DeleteObjectCommand({ Bucket, Key: 'a' }));
  t.same(await keys(s3), []);
});

t.test('files laid, changed and removed by hand', async (t) => {
  const { server, dir } = await startServer(t);
  const path = (name: string): string => join(dir, Bucket, name);
  mkdirSync(path('deep/er'), { recursive: true });
  mkdirSync(path('empty'));
  writeFileSync(path('deep/er/file'), 'one');
  symlinkSync(path('deep/er'), path('link'));
  symlinkSync(path('.'), path('deep/loop'));
  const s3 = clientOf(t, server);
  const listed = async (): Promise<string[]> => {
    server.rescan();
    return keys(s3);
  };
  t.same(await listed(), ['deep/er/file', 'link/file'], 'links are followed, loops are not');
  const before = await s3.send(new HeadObjectCommand({ Bucket, Key: 'deep/er/file' }));
  t.match(before.ETag, /^"[0-9a-f]{32}-1"$/);
  t.equal(before.ContentLength, 3);

  writeFileSync(path('deep/er/file'), 'two!');
  const after = await s3.send(new HeadObjectCommand({ Bucket, Key: 'deep/er/file' }));
  t.not(after.ETag, before.ETag, 'HEAD sees a change at once');
  t.equal(await get(s3, 'deep/er/file'), 'two!');
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket }));
  t.equal(Contents[0]?.ETag, after.ETag, 'and a listing agrees with what HEAD has shown');

  writeFileSync(path('new'), '');
  mkdirSync(path('sub/dir'), { recursive: true });
  writeFileSync(path('sub/dir/x'), '');
  t.same(await listed(), ['deep/er/file', 'link/file', 'new', 'sub/dir/x']);
  renameSync(path('sub'), path('moved'));
  rmSync(path('new'));
  t.same(await listed(), ['deep/er/file', 'link/file', 'moved/dir/x']);
  rmSync(path('moved'), { recursive: true });
  t.same(await listed(), ['deep/er/file', 'link/file']);

  writeFileSync(path('late'), '');
  await eventually('a listing shows a new file without being told', async () => (await keys(s3)).includes('late'));
  writeFileSync(path('late'), 'longer');
  await eventually('and its new size', async () => {
    const page = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: 'late' }));
    return page.Contents?.[0]?.Size === 6;
  });
  rmSync(path('late'));
  await eventually('and its end', async () => !(await keys(s3)).includes('late'));
});

t.test('a folder whose parent becomes a file', async (t) => {
  const { server, dir } = await startServer(t);
  mkdirSync(join(dir, Bucket));
  const s3 = clientOf(t, server);
  await put(s3, 'a/b/c');
  await put(s3, 'other');
  t.same(await keys(s3), ['a/b/c', 'other']);
  await s3.send(new DeleteObjectCommand({ Bucket, Key: 'a/b/c' }));
  await put(s3, 'a');
  t.same(await keys(s3), ['a', 'other']);
});

t.test('a large folder is kept up to date by the background walk', async (t) => {
  const { server, dir } = await startServer(t);
  mkdirSync(join(dir, Bucket));
  for (let at = 0; at < 700; at++) writeFileSync(join(dir, Bucket, `f${at}`), '');
  const s3 = clientOf(t, server);
  t.equal((await keys(s3)).length, 700);
  writeFileSync(join(dir, Bucket, 'f699'), 'changed in place');
  await eventually('the new size', async () => {
    const page = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: 'f699' }));
    return page.Contents?.[0]?.Size === 16;
  });
});

t.test('what the API stored about an object ends when its file is changed by hand', async (t) => {
  const { server, dir } = await startServer(t);
  mkdirSync(join(dir, Bucket));
  const s3 = clientOf(t, server);
  await put(s3, 'k', 'written');
  const written = await s3.send(new HeadObjectCommand({ Bucket, Key: 'k', ChecksumMode: 'ENABLED' }));
  t.same(written.Metadata, { tag: 'kept' });
  t.type(written.ChecksumCRC32, 'string');
  writeFileSync(join(dir, Bucket, 'k'), 'changed');
  const changed = await s3.send(new HeadObjectCommand({ Bucket, Key: 'k', ChecksumMode: 'ENABLED' }));
  t.same(changed.Metadata, {});
  t.equal(changed.ChecksumCRC32, undefined);
  t.not(changed.ETag, written.ETag);
  const back = (written.LastModified ?? new Date()).getTime() / 1000 - 100;
  utimesSync(join(dir, Bucket, 'k'), back, back);
  const touched = await s3.send(new HeadObjectCommand({ Bucket, Key: 'k' }));
  t.not(touched.ETag, changed.ETag, 'a new time is a new version');
});

t.test('a GET under way keeps sending the version it began with', async (t) => {
  const { server, dir } = await startServer(t);
  mkdirSync(join(dir, Bucket));
  const s3 = clientOf(t, server);
  const old = 'a'.repeat(30_000_000);
  await put(s3, 'k', old);
  const { Body, ContentLength } = await s3.send(new GetObjectCommand({ Bucket, Key: 'k' }));
  await put(s3, 'k', 'b'.repeat(30_000_000));
  const read = await Body?.transformToString();
  t.equal(ContentLength, old.length);
  t.ok(read === old, 'all of the old version');
  t.ok((await get(s3, 'k'))?.startsWith('bbb'));
});

t.test('uploads survive a restart', async (t) => {
  const dir = tempDir(t);
  mkdirSync(join(dir, Bucket));
  const first = await startS3Server({ dir, minPartBytes: 1 });
  const s3 = clientOf(t, first);
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ Bucket, Key: 'mp' }));
  const one = await s3.send(new UploadPartCommand({ Bucket, Key: 'mp', UploadId, PartNumber: 1, Body: 'one ' }));
  await first.close();
  const { server } = await startServer(t, { dir, minPartBytes: 1 });
  const again = clientOf(t, server);
  const two = await again.send(new UploadPartCommand({ Bucket, Key: 'mp', UploadId, PartNumber: 2, Body: 'two' }));
  t.equal((await again.send(new ListPartsCommand({ Bucket, Key: 'mp', UploadId }))).Parts?.length, 2);
  const Parts = [
    { PartNumber: 1, ETag: one.ETag },
    { PartNumber: 2, ETag: two.ETag },
  ];
  await again.send(new CompleteMultipartUploadCommand({ Bucket, Key: 'mp', UploadId, MultipartUpload: { Parts } }));
  t.equal(await get(again, 'mp'), 'one two');
  t.same(readdirSync(join(dir, '.s3-server', 'buckets', Bucket, 'uploads')), []);
  t.same(readdirSync(join(dir, '.s3-server', 'tmp')), [], 'no temporary file is left');
});

t.test('a torn line at the end of the log loses that line only', async (t) => {
  const dir = tempDir(t);
  mkdirSync(join(dir, Bucket));
  const first = await startS3Server({ dir });
  await put(clientOf(t, first), 'kept');
  await first.close();
  const log = join(dir, '.s3-server', 'buckets', Bucket, 'objects.log');
  appendFileSync(log, '{"key":"torn","by');
  const second = await startS3Server({ dir });
  const s3 = clientOf(t, second);
  t.same((await s3.send(new HeadObjectCommand({ Bucket, Key: 'kept' }))).Metadata, { tag: 'kept' });
  await put(s3, 'next');
  await second.close();
  const { server: third } = await startServer(t, { dir });
  t.same((await clientOf(t, third).send(new HeadObjectCommand({ Bucket, Key: 'next' }))).Metadata, { tag: 'kept' });
});

t.test('the log is rewritten when it is mostly history', (t) => {
  const file = join(tempDir(t), 'objects.log');
  const log = new ObjectLog(file);
  const meta = { etag: 'e', headers: {}, user: {} };
  for (let at = 0; at < 5000; at++) log.put({ key: `k${at % 3}`, bytes: at, mtimeMs: at, place: null, meta });
  log.delete('k0');
  log.close();
  const lines = readFileSync(file, 'utf8').trim().split('\n').length;
  t.ok(lines < 1000, `${lines} lines are left of 5,001`);
  const again = new ObjectLog(file);
  t.equal(again.get('k0'), undefined);
  t.equal(again.get('k1')?.bytes, 4999);
  t.equal(again.get('k2')?.bytes, 4997);
  t.end();
});

t.test('buckets whose names are those of the hidden folders', async (t) => {
  const dir = tempDir(t);
  for (const name of ['tmp', 'lock', 'buckets']) mkdirSync(join(dir, name));
  for (const at of [1, 2]) {
    const server = await startS3Server({ dir });
    for (const name of ['tmp', 'lock', 'buckets']) {
      if (at === 1) await fetch(`${server.url}/${name}/a//b`, { method: 'PUT', body: name });
      t.equal(await (await fetch(`${server.url}/${name}/a//b`)).text(), name, `start ${at}`);
    }
    await server.close();
  }
});

t.test('one server for one directory', async (t) => {
  const { server, dir } = await startServer(t);
  await t.rejects(startS3Server({ dir }), /in use by the S3 server with pid \d+: stop it/);
  await server.close();
  t.notOk(existsSync(join(dir, '.s3-server', 'lock')));
  writeFileSync(join(dir, '.s3-server', 'lock'), '999999999 1');
  await (await startS3Server({ dir })).close();
  await t.rejects(startS3Server({ dir: join(dir, 'missing') }), /does not exist: create it/);
});
