/**
 * Everything that the network says, damaged: heads of HTTP, bodies in chunks, listings, error texts, answers to writes.
 * Whatever comes, a parser gives the same for the same bytes in other pieces, or its own error; it keeps no more than its
 * bound. Seeds are printed, time is bounded (random.ts).
 */
import assert from 'node:assert/strict';
import t from 'tap';
import { ListingError, ListScanner } from '../../src/engine/listing/xml-scanner.js';
import { parseS3Error } from '../../src/engine/net/error-body.js';
import { FramedBody } from '../../src/engine/net/framed-body.js';
import { HeadError, HeadParser } from '../../src/engine/net/http-head.js';
import { ERROR_BODY_BYTES_MAX, HEAD_BYTES_MAX } from '../../src/engine/net/limits.js';
import { field, fields, parseAnswer } from '../../src/engine/writing/write-xml.js';
import { damaged, fuzz, pieces, type Random } from './random.js';

const httpWords = [
  ...[
    '\r\n',
    '\r\n\r\n',
    '\n',
    '\r',
    ':',
    ' ',
    '\0',
    '\t',
    'HTTP/1.1 200 OK\r\n',
    'HTTP/1.1 100 Continue\r\n\r\n',
    'HTTP/2 200',
  ],
  ...[
    'Content-Length: 5\r\n',
    'Content-Length: 99999999999999999999\r\n',
    'Content-Length: -1\r\n',
    'content-length: 5, 5\r\n',
  ],
  ...[
    'Transfer-Encoding: chunked\r\n',
    'Transfer-Encoding: gzip, chunked\r\n',
    'Connection: close\r\n',
    'X: \xff\r\n',
    ' folded\r\n',
  ],
];
const goodHead = Buffer.from(
  'HTTP/1.1 206 Partial Content\r\nx-amz-request-id: 1\r\nETag: "abc"\r\nContent-Range: bytes 0-9/100\r\nContent-Length: 10\r\n\r\n0123456789',
);

/** What a parser says of `parts`: a head in words, `more`, or the code of its error. */
function headOf(parts: readonly Buffer[]): string {
  const parser = new HeadParser();
  let bytes = 0;
  for (const part of parts) {
    // The connection reads at most this much at once.
    assert.ok(bytes <= HEAD_BYTES_MAX * 10 + (1 << 20), 'a head without end is kept');
    bytes += part.length;
    try {
      const head = parser.push(part);
      if (head !== undefined) {
        assert.ok(head.status >= 200 && head.status <= 999);
        assert.ok(parser.consumed >= 0 && parser.consumed <= part.length);
        return JSON.stringify([head.status, head.framing, head.keepAlive, head.get('etag'), head.get('content-range')]);
      }
    } catch (error) {
      assert.ok(error instanceof HeadError, String(error));
      return error.code;
    }
  }
  return 'more';
}

t.test('HTTP heads', (t) =>
  fuzz(t, (random) => {
    const bytes = damaged(random, goodHead, httpWords);
    const whole = headOf([bytes]);
    const torn = headOf(pieces(random, bytes));
    // Size and garbage may be noticed at another place, but what is accepted is the same.
    if (whole.startsWith('[') || torn.startsWith('[')) assert.equal(torn, whole);
  }),
);

const chunkWords = ['0\r\n\r\n', '5\r\n', 'fffffffff\r\n', '-1\r\n', ';ext\r\n', '\r\n', '\n', 'A: b\r\n', '0', 'zz'];
const goodChunks = Buffer.from('5\r\nhello\r\n10;x=y\r\n0123456789abcdef\r\n0\r\nTrailer: 1\r\n\r\n');

function bodyOf(parts: readonly Buffer[]): string {
  const reader = new FramedBody({ kind: 'chunked' });
  try {
    for (const part of parts) reader.push(part);
  } catch (error) {
    assert.ok(error instanceof HeadError, String(error));
    return 'broken';
  }
  assert.ok(reader.text.length <= ERROR_BODY_BYTES_MAX, 'more is kept than allowed');
  return `${reader.isDone} ${reader.text.toString('latin1')}`;
}

