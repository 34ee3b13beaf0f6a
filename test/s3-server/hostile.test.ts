/**
 * The embedded server against malformed, huge and slow requests.
 *
 * Tests and benches trust this server, so it must answer rubbish with an error, or end the connection, and then serve the next client as
 * before: no internal error reported, no connection left behind, no memory kept. Random mutations print their seed when they fail.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import fc from 'fast-check';
import t from 'tap';
import { startBuiltin, type BuiltinServer } from '../support/servers/builtin.js';
import { signedChunksPut, unsignedChunksPut } from './cases/chunks.js';
import { clientOf, createBucket, type CaseContext } from './cases/context.js';
import { get, keysOf, pattern, put, sameBytes } from './cases/helpers.js';
import { pathOf, sendSigned, signed, xmlText, type RawRequest } from './cases/raw.js';
import { dial, exchange, firstStatus, signedWire, statusesIn, statusOf, wireOf, within } from './wire.js';

const MIB = 2 ** 20;
const MUTATED_REQUESTS = 400;

const server = await startBuiltin();
const s3 = clientOf(server);
const bucket = await createBucket(s3);
const ctx: CaseContext = { server, s3, bucket, newBucket: () => createBucket(s3) };
t.setTimeout(180_000);
t.teardown(async () => {
  s3.destroy();
  await server.stop();
});
await put(ctx, 'object', 'bytes');

/** The server reported nothing and serves the next client. */
async function expectHealthy(one: BuiltinServer): Promise<void> {
  assert.deepEqual(one.reports, []);
  assert.equal((await get({ ...ctx, server: one }, 'object')).bytes.toString(), 'bytes');
}

/** What `statusOf` may say about a malformed head: an error of the client's, a "not supported", or just the end. */
const REFUSED = [400, 403, 405, 414, 431, 501, 505, 'closed'] as const;
const HOST = `Host: ${new URL(server.endpoint).host}\r\n`;

