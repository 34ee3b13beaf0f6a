/**
 * Response heads and error texts: parsed the same however they are torn, and refused when two readers could differ.
 */
import fc from 'fast-check';
import t from 'tap';
import { parseS3Error } from '../../../src/engine/net/error-body.js';
import { FramedBody } from '../../../src/engine/net/framed-body.js';
import { HeadError, HeadParser, type ResponseHead } from '../../../src/engine/net/http-head.js';
import { ERROR_BODY_BYTES_MAX, HEAD_BYTES_MAX } from '../../../src/engine/net/limits.js';

/** Feeds `text` in pieces of the given sizes (the last one repeats); the head and the bytes after it. */
function feed(text: string, pieces: readonly number[]): { head: ResponseHead | undefined; rest: string } {
  const parser = new HeadParser();
  const bytes = Buffer.from(text, 'latin1');
  let at = 0;
  for (let i = 0; at < bytes.length; i++) {
    const size = Math.max(1, pieces[Math.min(i, pieces.length - 1)] ?? bytes.length);
    // A copy that is overwritten afterwards: the parser may not keep what it borrowed.
    const chunk = Buffer.from(bytes.subarray(at, at + size));
    const head = parser.push(chunk);
    if (head !== undefined) {
      return { head, rest: bytes.toString('latin1', at + parser.consumed) };
    }
    chunk.fill(0);
    at += size;
  }
  return { head: undefined, rest: '' };
}

const good =
  'HTTP/1.1 206 Partial Content\r\nx-amz-id-2: abc=\r\nETag:"e"\r\nContent-Range:  bytes 0-9/10 \t\r\n' +
  'Content-Length: 10\r\nEmpty:\r\nServer: AmazonS3\r\n\r\n0123456789';

t.test('a head is the same wherever it is torn', (t) => {
  for (let cut = 1; cut <= good.length - 10; cut++) {
    const { head, rest } = feed(good, [cut, good.length]);
    const isRight = head?.status === 206 && head.get('content-range') === 'bytes 0-9/10' && rest === '0123456789';
    if (!isRight) t.fail(`cut at ${cut}`);
  }
  const { head, rest } = feed(good, [1]);
  t.equal(head?.status, 206);
  t.equal(head?.reason, 'Partial Content');
  t.equal(head?.get('etag'), '"e"');
  t.equal(head?.get('empty'), '');
  t.equal(head?.get('missing'), undefined);
  t.equal(head?.get('server'), 'AmazonS3');
  t.same(head?.framing, { kind: 'length', bytes: 10 });
  t.equal(head?.keepAlive, true);
  t.equal(rest, '0123456789');
  t.end();
});

t.test('interim answers are skipped, also torn', (t) => {
  const text = `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n${good}`;
  for (let cut = 1; cut < text.length - 10; cut++) {
    const { head, rest } = feed(text, [cut, text.length]);
    if (head?.status !== 206 || rest !== '0123456789') t.fail(`cut at ${cut}`);
  }
  t.equal(feed(text, [1]).head?.status, 206);
  t.throws(() => feed('HTTP/1.1 100 Continue\r\n\r\n'.repeat(9) + good, [1000]), HeadError);
  t.throws(() => feed('HTTP/1.1 101 Switching\r\n\r\n', [1000]), HeadError);
  t.end();
});

t.test('keep-alive', (t) => {
  const rows: [string, string, boolean][] = [
    ['HTTP/1.1', '', true],
    ['HTTP/1.1', 'Connection: close\r\n', false],
    ['HTTP/1.1', 'connection: Keep-Alive, CLOSE\r\n', false],
    ['HTTP/1.1', 'connection: closeness\r\n', true],
    ['HTTP/1.0', '', false],
    ['HTTP/1.0', 'Connection: keep-alive\r\n', true],
  ];
  for (const [version, header, want] of rows) {
    t.equal(
      feed(`${version} 200 OK\r\n${header}Content-Length: 0\r\n\r\n`, [999]).head?.keepAlive,
      want,
      version + header,
    );
  }
  t.equal(feed('HTTP/1.1 200 OK\r\n\r\n', [999]).head?.keepAlive, false, 'a body until close ends the connection');
  t.end();
});

