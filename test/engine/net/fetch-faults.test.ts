/**
 * Ranged GETs against servers that tear, lie, break off, stall and refuse. Each case says how the fetch must end and what
 * may stand in the pool afterwards; a byte that was not verified must never be there.
 */
import t, { type Test } from 'tap';
import { EACCES, EIO, ESTALE } from '../../../src/base/errno.js';
import { MIB } from '../../../src/base/units.js';
import { TEST_CA_PEM } from '../../support/raw-server-certs.js';
import {
  RawServer,
  errorAnswer,
  objectScript,
  rightHead,
  type Answer,
  type RawConnection,
  type RawRequest,
} from '../../support/raw-server.js';
import { ETAG, Harness, pattern, type FetchEnd, type HarnessOptions } from './harness.js';

const object = pattern(2 * MIB + 777);
/** The range that most cases ask for: across two blocks, 300,000 bytes. */
const START = MIB - 100_000;
const END = MIB + 200_000;
/** Short, but not so short that a busy machine looks like a silent server. */
const fast = { firstByteMs: 250, stallMs: 250, connectMs: 2000 };

interface Played {
  readonly end: FetchEnd;
  readonly server: RawServer;
  readonly harness: Harness;
}

/** Runs one fetch of [START, END) against a server whose `n`th request is answered by `faults[n]`, rightly after that. */
async function play(t: Test, faults: (Answer | undefined)[], more: Partial<HarnessOptions> = {}): Promise<Played> {
  const fault = (request: RawRequest): Answer | undefined => faults[request.index];
  const server = await RawServer.start({ script: objectScript(object, ETAG, fault) });
  t.teardown(() => server.close());
  const harness = new Harness({ object, port: server.port, ...more });
  t.teardown(() => harness.close());
  return { end: await harness.fetch(START, END), server, harness };
}

const body = (request: RawRequest): Buffer => object.subarray(request.start, request.end);

/** A right answer whose head has one header changed. */
function lie(change: (head: string, request: RawRequest) => string): Answer {
  return async (request, connection) => {
    await connection.send(change(rightHead(request, object, ETAG), request));
    await connection.send(body(request));
    connection.end();
  };
}

const error =
  (status: number, code: string, more = '', xml = ''): Answer =>
  async (_request, connection) => {
    await connection.send(errorAnswer(status, code, more, xml));
    return true;
  };

t.test('a head torn at each of its bytes', async (t) => {
  const head = rightHead({ start: 0, end: 64 } as RawRequest, object, ETAG);
  const server = await RawServer.start({
    script: objectScript(object, ETAG, (request) => async (_, connection) => {
      const bytes = Buffer.concat([Buffer.from(rightHead(request, object, ETAG)), body(request)]);
      await connection.sendTorn(bytes, request.index);
      return true;
    }),
  });
  t.teardown(() => server.close());
  // On a busy machine a late answer would be asked for a second time, on another connection.
  const harness = new Harness({ object, port: server.port, hedge: false });
  t.teardown(() => harness.close());
  const failures: number[] = [];
  for (let cut = 0; cut < head.length + 64; cut++) {
    harness.wipe(0);
    const end = await harness.fetch(0, 64);
    harness.expect(0, 64);
    if (end.type !== 'fetchDone') failures.push(cut);
    if (!harness.pool.bytes(0, 0, 64).equals(object.subarray(0, 64))) failures.push(cut);
  }
  t.same(failures, []);
  t.equal(server.connections, 1, 'all on one connection');
  harness.assertPool(t);
});

t.test('a head sent byte by byte, after interim answers, and a body in crumbs', async (t) => {
  const crumbs: Answer = async (request, connection) => {
    const head = `HTTP/1.1 100 Continue\r\n\r\n${rightHead(request, object, ETAG)}`;
    await connection.sendTorn(head, ...Array.from({ length: head.length - 1 }, (_, i) => i + 1));
    await connection.sendTorn(body(request), 1, 2, 3, 99_999, 100_000, 100_001, 100_002, 299_999);
    return true;
  };
  const { end, harness } = await play(t, [crumbs]);
  t.equal(end.type, 'fetchDone');
  harness.expect(START, END);
  harness.assertPool(t);
});

