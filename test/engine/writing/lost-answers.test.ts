/**
 * What may be told as failed, and what may have succeeded: Complete, conditional puts and copies whose answers were lost,
 * 200s that speak of errors, and refusals in the words of errno.
 */
import { createHash } from 'node:crypto';
import { crc32c } from '@node-rs/crc32';
import type { Test } from 'tap';
import t from 'tap';
import { EACCES, EDQUOT, EEXIST, EFBIG, EIO, ENOENT, ESTALE } from '../../../src/base/errno.js';
import type { UploadedPart, WriteCondition } from '../../../src/engine/write-api.js';
import { etagOfParts, isCompleted } from '../../../src/engine/writing/lost-answers.js';
import { RawServer, errorAnswer, type RawConnection, type RawRequest } from '../../support/raw-server.js';
import { storeErrorOf } from '../store/harness.js';
import { writerBench, type WriterBench, type WriterBenchOptions } from './harness.js';

const DATE = 'Date: Sun, 22 Nov 2026 10:00:00 GMT\r\n';
const BODY = Buffer.from('the body');
const MD5 = createHash('md5').update(BODY).digest('hex');
const CRC = sumOf(BODY);

function sumOf(bytes: Buffer): string {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(crc32c(bytes));
  return out.toString('base64');
}

/** What the script says to one request; 'reset' and 'close' say nothing. */
type Said = string;

async function start(
  t: Test,
  answers: readonly Said[] | ((request: RawRequest, body: string) => Said),
  options: Partial<WriterBenchOptions> = {},
): Promise<WriterBench & { readonly server: RawServer; readonly asked: string[] }> {
  const asked: string[] = [];
  const script = async (connection: RawConnection): Promise<void> => {
    for (;;) {
      const request = await connection.request();
      if (request === undefined) return;
      const body = await connection.body(Number(request.headers['content-length'] ?? 0));
      if (body === undefined) return;
      asked.push(`${request.method} ${request.target}`);
      const said = Array.isArray(answers)
        ? (answers as readonly Said[])[asked.length - 1]
        : (answers as (request: RawRequest, body: string) => Said)(request, body.toString());
      if (said === undefined) t.fail(`an unexpected ${request.method} ${request.target}`);
      if (said === 'reset') return connection.reset();
      if (said === undefined || said === 'close') return connection.end();
      await connection.send(said);
      if (/connection: close/i.test(said)) connection.end();
    }
  };
  const server = await RawServer.start({ script });
  t.teardown(() => server.close());
  return { ...writerBench(t, { port: server.port, ...options }), server, asked };
}

function ok(headers: string, body = ''): string {
  return `HTTP/1.1 200 OK\r\n${DATE}${headers}Content-Length: ${body.length}\r\n\r\n${body}`;
}

/** The answer to a HEAD of an object. */
function head(etag: string, bytes: number, more = '', modified = 'Sun, 22 Nov 2026 10:00:00 GMT'): string {
  return `HTTP/1.1 200 OK\r\n${DATE}ETag: "${etag}"\r\nLast-Modified: ${modified}\r\n${more}Content-Length: ${bytes}\r\n\r\n`;
}

const NOT_FOUND = 'HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n';

t.test('a conditional put whose first answer was lost', async (t) => {
  const lost = errorAnswer(412, 'PreconditionFailed');
  const isNew: WriteCondition = { ifNoneMatch: true };
  const cases: readonly (readonly [string, Said[], object])[] = [
    ['is ours by its MD5', ['reset', lost, head(MD5, BODY.length)], { etag: `"${MD5}"` }],
    [
      'is ours by its checksum',
      ['reset', lost, head('kms-etag', 8, `x-amz-checksum-crc32c: ${CRC}\r\n`)],
      { sizeBytes: 8 },
    ],
    ['is ours after a 500', [errorAnswer(500, 'InternalError'), lost, head(MD5, 8)], { sizeBytes: 8 }],
    ['is not ours: another MD5', ['reset', lost, head(MD5.replace(/./g, 'a'), 8)], { errno: EEXIST }],
    [
      'is not ours: another checksum',
      ['close', lost, head(MD5, 8, 'x-amz-checksum-crc32c: AAAAAA==\r\n')],
      { errno: EEXIST },
    ],
    ['is not ours: another size', ['reset', lost, head(MD5, 9)], { errno: EEXIST }],
    ['is gone again', ['reset', lost, NOT_FOUND], { errno: EEXIST }],
    ['was not lost', [lost], { errno: EEXIST, code: 'PreconditionFailed' }],
  ];
  for (const [name, answers, expected] of cases) {
    const { writer, asked } = await start(t, answers);
    const put = writer.put('key', [BODY], {}, isNew);
    t.match('errno' in expected ? await storeErrorOf(put) : await put, expected, name);
    t.equal(asked.length, answers.length, name);
  }
});

