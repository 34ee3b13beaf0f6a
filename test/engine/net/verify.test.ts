/**
 * Checksums of what is fetched: what is held back until it sums up, what happens when it does not, and how --verify strict
 * finds units that have a checksum. Bytes that do not sum up must never be published, whatever else goes on.
 */
import { createHash } from 'node:crypto';
import { crc32 } from '@node-rs/crc32';
import t, { type Test } from 'tap';
import { EIO } from '../../../src/base/errno.js';
import { MIB } from '../../../src/base/units.js';
import type { FetchCommand } from '../../../src/engine/api.js';
import { STRICT_UNIT_BYTES_MAX } from '../../../src/engine/net/limits.js';
import { RawServer, rightHead, type RawConnection, type RawRequest } from '../../support/raw-server.js';
import { Harness, pattern, type FetchEnd, type HarnessOptions } from './harness.js';

const PART = 700_000;
const object = pattern(2 * MIB + 777);
const PARTS = Math.ceil(object.length / PART);
const MD5 = `"${createHash('md5').update(object).digest('hex')}"`;
const IN_PARTS = `"0123456789abcdef0123456789abcdef-${PARTS}"`;

function crc32Of(bytes: Buffer): string {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(crc32(bytes) >>> 0);
  return out.toString('base64');
}

interface StoreOptions {
  readonly etag: string;
  /** Checksums for whole objects and parts; without them the store has none. */
  readonly sums?: boolean;
  /** Extra headers of payloads. */
  readonly more?: string;
  /** Spoils the body of the n-th request (from 0) that has one. */
  readonly spoil?: (body: Buffer, index: number) => Buffer;
  /** Breaks the n-th body off after so many bytes. */
  readonly cut?: (index: number) => number | undefined;
  readonly partBytes?: number;
}

/** A small S3 of one object, in parts when its ETag says so. */
async function store(t: Test, options: StoreOptions): Promise<RawServer> {
  const { etag } = options;
  const partBytes = options.partBytes ?? PART;
  let bodies = 0;
  const answer = async (request: RawRequest, connection: RawConnection): Promise<void> => {
    const part = Number(/partNumber=(\d+)$/.exec(request.target)?.[1] ?? 0);
    const isWhole = request.start < 0 && part === 0;
    const start = part > 0 ? (part - 1) * partBytes : Math.max(0, request.start);
    const end = part > 0 ? Math.min(start + partBytes, object.length) : isWhole ? object.length : request.end;
    let body = Buffer.from(object.subarray(start, end));
    let more = options.more ?? '';
    if (options.sums && request.start < 0) more += `x-amz-checksum-crc32: ${crc32Of(body)}\r\n`;
    if (part > 0) more += `x-amz-mp-parts-count: ${Math.ceil(object.length / partBytes)}\r\n`;
    const head = rightHead(isWhole ? request : { ...request, start, end }, object, etag, more);
    await connection.send(head);
    if (request.method === 'HEAD') return;
    const index = bodies++;
    body = Buffer.from(options.spoil?.(body, index) ?? body);
    const cutAt = options.cut?.(index);
    await connection.send(cutAt === undefined ? body : body.subarray(0, cutAt));
    if (cutAt !== undefined) connection.end();
  };
  const server = await RawServer.start({
    script: async (connection) => {
      for (let request = await connection.request(); request; request = await connection.request()) {
        await answer(request, connection);
      }
      connection.end();
    },
  });
  t.teardown(() => server.close());
  return server;
}

const flip = (at: number) => (body: Buffer) => {
  body[at] = (body[at] ?? 0) ^ 1;
  return body;
};
const flipFirst = (times: number, at: number) => (body: Buffer, index: number) =>
  index < times ? flip(at)(body) : body;

function start(t: Test, server: RawServer, more: Partial<HarnessOptions> = {}): Harness {
  const harness = new Harness({ object, port: server.port, hedge: false, ...more });
  t.teardown(() => harness.close());
  return harness;
}

/** Fetches and says that all bytes, and only they, are there. */
async function right(
  t: Test,
  harness: Harness,
  from: number,
  to: number,
  command: Partial<FetchCommand>,
): Promise<void> {
  t.match(await harness.fetch(from, to, 0, command), { type: 'fetchDone' }, `bytes ${from}-${to}`);
  harness.expect(from, to);
  harness.assertPool(t);
  const slots = Math.ceil(to / MIB) - Math.floor(from / MIB);
  t.equal(harness.pool.arrivedEnd(slots - 1), to - (Math.ceil(to / MIB) - 1) * MIB, 'published to its end');
}

