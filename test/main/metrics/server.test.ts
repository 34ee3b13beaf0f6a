/** The server that Prometheus asks: answers, refuses, and stays within its bounds whatever a peer does. */
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { connect, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { ManualClock } from '../../../src/base/clock.js';
import type { Log, LogFields } from '../../../src/base/log.js';
import { parseMetricsAddress, isOpenToOthers, type MetricsAddress } from '../../../src/main/metrics/address.js';
import { MetricsServer, SAMPLE_AGE_MS } from '../../../src/main/metrics/server.js';

interface Bench {
  readonly server: MetricsServer;
  readonly clock: ManualClock;
  readonly lines: string[];
  readonly texts: () => number;
}

async function open(t: Test, address: MetricsAddress, text?: () => Promise<string>): Promise<Bench> {
  const clock = new ManualClock();
  const lines: string[] = [];
  const say = (level: string) => (_fields: LogFields, message: string) => void lines.push(`${level}: ${message}`);
  const log: Log = {
    trace: say('trace'),
    debug: say('debug'),
    info: say('info'),
    warn: say('warn'),
    error: say('error'),
  };
  let texts = 0;
  const server = new MetricsServer(address, {
    clock,
    log,
    contentType: 'text/plain; version=0.0.4',
    text: () => {
      texts++;
      return text?.() ?? Promise.resolve(`a_metric ${texts}\n`);
    },
  });
  t.teardown(() => server.close());
  await server.open();
  return { server, clock, lines, texts: () => texts };
}

const ANYWHERE: MetricsAddress = { kind: 'tcp', host: '127.0.0.1', port: 0 };

function portOf(bench: Bench): number {
  return Number(bench.server.at.split(':').at(-1));
}

interface Answer {
  readonly status: number;
  readonly body: string;
  readonly type: string | undefined;
}

function get(
  to: { port?: number; socketPath?: string },
  options: { path?: string; method?: string; headers?: Record<string, string> } = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request({ host: '127.0.0.1', path: '/metrics', agent: false, ...to, ...options }, (response) => {
      let body = '';
      response.on('data', (piece: Buffer) => (body += piece.toString()));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, body, type: response.headers['content-type'] }),
      );
    });
    asked.on('error', reject);
    asked.end();
  });
}