t.test('a put that was never answered has been made, or not', async (t) => {
  const dead: Said[] = ['reset', 'reset', 'reset', 'reset'];
  const made = await start(t, [...dead, head(MD5, 8)]);
  t.match(await made.writer.put('key', [BODY], {}, {}), { etag: `"${MD5}"` });
  const other = await start(t, [...dead, head(MD5.replace(/./g, 'b'), 8)]);
  t.match(await storeErrorOf(other.writer.put('key', [BODY], {}, {})), { errno: EIO, code: 'ConnectionReset' });
});

const PARTS: UploadedPart[] = [1, 2].map((partNumber) => {
  const bytes = Buffer.from(`part ${partNumber}`);
  const etag = `"${createHash('md5').update(bytes).digest('hex')}"`;
  return { partNumber, etag, sizeBytes: bytes.length, checksum: { name: 'CRC32C', value: sumOf(bytes) } };
});
const PARTS_ETAG = etagOfParts(PARTS) ?? '';
const UPLOAD = { key: 'key', uploadId: 'u/1', initiatedMs: Date.UTC(2026, 10, 22, 9, 0, 0) };
const COMPLETED = ok(
  'Content-Type: application/xml\r\n',
  `<CompleteMultipartUploadResult><ETag>&quot;${PARTS_ETAG}&quot;</ETag></CompleteMultipartUploadResult>`,
);
const NO_UPLOAD = errorAnswer(404, 'NoSuchUpload');

/** A 200 that begins and does not end: blanks to keep the connection alive, and then nothing. */
const HALF = `HTTP/1.1 200 OK\r\n${DATE}Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n1\r\n \r\n`;
const BLANKS = `HTTP/1.1 200 OK\r\n${DATE}Transfer-Encoding: chunked\r\n\r\n1\r\n \r\n3\r\n   \r\n`;

t.test('Complete', async (t) => {
  const xml = '<?xml version="1.0"?>\n<Error><Code>InternalError</Code><Message>again</Message></Error>';
  const chunk = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;
  const done = COMPLETED.slice(COMPLETED.indexOf('<Complete'));
  const cases: readonly (readonly [string, Said[], object])[] = [
    ['200 with an error, then it works', [ok('', xml), COMPLETED], { etag: `"${PARTS_ETAG}"`, sizeBytes: 12 }],
    ['blanks before the answer', [BLANKS + chunk(done)], { etag: `"${PARTS_ETAG}"` }],
    ['blanks before an error, then it works', [BLANKS + chunk(xml), COMPLETED], { etag: `"${PARTS_ETAG}"` }],
    ['lost, and it had succeeded', ['reset', NO_UPLOAD, head(PARTS_ETAG, 12)], { etag: `"${PARTS_ETAG}"` }],
    ['half an answer, and it had succeeded', [HALF, NO_UPLOAD, head(PARTS_ETAG, 12)], { etag: `"${PARTS_ETAG}"` }],
    [
      '500, and it had succeeded',
      [errorAnswer(500, 'InternalError'), NO_UPLOAD, head(PARTS_ETAG, 12)],
      { sizeBytes: 12 },
    ],
    ['an empty 200, and it had succeeded', [ok(''), head(PARTS_ETAG, 12)], { etag: `"${PARTS_ETAG}"` }],
    ['an empty 200, and it had not', [ok(''), NOT_FOUND], { errno: EIO, code: 'BrokenAnswer' }],
    ['lost, and it is another object', ['reset', NO_UPLOAD, head('0'.repeat(32) + '-2', 12)], { errno: EIO }],
    [
      'lost, and it is the old object',
      ['reset', NO_UPLOAD, head('0'.repeat(32), 12, '', 'Sat, 21 Nov 2026 10:00:00 GMT')],
      { errno: EIO },
    ],
    ['lost, and nothing is there', ['reset', NO_UPLOAD, NOT_FOUND], { errno: EIO, code: 'NoSuchUpload' }],
    ['aborted by somebody', [NO_UPLOAD, NOT_FOUND], { errno: EIO, code: 'NoSuchUpload' }],
    [
      'always 500',
      Array.from({ length: 4 }, () => errorAnswer(500, 'InternalError')).concat(NOT_FOUND),
      { errno: EIO },
    ],
    ['a part is missing', [errorAnswer(400, 'InvalidPart')], { errno: EIO, code: 'InvalidPart' }],
  ];
  for (const [name, answers, expected] of cases) {
    const { writer, asked } = await start(t, answers);
    const complete = writer.completeUpload(UPLOAD, PARTS, {});
    t.match('errno' in expected ? await storeErrorOf(complete) : await complete, expected, name);
    t.equal(asked.length, answers.length, name);
    t.equal(asked[0], 'POST /bucket-one/key?uploadId=u%2F1');
  }
});