/** Fetches and says that it fails so, and that no reader can see a byte. */
async function fails(
  t: Test,
  harness: Harness,
  from: number,
  to: number,
  command: Partial<FetchCommand>,
): Promise<FetchEnd> {
  const end = await harness.fetch(from, to, 0, command);
  t.match(end, { type: 'fetchFailed', errno: EIO });
  t.equal(harness.pool.arrivedEnd(0), from % MIB, 'nothing was published');
  return end;
}

t.test('auto: a whole object that does not sum up is asked again on another connection', async (t) => {
  for (const at of [0, MIB, object.length - 1]) {
    const server = await store(t, { etag: MD5, sums: true, spoil: flipFirst(2, at) });
    const harness = start(t, server);
    await right(t, harness, 0, object.length, { etag: MD5 });
    t.equal(server.requests.length, 3);
    t.equal(server.connections, 3, 'each time on a new connection');
    t.ok(server.requests.every((request) => request.headers['range'] === undefined));
  }
});

t.test('auto: an object that never sums up is an error, and nobody sees a byte of it', async (t) => {
  const server = await store(t, { etag: MD5, sums: true, spoil: flip(5) });
  const harness = start(t, server);
  const command = harness.command(0, object.length, 0, { etag: MD5 });
  const ended = harness.run(command);
  harness.park(1, [{ slot: 0, from: 0, to: 4096, fetchId: command.fetchId }]);
  t.match(await ended, { type: 'fetchFailed', errno: EIO, code: 'ChecksumMismatch', message: /CRC32 that the store/ });
  t.equal(harness.pool.arrivedEnd(0), 0);
  t.match(harness.answers.get(1), { errno: EIO });
  t.equal(server.requests.length, 3, 'as often as maxAttempts says');
});

t.test('auto: bytes are held until the last has come, then all are there', async (t) => {
  let release: (() => void) | undefined;
  const hold = new Promise<void>((resolve) => (release = resolve));
  const server = await RawServer.start({
    script: async (connection) => {
      const request = await connection.request();
      if (!request) return;
      await connection.send(rightHead(request, object, MD5, `x-amz-checksum-crc32: ${crc32Of(object)}\r\n`));
      await connection.send(object.subarray(0, object.length - 1));
      await hold;
      await connection.send(object.subarray(object.length - 1));
    },
  });
  t.teardown(() => server.close());
  const harness = start(t, server);
  const command = harness.command(0, object.length, 0, { etag: MD5 });
  const ended = harness.run(command);
  harness.park(1, [{ slot: 0, from: 0, to: 4096, fetchId: command.fetchId }]);
  await harness.until(() => harness.pool.bytes(2, 700, 701)[0] !== 0xcc);
  t.equal(harness.pool.arrivedEnd(0), 0, 'all but one byte have come, none is seen');
  t.equal(harness.answers.size, 0);
  release?.();
  t.match(await ended, { type: 'fetchDone' });
  t.ok(harness.answers.get(1)?.data.equals(object.subarray(0, 4096)));
  harness.expect(0, object.length);
  harness.assertPool(t);
});

t.test('a body that breaks off goes on where it stopped, and its sum with it', async (t) => {
  for (const isSpoiled of [false, true]) {
    const server = await store(t, {
      etag: MD5,
      sums: true,
      cut: (index) => (index === 0 ? 1_000_000 : undefined),
      // The second body is the rest: what is wrong in it is found by the sum of both.
      spoil: (body, index) => (isSpoiled && index === 1 ? flip(9)(body) : body),
    });
    const harness = start(t, server);
    await right(t, harness, 0, object.length, { etag: MD5 });
    t.equal(server.requests[1]?.start, 1_000_000);
    t.equal(server.requests.length, isSpoiled ? 3 : 2);
    if (isSpoiled) t.equal(server.requests[2]?.start, -1, 'then all of it again');
  }
});

