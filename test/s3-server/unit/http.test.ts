/**
 * The HTTP layer: heads, bodies and chunked coding, with input torn at every byte.
 */
import t from 'tap';
import { ChunkedDecoder, ChunkError } from '../../../dev/s3-server/http/chunked-decoder.js';
import { RequestBody } from '../../../dev/s3-server/http/request-body.js';
import { HttpError, parseHead, type RequestHead, RequestReader } from '../../../dev/s3-server/http/request-reader.js';

/** Everything the reader makes of some input. */
interface Heard {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
}

function readerOf(pieces: readonly Buffer[]): RequestReader {
  const queue = [...pieces];
  return new RequestReader({ next: () => Promise.resolve(queue.shift() ?? null) });
}

async function bodyOf(head: RequestHead, reader: RequestReader): Promise<string> {
  const body = new RequestBody(head, reader, () => undefined);
  const pieces: Buffer[] = [];
  for (let piece = await body.read(); piece !== null; piece = await body.read()) pieces.push(Buffer.from(piece));
  if (!body.isConsumed) throw new Error('a body read to its end is not consumed');
  return Buffer.concat(pieces).toString('latin1');
}

async function hearAll(pieces: readonly Buffer[]): Promise<Heard[]> {
  const reader = readerOf(pieces);
  const heard: Heard[] = [];
  for (let head = await reader.readHead(); head !== null; head = await reader.readHead()) {
    const body = await bodyOf(head, reader);
    heard.push({
      method: head.method,
      path: head.rawPath,
      query: head.rawQuery,
      headers: [...head.headers],
      body,
    });
  }
  return heard;
}

const STREAM = [
  'GET /b/k%20x?list-type=2&prefix=a HTTP/1.1\r\nHost: h\r\nX-A:  padded  \r\n\r\n',
  'PUT /b/k HTTP/1.1\r\nhost: h\r\nContent-Length: 11\r\n\r\nhello\r\n\r\nwo',
  '\r\n',
  'PUT /b/k HTTP/1.1\r\nhost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n00A\r\n0123456789\r\n0\r\nt: v\r\n\r\n',
  'HEAD http://proxy.example:80/b/k?x HTTP/1.1\r\nHost: h\r\nA: 1\r\na: 2\r\n\r\n',
  'DELETE /b HTTP/1.0\r\n\r\n',
].join('');

const EXPECTED: Heard[] = [
  {
    method: 'GET',
    path: '/b/k%20x',
    query: 'list-type=2&prefix=a',
    headers: [
      ['host', 'h'],
      ['x-a', 'padded'],
    ],
    body: '',
  },
  {
    method: 'PUT',
    path: '/b/k',
    query: '',
    headers: [
      ['host', 'h'],
      ['content-length', '11'],
    ],
    body: 'hello\r\n\r\nwo',
  },
  {
    method: 'PUT',
    path: '/b/k',
    query: '',
    headers: [
      ['host', 'h'],
      ['transfer-encoding', 'chunked'],
    ],
    body: 'abc0123456789',
  },
  {
    method: 'HEAD',
    path: '/b/k',
    query: 'x',
    headers: [
      ['host', 'h'],
      ['a', '1,2'],
    ],
    body: '',
  },
  { method: 'DELETE', path: '/b', query: '', headers: [], body: '' },
];

t.test('pipelined requests in one piece, in single bytes, and cut in two at every byte', async (t) => {
  const bytes = Buffer.from(STREAM, 'latin1');
  t.same(await hearAll([bytes]), EXPECTED, 'one piece');
  t.same(await hearAll([...bytes].map((byte) => Buffer.from([byte]))), EXPECTED, 'single bytes');
  for (let cut = 1; cut < bytes.length; cut++) {
    const heard = await hearAll([bytes.subarray(0, cut), bytes.subarray(cut)]);
    if (JSON.stringify(heard) !== JSON.stringify(EXPECTED)) t.same(heard, EXPECTED, `cut at ${cut}`);
  }
});

t.test('input that ends inside a head or a body is an error, at every byte', async (t) => {
  const request = Buffer.from('PUT /b/k HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello');
  for (let cut = 1; cut < request.length; cut++) {
    await t.rejects(hearAll([request.subarray(0, cut)]), HttpError, `cut at ${cut}`);
  }
  t.same(await hearAll([]), []);
});

