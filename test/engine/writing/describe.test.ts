/**
 * What an edited object keeps, from stores that answer otherwise than hoped: ended credentials, no permission, headers that are
 * not the object's, classes that nobody may ask for, no answer for a while.
 */
import type { Test } from 'tap';
import t from 'tap';
import { EACCES, EIO } from '../../../src/base/errno.js';
import type { StoreCaller, StoreRequest } from '../../../src/engine/calls/store-caller.js';
import { ObjectLooks } from '../../../src/engine/writing/object-looks.js';
import { RawServer, errorAnswer, type RawConnection, type RawRequest } from '../../support/raw-server.js';
import { storeErrorOf } from '../store/harness.js';
import { until } from '../../support/until.js';
import { writerBench, type WriterBench, type WriterBenchOptions } from './harness.js';

const OLD = { accessKeyId: 'OLD', secretAccessKey: 's' };
const NEW = { accessKeyId: 'NEW', secretAccessKey: 's' };
const DENIED = 'HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n';
const BAD = 'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n';

function head(more: string): string {
  return `HTTP/1.1 200 OK\r\nETag: "1"\r\nLast-Modified: Sun, 22 Nov 2026 10:00:00 GMT\r\nContent-Length: 7\r\n${more}\r\n`;
}

async function start(
  t: Test,
  answer: (request: RawRequest) => string,
  options: Partial<WriterBenchOptions> = {},
): Promise<WriterBench & { readonly asked: string[] }> {
  const asked: string[] = [];
  const script = async (connection: RawConnection): Promise<void> => {
    for (;;) {
      const request = await connection.request();
      if (request === undefined) return;
      await connection.body(Number(request.headers['content-length'] ?? 0));
      asked.push(request.method);
      await connection.send(answer(request));
    }
  };
  const server = await RawServer.start({ script });
  t.teardown(() => server.close());
  return { ...writerBench(t, { port: server.port, ...options }), asked };
}

t.test('credentials that have ended are not taken for an object that may not be read', async (t) => {
  for (const refused of [DENIED, BAD]) {
    const bench = await start(
      t,
      ({ method, headers }) => {
        const isOld = headers['authorization']?.includes('OLD/') === true;
        if (method === 'GET') return isOld ? errorAnswer(400, 'ExpiredToken') : `${head('')}content`;
        return isOld ? refused : head('Content-Type: text/html\r\n');
      },
      { credentials: OLD },
    );
    const described = bench.writer.describe('a');
    await until('the refusal', () => bench.events.some(({ type }) => type === 'credentialsRefused'));
    bench.setCredentials(NEW);
    t.match(await described, { properties: { contentType: 'text/html' } });
    t.same(bench.asked, ['HEAD', 'GET', 'GET', 'HEAD']);
  }
});

t.test('what may not be read says so', async (t) => {
  const denied = await start(t, ({ method }) => (method === 'HEAD' ? DENIED : errorAnswer(403, 'AccessDenied')));
  t.match(await storeErrorOf(denied.writer.describe('a')), { errno: EACCES, code: 'AccessDenied' });
  const sealed = await start(t, ({ method }) => (method === 'HEAD' ? BAD : errorAnswer(400, 'InvalidRequest')));
  t.match(await storeErrorOf(sealed.writer.describe('a')), { errno: EIO, status: 400, code: 'InvalidRequest' });
});

t.test('what was said of the transfer is not kept, and text that is not ASCII is', async (t) => {
  const answers = [
    head('Content-Encoding: aws-chunked\r\nCache-Control: no-cache\r\n'),
    head('Content-Encoding: gzip,aws-chunked\r\nx-amz-meta-Who: \xc3\xbc\r\nx-amz-meta-How: =?UTF-8?B?w7w=?=\r\n'),
  ];
  const sent: RawRequest[] = [];
  const { writer } = await start(t, (request) => {
    sent.push(request);
    return answers.shift() ?? `${head('')}content`;
  });
  t.same((await writer.describe('a'))?.properties.headers, { 'cache-control': 'no-cache' });
  const kept = (await writer.describe('a'))?.properties ?? {};
  t.match(kept, { headers: { 'content-encoding': 'gzip' }, userMetadata: { how: '=?UTF-8?B?w7w=?=' } });
  await writer.put('a', [Buffer.from('x')], kept, {});
  const { 'x-amz-meta-who': who, 'x-amz-meta-how': how } = sent[2]?.headers ?? {};
  t.equal(Buffer.from(who ?? '', 'latin1').toString(), '\u00fc', 'the same bytes');
  t.equal(how, '=?UTF-8?B?w7w=?=');
});

t.test('a class that the store gives and does not take is left out', async (t) => {
  const said = (body: string): string =>
    `HTTP/1.1 200 OK\r\nETag: "2"\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const answer = ({ method, headers }: RawRequest): string => {
    if (headers['x-amz-storage-class'] !== undefined) return errorAnswer(400, 'InvalidStorageClass');
    if (method === 'POST') {
      return said('<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>');
    }
    return said(
      headers['x-amz-copy-source'] === undefined ? '' : '<CopyObjectResult><ETag>"2"</ETag></CopyObjectResult>',
    );
  };
  const { writer, asked } = await start(t, answer);
  const tiered = { contentType: 'a/b', storageClass: 'WARM-TIER' };
  t.match(await writer.put('a', [Buffer.from('x')], tiered, {}), { etag: '"2"', storageClass: '' });
  t.match(await writer.createUpload('a', tiered), { uploadId: 'u' });
  const source = { key: 'a', etag: '"2"', sizeBytes: 1, storageClass: 'WARM-TIER' };
  t.match(await writer.copy(source, 'b', {}), { etag: '"2"', storageClass: '' });
  t.match(await writer.copy({ key: 'a', etag: '"2"', sizeBytes: 1 }, 'a', { properties: tiered }), {
    storageClass: '',
  });
  t.equal(asked.length, 8);
  const wanted = await start(t, answer, { objects: { storageClass: 'WARM-TIER' } });
  t.match(await storeErrorOf(wanted.writer.put('a', [Buffer.from('x')], {}, {})), { code: 'InvalidStorageClass' });
  t.equal(wanted.asked.length, 1, 'the user asked for it');
});

t.test('a store that is away is waited for as long as by the upload that follows', async (t) => {
  const asked: StoreRequest[] = [];
  const ask = (request: StoreRequest): Promise<object> => {
    asked.push(request);
    const headers = { etag: '"1"', 'x-amz-tagging-count': '1' };
    return Promise.resolve({ status: request.method === 'HEAD' ? 200 : 501, headers, body: '' });
  };
  t.match(await new ObjectLooks({ ask } as unknown as StoreCaller).describe('a', false, undefined), {
    properties: { tags: [] },
  });
  t.same(
    asked.map(({ operation, deadlineMs }) => [operation, deadlineMs]),
    [
      ['HeadObject', 300_000],
      ['GetObjectTagging', 300_000],
    ],
  );
});