t.test('a conditional Complete whose answer was lost', async (t) => {
  const lost = errorAnswer(412, 'PreconditionFailed');
  const ours = await start(t, ['reset', lost, head(PARTS_ETAG, 12)]);
  t.match(await ours.writer.completeUpload(UPLOAD, PARTS, { ifMatch: '"old"' }), { etag: `"${PARTS_ETAG}"` });
  const other = await start(t, ['reset', lost, head('f'.repeat(32), 12)]);
  t.match(await storeErrorOf(other.writer.completeUpload(UPLOAD, PARTS, { ifMatch: '"old"' })), { errno: ESTALE });
});

t.test('which object an upload has made', (t) => {
  const object = (
    etag: string,
    checksums: Record<string, string> = {},
    lastModifiedMs = UPLOAD.initiatedMs,
  ): object => ({
    head: { key: 'key', etag, sizeBytes: 12, lastModifiedMs, storageClass: '', restored: false },
    checksums,
  });
  const is = (found: object, parts = PARTS, initiatedMs = UPLOAD.initiatedMs): boolean =>
    isCompleted(found as Parameters<typeof isCompleted>[0], parts, initiatedMs);
  const crcs = Buffer.concat(PARTS.map((part) => Buffer.from(part.checksum?.value ?? '', 'base64')));
  const composite = `${sumOf(crcs)}-2`;
  t.ok(is(object('"kms"', { 'x-amz-checksum-crc32c': composite })), 'the sum of sums says it');
  t.notOk(is(object(`"${PARTS_ETAG}"`, { 'x-amz-checksum-crc32c': 'AAAAAA==-2' })), 'even against the ETag');
  const plain = PARTS.map(({ checksum: _checksum, ...part }) => part);
  t.ok(is(object(`"${PARTS_ETAG}"`), plain));
  t.notOk(is(object(`"${'0'.repeat(32)}-2"`), plain));
  const kms = plain.map((part) => ({ ...part, etag: '"not an md5"' }));
  t.ok(is(object('"whatever-2"'), kms), 'nothing sure: size, parts and time');
  t.notOk(is(object('"whatever-3"'), kms));
  t.notOk(is(object('"whatever-2"', {}, UPLOAD.initiatedMs - 1000), kms), 'older than the upload');
  t.notOk(is(object('"whatever-2"'), kms, NaN), 'time not known');
  t.notOk(is(object('"whatever"', {}, 0), kms), 'before all time');
  t.notOk(is(object(`"${PARTS_ETAG}"`), plain.slice(0, 1)), 'another size');
  const chance = object(`"${'0'.repeat(32)}"`) as Parameters<typeof isCompleted>[0];
  t.notOk(isCompleted(chance, plain, UPLOAD.initiatedMs), 'an ETag that looks like an MD5, and is none of these parts');
  t.ok(isCompleted(chance, plain, UPLOAD.initiatedMs, false), 'in a directory bucket that says nothing');
  t.end();
});