t.test('heads that two parsers could read differently are refused', (t) => {
  const refused: [string, string, number][] = [
    ['two spaces', 'GET  / HTTP/1.1\r\nhost: h', 400],
    ['no version', 'GET /', 400],
    ['HTTP/2', 'GET / HTTP/2.0\r\nhost: h', 505],
    ['bad method', 'GE(T / HTTP/1.1\r\nhost: h', 400],
    ['bad target', 'GET b/k HTTP/1.1\r\nhost: h', 400],
    ['no host', 'GET / HTTP/1.1', 400],
    ['folded header', 'GET / HTTP/1.1\r\nhost: h\r\n folded', 400],
    ['space before colon', 'GET / HTTP/1.1\r\nhost : h', 400],
    ['no colon', 'GET / HTTP/1.1\r\nhost: h\r\nnothing', 400],
    ['bare newline', 'GET / HTTP/1.1\r\nhost: h\r\na: b\nc: d', 400],
    ['NUL', 'GET / HTTP/1.1\r\nhost: h\0', 400],
    ['two lengths', 'PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\ncontent-length: 1', 400],
    ['length and chunked', 'PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\ntransfer-encoding: chunked', 400],
    ['negative length', 'PUT / HTTP/1.1\r\nhost: h\r\ncontent-length: -1', 400],
    ['gzip coding', 'PUT / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: gzip', 501],
  ];
  for (const [name, text, status] of refused) t.throws(() => parseHead(text), { name: 'HttpError', status }, name);
  t.end();
});

t.test('a head over the bound is refused before it is complete', async (t) => {
  const endless = ['GET / HTTP/1.1\r\nhost: h\r\nx: ', ...Array.from({ length: 70 }, () => 'y'.repeat(1024))];
  await t.rejects(hearAll(endless.map((text) => Buffer.from(text))), new HttpError(431, 'request head too large'));
});

t.test('100 Continue is asked for with the first pull of a body, not before', async (t) => {
  const text = 'PUT / HTTP/1.1\r\nhost: h\r\nexpect: 100-continue\r\ncontent-length: 2\r\n\r\nhi';
  const reader = readerOf([Buffer.from(text)]);
  const head = await reader.readHead();
  if (head === null) throw new Error('no head');
  let asked = 0;
  const body = new RequestBody(head, reader, () => asked++);
  t.ok(body.isWithheld);
  t.equal(asked, 0);
  t.equal((await body.read())?.toString(), 'hi');
  t.equal(await body.read(), null);
  t.equal(asked, 1);
  t.notOk(body.isWithheld);
});

t.test('chunked coding: extensions, trailers and hooks, cut at every byte', (t) => {
  const input = Buffer.from(
    '5;chunk-signature=ab\r\nhello\r\n1\r\n!\r\n0;chunk-signature=cd\r\nx-a: 1\r\nx-b:2\r\n\r\nREST',
  );
  for (let cut = 0; cut <= input.length; cut++) {
    const log: string[] = [];
    const decoder = new ChunkedDecoder({
      onChunk: (bytes, extension) => log.push(`chunk ${bytes} ${extension}`),
      onChunkEnd: () => log.push('end'),
    });
    let payload = '';
    let usedBytes = decoder.push(input.subarray(0, cut), (piece) => (payload += piece.toString()));
    if (!decoder.isDone) {
      usedBytes += decoder.push(input.subarray(usedBytes), (piece) => (payload += piece.toString()));
    }
    const result = { payload, rest: input.toString('latin1', usedBytes), trailers: [...decoder.trailers], log };
    const expected = {
      payload: 'hello!',
      rest: 'REST',
      trailers: [
        ['x-a', '1'],
        ['x-b', '2'],
      ],
      log: ['chunk 5 chunk-signature=ab', 'end', 'chunk 1 ', 'end', 'chunk 0 chunk-signature=cd'],
    };
    if (JSON.stringify(result) !== JSON.stringify(expected)) t.same(result, expected, `cut at ${cut}`);
  }
  t.pass('all cuts agree');
  t.end();
});

t.test('chunked coding that is none is refused', (t) => {
  for (const text of ['xyz\r\n', '\r\n', '-1\r\n', '3\r\nabcd\r\n', '0\r\nno colon\r\n', 'f'.repeat(9000)]) {
    t.throws(() => new ChunkedDecoder().push(Buffer.from(text), () => undefined), ChunkError, JSON.stringify(text));
  }
  t.end();
});