t.test('a connection that breaks resumes at the missing byte', async (t) => {
  const breaks: [string, (sent: number) => Answer][] = [
    [
      'FIN',
      (sent) => async (request, connection) => {
        await connection.send(rightHead(request, object, ETAG));
        await connection.send(body(request).subarray(0, sent));
        connection.end();
      },
    ],
    [
      'RST',
      (sent) => async (request, connection) => {
        await connection.send(rightHead(request, object, ETAG));
        await connection.sendTorn(body(request).subarray(0, sent), 1);
        // The client has read all of it: a reset discards what it has not read yet.
        await new Promise((resolve) => setTimeout(resolve, 20));
        connection.reset();
      },
    ],
    [
      'a stall',
      (sent) => async (request, connection) => {
        await connection.send(rightHead(request, object, ETAG));
        await connection.send(body(request).subarray(0, sent));
      },
    ],
  ];
  for (const [what, make] of breaks) {
    for (const sent of [1, 99_999, 100_000, 100_001, 299_999]) {
      const { end, harness, server } = await play(t, [make(sent)], { timeouts: fast });
      t.equal(end.type, 'fetchDone', `${what} after ${sent}`);
      t.equal(server.requests[1]?.start, START + sent, `${what} after ${sent}: asked for the rest only`);
      t.equal(server.requests[1]?.end, END);
      t.equal(server.requests[1]?.headers['if-match'], ETAG);
      harness.expect(START, END);
      harness.assertPool(t);
    }
  }
});

t.test('progress does not use up attempts: ten breaks, three attempts allowed', async (t) => {
  const broken: Answer = async (request, connection) => {
    await connection.send(rightHead(request, object, ETAG));
    await connection.send(body(request).subarray(0, 20_000));
    connection.end();
  };
  const { end, harness, server } = await play(
    t,
    Array.from({ length: 10 }, () => broken),
  );
  t.equal(end.type, 'fetchDone');
  t.equal(server.requests.length, 11);
  t.equal(server.requests[10]?.start, START + 200_000);
  harness.expect(START, END);
  harness.assertPool(t);
});

t.test('a server that drips a byte a connection is given up in the end', async (t) => {
  const drip: Answer = async (request, connection) => {
    await connection.send(rightHead(request, object, ETAG));
    await connection.send(body(request).subarray(0, 1));
    connection.end();
  };
  const { end, server } = await play(
    t,
    Array.from({ length: 100 }, () => drip),
  );
  t.match(end, { type: 'fetchFailed', errno: EIO, code: 'EarlyClose' });
  t.equal(server.requests.length, 3 * 8 + 2);
});