t.test('copies', async (t) => {
  const source = { key: 'src', etag: '"s"', sizeBytes: 8 };
  const copied = ok(
    '',
    '<CopyObjectResult><ETag>"s"</ETag><LastModified>2026-11-22T10:00:05Z</LastModified></CopyObjectResult>',
  );
  const slow = ok('', '<Error><Code>SlowDown</Code><Message>slower</Message></Error>');
  const plain = await start(t, [slow, copied]);
  t.match(await plain.writer.copy(source, 'dst', {}), {
    etag: '"s"',
    lastModifiedMs: Date.UTC(2026, 10, 22, 10, 0, 5),
  });
  t.match(plain.server.requests[0]?.headers, {
    'x-amz-copy-source': '/bucket-one/src',
    'x-amz-copy-source-if-match': '"s"',
    'x-amz-metadata-directive': 'COPY',
  });
  const condition = { condition: { ifNoneMatch: true } };
  const refused = errorAnswer(412, 'PreconditionFailed');
  const saying = { objects: { capabilities: { conditionalCopies: true } } };
  const there = await start(t, [refused, head('x', 1)], saying);
  t.match(await storeErrorOf(there.writer.copy(source, 'dst', condition)), { errno: EEXIST });
  const stale = await start(t, [refused, NOT_FOUND], saying);
  t.match(await storeErrorOf(stale.writer.copy(source, 'dst', condition)), { errno: ESTALE });
  const lost = await start(t, ['reset', refused, head('s', 8)], saying);
  const asking = await start(t, [head('x', 1)]);
  t.match(await storeErrorOf(asking.writer.copy(source, 'dst', condition)), { errno: EEXIST }, 'looked at before');
  t.match(await lost.writer.copy(source, 'dst', condition), { etag: '"s"' });
  const gone = await start(t, [errorAnswer(404, 'NoSuchKey')]);
  t.match(await storeErrorOf(gone.writer.copy(source, 'dst', {})), { errno: ENOENT });
});

t.test('copies of what was listed without an ETag, or with a weak one', async (t) => {
  const copied = ok('', '<CopyObjectResult><ETag>"s"</ETag></CopyObjectResult>');
  for (const etag of ['', 'W/"s"']) {
    const source = { key: 'src', etag, sizeBytes: 8 };
    const known = await start(t, [head('s', 8), copied]);
    await known.writer.copy(source, 'dst', {});
    t.match(known.server.requests[1]?.headers, { 'x-amz-copy-source-if-match': '"s"' }, 'by the ETag of a HEAD');
    const odd = head('s', 8).replace(/ETag: .*\r\n/i, etag === '' ? '' : `ETag: ${etag}\r\n`);
    const unknown = await start(t, [odd, copied]);
    await unknown.writer.copy(source, 'dst', {});
    t.notOk('x-amz-copy-source-if-match' in (unknown.server.requests[1]?.headers ?? {}), 'one request, one version');
    const large = await start(t, [odd.replace(/Content-Length: \d+/i, 'Content-Length: 6000000000')]);
    await t.rejects(large.writer.copy(source, 'dst', {}), { errno: EIO, message: /no ETag to copy its parts by/ });
  }
});