function directory(t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'mount-s3x-metrics-'));
  t.teardown(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

t.test('addresses', (t) => {
  t.strictSame(parseMetricsAddress(':9105', '/'), { kind: 'tcp', host: '127.0.0.1', port: 9105 });
  t.strictSame(parseMetricsAddress('0.0.0.0:9105', '/'), { kind: 'tcp', host: '0.0.0.0', port: 9105 });
  t.strictSame(parseMetricsAddress('[::1]:9105', '/'), { kind: 'tcp', host: '::1', port: 9105 });
  t.strictSame(parseMetricsAddress('localhost:0', '/'), { kind: 'tcp', host: 'localhost', port: 0 });
  t.strictSame(parseMetricsAddress('unix:', '/x'), { kind: 'unix', path: '' });
  t.strictSame(parseMetricsAddress('unix:m.sock', '/x'), { kind: 'unix', path: '/x/m.sock' });
  for (const wrong of ['9105', 'a:b', ':99999', 'http://a:1', '', 'a b:1', '::1:80']) {
    t.equal(parseMetricsAddress(wrong, '/'), undefined, wrong);
  }
  const isOpen = (text: string): boolean => {
    const address = parseMetricsAddress(text, '/');
    return address !== undefined && isOpenToOthers(address);
  };
  t.ok(isOpen('0.0.0.0:1'));
  t.ok(isOpen('[::]:1'));
  for (const own of [':1', '127.0.0.2:1', 'localhost:1', '[::1]:1', 'unix:']) t.notOk(isOpen(own), own);
  t.end();
});

t.test('GET and HEAD of /metrics, and nothing else', async (t) => {
  const bench = await open(t, ANYWHERE);
  const port = portOf(bench);
  t.strictSame(await get({ port }), { status: 200, body: 'a_metric 1\n', type: 'text/plain; version=0.0.4' });
  t.match(await get({ port }, { method: 'HEAD' }), { status: 200, body: '' });
  t.match(await get({ port }, { path: '/metrics?x=1' }), { status: 200 });
  t.match(await get({ port }, { path: '/' }), { status: 404 });
  t.match(await get({ port }, { path: '/../etc/passwd' }), { status: 404 });
  for (const method of ['POST', 'PUT', 'DELETE']) t.match(await get({ port }, { method }), { status: 405 }, method);
  t.match(bench.lines, [/^info: metrics are served at 127\.0\.0\.1:\d+$/]);
});

t.test('many who ask make one text', async (t) => {
  const bench = await open(t, ANYWHERE);
  const port = portOf(bench);
  const answers = await Promise.all(Array.from({ length: 8 }, () => get({ port })));
  t.equal(bench.texts(), 1);
  t.ok(answers.every(({ body }) => body === 'a_metric 1\n'));
  bench.clock.advance(SAMPLE_AGE_MS);
  t.match(await get({ port }), { body: 'a_metric 2\n' });
});

t.test('a text that cannot be made is a 500, and not kept', async (t) => {
  let isBroken = true;
  const bench = await open(t, ANYWHERE, () =>
    isBroken ? Promise.reject(new Error('no')) : Promise.resolve('a_metric 1\n'),
  );
  t.match(await get({ port: portOf(bench) }), { status: 500 });
  isBroken = false;
  t.match(await get({ port: portOf(bench) }), { status: 200 });
});

t.test('hostile peers: huge heads, garbage, silence, more connections than there are', async (t) => {
  const bench = await open(t, ANYWHERE);
  const port = portOf(bench);
  await t.rejects(
    get({ port }, { headers: { 'x-much': 'y'.repeat(64 * 1024) } }),
    'a head of 64 KiB ends the connection',
  );
  const closed = (socket: Socket): Promise<void> =>
    new Promise((resolve) => {
      socket.on('error', () => undefined);
      socket.once('close', () => resolve());
      socket.resume();
    });
  const garbage = connect(port, '127.0.0.1');
  garbage.write('\x16\x03\x01 no HTTP at all\r\n\r\n');
  await closed(garbage);
  // Sixteen say nothing; one more is closed at once.
  const silent = Array.from({ length: 16 }, () => connect(port, '127.0.0.1'));
  t.teardown(() => silent.forEach((socket) => socket.destroy()));
  await Promise.all(silent.map((socket) => new Promise((resolve) => socket.once('connect', resolve))));
  await t.rejects(get({ port }), 'no more than CONNECTIONS_MAX');
  silent.forEach((socket) => socket.destroy());
  for (let attempt = 0; ; attempt++) {
    const answer = await get({ port }).catch(() => undefined);
    if (answer?.status === 200) break;
    if (attempt > 200) throw new Error('the server does not answer any more');
  }
  t.pass('and answers again when they are gone');
});

t.test('a Unix socket is the user’s alone; one that a dead daemon left is replaced, others are not', async (t) => {
  const path = join(directory(t), 'm.sock');
  const first = await open(t, { kind: 'unix', path });
  t.equal(statSync(path).mode & 0o777, 0o600);
  t.match(await get({ socketPath: path }), { status: 200 });
  const second = await open(t, { kind: 'unix', path });
  t.match(second.lines, [/^error: metrics cannot be served \(the address is in use/], 'somebody listens there');
  t.match(await get({ socketPath: path }), { status: 200 }, 'and still does');
  first.server.close();
  // Left behind, as after a kill -9: Node removes it on close, so another is made.
  const left = createServer().listen(path);
  await new Promise((resolve) => left.once('listening', resolve));
  const dead = join(directory(t), 'dead.sock');
  const { renameSync } = await import('node:fs');
  renameSync(path, dead);
  left.close();
  await new Promise((resolve) => left.once('close', resolve));
  t.ok(existsSync(dead), 'a socket nobody listens at');
  const third = await open(t, { kind: 'unix', path: dead });
  t.match(third.lines, [/^info: metrics are served/]);
  t.match(await get({ socketPath: dead }), { status: 200 });
  const file = join(directory(t), 'file');
  writeFileSync(file, 'precious');
  const fourth = await open(t, { kind: 'unix', path: file });
  t.match(fourth.lines, [/^error: metrics cannot be served/]);
  t.equal(statSync(file).size, 8, 'a file is nobody’s socket');
});

t.test('an address in use: one line, and tried again until it is free', async (t) => {
  const holder = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => holder.once('listening', resolve));
  const { port } = holder.address() as { port: number };
  const bench = await open(t, { kind: 'tcp', host: '127.0.0.1', port });
  t.match(bench.lines, [/^error: .*in use.*trying again every 30 s$/]);
  bench.clock.advance(30_000);
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => void holder.close(resolve));
  for (let attempt = 0; attempt < 100 && bench.lines.length < 2; attempt++) {
    bench.clock.advance(30_000);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  t.equal(bench.lines.length, 2, 'no second error line');
  t.match(bench.lines[1], /^info: metrics are served/);
  t.match(await get({ port }), { status: 200 });
});
