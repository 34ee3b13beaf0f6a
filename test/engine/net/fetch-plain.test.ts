/**
 * Ranged GETs that go well, over HTTP, HTTPS and IPv6: every byte lands where it belongs, nothing else is touched,
 * connections are reused.
 */
import t from 'tap';
import { MIB } from '../../../src/base/units.js';
import { systemNetwork } from '../../../src/engine/net/network.js';
import { OTHER_CA_PEM, TEST_CA_PEM } from '../../support/raw-server-certs.js';
import { RawServer, objectScript } from '../../support/raw-server.js';
import { ETAG, Harness, pattern } from './harness.js';

const object = pattern(3 * MIB + 12345);

const ranges: [string, number, number][] = [
  ['the whole object', 0, object.length],
  ['one block', MIB, 2 * MIB],
  ['one byte', 77, 78],
  ['the last byte', object.length - 1, object.length],
  ['a range across two blocks', MIB - 5, MIB + 5],
  ['an unaligned range within a block', 4096, 12288],
];

for (const [name, options] of [
  ['http', {}],
  ['https', { tls: true }],
  ['http over IPv6', { host: '::1' }],
  ['https over IPv6', { tls: true, host: '::1' }],
] as [string, { tls?: boolean; host?: string }][]) {
  t.test(name, async (t) => {
    const server = await RawServer.start({ ...options, script: objectScript(object, ETAG) });
    t.teardown(() => server.close());
    const hostname = options.host === '::1' ? '[::1]' : 'localhost';
    const target = { tls: options.tls ?? false, hostname, ...(options.tls ? { caPem: TEST_CA_PEM } : {}) };
    for (const [what, start, end] of ranges) {
      const harness = new Harness({ object, port: server.port, target });
      const ended = await harness.fetch(start, end);
      t.equal(ended.type, 'fetchDone', what);
      harness.expect(start, end);
      harness.assertPool(t, what);
      harness.close();
    }
    const first = server.requests[0];
    t.equal(first?.headers['if-match'], ETAG);
    t.equal(first?.target, '/bucket/dir/key');
    t.equal(first?.headers['range'], undefined, 'the whole object is no range');
    t.equal(first?.headers['x-amz-checksum-mode'], 'ENABLED');
    t.equal(first?.headers['authorization'], undefined, 'anonymous requests are not signed');
  });
}

t.test('connections are reused, and never more than allowed', async (t) => {
  const server = await RawServer.start({ script: objectScript(object, ETAG) });
  t.teardown(() => server.close());
  const harness = new Harness({ object, port: server.port, connectionsMax: 2, slots: 8 });
  for (let round = 0; round < 5; round++) {
    const ends = await Promise.all([0, 1, 2, 3].map((i) => harness.fetch(i * 1000, i * 1000 + 500, i)));
    t.ok(ends.every((end) => end.type === 'fetchDone'));
  }
  t.equal(server.requests.length, 20);
  t.ok(server.connections <= 2, `${server.connections} connections`);
  for (let i = 0; i < 4; i++) harness.expect(i * 1000, i * 1000 + 500, i);
  harness.assertPool(t);
  harness.thread.handle({ type: 'limits', connectionsMax: 1 });
  t.equal(harness.thread.counts.connections, 1, 'a lower limit closes idle connections');
  harness.close();
  t.equal(harness.thread.counts.connections, 0);
  t.match(harness.events.at(-1), { type: 'closed' });
});

t.test('local addresses are bound to in turn; one of another family cannot serve', async (t) => {
  const seen: (string | undefined)[] = [];
  const right = objectScript(object, ETAG);
  const server = await RawServer.start({
    script: (connection) => {
      seen.push(connection.socket.remoteAddress);
      return right(connection);
    },
  });
  t.teardown(() => server.close());
  const localAddresses = ['127.0.0.2', '::1', '127.0.0.3'];
  const harness = new Harness({ object, port: server.port, target: { localAddresses } });
  await Promise.all([0, 1, 2, 3].map((i) => harness.fetch(i * 10, i * 10 + 10, i)));
  t.same(seen.sort(), ['127.0.0.2', '127.0.0.2', '127.0.0.3', '127.0.0.3']);
  harness.close();
  const wrong = new Harness({ object, port: server.port, target: { localAddresses: ['::1'], maxAttempts: 1 } });
  t.match(await wrong.fetch(0, 10), { type: 'fetchFailed', code: 'NoLocalAddress', message: /--bind/ });
  wrong.close();
});