t.test('a copy above 5 GiB is made of parts, and leaves none behind', async (t) => {
  const GIB = 1024 ** 3;
  const source = { key: 'src', etag: '"s"', sizeBytes: 6 * GIB + 1 };
  const parts = new Map<number, string>();
  let failing = false;
  const { writer, asked } = await start(
    t,
    (request, body) => {
      const { method, target, headers } = request;
      if (method === 'HEAD') {
        const kept = 'Content-Type: text/x\r\nContent-Encoding: gzip\r\nx-amz-meta-mode: 7\r\n';
        return head('s', source.sizeBytes, kept);
      }
      if (method === 'GET' && target.endsWith('?tagging=')) {
        const tags = '<Tag><Key>a b</Key><Value>1&amp;2</Value></Tag><Tag><Key>c</Key><Value></Value></Tag>';
        return failing ? errorAnswer(403, 'AccessDenied') : ok('', `<Tagging><TagSet>${tags}</TagSet></Tagging>`);
      }
      if (method === 'POST' && target.endsWith('?uploads=')) {
        t.match(headers, { 'content-type': 'text/x', 'content-encoding': 'gzip', 'x-amz-meta-mode': '7' });
        t.equal(headers['x-amz-tagging'], failing ? undefined : 'a%20b=1%262&c=');
        return ok('', '<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>');
      }
      if (method === 'PUT') {
        const number = Number(/partNumber=(\d+)/.exec(target)?.[1]);
        if (failing && number === 7) return errorAnswer(403, 'AccessDenied');
        parts.set(number, headers['x-amz-copy-source-range'] ?? '');
        return ok('', `<CopyPartResult><ETag>"p${number}"</ETag></CopyPartResult>`);
      }
      if (method === 'DELETE') return 'HTTP/1.1 204 No Content\r\n\r\n';
      t.equal([...body.matchAll(/<PartNumber>/g)].length, 25);
      return ok('', '<CompleteMultipartUploadResult><ETag>"all-25"</ETag></CompleteMultipartUploadResult>');
    },
    { objects: { checksums: 'off' } },
  );
  t.match(await writer.copy(source, 'dst', {}), { etag: '"all-25"', sizeBytes: source.sizeBytes });
  const ranges = [...parts].sort((a, b) => a[0] - b[0]).map(([, range]) => range);
  let next = 0;
  for (const range of ranges) {
    const match = /^bytes=(\d+)-(\d+)$/.exec(range);
    t.equal(Number(match?.[1]), next);
    next = Number(match?.[2]) + 1;
  }
  t.equal(next, source.sizeBytes, 'every byte, once');
  failing = true;
  t.match(await storeErrorOf(writer.copy(source, 'dst', {})), { errno: EACCES });
  t.match(asked.at(-1), /^DELETE .*uploadId=u$/, 'aborted, after all others were over');
});

t.test(
  'a copied part that comes with the checksum of the whole source is refused at once, and says what to do',
  async (t) => {
    const answer = '<CopyPartResult><ETag>"p"</ETag><ChecksumCRC32>A0o2bA==-2</ChecksumCRC32></CopyPartResult>';
    const { writer, asked } = await start(t, () => ok('', answer), {
      objects: { checksums: 'crc32', capabilities: { copyChecksums: true } },
    });
    const range = { key: 'src', etag: '"s"', startOffset: 0, endOffset: 5 };
    const error = await storeErrorOf(writer.copyPart({ key: 'dst', uploadId: 'u' }, 1, range));
    t.equal(error.errno, EIO);
    t.match(error.message, /^UploadPartCopy s3:.* --store-capabilities no-copy-checksums/);
    t.equal(asked.length, 1);
  },
);

t.test('an upload that may get copied parts is begun without checksums, but for AWS', async (t) => {
  for (const copyChecksums of [false, true]) {
    const said: string[] = [];
    const { writer } = await start(
      t,
      ({ method, target, headers }, body) => {
        if (target.includes('uploads=')) {
          said.push(`begin ${String(headers['x-amz-checksum-algorithm'])}`);
          return ok('', '<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>');
        }
        if (method === 'POST') {
          said.push(`complete ${[...body.matchAll(/<ChecksumCRC32>/g)].length}`);
          return ok('', '<CompleteMultipartUploadResult><ETag>"all-2"</ETag></CompleteMultipartUploadResult>');
        }
        if (headers['x-amz-copy-source'] === undefined) {
          said.push(`part ${headers['x-amz-checksum-crc32'] === undefined ? 'without' : 'with'}`);
          return ok('ETag: "p1"\r\n');
        }
        // As versitygw answers, where nobody is to look.
        const sum = copyChecksums ? 'A0o2bA==' : 'A0o2bA==-2';
        return ok('', `<CopyPartResult><ETag>"p2"</ETag><ChecksumCRC32>${sum}</ChecksumCRC32></CopyPartResult>`);
      },
      { objects: { checksums: 'crc32', ...(copyChecksums ? { capabilities: { copyChecksums } } : {}) } },
    );
    const range = { key: 'src', etag: '"s"', startOffset: 0, endOffset: 5 };
    const upload = await writer.createUpload('dst', {}, undefined, true);
    const parts = [await writer.uploadPart(upload, 1, [BODY]), await writer.copyPart(upload, 2, range)];
    await writer.completeUpload(upload, parts, {});
    // What is sent is compared by the store all the same.
    t.same(
      said,
      copyChecksums ? ['begin CRC32', 'part with', 'complete 2'] : ['begin undefined', 'part with', 'complete 0'],
    );
    said.length = 0;
    await writer.createUpload('dst', {});
    t.same(said, ['begin CRC32'], 'a stream is, as before');
  }
});

