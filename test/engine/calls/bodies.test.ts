/**
 * Bodies on their way to a server on real sockets: every byte compared, over TCP, TLS and proxies; what a server can do in
 * the middle of one, and that a body is not looked at any more once its call is over.
 */
import { closeSync, openSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { EACCES, EINTR, EIO } from '../../../src/base/errno.js';
import { BLOCK_BYTES } from '../../../src/base/pool/layout.js';
import { MIB } from '../../../src/base/units.js';
import type { SlotPiece } from '../../../src/engine/write-api.js';
import { TEST_CA_PEM } from '../../support/raw-server-certs.js';
import { RawServer, errorAnswer, type RawConnection, type RawRequest, type Script } from '../../support/raw-server.js';
import { storeErrorOf } from '../store/harness.js';
import { writerBench, type WriterBench, type WriterBenchOptions } from '../writing/harness.js';

const OK = 'HTTP/1.1 200 OK\r\nETag: "e"\r\nDate: Sun, 22 Nov 2026 00:00:00 GMT\r\nContent-Length: 0\r\n\r\n';
const SLOTS = 24;

/** 23 MiB and a bit: more than the sockets of both sides hold, in pieces of all sizes. */
const ODD: SlotPiece[] = [
  { slot: 0, from: 1, to: 2 },
  { slot: 0, from: 5, to: 5 },
  ...Array.from({ length: SLOTS - 1 }, (_, slot) => ({ slot, from: slot * 7, to: BLOCK_BYTES - slot })),
  { slot: 3, from: 65_535, to: 65_537 },
];

interface Sent {
  readonly request: RawRequest;
  readonly body: Buffer;
}

/** Reads each request with its body, and answers as told. */
function bodies(
  sent: Sent[],
  answer: (one: Sent, connection: RawConnection, index: number) => string | undefined | Promise<string | undefined>,
): Script {
  return async (connection) => {
    for (;;) {
      const request = await connection.request();
      if (request === undefined) return;
      const body = await connection.body(Number(request.headers['content-length'] ?? 0));
      if (body === undefined) return;
      sent.push({ request, body });
      const text = await answer({ request, body }, connection, sent.length - 1);
      if (text === undefined) return;
      await connection.send(text);
    }
  };
}

async function start(
  t: Test,
  script: Script,
  options: Partial<WriterBenchOptions> & { readonly tls?: boolean } = {},
): Promise<WriterBench & { readonly server: RawServer }> {
  const server = await RawServer.start({ script, ...(options.tls === undefined ? {} : { tls: options.tls }) });
  t.teardown(() => server.close());
  const target = options.tls === true ? { tls: true, hostname: 'localhost', caPem: TEST_CA_PEM } : {};
  const bench = writerBench(t, { port: server.port, slots: SLOTS, target, ...options });
  return { ...bench, server };
}

/** A proxy that joins a CONNECT to `port`. */
function tunnelTo(port: number): Script {
  return async (connection) => {
    if ((await connection.request()) === undefined) return;
    const upstream = net.connect(port, '127.0.0.1');
    upstream.on('error', () => connection.socket.destroy());
    const early = connection.detach();
    await connection.send('HTTP/1.1 200 Connection established\r\n\r\n');
    upstream.write(early);
    connection.socket.pipe(upstream).pipe(connection.socket);
  };
}

for (const way of ['tcp', 'tls', 'proxy', 'tunnel'] as const) {
  t.test(`odd pieces arrive byte by byte over ${way}`, async (t) => {
    const sent: Sent[] = [];
    const isTls = way === 'tls' || way === 'tunnel';
    const server = await RawServer.start({ tls: isTls, script: bodies(sent, () => OK) });
    t.teardown(() => server.close());
    const proxy = await RawServer.start({ script: tunnelTo(server.port) });
    t.teardown(() => proxy.close());
    const proxyUrl = `http://127.0.0.1:${way === 'tunnel' ? proxy.port : server.port}`;
    const bench = writerBench(t, {
      port: server.port,
      slots: SLOTS,
      target: {
        ...(isTls ? { tls: true, hostname: 'localhost', caPem: TEST_CA_PEM } : {}),
        ...(way === 'proxy' || way === 'tunnel' ? { proxyUrl } : {}),
      },
    });
    const upload = { key: 'k', uploadId: 'u' };
    const part = await bench.writer.uploadPart(upload, 1, ODD);
    await bench.writer.uploadPart(upload, 2, [Buffer.from('a'), ...ODD.slice(2, 3), Buffer.from('z')]);
    await bench.writer.put('small', [Buffer.from('s'), { slot: 7, from: 9, to: 99 }, Buffer.from('t')], {}, {});
    t.ok(sent[0]?.body.equals(bench.bytesOf(ODD)), 'all of it');
    t.ok(sent[1]?.body.equals(Buffer.concat([Buffer.from('a'), bench.bytesOf(ODD.slice(2, 3)), Buffer.from('z')])));
    t.equal(part.sizeBytes, sent[0]?.body.length);
    t.equal(sent[0]?.request.headers['x-amz-checksum-crc32c'], part.checksum?.value);
    t.equal(sent[2]?.body.length, 92);
    t.equal(server.connections, 1, 'one connection for all');
  });
}

t.test('bytes of a file among those of slots, with a reset in between', async (t) => {
  const path = join(t.testdir({}), 'spool');
  const content = Buffer.alloc(3 * MIB + 77);
  for (let at = 0; at < content.length; at++) content[at] = (at * 7 + (at >>> 11)) & 0xff;
  writeFileSync(path, content);
  const fd = openSync(path, 'r');
  t.teardown(() => closeSync(fd));
  const sent: Sent[] = [];
  const bench = await start(
    t,
    bodies(sent, (_one, connection, index) => {
      if (index > 0) return OK;
      connection.socket.resetAndDestroy();
      return undefined;
    }),
  );
  const { writer, bytesOf } = bench;
  const slots: SlotPiece[] = [{ slot: 2, from: 3, to: 70_000 }];
  const pieces = [
    { fd, from: 5, to: 2 * MIB + 1 },
    ...slots,
    { fd, from: 0, to: 1 },
    { fd, from: 1, to: 1 },
    { fd, from: 17, to: content.length },
  ];
  const part = await writer.uploadPart({ key: 'k', uploadId: 'u' }, 1, pieces);
  const want = Buffer.concat([
    content.subarray(5, 2 * MIB + 1),
    bytesOf(slots),
    content.subarray(0, 1),
    content.subarray(17),
  ]);
  t.equal(sent.length, 2);
  for (const { body, request } of sent) {
    t.ok(body.equals(want));
    t.equal(request.headers['x-amz-checksum-crc32c'], part.checksum?.value);
  }
  const plain = await writer.uploadPart({ key: 'k', uploadId: 'u' }, 2, [want]);
  t.equal(plain.checksum?.value, part.checksum?.value);
  const beyond = [{ fd, from: 0, to: content.length + 1 }];
  const error = await storeErrorOf(writer.uploadPart({ key: 'k', uploadId: 'u' }, 3, beyond));
  t.match(error, { errno: EIO, code: 'BodyUnreadable' });
});

t.test('a reset in the middle of a body: it is sent again from its beginning', async (t) => {
  const sent: Sent[] = [];
  let resets = 0;
  const { writer, bytesOf, server } = await start(t, async (connection) => {
    if (connection.index < 2) {
      await connection.request();
      await connection.body(MIB);
      resets++;
      connection.reset();
      return;
    }
    await bodies(sent, () => OK)(connection);
  });
  t.match(await writer.put('key', ODD, {}, {}), { etag: '"e"' });
  t.equal(resets, 2);
  t.equal(server.connections, 3);
  t.ok(sent[0]?.body.equals(bytesOf(ODD)));
});

for (const isClosing of [false, true]) {
  t.test(`an answer before the body was read${isClosing ? ', then the end' : ''}`, async (t) => {
    const { writer, server } = await start(t, async (connection) => {
      await connection.request();
      connection.socket.pause();
      await connection.send(errorAnswer(403, 'AccessDenied'));
      if (isClosing) connection.end();
    });
    t.match(await storeErrorOf(writer.put('key', ODD, {}, {})), { errno: EACCES, code: 'AccessDenied', status: 403 });
    t.equal(server.requests.length, 1, 'it was heard, and not asked again');
  });
}

t.test('SlowDown twice before the body was read, then it works', async (t) => {
  const sent: Sent[] = [];
  const { writer, bytesOf, server } = await start(t, async (connection) => {
    if (connection.index >= 2) return await bodies(sent, () => OK)(connection);
    await connection.request();
    connection.socket.pause();
    await connection.send(errorAnswer(503, 'SlowDown'));
    connection.end();
  });
  await writer.put('key', ODD, {}, {});
  t.ok(sent[0]?.body.equals(bytesOf(ODD)));
  t.equal(server.connections, 3, 'a connection that was answered too early is not used again');
});

t.test('a server that closes with our body unread, so that its answer may be lost', async (t) => {
  const sent: Sent[] = [];
  const { writer, server } = await start(t, async (connection) => {
    const request = await connection.request();
    if (request?.headers['expect'] !== '100-continue') {
      // Bytes that nobody reads make a reset of this close.
      connection.socket.pause();
      connection.socket.destroy();
      return;
    }
    await connection.send(errorAnswer(403, 'AccessDenied', 'Connection: close\r\n'));
    connection.end();
  });
  t.match(await storeErrorOf(writer.put('key', ODD, {}, {})), { errno: EACCES, code: 'AccessDenied' });
  t.equal(server.requests.length, 2, 'the second time it is asked before the body is sent');
  t.same(sent, []);
});

t.test('a server that is asked and does not say: the body comes after a while', async (t) => {
  const sent: Sent[] = [];
  const { writer, bytesOf } = await start(
    t,
    async (connection) => {
      if (connection.index === 0) {
        await connection.request();
        connection.socket.pause();
        connection.socket.destroy();
        return;
      }
      await bodies(sent, () => OK)(connection);
    },
    { timeouts: { continueMs: 20 } },
  );
  await writer.put('key', ODD, {}, {});
  t.equal(sent[0]?.request.headers['expect'], '100-continue');
  t.ok(sent[0]?.body.equals(bytesOf(ODD)));
});

t.test('a server that is asked and says yes', async (t) => {
  const sent: Sent[] = [];
  const { writer, bytesOf } = await start(
    t,
    async (connection) => {
      const request = await connection.request();
      if (connection.index === 0 || request === undefined) {
        connection.socket.pause();
        connection.socket.destroy();
        return;
      }
      await connection.send('HTTP/1.1 100 Continue\r\n\r\n');
      const body = await connection.body(Number(request.headers['content-length']));
      if (body) sent.push({ request, body });
      await connection.send(OK);
    },
    { timeouts: { continueMs: 60_000 } },
  );
  await writer.put('key', ODD, {}, {});
  t.ok(sent[0]?.body.equals(bytesOf(ODD)));
});

t.test('100 Continue that nobody asked for', async (t) => {
  const sent: Sent[] = [];
  const { writer } = await start(
    t,
    bodies(sent, () => `HTTP/1.1 100 Continue\r\n\r\n${OK}`),
  );
  await writer.put('key', ODD, {}, {});
  await writer.put('key', [Buffer.from('x')], {}, {});
  t.equal(sent.length, 2);
});

t.test('success before the body was sent is none', async (t) => {
  const { writer, server } = await start(t, async (connection) => {
    await connection.request();
    connection.socket.pause();
    await connection.send(OK);
  });
  t.match(await storeErrorOf(writer.put('key', ODD, {}, {})), { errno: EIO, code: 'EarlyAnswer' });
  t.ok(server.connections >= 4);
});

t.test('a server that stops to read is given up, and the call in the end', async (t) => {
  const { writer, server } = await start(
    t,
    async (connection) => {
      connection.socket.pause();
      await connection.gone();
    },
    { timeouts: { sendStallMs: 40 } },
  );
  t.match(await storeErrorOf(writer.put('key', ODD, {}, {})), { errno: EIO, code: 'SendStalled' });
  t.equal(server.connections, 4, 'all attempts');
});

t.test('a server that reads slowly is waited for as long as it reads', async (t) => {
  const sent: Sent[] = [];
  const { writer, bytesOf } = await start(
    t,
    async (connection) => {
      const reading = bodies(sent, () => OK)(connection);
      for (let pause = 0; pause < 12; pause++) {
        connection.socket.pause();
        await new Promise((resolve) => setTimeout(resolve, 25));
        connection.socket.resume();
        for (let turn = 0; turn < 20; turn++) await nextTurn();
      }
      await reading;
    },
    { timeouts: { sendStallMs: 200, firstByteMs: 100 } },
  );
  await writer.put('key', ODD, {}, {});
  t.ok(sent[0]?.body.equals(bytesOf(ODD)));
});

t.test('no answer to a body that was sent: bounded by the call, not by the reads', async (t) => {
  const sent: Sent[] = [];
  const { caller, server } = await start(
    t,
    bodies(sent, (_one, _connection, index) => (index === 1 ? OK : undefined)),
    { timeouts: { firstByteMs: 1 } },
  );
  const request = { operation: 'PutObject', method: 'PUT', key: 'k', body: [Buffer.from('x')], answerMs: 60 } as const;
  const result = await caller.send(request);
  t.match(result, { kind: 'answer', answer: { status: 200, lostAnswers: 1 } });
  t.equal(server.connections, 2);
});

t.test('cancelled in the middle of a body: nothing of it is read afterwards', async (t) => {
  let got = Buffer.alloc(0);
  let hasBegun: () => void = () => undefined;
  const begun = new Promise<void>((resolve) => (hasBegun = resolve));
  let letGo: () => void = () => undefined;
  const reading = new Promise<void>((resolve) => (letGo = resolve));
  let isOver: () => void = () => undefined;
  const over = new Promise<void>((resolve) => (isOver = resolve));
  const { writer, pool, calls } = await start(t, async (connection) => {
    await connection.request();
    connection.socket.pause();
    hasBegun();
    await reading;
    connection.socket.on('data', (chunk: Buffer) => (got = Buffer.concat([got, chunk])));
    connection.socket.resume();
    await connection.gone();
    isOver();
  });
  const ender = new AbortController();
  const put = storeErrorOf(writer.put('key', ODD, {}, {}, ender.signal));
  await begun;
  ender.abort();
  t.match(await put, { errno: EINTR, code: 'Cancelled' });
  t.equal(calls.size, 0);
  // The slots are the caller's again, and hold something else.
  for (let slot = 0; slot < SLOTS; slot++) pool.bytes(slot, 0, BLOCK_BYTES).fill(0xcc);
  letGo();
  await over;
  t.equal(got.indexOf(Buffer.alloc(64, 0xcc)), -1, 'what left is what was there before');
});

t.test('closing ends what is under way', async (t) => {
  let hasBegun: () => void = () => undefined;
  const begun = new Promise<void>((resolve) => (hasBegun = resolve));
  const { writer, threads, caller } = await start(t, async (connection) => {
    await connection.request();
    connection.socket.pause();
    hasBegun();
    await connection.gone();
  });
  const put = storeErrorOf(writer.put('key', ODD, {}, {}));
  await begun;
  for (const thread of threads) thread.handle({ type: 'close' });
  t.match(await put, { code: 'Closed' });
  t.match(await caller.send({ operation: 'X', method: 'HEAD', key: 'k' }), { failure: { code: 'Closed' } });
});