t.test('what is refused', (t) => {
  const ok = 'HTTP/1.1 200 OK\r\n';
  const bad: [string, string][] = [
    ['garbage', '\x16\x03\x01\x02\x00'],
    ['another protocol', 'SSH-2.0-OpenSSH_9\r\n\r\n'],
    ['HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
    ['HTTP/2 version', 'HTTP/2.0 200 OK\r\n\r\n'],
    ['HTTP/1.2', 'HTTP/1.2 200 OK\r\n\r\n'],
    ['status of two digits', 'HTTP/1.1 20 OK\r\n\r\n'],
    ['status 0xx', 'HTTP/1.1 099 OK\r\n\r\n'],
    ['no status', 'HTTP/1.1 \r\n\r\n'],
    ['folded line', `${ok}A: 1\r\n  2\r\n\r\n`],
    ['line without colon', `${ok}Nonsense\r\n\r\n`],
    ['empty name', `${ok}: 1\r\n\r\n`],
    ['blank before colon', `${ok}Content-Length : 1\r\n\r\n`],
    ['bare LF in a value', `${ok}A: 1\nB: 2\r\n\r\n`],
    ['lines that end with LF alone', `HTTP/1.1 200 OK\nContent-Length: 1\n\nx`],
    ['one line that ends with LF alone', `${ok}Content-Length: 1\n`],
    ['bare CR in a value', `${ok}A: 1\rB: 2\r\n\r\n`],
    ['NUL', `${ok}A: \0\r\n\r\n`],
    ['two lengths', `${ok}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`],
    ['the same length twice', `${ok}Content-Length: 1\r\ncontent-length: 1\r\n\r\n`],
    ['a list of lengths', `${ok}Content-Length: 1, 1\r\n\r\n`],
    ['a negative length', `${ok}Content-Length: -1\r\n\r\n`],
    ['a signed length', `${ok}Content-Length: +1\r\n\r\n`],
    ['a hex length', `${ok}Content-Length: 0x1\r\n\r\n`],
    ['a length beyond reason', `${ok}Content-Length: 99999999999999999999\r\n\r\n`],
    ['an empty length', `${ok}Content-Length:\r\n\r\n`],
    ['length and chunked', `${ok}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n`],
    ['gzip', `${ok}Transfer-Encoding: gzip, chunked\r\n\r\n`],
    ['chunked twice', `${ok}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n`],
  ];
  for (const [what, text] of bad) {
    for (const pieces of [[text.length], [1], [3]]) t.throws(() => feed(text, pieces), HeadError, what);
  }
  const huge = `${ok}A: ${'x'.repeat(HEAD_BYTES_MAX)}`;
  t.throws(() => feed(huge + '\r\n\r\n', [16384]), { code: 'HeadTooLarge' });
  t.throws(() => feed(huge.repeat(3), [16384]), { code: 'HeadTooLarge' });
  t.throws(() => feed(huge + '\r\n\r\n', [huge.length + 4]), { code: 'HeadTooLarge' });
  t.end();
});

t.test('garbage never gets through, nor is kept for long', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.array(fc.nat(20), { minLength: 1 }), (bytes, pieces) => {
      const text = Buffer.from(bytes).toString('latin1');
      try {
        return feed(text, pieces).head === undefined;
      } catch (error) {
        return error instanceof HeadError;
      }
    }),
    { numRuns: 500 },
  );
  t.end();
});

t.test('any head of tokens and values comes back as it was, in any pieces', (t) => {
  const token = fc.stringMatching(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}$/);
  const value = fc.stringMatching(/^[\x21-\x7e\x80-\xff]{0,3}[\x20-\x7e\x80-\xff]{0,12}[\x21-\x7e]$/);
  const fields = fc.array(fc.tuple(token, value), { maxLength: 12 });
  fc.assert(
    fc.property(fields, fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (list, pieces) => {
      const framing = new Set(['content-length', 'transfer-encoding', 'connection']);
      const plain = list.filter(([name]) => !framing.has(name.toLowerCase()));
      const text = `HTTP/1.1 200 OK\r\n${plain.map(([name, text]) => `${name}: ${text}\r\n`).join('')}\r\nrest`;
      const { head, rest } = feed(text, pieces);
      // A naive reader as the oracle: the first of that name, whatever its case.
      const oracle = new Map<string, string>();
      for (const [name, text] of plain)
        if (!oracle.has(name.toLowerCase())) oracle.set(name.toLowerCase(), text.replace(/^[ \t]+/, ''));
      for (const [name, text] of oracle) if (head?.get(name) !== text) return false;
      return rest === 'rest';
    }),
    { numRuns: 300 },
  );
  t.end();
});