t.test('auto: without a checksum bytes are published as they come; off asks for none', async (t) => {
  const server = await store(t, { etag: MD5 });
  await right(t, start(t, server), 0, object.length, { etag: MD5 });
  const off = start(t, server, { verify: 'off' });
  await right(t, off, 0, object.length, { etag: MD5 });
  t.equal(server.requests[1]?.headers['x-amz-checksum-mode'], undefined);
  t.equal(server.requests[1]?.start, 0, 'as a range');
});

t.test('strict: ranges come as whole parts, verified, and only what was asked for is kept', async (t) => {
  const cases: [number, number][] = [
    [0, object.length],
    [MIB - 5, MIB + 5],
    [PART, 2 * PART],
    [PART - 1, PART + 1],
    [2 * PART + 1, 2 * PART + 2],
    [object.length - 1, object.length],
  ];
  for (const [from, to] of cases) {
    const server = await store(t, { etag: IN_PARTS, sums: true, spoil: flipFirst(1, 3) });
    const harness = start(t, server, { verify: 'strict' });
    await right(t, harness, from, to, { etag: IN_PARTS });
    t.equal(server.requests[0]?.method, 'HEAD');
    const first = Math.floor(from / PART) + 1;
    const asked = server.requests.slice(1).map((request) => Number(/partNumber=(\d+)$/.exec(request.target)?.[1]));
    const last = Math.floor((to - 1) / PART) + 1;
    const wanted = [first, ...Array.from({ length: last - first + 1 }, (_, at) => first + at)];
    t.same(asked, wanted, 'the first was spoilt and asked twice');
    await right(t, harness, from, to, { etag: IN_PARTS });
    t.equal(server.requests.filter((request) => request.method === 'HEAD').length, 1, 'the layout is asked once');
  }
});

t.test('strict: a part that breaks off, before, within and behind the bytes wanted', async (t) => {
  for (const cut of [1, 99, 100, 101, 150, 200, 201, PART - 1]) {
    const server = await store(t, {
      etag: IN_PARTS,
      sums: true,
      cut: (index) => (index === 0 ? cut : undefined),
    });
    const harness = start(t, server, { verify: 'strict' });
    await right(t, harness, PART + 100, PART + 200, { etag: IN_PARTS });
    t.equal(server.requests[2]?.start, PART + cut, `cut at ${cut}: the rest of the part`);
    t.equal(server.requests[2]?.end, 2 * PART);
  }
});

t.test('strict: an object in one piece is verified by its checksum or by the MD5 that its ETag is', async (t) => {
  for (const sums of [true, false]) {
    const server = await store(t, { etag: MD5, sums, spoil: flipFirst(1, 12_345) });
    const harness = start(t, server, { verify: 'strict' });
    await right(t, harness, MIB, MIB + 10, { etag: MD5 });
    t.equal(server.requests.length, 2, 'asked twice');
    t.equal(server.requests[0]?.start, -1, 'as a whole');
  }
});

t.test('strict: parts without checksums, but the whole has one', async (t) => {
  let isWhole = false;
  const server = await RawServer.start({
    script: async (connection) => {
      for (let request = await connection.request(); request; request = await connection.request()) {
        const part = /partNumber=1$/.test(request.target);
        isWhole ||= !part && request.method === 'GET';
        const sum = part ? `x-amz-mp-parts-count: ${PARTS}\r\n` : `x-amz-checksum-crc32: ${crc32Of(object)}\r\n`;
        const shape = part ? { ...request, start: 0, end: PART } : request;
        await connection.send(rightHead(shape, object, IN_PARTS, sum));
        if (request.method === 'GET') await connection.send(part ? object.subarray(0, PART) : object);
      }
    },
  });
  t.teardown(() => server.close());
  await right(t, start(t, server, { verify: 'strict' }), 10, 20, { etag: IN_PARTS });
  t.ok(isWhole);
});

t.test('strict: what has no checksum is refused, and the log says what to do', async (t) => {
  const encrypted = 'x-amz-server-side-encryption: aws:kms\r\n';
  const cases: [string, StoreOptions, Partial<FetchCommand>, Partial<HarnessOptions>][] = [
    ['in parts', { etag: IN_PARTS }, {}, {}],
    ['encrypted by KMS', { etag: MD5, more: encrypted }, {}, {}],
    ['in a directory bucket', { etag: MD5 }, {}, { target: { signingService: 's3express' } }],
  ];
  for (const [what, options, command, more] of cases) {
    const server = await store(t, options);
    const harness = start(t, server, { verify: 'strict', ...more });
    const end = await fails(t, harness, 0, 100, { etag: options.etag, ...command });
    t.match(
      end,
      { code: 'NoChecksum', message: /dir\/key cannot be read with --verify strict: .*--verify auto/ },
      what,
    );
    const asked = server.requests.length;
    await fails(t, harness, 0, 100, { etag: options.etag, ...command });
    t.equal(server.requests.length, asked, 'and is not asked for again');
    const lines = harness.of('log').filter((line) => line.level === 'error');
    t.match(lines[0]?.fields, { key: 'dir/key', code: 'NoChecksum' });
  }
});

