/**
 * Through forward proxies: absolute form for plain targets, a tunnel for TLS ones, credentials for the proxy only, and what
 * a proxy can do wrong.
 */
import net from 'node:net';
import t, { type Test } from 'tap';
import { EIO } from '../../../src/base/errno.js';
import { MIB } from '../../../src/base/units.js';
import { authority, parseProxyUrl } from '../../../src/engine/net/proxy.js';
import { TEST_CA_PEM } from '../../support/raw-server-certs.js';
import { RawServer, objectScript, type RawConnection, type Script } from '../../support/raw-server.js';
import { ETAG, Harness, pattern } from './harness.js';

const object = pattern(MIB + 100);

/** A proxy that answers CONNECT by joining the client to `port`, whatever host was named. */
function tunnelTo(port: number): Script {
  return async (connection) => {
    const request = await connection.request();
    if (!request) return;
    const upstream = net.connect(port, '127.0.0.1');
    upstream.on('error', () => connection.socket.destroy());
    const early = connection.detach();
    await connection.send('HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n');
    upstream.write(early);
    connection.socket.pipe(upstream).pipe(connection.socket);
  };
}

function through(t: Test, proxyUrl: string, port: number, isTls: boolean): Harness {
  const target = {
    tls: isTls,
    hostname: isTls ? 'bucket.s3.test' : 'bucket.s3.example',
    port,
    hostHeader: isTls ? 'bucket.s3.test' : 'bucket.s3.example',
    basePath: '',
    proxyUrl,
    caPem: TEST_CA_PEM,
    maxAttempts: 1,
  };
  const harness = new Harness({ object, port, target, timeouts: { connectMs: 300 } });
  t.teardown(() => harness.close());
  return harness;
}

for (const isTlsProxy of [false, true]) {
  const scheme = isTlsProxy ? 'https' : 'http';
  const host = isTlsProxy ? 'localhost' : '127.0.0.1';

  t.test(`a plain target through an ${scheme} proxy`, async (t) => {
    // The proxy itself answers: only what it is asked matters here.
    const proxy = await RawServer.start({ tls: isTlsProxy, script: objectScript(object, ETAG) });
    t.teardown(() => proxy.close());
    const harness = through(t, `${scheme}://us%40er:p%3Aw@${host}:${proxy.port}`, 80, false);
    t.match(await harness.fetch(0, object.length), { type: 'fetchDone' });
    harness.expect(0, object.length);
    harness.assertPool(t);
    const request = proxy.requests[0];
    t.equal(request?.target, 'http://bucket.s3.example/dir/key');
    t.equal(request?.headers['host'], 'bucket.s3.example');
    t.equal(request?.headers['proxy-authorization'], `Basic ${Buffer.from('us@er:p:w').toString('base64')}`);
  });

  t.test(`a TLS target through an ${scheme} proxy`, async (t) => {
    const server = await RawServer.start({ tls: true, script: objectScript(object, ETAG) });
    t.teardown(() => server.close());
    const proxy = await RawServer.start({ tls: isTlsProxy, script: tunnelTo(server.port) });
    t.teardown(() => proxy.close());
    const harness = through(t, `${scheme}://user:secret@${host}:${proxy.port}`, 443, true);
    t.match(await harness.fetch(0, object.length), { type: 'fetchDone' });
    t.match(await harness.fetch(5, 10, 3), { type: 'fetchDone' });
    harness.expect(0, object.length);
    harness.expect(5, 10, 3);
    harness.assertPool(t);
    t.equal(proxy.connections, 1, 'the tunnel is kept');
    t.match(proxy.requests[0], { method: 'CONNECT', target: 'bucket.s3.test:443' });
    t.equal(proxy.requests[0]?.headers['host'], 'bucket.s3.test:443');
    t.equal(
      proxy.requests[0]?.headers['proxy-authorization'],
      `Basic ${Buffer.from('user:secret').toString('base64')}`,
    );
    t.equal(server.requests[0]?.headers['proxy-authorization'], undefined, 'the store never sees it');
    t.same(server.serverNames, ['bucket.s3.test'], 'SNI names the store');
  });
}

t.test('what a proxy can do wrong', async (t) => {
  const say = (text: string): Script => {
    return async (connection: RawConnection) => {
      await connection.request();
      await connection.send(text);
    };
  };
  const rows: [string, Script, object][] = [
    [
      '407',
      say('HTTP/1.1 407 Auth\r\nContent-Length: 0\r\n\r\n'),
      { code: 'ProxyAuthenticationRequired', message: /407/ },
    ],
    [
      '403',
      say('HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n'),
      { code: 'ProxyRefused', message: /bucket\.s3\.test:443/ },
    ],
    ['502', say('HTTP/1.1 502 Bad\r\nContent-Length: 0\r\n\r\n'), { code: 'ProxyRefused' }],
    ['garbage', say('SSH-2.0\r\n'), { code: 'ProxyFailed' }],
    ['bytes before the tunnel', say('HTTP/1.1 200 OK\r\n\r\nhello'), { code: 'ProxyFailed' }],
    [
      'closing',
      async (connection) => {
        await connection.request();
        connection.end();
      },
      { code: 'ProxyFailed' },
    ],
    ['silence', () => Promise.resolve(), { code: 'ConnectTimeout' }],
  ];
  for (const [what, script, want] of rows) {
    const proxy = await RawServer.start({ script });
    t.teardown(() => proxy.close());
    const harness = through(t, `http://user:secret@127.0.0.1:${proxy.port}`, 443, true);
    const end = await harness.fetch(0, 100);
    t.match(end, { type: 'fetchFailed', errno: EIO, ...want }, what);
    t.notMatch(JSON.stringify(harness.events), /secret/, `${what}: the password is never said`);
    harness.assertPool(t, `${what}: nothing lands`);
    t.equal(harness.thread.counts.connections, 0);
  }
});

t.test('proxy URLs', (t) => {
  t.same(parseProxyUrl('http://proxy:3128'), { tls: false, hostname: 'proxy', port: 3128, authorization: undefined });
  t.same(parseProxyUrl('proxy:3128/'), { tls: false, hostname: 'proxy', port: 3128, authorization: undefined });
  t.match(parseProxyUrl('https://[::1]'), { tls: true, hostname: '::1', port: 443 });
  t.match(parseProxyUrl('http://u:%zz@h'), { authorization: `Basic ${Buffer.from('u:%zz').toString('base64')}` });
  t.throws(() => parseProxyUrl('socks5://h'), /socks5.*not supported/);
  t.throws(() => parseProxyUrl('http://user:secret@:bad'), { message: /^(?!.*secret).*not a URL/ });
  t.equal(authority('::1', 443), '[::1]:443');
  t.equal(authority('[::1]', 443), '[::1]:443');
  t.end();
});