t.test('bodies in chunks', (t) =>
  fuzz(t, (random) => {
    const bytes = damaged(random, goodChunks, chunkWords);
    const whole = bodyOf([bytes]);
    const torn = bodyOf(pieces(random, bytes));
    // A body that is whole has its end: what comes after it belongs to nobody, torn or not.
    if (whole !== 'broken' && torn !== 'broken') assert.equal(torn, whole);
  }),
);

const xmlWords = [
  ...[
    '<',
    '>',
    '</',
    '/>',
    '&',
    '&amp;',
    '&#0;',
    '&#x110000;',
    '&#55296;',
    '&lol;',
    '<![CDATA[',
    ']]>',
    '<!--',
    '-->',
    '<?xml ?>',
  ],
  ...[
    '<!DOCTYPE x [<!ENTITY lol "lol">]>',
    '<Key>',
    '</Key>',
    '<Contents>',
    '<Size>99999999999999999999</Size>',
    '\0',
    '\xff',
  ],
  ...['<__proto__>', '<constructor>', '<IsTruncated>true</IsTruncated>', '<Code>', '<Error>', '%2e%2e%2f', '../'],
];
const goodListing = Buffer.from(
  '<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><Prefix>d/</Prefix>' +
    '<KeyCount>2</KeyCount><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated><Contents><Key>d/a&amp;b</Key><LastModified>2024-01-01T00:00:00.000Z</LastModified>' +
    '<ETag>&quot;abc&quot;</ETag><Size>12</Size><StorageClass>STANDARD</StorageClass></Contents><CommonPrefixes><Prefix>d/e/</Prefix></CommonPrefixes></ListBucketResult>',
);

function listingOf(parts: readonly Buffer[]): string {
  const scanner = new ListScanner();
  try {
    for (const part of parts) scanner.push(part);
    const page = scanner.finish('d/');
    return JSON.stringify([page.rows, page.keys, page.firstKey, page.lastKey, page.nextToken]);
  } catch (error) {
    assert.ok(error instanceof ListingError, error instanceof Error ? error.stack : String(error));
    return 'refused';
  }
}

t.test('listings', (t) =>
  fuzz(t, (random) => {
    const bytes = damaged(random, goodListing, xmlWords);
    assert.equal(listingOf(pieces(random, bytes)), listingOf([bytes]));
  }),
);

const goodError = Buffer.from(
  '<?xml version="1.0"?><Error><Code>NoSuchKey</Code><Message>gone</Message><Region>eu-west-1</Region><Endpoint>x.example</Endpoint></Error>',
);

t.test('error texts: never thrown, never long, never a code that is none', (t) =>
  fuzz(t, (random) => {
    const { code, message, region, endpoint } = parseS3Error(damaged(random, goodError, xmlWords));
    assert.match(code, /^[A-Za-z0-9._]{0,100}$/);
    for (const text of [message, region, endpoint]) {
      assert.ok(text.length <= 512);
      // eslint-disable-next-line no-control-regex -- terminals and logs take orders by these
      assert.doesNotMatch(text, /[\x00-\x1f\x7f]/);
    }
    assert.equal(({} as Record<string, unknown>)['polluted'], undefined);
  }),
);

t.test('answers to writes: text or nothing', (t) => {
  const good = Buffer.from(
    '<DeleteResult><Deleted><Key>a</Key></Deleted><Error><Key>b</Key><Code>AccessDenied</Code></Error></DeleteResult>',
  );
  const look = (random: Random): void => {
    const answer = parseAnswer(damaged(random, good, xmlWords).toString('utf8'), 'DeleteResult');
    for (const each of [...fields(answer, 'Deleted'), ...fields(answer, 'Error')]) {
      assert.equal(typeof field(each, 'Key'), 'string');
      assert.equal(typeof field(each, 'Code'), 'string');
    }
  };
  return fuzz(t, look);
});