t.test(
  'a store that refuses If-Match with the ETag that it gives itself is named, and not somebody else',
  async (t) => {
    // As Ceph before 19 does with quoted ETags.
    const refused = errorAnswer(412, 'PreconditionFailed');
    const condition = { ifMatch: '"mine"' };
    const ways = [
      (bench: WriterBench) => bench.writer.put('k', [BODY], {}, condition),
      (bench: WriterBench) =>
        bench.writer.completeUpload(
          { key: 'k', uploadId: 'u' },
          [{ partNumber: 1, etag: '"p"', sizeBytes: 1 }],
          condition,
        ),
    ];
    for (const way of ways) {
      const error = await storeErrorOf(way(await start(t, [refused, head('mine', 8)])));
      t.equal(error.errno, EIO);
      t.match(error.remedy, /--store-capabilities no-conditional-writes .docs\/STORES.md/);
      t.equal((await storeErrorOf(way(await start(t, [refused, head('theirs', 8)])))).errno, ESTALE);
      t.equal((await storeErrorOf(way(await start(t, [refused, NOT_FOUND])))).errno, ESTALE, 'deleted');
    }
  },
);

t.test('a store that looks at the range of a copied part before the version of its source', async (t) => {
  // As versitygw does when somebody else made the source shorter.
  const range = { key: 'src', etag: '"s"', startOffset: 5, endOffset: 10 };
  for (const refused of [errorAnswer(400, 'InvalidArgument'), errorAnswer(416, 'InvalidRange')]) {
    const ask = async (found: Said): Promise<number | undefined> => {
      const { writer } = await start(t, [refused, found]);
      return (await storeErrorOf(writer.copyPart({ key: 'dst', uploadId: 'u' }, 1, range))).errno;
    };
    t.equal(await ask(head('theirs', 6)), ESTALE);
    t.equal(await ask(head('s', 20)), EIO, 'it is the version that was asked for');
    t.equal(await ask(NOT_FOUND), EIO);
  }
});

t.test('a copied part of S3Proxy', async (t) => {
  const said = '<CopyObjectResult><ETag>"p"</ETag></CopyObjectResult>';
  const { writer } = await start(t, [ok('', said)]);
  const range = { key: 'src', etag: '"s"', startOffset: 5, endOffset: 10 };
  t.match(await writer.copyPart({ key: 'dst', uploadId: 'u' }, 1, range), { etag: '"p"', sizeBytes: 5 });
});

t.test('the answer of rclone to CreateMultipartUpload', async (t) => {
  const said = '<InitiateMultipartUpload><Bucket>b</Bucket><UploadId>u-1</UploadId></InitiateMultipartUpload>';
  const { writer } = await start(t, [ok('', said)]);
  t.equal((await writer.createUpload('k', {})).uploadId, 'u-1');
});

t.test('refusals in the words of errno, each with what to do', async (t) => {
  const cases: readonly (readonly [number, string, number])[] = [
    [403, 'AccessDenied', EACCES],
    [400, 'EntityTooLarge', EFBIG],
    [413, '', EFBIG],
    [403, 'QuotaExceeded', EDQUOT],
    [404, 'NoSuchBucket', EIO],
    [503, 'SlowDown', EIO],
  ];
  for (const [status, code, errno] of cases) {
    const { writer } = await start(t, () => errorAnswer(status, code));
    const error = await storeErrorOf(writer.put('some/key', [BODY], {}, {}));
    t.equal(error.errno, errno, code);
    t.match(error.message, /^PutObject s3:\/\/bucket-one\/some\/key: /);
    if (status !== 413) t.match(error.remedy, /\w/, `${code} says what to do`);
  }
});