t.test('strict: objects whose units are too large to hold are refused', async (t) => {
  const objectBytes = STRICT_UNIT_BYTES_MAX * 3;
  const answers: [string, string, number, RegExp][] = [
    ['one piece', '', objectBytes, /larger than 64 MiB and was uploaded in one piece/],
    ['large parts', 'x-amz-mp-parts-count: 2\r\n', STRICT_UNIT_BYTES_MAX * 2, /parts are larger than 64 MiB/],
    ['parts that differ', 'x-amz-mp-parts-count: 7\r\n', MIB, /parts of different sizes/],
  ];
  for (const [what, more, partBytes, said] of answers) {
    const server = await RawServer.start({
      script: async (connection) => {
        await connection.request();
        const range = `Content-Range: bytes 0-${partBytes - 1}/${objectBytes}\r\n`;
        const length = `Content-Length: ${partBytes}\r\n`;
        await connection.send(`HTTP/1.1 206 Partial Content\r\nETag: ${IN_PARTS}\r\n${range}${length}${more}\r\n`);
      },
    });
    t.teardown(() => server.close());
    const harness = start(t, server, { verify: 'strict' });
    const end = await fails(t, harness, 0, 100, { etag: IN_PARTS, objectBytes });
    t.match(end, { code: 'NoChecksum', message: said }, what);
  }
});

t.test('strict: a store that knows no parts of an object is asked for the whole', async (t) => {
  for (const hasSum of [true, false]) {
    const server = await RawServer.start({
      script: async (connection) => {
        for (let request = await connection.request(); request; request = await connection.request()) {
          if (request.target.includes('partNumber=')) {
            await connection.send('HTTP/1.1 501 Not Implemented\r\nContent-Length: 120\r\n\r\n');
            continue;
          }
          const sum = hasSum ? `x-amz-checksum-crc32: ${crc32Of(object)}\r\n` : '';
          await connection.send(rightHead(request, object, IN_PARTS, sum));
          await connection.send(object);
        }
      },
    });
    t.teardown(() => server.close());
    const harness = start(t, server, { verify: 'strict' });
    if (hasSum) await right(t, harness, 10, 20, { etag: IN_PARTS });
    else t.match(await fails(t, harness, 0, 100, { etag: IN_PARTS }), { code: 'NoChecksum' });
    const large = { etag: '"large-9"', objectBytes: STRICT_UNIT_BYTES_MAX + 1 };
    t.match(await fails(t, harness, 0, 100, large), { code: 'NoChecksum', message: /does not tell its parts/ });
  }
});

t.test('strict: answers to the question for the layout that are none', async (t) => {
  const heads: [string, string, object][] = [
    ['gone', 'HTTP/1.1 404 Not Found\r\nContent-Length: 300\r\n\r\n', { code: 'NoSuchKey' }],
    ['replaced', 'HTTP/1.1 412 Precondition Failed\r\nContent-Length: 300\r\n\r\n', { code: 'Http412' }],
    ['another version', 'HTTP/1.1 206 OK\r\nETag: "x"\r\nContent-Length: 300\r\n\r\n', { code: 'ETagMismatch' }],
    ['refused', 'HTTP/1.1 403 Forbidden\r\nContent-Length: 300\r\n\r\n', { code: 'Http403' }],
  ];
  for (const [what, head, end] of heads) {
    const server = await RawServer.start({
      script: async (connection) => {
        while (await connection.request()) await connection.send(head);
      },
    });
    t.teardown(() => server.close());
    const harness = start(t, server, { verify: 'strict' });
    t.match(await harness.fetch(0, 100, 0, { etag: IN_PARTS }), { type: 'fetchFailed', ...end }, what);
  }
});