t.test('answers that lie are never published, and asked for again', async (t) => {
  const lies: [string, string, number, Answer][] = [
    ['another start', 'ContentRangeMismatch', EIO, lie((head) => head.replace(/bytes \d+-/, 'bytes 5-'))],
    ['another end', 'ContentRangeMismatch', EIO, lie((head) => head.replace(/-\d+\//, '-99/'))],
    ['another size', 'ContentRangeMismatch', EIO, lie((head) => head.replace(/\/\d+\r/, '/999999999\r'))],
    ['unknown size', 'ContentRangeMismatch', EIO, lie((head) => head.replace(/\/\d+\r/, '/*\r'))],
    ['no Content-Range', 'ContentRangeMismatch', EIO, lie((head) => head.replace('Content-Range', 'X'))],
    ['two Content-Ranges', 'ContentRangeMismatch', EIO, lie((head) => head.replace(/(Content-Range.*\r\n)/, '$1$1'))],
    ['a shorter length', 'ContentLengthMismatch', EIO, lie((head) => head.replace(/Length: \d+/, 'Length: 10'))],
    ['a longer length', 'ContentLengthMismatch', EIO, lie((head) => head.replace(/Length: \d+/, 'Length: 300001'))],
    ['packed', 'LengthMissing', EIO, lie((head) => head.replace(/Content-Length: \d+/, 'Content-Encoding: gzip'))],
    ['no chunks', 'BadResponse', EIO, lie((head) => head.replace(/Content-Length: \d+/, 'Transfer-Encoding: chunked'))],
    ['two lengths', 'BadResponse', EIO, lie((head) => head.replace(/(Content-Length.*\r\n)/, '$1$1'))],
    ['another ETag', 'ETagMismatch', ESTALE, lie((head) => head.replace('ETag: "0', 'ETag: "1'))],
    ['a weak ETag', 'ETagWeak', EIO, lie((head) => head.replace('ETag: ', 'ETag: W/'))],
    ['a weak ETag of another', 'ETagMismatch', ESTALE, lie((head) => head.replace('ETag: "0', 'ETag: W/"1'))],
    ['two ETags', 'ETagMismatch', ESTALE, lie((head) => head.replace(/(ETag.*\r\n)/, '$1$1'))],
    ['no ETag', 'ETagMissing', EIO, lie((head) => head.replace('ETag', 'X'))],
    [
      '200 for a part',
      'RangeIgnored',
      EIO,
      lie((head) => head.replace('206', '200').replace(/Content-Range.*\r\n/, '')),
    ],
    ['garbage', 'BadResponse', EIO, async (_, connection) => connection.send('\x15\x03\x03\x00\x02\x02\x28')],
    ['a huge head', 'HeadTooLarge', EIO, lie((head) => head.replace('ETag', `X: ${'y'.repeat(70_000)}\r\nETag`))],
  ];
  for (const [what, code, errno, answer] of lies) {
    const once = await play(t, [answer], { timeouts: fast });
    t.equal(once.end.type, 'fetchDone', `${what}, once`);
    t.equal(once.server.connections, 2, `${what}: the connection is not used again`);
    once.harness.expect(START, END);
    once.harness.assertPool(t, `${what}, once: bytes`);
    const always = await play(t, [answer, answer, answer, answer], { timeouts: fast });
    t.match(always.end, { type: 'fetchFailed', errno, code }, `${what}, always`);
    const said = always.harness.of('log').filter(({ level }) => level === 'error');
    if (errno === EIO)
      t.match(said, [{ fields: { code }, message: /cannot be read \(EIO\)/ }], `${what}: the log says why`);
    t.equal(always.server.requests.length, 3, `${what}: asked three times`);
    always.harness.assertPool(t, `${what}, always: nothing lands`);
  }
});

t.test('redirects are not followed, and nothing signed goes where they point', async (t) => {
  const other = await RawServer.start({ script: objectScript(object, ETAG, () => undefined) });
  t.teardown(() => other.close());
  const there = `http://127.0.0.1:${other.port}/bucket/key`;
  const said = (status: string, fields: string, xml = ''): Answer => {
    const head = `HTTP/1.1 ${status}\r\n${fields}Content-Length: ${xml.length}\r\n\r\n${xml}`;
    return async (_, connection) => {
      await connection.send(head);
      return true;
    };
  };
  const to = `Location: ${there}\r\n`;
  const endpoint = '<Error><Code>TemporaryRedirect</Code><Message>go</Message><Endpoint>other.test</Endpoint></Error>';
  const rows: [string, Answer, number, RegExp][] = [
    ['307', said('307 Temporary Redirect', to), 3, new RegExp(`it points to 127.0.0.1:${other.port}, where nothing`)],
    ['307 in S3 words', said('307 Temporary Redirect', to, endpoint), 3, /it points to other\.test, .*--endpoint-url/],
    ['308', said('308 Permanent Redirect', to), 1, /it points to 127/],
    ['302', said('302 Found', to), 1, /it points to 127/],
    ['301', said('301 Moved', 'x-amz-bucket-region: eu-west-2\r\n'), 1, /is in region eu-west-2: .*--region eu-west-2/],
    ['301 to nowhere', said('301 Moved', 'Location: /here\r\n'), 1, /give the right --region or --endpoint-url/],
  ];
  for (const [name, answer, requests, message] of rows) {
    const { end, server, harness } = await play(t, [answer, answer, answer, answer], { timeouts: fast });
    t.match(end, { type: 'fetchFailed', errno: EIO }, name);
    t.equal(server.requests.length, requests, `${name}: bounded`);
    t.match(harness.of('log').at(-1)?.message, message, name);
  }
  const once = await play(t, [said('307 Temporary Redirect', to)], { timeouts: fast });
  t.equal(once.end.type, 'fetchDone', 'one that passes is asked again where it came from');
  once.harness.expect(START, END);
  t.equal(other.connections, 0);
});

t.test('a body without a length, as proxies make it, is taken when it is what was asked for', async (t) => {
  const inChunks = (bytes: Buffer, sizes: readonly number[]): Buffer => {
    const parts: Buffer[] = [];
    for (let at = 0, turn = 0; at < bytes.length; turn++) {
      const piece = bytes.subarray(at, at + (sizes[turn % sizes.length] ?? 1));
      parts.push(Buffer.from(`${piece.length.toString(16)};x=y\r\n`), piece, Buffer.from('\r\n'));
      at += piece.length;
    }
    return Buffer.concat(parts);
  };
  const LAST = '0\r\n\r\n';
  const chunked =
    (make: (request: RawRequest) => (Buffer | string)[], staysOpen = true): Answer =>
    async (request, connection) => {
      const head = rightHead(request, object, ETAG).replace(/Content-Length: \d+/, 'Transfer-Encoding: chunked');
      await connection.send(head);
      for (const bytes of make(request)) await connection.send(bytes);
      if (!staysOpen) connection.end();
      return staysOpen;
    };
  const untilClose =
    (make: (request: RawRequest) => Buffer): Answer =>
    async (request, connection) => {
      await connection.send(rightHead(request, object, ETAG).replace(/Content-Length: \d+\r\n/, ''));
      await connection.send(make(request));
      connection.end();
    };
  const rows: [string, number, number, Answer][] = [
    ['chunks', 1, 1, chunked((request) => [inChunks(body(request), [1, 70_000, 4095]), LAST])],
    ['one chunk', 1, 1, chunked((request) => [inChunks(body(request), [1e9]), LAST])],
    ['no end', 1, 1, chunked((request) => [inChunks(body(request), [50_000])], false)],
    ['half of it, and an end', 2, 1, chunked((request) => [inChunks(body(request).subarray(0, 99_999), [9999]), LAST])],
    ['half of it', 2, 2, chunked((request) => [inChunks(body(request).subarray(0, 99_999), [9999])], false)],
    ['too much', 2, 2, chunked((request) => [inChunks(Buffer.concat([body(request), Buffer.alloc(9)]), [1e9]), LAST])],
    ['no end, and no more', 1, 1, chunked((request) => [inChunks(body(request), [50_000])])],
    [
      'too much, by itself',
      1,
      1,
      chunked((request) => [inChunks(body(request), [1e9]), inChunks(Buffer.alloc(9), [9])]),
    ],
    ['until the connection ends', 1, 1, untilClose(body)],
    ['half, until the connection ends', 2, 2, untilClose((request) => body(request).subarray(0, 99_999))],
  ];
  for (const [what, requests, connections, answer] of rows) {
    const { end, server, harness } = await play(t, [answer], { timeouts: fast });
    t.equal(end.type, 'fetchDone', what);
    t.equal(server.requests.length, requests, `${what}: requests`);
    t.ok(server.connections >= connections, `${what}: connections`);
    harness.expect(START, END);
    harness.assertPool(t, `${what}: bytes`);
  }
});

t.test('ETags compare without their quotes', async (t) => {
  const { end } = await play(t, [lie((head) => head.replace(/ETag: "([^"]*)"/, 'ETag: $1'))]);
  t.equal(end.type, 'fetchDone');
});

t.test('200 is right for the whole object', async (t) => {
  const server = await RawServer.start({ script: objectScript(object, ETAG) });
  t.teardown(() => server.close());
  const harness = new Harness({ object, port: server.port });
  t.teardown(() => harness.close());
  t.match(await harness.fetch(0, object.length), { type: 'fetchDone' });
  harness.expect(0, object.length);
  harness.assertPool(t);
});

t.test('bytes after the body never land, and the connection is not used again', async (t) => {
  for (const how of ['together', 'later'] as const) {
    const trailing: Answer = async (request, connection) => {
      const bytes = Buffer.concat([Buffer.from(rightHead(request, object, ETAG)), body(request)]);
      if (how === 'together') {
        await connection.send(Buffer.concat([bytes, Buffer.from('TRAILING')]));
      } else {
        await connection.sendTorn(Buffer.concat([bytes, Buffer.from('TRAILING')]), bytes.length);
      }
      return true;
    };
    const { end, harness, server } = await play(t, [trailing]);
    t.equal(end.type, 'fetchDone', how);
    await harness.until(() => harness.thread.counts.connections === 0);
    t.match(await harness.fetch(0, 100, 3), { type: 'fetchDone' });
    t.equal(server.connections, 2, how);
    harness.expect(START, END);
    harness.expect(0, 100, 3);
    harness.assertPool(t, how);
  }
  // A small body comes with its head in one read, trailing bytes and all.
  const small: Answer = async (request, connection) => {
    await connection.send(
      Buffer.concat([Buffer.from(rightHead(request, object, ETAG)), body(request), Buffer.from('X')]),
    );
    return true;
  };
  const server = await RawServer.start({ script: objectScript(object, ETAG, () => small) });
  t.teardown(() => server.close());
  const harness = new Harness({ object, port: server.port });
  t.teardown(() => harness.close());
  t.match(await harness.fetch(0, 10), { type: 'fetchDone' });
  t.match(await harness.fetch(10, 20, 1), { type: 'fetchDone' });
  t.equal(server.connections, 2);
  harness.expect(0, 10);
  harness.expect(10, 20, 1);
  harness.assertPool(t, 'with the head');
});

t.test('busy answers are asked again, on the same connection', async (t) => {
  const chunked: Answer = async (_request, connection) => {
    const text = errorAnswer(503, 'SlowDown').split('\r\n\r\n')[1] ?? '';
    await connection.sendTorn(
      `HTTP/1.1 503 Slow Down\r\nTransfer-Encoding: chunked\r\n\r\n${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`,
      30,
      60,
      90,
    );
    return true;
  };
  const bodiless: Answer = async (_request, connection) => {
    await connection.send('HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n');
    return true;
  };
  for (const [what, answer] of [
    ['503', error(503, 'SlowDown')],
    ['500', error(500, 'InternalError')],
    ['400 RequestTimeout', error(400, 'RequestTimeout')],
    ['503 chunked', chunked],
    ['503 without a body', bodiless],
  ] as [string, Answer][]) {
    const { end, server, harness } = await play(t, [answer, answer]);
    t.equal(end.type, 'fetchDone', what);
    t.equal(server.connections, 1, what);
    harness.expect(START, END);
    harness.assertPool(t, what);
  }
  const { end, server } = await play(
    t,
    Array.from({ length: 5 }, () => error(503, 'SlowDown')),
  );
  t.match(end, { type: 'fetchFailed', errno: EIO, code: 'SlowDown', status: 503 });
  t.equal(server.requests.length, 3);
  const untilClose: Answer = async (_request, connection) => {
    await connection.send('HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n\r\n<html>proxy</html>');
    connection.end();
  };
  const closed = await play(t, [untilClose, untilClose, untilClose]);
  t.match(closed.end, { type: 'fetchFailed', errno: EIO, code: 'Http502', status: 502 });
});

t.test('final answers', async (t) => {
  const rows: [string, Answer, object][] = [
    ['412', error(412, 'PreconditionFailed'), { errno: ESTALE, code: 'PreconditionFailed', message: /replaced/ }],
    ['404', error(404, 'NoSuchKey'), { errno: ESTALE, code: 'NoSuchKey', message: /deleted/ }],
    ['404 of the bucket', error(404, 'NoSuchBucket'), { errno: EIO, code: 'NoSuchBucket' }],
    ['403', error(403, 'AccessDenied'), { errno: EACCES, code: 'AccessDenied', status: 403 }],
    ['403 archived', error(403, 'InvalidObjectState'), { errno: EIO, code: 'InvalidObjectState' }],
    ['400', error(400, 'InvalidArgument'), { errno: EIO, code: 'InvalidArgument' }],
    ['416', error(416, 'InvalidRange'), { errno: EIO, code: 'InvalidRange' }],
    ['416, another size', error(416, 'InvalidRange', 'Content-Range: bytes */5\r\n'), { errno: ESTALE }],
    [
      '301',
      error(301, 'PermanentRedirect', 'x-amz-bucket-region: eu-west-1\r\n'),
      { errno: EIO, code: 'PermanentRedirect', message: /eu-west-1.*--region/ },
    ],
    [
      '400 wrong region',
      error(400, 'AuthorizationHeaderMalformed', '', '<Region>eu-central-1</Region>'),
      { errno: EIO, message: /eu-central-1/ },
    ],
    [
      'a status nobody knows',
      async (_, connection) => connection.send('HTTP/1.1 299 Odd\r\nContent-Length: 0\r\n\r\n').then(() => true),
      { errno: EIO, code: 'Http299' },
    ],
  ];
  for (const [what, answer, want] of rows) {
    const { end, server, harness } = await play(t, [answer]);
    t.match(end, { type: 'fetchFailed', ...want }, what);
    t.equal(server.requests.length, 1, `${what}: not asked again`);
    harness.assertPool(t, `${what}: nothing lands`);
    t.match(await harness.fetch(0, 10, 3), { type: 'fetchDone' }, `${what}: the thread goes on`);
  }
});

t.test('no answer, a late answer, and no server', async (t) => {
  const silent: Answer = () => Promise.resolve();
  const once = await play(t, [silent], { timeouts: fast });
  t.equal(once.end.type, 'fetchDone', 'a silent server once');
  t.equal(once.server.connections, 2);
  const always = await play(t, [silent, silent, silent], { timeouts: fast });
  t.match(always.end, { type: 'fetchFailed', errno: EIO, code: 'FirstByteTimeout' });
  const closing: Answer = (_request, connection) => Promise.resolve(connection.end());
  const closed = await play(t, [closing, closing, closing]);
  t.match(closed.end, { type: 'fetchFailed', errno: EIO, code: 'EarlyClose' });
  const resetting: Answer = (_request, connection) => Promise.resolve(connection.reset());
  const reset = await play(t, [resetting, resetting, resetting]);
  t.match(reset.end, { type: 'fetchFailed', errno: EIO, code: 'ConnectionReset' });
  const server = await RawServer.start({ script: () => Promise.resolve() });
  const { port } = server;
  await server.close();
  const harness = new Harness({ object, port });
  t.match(await harness.fetch(0, 10), { type: 'fetchFailed', errno: EIO, code: 'ECONNREFUSED' });
  const unknown = new Harness({
    object,
    port,
    target: { hostname: 'no-such-host.invalid' },
    network: {
      ...(await import('../../../src/engine/net/network.js')).systemNetwork,
      lookup: () => Promise.reject(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' })),
    },
  });
  t.match(await unknown.fetch(0, 10), { type: 'fetchFailed', errno: EIO, code: 'NameNotResolved' });
});

t.test('a store that restarts is waited for, a store that stays away is not', async (t) => {
  const first = await RawServer.start({ script: () => Promise.resolve() });
  const { port } = first;
  await first.close();
  const harness = new Harness({ object, port, target: { isPatient: true, maxAttempts: 2 }, readDeadlineMs: 60_000 });
  t.teardown(() => harness.close());
  const end = harness.fetch(0, 10);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const server = await RawServer.start({
    port,
    script: async (connection) => {
      const request = await connection.request();
      if (!request) return;
      await connection.send(rightHead(request, object, ETAG));
      await connection.send(body(request));
    },
  });
  t.teardown(() => server.close());
  t.match(await end, { type: 'fetchDone' });
  harness.expect(0, 10);
  harness.assertPool(t);
  const away = await RawServer.start({ script: () => Promise.resolve() });
  const { port: nobodys } = away;
  await away.close();
  const other = new Harness({ object, port: nobodys, target: { isPatient: true }, readDeadlineMs: 200 });
  t.teardown(() => other.close());
  t.match(await other.fetch(0, 10), { type: 'fetchFailed', errno: EIO, code: 'ECONNREFUSED' });
});

t.test('an idle connection that the server closed costs no attempt', async (t) => {
  // Attempts: one. Each connection serves one request and then closes when the next one comes.
  const server = await RawServer.start({
    script: async (connection) => {
      const request = await connection.request();
      if (!request) return;
      await connection.send(rightHead(request, object, ETAG));
      await connection.send(body(request));
      await connection.request();
      connection.reset();
    },
  });
  t.teardown(() => server.close());
  const harness = new Harness({ object, port: server.port, target: { maxAttempts: 1 } });
  t.teardown(() => harness.close());
  for (let i = 0; i < 5; i++) {
    harness.wipe(0);
    t.match(await harness.fetch(i * 10, i * 10 + 10), { type: 'fetchDone' });
    harness.expect(i * 10, i * 10 + 10);
    harness.assertPool(t);
  }
});

t.test('a server that speaks first, or closes at once, uses up the attempts', async (t) => {
  const rude: [string, (connection: RawConnection) => Promise<void>][] = [
    ['a greeting', (connection) => connection.send('220 ready\r\n')],
    ['FIN', (connection) => Promise.resolve(connection.end())],
    ['RST', (connection) => Promise.resolve(connection.reset())],
  ];
  for (const [what, script] of rude) {
    for (const isTls of [false, true]) {
      const server = await RawServer.start({ tls: isTls, script });
      t.teardown(() => server.close());
      const target = isTls ? { tls: true, hostname: 'localhost', caPem: TEST_CA_PEM } : {};
      const harness = new Harness({ object, port: server.port, target, timeouts: fast });
      t.teardown(() => harness.close());
      t.match(await harness.fetch(0, 10), { type: 'fetchFailed', errno: EIO }, `${what} ${isTls ? 'TLS' : ''}`);
      t.equal(server.connections, 3, `${what}: three attempts`);
      harness.assertPool(t);
    }
  }
});

t.test('after one stale connection the next try is on a new one, not on another stale one', async (t) => {
  const server = await RawServer.start({
    script: async (connection) => {
      const request = await connection.request();
      if (!request) return;
      // All three are open before any is answered.
      while (server.requests.length < 3) await new Promise((resolve) => setTimeout(resolve, 1));
      await connection.send(Buffer.concat([Buffer.from(rightHead(request, object, ETAG)), body(request)]));
      await connection.request();
      connection.reset();
    },
  });
  t.teardown(() => server.close());
  const harness = new Harness({ object, port: server.port, target: { maxAttempts: 1 } });
  t.teardown(() => harness.close());
  await Promise.all([0, 1, 2].map((i) => harness.fetch(i * 10, i * 10 + 10, i)));
  t.equal(harness.thread.counts.idle, 3);
  t.match(await harness.fetch(40, 50, 3), { type: 'fetchDone' });
  t.equal(server.requests.length, 3 + 1 + 1, 'one in vain, one served');
});

t.test('idle connections are closed after their time', async (t) => {
  const { harness } = await play(t, [], { timeouts: { idleMs: 30 } });
  await harness.until(() => harness.thread.counts.connections === 0);
  t.equal(harness.thread.counts.idle, 0);
});

t.test('a body that only drips is resumed elsewhere, with a length or in chunks', async (t) => {
  for (const isChunked of [false, true]) {
    const drips: Answer = async (request, connection) => {
      const head = rightHead(request, object, ETAG);
      await connection.send(isChunked ? head.replace(/Content-Length: \d+/, 'Transfer-Encoding: chunked') : head);
      const bytes = body(request);
      for (let at = 0; at < bytes.length && !connection.socket.destroyed; at += 20) {
        const piece = bytes.subarray(at, at + 20);
        const framed = [Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')];
        await connection.send(isChunked ? Buffer.concat(framed) : piece);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    };
    const { end, harness, server } = await play(t, [drips], { timeouts: fast });
    t.match(end, { type: 'fetchDone' });
    t.equal(server.requests.length, 2);
    const resumed = server.requests[1]?.start ?? 0;
    t.ok(resumed > START && resumed < END, `resumed at ${resumed}`);
    t.match(harness.of('log')[0]?.fields, { code: 'TooSlow' });
    harness.expect(START, END);
    harness.assertPool(t);
  }
});