t.test('an address that refuses costs nothing when another one serves', async (t) => {
  const server = await RawServer.start({ script: objectScript(object, ETAG) });
  t.teardown(() => server.close());
  let lookups = 0;
  const network = {
    ...systemNetwork,
    lookup: () => {
      lookups++;
      // Nobody listens on this port at the first two.
      return Promise.resolve(
        (['127.0.0.77', '127.0.0.78', '127.0.0.1'] as const).map((address) => ({ address, family: 4 as const })),
      );
    },
  };
  const target = { hostname: 'bucket.s3.test', maxAttempts: 1 };
  const harness = new Harness({ object, port: server.port, target, network });
  const ends = await Promise.all([0, 1, 2, 3].map((i) => harness.fetch(i * 10, i * 10 + 10, i)));
  t.ok(ends.every((end) => end.type === 'fetchDone'));
  t.equal(lookups, 1);
  for (let i = 0; i < 4; i++) harness.expect(i * 10, i * 10 + 10, i);
  harness.assertPool(t);
  harness.close();
});

t.test('a TLS session is resumed on the next connection', async (t) => {
  const server = await RawServer.start({
    tls: true,
    script: objectScript(object, ETAG, (request) => async (_, connection) => {
      const head = `HTTP/1.1 206 OK\r\nETag: ${ETAG}\r\nContent-Range: bytes ${request.start}-${request.end - 1}/${object.length}\r\n`;
      await connection.send(`${head}Content-Length: ${request.end - request.start}\r\nConnection: close\r\n\r\n`);
      await connection.send(object.subarray(request.start, request.end));
      connection.end();
    }),
  });
  t.teardown(() => server.close());
  const target = { tls: true, hostname: 'localhost', caPem: TEST_CA_PEM };
  const harness = new Harness({ object, port: server.port, target });
  t.match(await harness.fetch(0, 100), { type: 'fetchDone' });
  t.match(await harness.fetch(100, 200, 1), { type: 'fetchDone' });
  t.equal(server.connections, 2, 'Connection: close is honoured');
  t.equal(server.resumed, 1);
  t.same(server.serverNames, ['localhost', 'localhost']);
  harness.close();
});

t.test('a certificate that is not trusted, or for another name, is refused', async (t) => {
  const server = await RawServer.start({ tls: true, script: objectScript(object, ETAG) });
  t.teardown(() => server.close());
  const elsewhere = { ...systemNetwork, lookup: () => Promise.resolve([{ address: '127.0.0.1', family: 4 as const }]) };
  const cases: [string, object, string][] = [
    ['another authority', { hostname: 'localhost', caPem: OTHER_CA_PEM }, 'CertificateRefused'],
    ['the system authorities', { hostname: 'localhost' }, 'CertificateRefused'],
    ['another name', { hostname: 'bucket.s3.example', caPem: TEST_CA_PEM }, 'CertificateRefused'],
  ];
  for (const [what, more, code] of cases) {
    const harness = new Harness({ object, port: server.port, target: { tls: true, ...more }, network: elsewhere });
    t.match(await harness.fetch(0, 100), { type: 'fetchFailed', code }, what);
    harness.assertPool(t, `${what}: nothing lands`);
    harness.close();
  }
  const harness = new Harness({
    object,
    port: server.port,
    target: { tls: true, hostname: 'bucket.s3.test', caPem: TEST_CA_PEM },
    network: elsewhere,
  });
  t.match(await harness.fetch(0, 100), { type: 'fetchDone' }, 'a wildcard name is accepted');
  harness.close();
  t.equal(server.requests.length, 1, 'no request reached the server before the certificate was verified');
});