t.test('error texts, by length, in chunks and until close', (t) => {
  const body = 'x'.repeat(50);
  const chunked =
    '5;ext=1\r\nxxxxx\r\n1e\r\n' + 'x'.repeat(30) + '\r\nF\r\n' + 'x'.repeat(15) + '\r\n0\r\nTrailer: 1\r\n\r\n';
  for (const [framing, text] of [
    [{ kind: 'length', bytes: 50 }, body],
    [{ kind: 'chunked' }, chunked],
  ] as const) {
    for (let size = 1; size <= text.length; size++) {
      const reader = new FramedBody(framing);
      for (let at = 0; at < text.length; at += size) reader.push(Buffer.from(text.slice(at, at + size)));
      if (reader.text.toString() !== body || !reader.isDone || !reader.isClean) t.fail(`${framing.kind} in ${size}`);
    }
    const more = new FramedBody(framing);
    more.push(Buffer.from(`${text}HTTP/1.1 200 OK`));
    t.ok(more.isDone);
    t.notOk(more.isClean, 'bytes after the body spoil the connection');
    const short = new FramedBody(framing);
    short.push(Buffer.from(text.slice(0, -1)));
    t.notOk(short.isDone);
    t.notOk(short.ended());
  }
  const close = new FramedBody({ kind: 'close' });
  close.push(Buffer.from(body));
  t.notOk(close.isDone);
  t.ok(close.ended());
  t.equal(close.text.toString(), body);
  for (const bad of ['zz\r\n', '5\nxxxxx', '1\r\nxx\r\n', `${'1'.repeat(2000)}`, '123456789\r\n']) {
    t.throws(() => new FramedBody({ kind: 'chunked' }).push(Buffer.from(bad)), HeadError, bad.slice(0, 10));
  }
  const huge = new FramedBody({ kind: 'length', bytes: 10 * ERROR_BODY_BYTES_MAX });
  for (let i = 0; i < 10; i++) huge.push(Buffer.alloc(ERROR_BODY_BYTES_MAX - 1, 0x78));
  t.ok(huge.isDone);
  t.notOk(huge.isClean);
  t.equal(huge.text.length, ERROR_BODY_BYTES_MAX);
  const none = new FramedBody({ kind: 'length', bytes: 0 });
  t.ok(none.isDone && none.isClean);
  t.end();
});

t.test('S3 error bodies', (t) => {
  const xml = (inner: string): Buffer => Buffer.from(`<?xml version="1.0"?>\n<Error>${inner}</Error>`);
  t.match(parseS3Error(xml('<Code>SlowDown</Code><Message>Please &amp; wait</Message><Region>eu-west-1</Region>')), {
    code: 'SlowDown',
    region: 'eu-west-1',
  });
  t.same(parseS3Error(Buffer.from('<html>bad gateway</html>')).code, '');
  t.same(parseS3Error(Buffer.alloc(0)).code, '');
  t.same(parseS3Error(xml('<Code>two words\n</Code>')).code, '', 'a code is an identifier');
  t.same(parseS3Error(xml('<Code><a/></Code>')).code, '');
  t.notMatch(parseS3Error(xml('<Code>X</Code><Message>a&#10;b\nc</Message>')).message, /\n/);
  const bomb = '<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><Error><Code>&b;</Code></Error>';
  t.same(parseS3Error(Buffer.from(bomb)).code, '', 'entities are not expanded');
  fc.assert(
    fc.property(fc.string({ maxLength: 200 }), (text) => {
      const { code } = parseS3Error(Buffer.from(`<Error>${text}`));
      return typeof code === 'string';
    }),
  );
  t.end();
});
