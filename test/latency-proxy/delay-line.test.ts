/** The network distance: when bytes leave, and that they come through whole and in order. */
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import t from 'tap';
import { DelayLine, Link } from '../../dev/latency-proxy/delay-line.js';
import { openTunnel } from '../../dev/latency-proxy/tunnel.js';

const NO_TAIL = { probability: 0, ms: 0 };

t.test('a burst is late by latency and jitter, once', (t) => {
  const draws = [0.5, 1, 0];
  const line = new DelayLine(
    { latencyMs: 20, jitterMs: 4, bytesPerMs: Infinity, tail: NO_TAIL },
    () => draws.shift() ?? 0,
  );
  t.equal(line.leavesAt(100, 1000), 1022);
  t.equal(line.leavesAt(100, 1001), 1023, 'the same burst: the same jitter');
  t.equal(line.leavesAt(100, 1010), 1034, 'a new one');
  t.equal(line.leavesAt(100, 1013), 1034, 'never before what came first');
  t.same(draws, []);
  t.end();
});

t.test('a connection has its rate, and an idle one saves nothing up', (t) => {
  const line = new DelayLine({ latencyMs: 20, jitterMs: 0, bytesPerMs: 1000, tail: NO_TAIL }, () => 0);
  t.same(
    [0, 0, 0].map((atMs) => line.leavesAt(5000, atMs)),
    [20, 25, 30],
  );
  t.equal(line.leavesAt(5000, 100), 120);
  t.end();
});

t.test('some bursts are far later', (t) => {
  const draws = [0, 0.5, 0, 0.01];
  const line = new DelayLine(
    { latencyMs: 20, jitterMs: 4, bytesPerMs: Infinity, tail: { probability: 0.02, ms: 1000 } },
    () => draws.shift() ?? 0,
  );
  t.equal(line.leavesAt(100, 0), 20);
  t.equal(line.leavesAt(100, 100), 1120);
  t.end();
});

t.test('what connections share, they take in turns', (t) => {
  const link = new Link(1000);
  t.same(
    [0, 0, 1, 100].map((nowMs) => link.reserve(5000, nowMs)),
    [0, 5, 10, 100],
  );
  t.end();
});

t.test('bytes come through a tunnel whole, in order, both ways, and it ends with them', async (t) => {
  const bytes = randomBytes(5_000_000);
  const asked: string[] = [];
  const server = await listening(
    createServer({ allowHalfOpen: true }, (socket) => {
      socket.on('data', (piece) => asked.push(piece.toString()));
      socket.on('end', () => socket.end(bytes));
    }),
  );
  const to = { host: '127.0.0.1', port: portOf(server) };
  const model = { latencyMs: 1, jitterMs: 1, bytesPerMs: Infinity, tail: NO_TAIL };
  const proxy = await listening(
    createServer({ allowHalfOpen: true }, (client) =>
      openTunnel(client, to, { line: new DelayLine(model, Math.random), link: new Link(Infinity) }),
    ),
  );
  t.teardown(() => (server.close(), proxy.close()));
  const client = connect({ host: '127.0.0.1', port: portOf(proxy), allowHalfOpen: true });
  client.end('a question');
  const hash = createHash('sha256');
  for await (const piece of client) hash.update(piece as Buffer);
  t.equal(asked.join(''), 'a question');
  t.equal(hash.digest('hex'), createHash('sha256').update(bytes).digest('hex'));
});

async function listening(server: Server): Promise<Server> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return server;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
