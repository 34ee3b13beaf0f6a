/**
 * Certificates and proxies, with a certificate authority made for the test: own CA bundles, what an untrusted, expired or
 * misnamed certificate says, tunnels (CONNECT) and plain proxies, and AWS's own host names played by a server here, so
 * that region discovery runs over the very names that it would use.
 */
import { execFile, execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, request as httpRequest } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { createObjectStore } from '../../../src/engine/store/s3-store.js';
import { resolveTarget } from '../../../src/engine/endpoint/resolve-target.js';
import { probeBucket } from '../../../src/engine/store/probe.js';
import {
  answerXml,
  contentsXml,
  errorXml,
  isolateEnvironment,
  listXml,
  openAccess,
  setKeys,
  startScripted,
  storeErrorOf,
  storeOptions,
  type Script,
  type ScriptedServer,
} from '../store/harness.js';

const openssl = ((): string | undefined => {
  try {
    return execFileSync('openssl', ['version'], { encoding: 'utf8' });
  } catch {
    return undefined;
  }
})();

interface Authority {
  readonly caFile: string;
  /** Key and certificate for the names given; `days` may be negative... openssl's -days is not, hence dates. */
  issue(name: string, altNames: string, days?: number): { key: string; cert: string };
}

function createAuthority(t: Test): Authority {
  const folder = mkdtempSync(join(tmpdir(), 'mount-s3x-ca-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const run = (...words: string[]): void => void execFileSync('openssl', words, { cwd: folder, stdio: 'pipe' });
  const ecKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  run('req', '-x509', ...ecKey, '-keyout', 'ca.key', '-out', 'ca.pem', '-days', '2', '-subj', '/CN=test authority');
  return {
    caFile: join(folder, 'ca.pem'),
    issue(name, altNames, days = 2) {
      run('req', ...ecKey, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
      writeFileSync(join(folder, `${name}.ext`), `subjectAltName=${altNames}\n`);
      const signing = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-extfile', `${name}.ext`];
      run('x509', '-req', '-in', `${name}.csr`, '-out', `${name}.pem`, '-days', String(days), ...signing);
      return {
        key: readFileSync(join(folder, `${name}.key`), 'utf8'),
        cert: readFileSync(join(folder, `${name}.pem`), 'utf8'),
      };
    },
  };
}

async function startTls(t: Test, pair: { key: string; cert: string }, script: Script): Promise<ScriptedServer> {
  return startScripted(t, script, (listener) => createTlsServer(pair, listener));
}

interface Proxy {
  readonly url: string;
  /** 'CONNECT host:port' or 'GET http://...' */
  readonly asked: string[];
}

/** Leads every tunnel to `port` here, whatever host was asked for; forwards absolute-form requests there too. */
async function startProxy(t: Test, port: number): Promise<Proxy> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((request, response) => {
    asked.push(`${request.method} ${request.url}`);
    const path = new URL(request.url ?? '').pathname + new URL(request.url ?? '').search;
    const onward = httpRequest(
      { host: '127.0.0.1', port, path, method: request.method, headers: request.headers },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(response);
      },
    );
    request.pipe(onward);
  });
  server.on('connect', (request, socket: Socket) => {
    asked.push(`CONNECT ${request.url}`);
    const onward = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n');
      socket.pipe(onward);
      onward.pipe(socket);
    });
    for (const one of [socket, onward]) {
      sockets.add(one);
      one.on('error', () => undefined);
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(
    () =>
      new Promise<void>((resolve) => {
        for (const socket of sockets) socket.destroy();
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  );
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
}

t.beforeEach((t) => {
  isolateEnvironment(t);
  setKeys();
});

const skip = openssl === undefined ? 'openssl is not installed: no certificates can be made' : false;

t.test('CA bundles', { skip }, async (t) => {
  const authority = createAuthority(t);
  const answer: Script = (_request, response) => answerXml(response, 200, listXml(contentsXml('k')));
  const good = await startTls(t, authority.issue('good', 'IP:127.0.0.1'), answer);
  const endpointUrl = good.url.replace('http:', 'https:');

  t.match(await storeErrorOf(probeBucket((await openAccess(t, { endpointUrl })).connection)), {
    code: 'CertificateNotTrusted',
    message: /certificate of https:\/\/127\.0\.0\.1:\d+ is not signed by an authority that is trusted here/,
    remedy: /--ca-bundle/,
  });
  const trusting = await openAccess(t, { endpointUrl, caBundle: authority.caFile });
  await probeBucket(trusting.connection);
  const target = await resolveTarget(trusting.connection);
  t.equal(target.caPem, readFileSync(authority.caFile, 'utf8'), 'the data plane gets the same certificates');
  t.equal(target.tls, true);

  process.env['AWS_CA_BUNDLE'] = authority.caFile;
  t.match(await createObjectStore((await openAccess(t, { endpointUrl })).connection).list({ prefix: '' }), {
    objects: [{ key: 'k' }],
  });

  const other = createAuthority(t);
  t.match(await storeErrorOf(probeBucket((await openAccess(t, { endpointUrl, caBundle: other.caFile })).connection)), {
    code: 'CertificateNotTrusted',
    remedy: /CA bundle given lacks its authority/,
  });

  const misnamed = await startTls(t, authority.issue('misnamed', 'DNS:elsewhere.example'), answer);
  t.match(
    await storeErrorOf(
      probeBucket((await openAccess(t, { endpointUrl: misnamed.url.replace('http:', 'https:') })).connection),
    ),
    {
      code: 'CertificateWrongName',
      message: /another host name/,
    },
  );
});

t.test('NODE_EXTRA_CA_CERTS, which Node itself reads at its start', { skip }, async (t) => {
  const authority = createAuthority(t);
  const server = await startTls(t, authority.issue('good', 'IP:127.0.0.1'), (request, response) => {
    if (request.method === 'HEAD') response.writeHead(404).end();
    else answerXml(response, 200, listXml());
  });
  const child = fileURLToPath(new URL('../store/probe-child.js', import.meta.url));
  const options = JSON.stringify(storeOptions({ endpointUrl: server.url.replace('http:', 'https:') }));
  const run = (extra: string): Promise<string> =>
    new Promise((resolve, reject) => {
      const env = { ...process.env, NODE_EXTRA_CA_CERTS: extra };
      execFile(process.execPath, [child, options], { env, timeout: 30_000 }, (error, stdout) =>
        error === null ? resolve(stdout) : reject(new Error('the child failed', { cause: error })),
      );
    });
  t.match(await run(authority.caFile), /"code":"ok"/);
  t.match(await run(''), /CertificateNotTrusted/);
});

t.test('plain HTTP to a TLS port', { skip }, async (t) => {
  const authority = createAuthority(t);
  const server = await startTls(t, authority.issue('good', 'IP:127.0.0.1'), (_request, response) => response.end());
  t.match(await storeErrorOf(probeBucket((await openAccess(t, { endpointUrl: server.url })).connection)), {
    code: /^(ConnectionReset|NotHttp|NotAnS3Server)$/,
    remedy: /./,
  });
});

t.test('an HTTPS endpoint through a proxy: tunnel, own certificates inside', { skip }, async (t) => {
  const authority = createAuthority(t);
  const pair = authority.issue('s3', 'DNS:s3.test.example,DNS:*.s3.test.example');
  const server = await startTls(t, pair, (_request, response) => answerXml(response, 200, listXml(contentsXml('k'))));
  const proxy = await startProxy(t, server.port);
  process.env['HTTPS_PROXY'] = proxy.url;
  const { connection } = await openAccess(t, { endpointUrl: 'https://s3.test.example', caBundle: authority.caFile });
  await probeBucket(connection);
  t.match(await createObjectStore(connection).list({ prefix: '' }), { objects: [{ key: 'k' }] });
  t.equal(proxy.asked[0], 'CONNECT bucket-one.s3.test.example:443');
  t.equal(proxy.asked.length, 1, 'the tunnel is kept');
  t.match(await resolveTarget(connection), { proxyUrl: `${proxy.url}/`, hostname: 'bucket-one.s3.test.example' });

  const refusing = await openAccess(t, { endpointUrl: 'https://s3.test.example' });
  t.match(await storeErrorOf(probeBucket(refusing.connection)), {
    code: 'CertificateNotTrusted',
    message: /through the proxy 127/,
  });
});

t.test('an HTTP endpoint through a proxy, and NO_PROXY', async (t) => {
  const server = await startScripted(t, (_request, response) => answerXml(response, 200, listXml()));
  const proxy = await startProxy(t, server.port);
  process.env['http_proxy'] = proxy.url;
  const { connection } = await openAccess(t, { endpointUrl: 'http://s3.test.example', forcePathStyle: true });
  await probeBucket(connection);
  t.match(proxy.asked[0], /^GET http:\/\/s3\.test\.example\/bucket-one/);
  t.equal(server.requests[0]?.headers.host, 's3.test.example');

  process.env['no_proxy'] = '127.0.0.1';
  await probeBucket((await openAccess(t, { endpointUrl: server.url })).connection);
  t.equal(proxy.asked.length, 1);
});

t.test("AWS's own names: region found from us-east-1, both planes follow", { skip }, async (t) => {
  const authority = createAuthority(t);
  const names = ['us-east-1', 'eu-north-1'].map((region) => `DNS:*.s3.${region}.amazonaws.com`).join(',');
  const server = await startTls(t, authority.issue('aws', names), (request, response) => {
    const hostRegion = /\.s3\.([a-z0-9-]+)\.amazonaws/.exec(request.headers.host ?? '')?.[1];
    if (hostRegion === 'eu-north-1' && (request.headers.authorization ?? '').includes('/eu-north-1/s3/'))
      answerXml(response, 200, listXml());
    else
      answerXml(response, 301, errorXml('PermanentRedirect', 'other endpoint'), {
        'x-amz-bucket-region': 'eu-north-1',
      });
  });
  const proxy = await startProxy(t, server.port);
  process.env['HTTPS_PROXY'] = proxy.url;
  const { connection } = await openAccess(t, { caBundle: authority.caFile });
  t.match(await probeBucket(connection), { region: 'eu-north-1' });
  t.same(proxy.asked, [
    'CONNECT bucket-one.s3.us-east-1.amazonaws.com:443',
    'CONNECT bucket-one.s3.eu-north-1.amazonaws.com:443',
  ]);
  t.match(await resolveTarget(connection), {
    hostname: 'bucket-one.s3.eu-north-1.amazonaws.com',
    signingRegion: 'eu-north-1',
  });
  await createObjectStore(connection).list({ prefix: 'x' });
  t.equal(server.requests.at(-1)?.headers['x-amz-optional-object-attributes'], 'RestoreStatus', 'asked of AWS');

  const anonymous = await openAccess(t, { caBundle: authority.caFile, anonymous: true });
  await storeErrorOf(probeBucket(anonymous.connection));
  t.equal(anonymous.connection.region, 'eu-north-1', 'anonymous too');
});