t.test('stores without conditional writes are looked at just before', async (t) => {
  const objects = { capabilities: { conditionalWrites: false } };
  const made = await start(t, [NOT_FOUND, ok('ETag: "n"\r\n')], { objects });
  await made.writer.put('key', [BODY], {}, { ifNoneMatch: true });
  t.equal(made.server.requests[1]?.headers['if-none-match'], undefined);
  const there = await start(t, [head('x', 1)], { objects });
  t.match(await storeErrorOf(there.writer.put('key', [BODY], {}, { ifNoneMatch: true })), { errno: EEXIST });
  const same = await start(t, [head('x', 1), COMPLETED], { objects });
  await same.writer.completeUpload(UPLOAD, PARTS, { ifMatch: '"x"' });
  const other = await start(t, [head('y', 1)], { objects });
  t.match(await storeErrorOf(other.writer.completeUpload(UPLOAD, PARTS, { ifMatch: '"x"' })), { errno: ESTALE });
});

t.test('what the mount says of every object', async (t) => {
  const { writer, server } = await start(
    t,
    () => ok('ETag: "e"\r\n', '<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>'),
    {
      objects: {
        checksums: 'crc32',
        storageClass: 'STANDARD_IA',
        sse: 'aws:kms',
        sseKmsKeyId: 'alias/k',
        tags: [
          { key: 'a b', value: 'c&d' },
          { key: 'e', value: '' },
        ],
      },
      target: { headers: { 'x-amz-request-payer': 'requester' } },
    },
  );
  await writer
    .put('key', [BODY], { contentType: 'a/b', userMetadata: { näme: 'x', v: 'ü' } }, { ifMatch: '"m"' })
    .catch(() => undefined);
  await writer.createUpload('key', {});
  const all = {
    'x-amz-storage-class': 'STANDARD_IA',
    'x-amz-server-side-encryption': 'aws:kms',
    'x-amz-server-side-encryption-aws-kms-key-id': 'alias/k',
    'x-amz-tagging': 'a%20b=c%26d&e=',
    'x-amz-request-payer': 'requester',
  };
  t.match(server.requests[0]?.headers, {
    ...all,
    'content-type': 'a/b',
    'x-amz-meta-v': '=?UTF-8?B?w7w=?=',
    'if-match': '"m"',
  });
  t.match(server.requests[1]?.headers, {
    ...all,
    'x-amz-checksum-algorithm': 'CRC32',
    'x-amz-checksum-type': 'COMPOSITE',
  });
});

t.test('DeleteObjects: what is busy is asked again, what is refused is told, odd keys go alone', async (t) => {
  const xml = (inner: string): string => ok('', `<DeleteResult>${inner}</DeleteResult>`);
  const bodies: string[] = [];
  const deleted: string[] = [];
  const { writer } = await start(t, (request, body) => {
    if (request.method === 'DELETE') {
      deleted.push(request.target);
      return request.target.endsWith('bad%02') ? errorAnswer(403, 'AccessDenied') : 'HTTP/1.1 204 No Content\r\n\r\n';
    }
    t.equal(request.headers['content-md5'], createHash('md5').update(body).digest('base64'));
    bodies.push(body);
    if (bodies.length > 1) return xml('');
    return xml(
      '<Error><Key>a&amp;b</Key><Code>SlowDown</Code><Message>busy</Message></Error>' +
        '<Error><Key>c</Key><Code>AccessDenied</Code><Message>no</Message></Error>',
    );
  });
  const failures = await writer.deleteMany(['a&b', 'c', 'd\ne', 'ctl\x01', 'bad\x02']);
  t.same(
    failures.map(({ key, errno, code }) => ({ key, errno, code })),
    [
      { key: 'bad\x02', errno: EACCES, code: 'AccessDenied' },
      { key: 'c', errno: EACCES, code: 'AccessDenied' },
    ],
  );
  t.same(deleted.sort(), ['/bucket-one/bad%02', '/bucket-one/ctl%01']);
  t.match(bodies[0], /<Key>a&amp;b<\/Key>.*<Key>c<\/Key>.*<Key>d&#10;e<\/Key>/);
  t.equal([...(bodies[1] ?? '').matchAll(/<Key>/g)].length, 1, 'only the busy one');
  const whole = await start(t, () => ok('', '<Error><Code>InternalError</Code><Message>x</Message></Error>'));
  t.match(await storeErrorOf(whole.writer.deleteMany(['k'])), { code: 'InternalError' });
});