const HEADS: readonly (readonly [name: string, bytes: string])[] = [
  ['request line of two words', `GET /\r\n${HOST}\r\n`],
  ['request line of four words', `GET / x HTTP/1.1\r\n${HOST}\r\n`],
  ['empty method', ` / HTTP/1.1\r\n${HOST}\r\n`],
  ['method with odd characters', `G(ET / HTTP/1.1\r\n${HOST}\r\n`],
  ['HTTP/2 preface', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'],
  ['HTTP/9.9', `GET / HTTP/9.9\r\n${HOST}\r\n`],
  ['lower-case version', `GET / http/1.1\r\n${HOST}\r\n`],
  ['no Host', 'GET / HTTP/1.1\r\n\r\n'],
  ['two Hosts', `GET / HTTP/1.1\r\n${HOST}${HOST}\r\n`],
  ['header without a colon', `GET / HTTP/1.1\r\n${HOST}nonsense\r\n\r\n`],
  ['header with a space before the colon', `GET / HTTP/1.1\r\n${HOST}Range : bytes=0-1\r\n\r\n`],
  ['header without a name', `GET / HTTP/1.1\r\n${HOST}: value\r\n\r\n`],
  ['folded header', `GET / HTTP/1.1\r\n${HOST}X-A: 1\r\n 2\r\n\r\n`],
  ['NUL in a header', `GET / HTTP/1.1\r\n${HOST}X-A: a\0b\r\n\r\n`],
  ['bare CR in a header', `GET / HTTP/1.1\r\n${HOST}X-A: a\rb\r\n\r\n`],
  ['bare LF in a header', `GET / HTTP/1.1\r\n${HOST}X-A: a\nX-B: b\r\n\r\n`],
  ['two lengths', `PUT /b/k HTTP/1.1\r\n${HOST}Content-Length: 1\r\nContent-Length: 2\r\n\r\nx`],
  ['a list of lengths', `PUT /b/k HTTP/1.1\r\n${HOST}Content-Length: 1, 1\r\n\r\nx`],
  ['negative length', `PUT /b/k HTTP/1.1\r\n${HOST}Content-Length: -1\r\n\r\n`],
  ['signed length', `PUT /b/k HTTP/1.1\r\n${HOST}Content-Length: +1\r\n\r\nx`],
  ['hexadecimal length', `PUT /b/k HTTP/1.1\r\n${HOST}Content-Length: 0x1\r\n\r\nx`],
  ['length past 2^63', `PUT /b/k HTTP/1.1\r\n${HOST}Content-Length: 99999999999999999999\r\n\r\n`],
  ['empty length', `PUT /b/k HTTP/1.1\r\n${HOST}Content-Length: \r\n\r\n`],
  [
    'length beside chunked',
    `PUT /b/k HTTP/1.1\r\n${HOST}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  ],
  ['unknown transfer encoding', `PUT /b/k HTTP/1.1\r\n${HOST}Transfer-Encoding: gzip\r\n\r\n`],
  ['chunked twice', `PUT /b/k HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n`],
  ['malformed escape', `GET /b/%zz HTTP/1.1\r\n${HOST}\r\n`],
  ['escape cut off', `GET /b/% HTTP/1.1\r\n${HOST}\r\n`],
  ['malformed escape in the query', `GET /b?prefix=%f HTTP/1.1\r\n${HOST}\r\n`],
  ['target without a slash', `GET b/k HTTP/1.1\r\n${HOST}\r\n`],
  ['CONNECT', `CONNECT example.test:443 HTTP/1.1\r\n${HOST}\r\n`],
  ['OPTIONS *', `OPTIONS * HTTP/1.1\r\n${HOST}\r\n`],
  ['TRACE', `TRACE / HTTP/1.1\r\n${HOST}\r\n`],
  ['absolute target of another host', `GET http://169.254.169.254/latest/meta-data HTTP/1.1\r\n${HOST}\r\n`],
  ['a path of 60 KB', `GET /${'a'.repeat(60_000)} HTTP/1.1\r\n${HOST}\r\n`],
  ['a head of 1 MB', `GET / HTTP/1.1\r\n${HOST}X-A: ${'a'.repeat(MIB)}\r\n\r\n`],
  ['a request line that never ends', `GET /${'a'.repeat(MIB)}`],
  ['5,000 headers', `GET / HTTP/1.1\r\n${HOST}${'X-A: 1\r\n'.repeat(5000)}\r\n`],
  ['10,000 query parameters', `GET /b?${'a=1&'.repeat(10_000)} HTTP/1.1\r\n${HOST}\r\n`],
  ['a query of separators', `GET /b?&&=&=x&?&== HTTP/1.1\r\n${HOST}\r\n`],
  ['a Host that is rubbish', 'GET / HTTP/1.1\r\nHost: [::1\r\n\r\n'],
  ['a Host of dots', 'GET /k HTTP/1.1\r\nHost: ...s3.localhost\r\n\r\n'],
  ['a Host with slashes', 'GET /k HTTP/1.1\r\nHost: ../..s3.localhost\r\n\r\n'],
];

for (const [name, bytes] of HEADS) {
  t.test(`malformed head: ${name}`, async (tt) => {
    const status = await statusOf(server, Buffer.from(bytes, 'latin1'));
    tt.ok((REFUSED as readonly unknown[]).includes(status), `refused with ${status}`);
    await expectHealthy(server);
  });
}

t.test('TLS on the plain port ends the connection', async () => {
  const hello = Buffer.from('160301020001000001fc0303', 'hex');
  assert.deepEqual(
    statusesIn(await exchange(server, Buffer.concat([hello, pattern(500)]))).filter((code) => code >= 500),
    [],
  );
  await expectHealthy(server);
});

t.test('rubbish, plain HTTP and broken-off handshakes on the TLS port leave it serving', async () => {
  const tls = await startBuiltin({ tls: true });
  const client = clientOf(tls);
  try {
    const tlsBucket = await createBucket(client);
    const plain = { ...ctx, server: tls, s3: client, bucket: tlsBucket };
    const port = { ...tls, endpoint: tls.endpoint.replace('https:', 'http:') };
    for (const bytes of [
      pattern(5000),
      Buffer.from(`GET / HTTP/1.1\r\n${HOST}\r\n`),
      Buffer.from('160301020001000001fc0303', 'hex'),
    ]) {
      assert.deepEqual(statusesIn(await exchange(port, bytes)), []);
    }
    const hanging = await Promise.all(Array.from({ length: 50 }, () => dial(port)));
    for (const socket of hanging) socket.write(Buffer.from('1603010200', 'hex'));
    await put(plain, 'over-tls', 'bytes');
    assert.equal((await get(plain, 'over-tls')).bytes.toString(), 'bytes');
    for (const socket of hanging) socket.destroy();
    assert.deepEqual(tls.reports, []);
  } finally {
    client.destroy();
    await tls.stop();
  }
});

/** Bodies that are signed correctly and wrong inside. */
const XML_BODIES: readonly (readonly [name: string, body: string])[] = [
  [
    'entities that grow',
    `<!DOCTYPE d [<!ENTITY a "${'x'.repeat(1000)}"><!ENTITY b "${'&a;'.repeat(1000)}"><!ENTITY c "${'&b;'.repeat(1000)}">]><Delete><Object><Key>&c;</Key></Object></Delete>`,
  ],
  [
    'an external entity',
    '<!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><Delete><Object><Key>&x;</Key></Object></Delete>',
  ],
  ['100,000 nested elements', '<a>'.repeat(100_000)],
  ['100,000 nested and closed elements', '<a>'.repeat(100_000) + '</a>'.repeat(100_000)],
  ['an element that never ends', `<Delete><Object><Key>${'k'.repeat(MIB)}`],
  ['an attribute that never ends', `<Delete a="${'k'.repeat(MIB)}`],
  ['a comment that never ends', `<Delete><!--${'-'.repeat(MIB)}`],
  ['a name of 1 MB', `<${'D'.repeat(MIB)}>`],
  ['broken UTF-8', '<Delete><Object><Key>\u00ff\u00fe</Key></Object></Delete>'],
  ['a key of 1 MB', `<Delete><Object><Key>${'k'.repeat(MIB)}</Key></Object></Delete>`],
  ['__proto__ as element', '<Delete><__proto__><Key>a</Key></__proto__></Delete>'],
];

for (const [name, body] of XML_BODIES) {
  t.test(`XML body: ${name}`, async (tt) => {
    const bytes = Buffer.from(body, 'latin1');
    for (const request of [
      { method: 'POST', path: pathOf(bucket), query: { delete: '' }, body: bytes },
      { method: 'PUT', path: pathOf(bucket, 'object'), query: { tagging: '' }, body: bytes },
      { method: 'POST', path: pathOf(bucket, 'mp'), query: { uploadId: 'x' }, body: bytes },
    ]) {
      const answer = await sendSigned(ctx, request);
      const code = xmlText(answer.body.toString(), 'Code') ?? '';
      // A key that is only too long is answered inside a 200.
      const isRefused = answer.status >= 400 && answer.status < 500 && code !== '';
      tt.ok(isRefused || (name === 'a key of 1 MB' && answer.status === 200), `${answer.status} ${code}`);
      tt.notMatch(answer.body.toString(), /root:/, 'no file of ours');
    }
    await expectHealthy(server);
  });
}

t.test('an XML body of 64 MiB is refused without being kept', async (tt) => {
  const before = process.memoryUsage().arrayBuffers;
  const body = Buffer.alloc(64 * MIB, 0x20);
  const request = await signed(server, { method: 'POST', path: pathOf(bucket), query: { delete: '' }, body });
  const status = await statusOf(server, wireOf(request));
  tt.ok(status === 'closed' || (status >= 400 && status < 500), String(status));
  tt.ok(process.memoryUsage().arrayBuffers - before < 5 * 64 * MIB);
  await expectHealthy(server);
});

const CHUNKED_BODIES: readonly (readonly [name: string, body: string])[] = [
  ['size that is no number', 'xyz\r\nabc\r\n0\r\n\r\n'],
  ['size past 2^53', 'ffffffffffffffff\r\nabc\r\n0\r\n\r\n'],
  ['negative size', '-1\r\nabc\r\n0\r\n\r\n'],
  ['chunk longer than its size', '2\r\nabcdef\r\n0\r\n\r\n'],
  ['size line of 1 MB', `1;${'x'.repeat(MIB)}\r\na\r\n0\r\n\r\n`],
  [
    '1,000 trailers',
    `1\r\na\r\n0\r\n${Array.from({ length: 1000 }, (_unused, index) => `x-t-${index}: 1\r\n`).join('')}\r\n`,
  ],
  ['trailer without a colon', '1\r\na\r\n0\r\nnonsense\r\n\r\n'],
];

for (const [name, body] of CHUNKED_BODIES) {
  t.test(`chunked body: ${name}`, async (tt) => {
    const path = pathOf(bucket, 'chunked');
    const inHttp = await signed(
      server,
      { method: 'PUT', path, headers: { 'x-amz-decoded-content-length': '3' } },
      { payloadHash: 'UNSIGNED-PAYLOAD' },
    );
    const headers = { ...inHttp.headers, 'transfer-encoding': 'chunked' };
    const asHttp = await statusOf(server, wireOf({ ...inHttp, headers, body }));
    tt.ok((REFUSED as readonly unknown[]).includes(asHttp) || asHttp === 411, `in HTTP: ${asHttp}`);
    const inAws = await unsignedChunksPut(server, { path, chunks: [], decodedBytes: 3 });
    const asAws = await statusOf(server, wireOf({ ...inAws, body }));
    tt.ok((REFUSED as readonly unknown[]).includes(asAws), `in aws-chunked: ${asAws}`);
    await expectHealthy(server);
    assert.ok(!(await keysOf(ctx)).includes('chunked'));
  });
}

t.test('three requests in one write are answered in order', async () => {
  const requests = await Promise.all(
    ['object', 'missing', 'object'].map((key) => signedWire(server, { method: 'GET', path: pathOf(bucket, key) })),
  );
  const last = await signedWire(server, {
    method: 'HEAD',
    path: pathOf(bucket, 'object'),
    headers: { connection: 'close' },
  });
  const received = await exchange(server, Buffer.concat([...requests, last]));
  assert.deepEqual(statusesIn(received), [200, 404, 200, 200]);
});

t.test('a request that comes byte for byte is answered', async () => {
  const socket = await dial(server);
  const bytes = await signedWire(server, { method: 'PUT', path: pathOf(bucket, 'drip'), body: 'drop by drop' });
  const status = firstStatus(socket);
  for (const byte of bytes) {
    socket.write(Buffer.of(byte));
    await new Promise((wake) => setImmediate(wake));
  }
  assert.equal(await status, 200);
  socket.destroy();
  assert.equal((await get(ctx, 'drip')).bytes.toString(), 'drop by drop');
});

t.test('300 idle and half-started connections keep nobody from being served', async () => {
  const idle = await Promise.all(Array.from({ length: 300 }, () => dial(server)));
  for (const [index, socket] of idle.entries()) if (index % 2 === 0) socket.write('GET /half HTTP/1.1\r\nHost: x');
  await expectHealthy(server);
  for (const socket of idle) socket.destroy();
  await expectNoConnections();
});

t.test('clients that never read a large answer cost no more than their buffers', async (tt) => {
  await put(ctx, 'large', pattern(32 * MIB));
  const bytes = await signedWire(server, { method: 'GET', path: pathOf(bucket, 'large') });
  const before = process.memoryUsage().arrayBuffers;
  const sockets = await Promise.all(Array.from({ length: 16 }, () => dial(server)));
  for (const socket of sockets) {
    socket.pause();
    socket.write(bytes);
  }
  for (let round = 0; round < 20; round += 1) await expectHealthy(server);
  const grownBytes = process.memoryUsage().arrayBuffers - before;
  tt.ok(grownBytes < 16 * 4 * MIB, `${Math.round(grownBytes / MIB)} MiB for 16 stalled answers of 32 MiB`);
  for (const socket of sockets) socket.destroy();
  await expectNoConnections();
});

t.test('uploads broken off at any point leave no object and no connection', async () => {
  const before = await keysOf(ctx);
  const requests: RawRequest[] = [
    await signed(server, { method: 'PUT', path: pathOf(bucket, 'broken'), body: pattern(300_000) }),
    await signedChunksPut(server, { path: pathOf(bucket, 'broken'), chunks: [pattern(100_000), pattern(100_000)] }),
    await unsignedChunksPut(server, { path: pathOf(bucket, 'broken'), chunks: [pattern(200_000)] }),
  ];
  for (const request of requests) {
    const bytes = wireOf(request);
    for (const part of [0.001, 0.01, 0.5, 0.99, 0.99999]) {
      const socket = await dial(server);
      socket.write(bytes.subarray(0, Math.floor(bytes.length * part)));
      await new Promise((wake) => setImmediate(wake));
      socket.destroy();
      await once(socket, 'close');
    }
  }
  await expectNoConnections();
  assert.deepEqual(await keysOf(ctx), before);
  await expectHealthy(server);
});

t.test(`${MUTATED_REQUESTS} mutated requests`, async () => {
  const seeds = [
    await signedWire(server, { method: 'GET', path: pathOf(bucket, 'object'), headers: { range: 'bytes=0-1' } }),
    await signedWire(server, {
      method: 'GET',
      path: pathOf(bucket),
      query: { 'list-type': '2', prefix: 'a/b', delimiter: '/' },
    }),
    await signedWire(server, { method: 'PUT', path: pathOf(bucket, 'mutated'), body: pattern(300) }),
    await signedWire(server, {
      method: 'POST',
      path: pathOf(bucket),
      query: { delete: '' },
      body: '<Delete><Object><Key>mutated</Key></Object></Delete>',
    }),
    wireOf(await signedChunksPut(server, { path: pathOf(bucket, 'mutated'), chunks: [pattern(200)] })),
    wireOf(await unsignedChunksPut(server, { path: pathOf(bucket, 'mutated'), chunks: [pattern(200)] })),
  ];
  const mutation = fc.record({
    at: fc.double({ min: 0, max: 1, noNaN: true }),
    kind: fc.constantFrom('flip', 'insert', 'delete', 'repeat', 'cut', 'newline'),
    bytes: fc.uint8Array({ minLength: 1, maxLength: 40 }),
  });
  const property = fc.asyncProperty(
    fc.nat(seeds.length - 1),
    fc.array(mutation, { minLength: 1, maxLength: 5 }),
    async (seed, mutations) => {
      let bytes = seeds[seed] ?? Buffer.alloc(0);
      for (const { at, kind, bytes: extra } of mutations)
        bytes = mutate(bytes, Math.floor(at * bytes.length), kind, extra);
      const statuses = statusesIn(await exchange(server, bytes));
      assert.deepEqual(
        statuses.filter((code) => code >= 500 && code !== 501 && code !== 505),
        [],
      );
      assert.deepEqual(server.reports, []);
    },
  );
  await fc.assert(property, { numRuns: MUTATED_REQUESTS, interruptAfterTimeLimit: 60_000 });
  await expectHealthy(server);
  await expectNoConnections();
});

t.test('afterwards large bytes are still right', async () => {
  const body = pattern(9 * MIB, 77);
  await put(ctx, 'after', body);
  sameBytes((await get(ctx, 'after')).bytes, body);
  assert.deepEqual(server.reports, []);
});

function mutate(bytes: Buffer, at: number, kind: string, extra: Uint8Array): Buffer {
  const [before, after] = [bytes.subarray(0, at), bytes.subarray(at)];
  switch (kind) {
    case 'flip':
      return Buffer.concat([before, extra, after.subarray(extra.length)]);
    case 'insert':
      return Buffer.concat([before, extra, after]);
    case 'delete':
      return Buffer.concat([before, after.subarray(extra.length)]);
    case 'repeat':
      return Buffer.concat([before, after.subarray(0, extra.length), after]);
    case 'newline':
      return Buffer.concat([before, Buffer.from('\r\n'), after]);
    default:
      return before;
  }
}

/** Waits until the server has noticed that all clients but the pooled one of `s3` are gone. */
async function expectNoConnections(): Promise<void> {
  s3.config.requestHandler.destroy?.();
  await within(
    (async () => {
      while (server.controls.stats().openConnections > 0) await new Promise((wake) => setTimeout(wake, 10));
    })(),
    'the end of all connections',
  );
}
