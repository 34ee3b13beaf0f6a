/**
 * A reader thread's loop over a fake kernel, a real pool and a real ring: hits, misses, reads across blocks, the end of
 * an object, blocks that are evicted at the worst moment, and what reaches the main thread.
 */
import t from 'tap';
import { RingConsumer, RingProducer, allocateRing } from '../../src/base/byte-ring.js';
import { silentLog } from '../../src/base/log.js';
import {
  BLOCK_BYTES,
  GATE,
  GATE_LIVE,
  RECENT,
  SLOT_WORDS,
  TELL,
  allocatePool,
  type PoolMemory,
} from '../../src/base/pool/layout.js';
import { PoolView } from '../../src/base/pool/pool-view.js';
import { FuseDispatcher } from '../../src/fuse/dispatcher.js';
import {
  ACCESS_LINE_BYTES,
  COUNTER_HITS,
  COUNTER_HIT_KIB,
  COUNTER_MISSES,
  COUNTER_OTHER,
  COUNTER_WORDS,
  ReaderLoop,
} from '../../src/fuse/reader-loop.js';
import { PUMP_BATCH, RingPump, pumpRing, type PumpResult } from '../../src/fuse/ring-pump.js';
import {
  RECORD_ACCESS,
  RECORD_ENDED,
  RECORD_REQUEST,
  RECORD_TROUBLE,
  REQUEST_RING_BYTES,
  decodeAccess,
  newAccessRecord,
  type AccessRecord,
} from '../../src/fuse/ring-records.js';
import { READ_AGAIN } from '../../src/fuse/transport.js';
import { encodeRequest } from '../support/fake-kernel-codec.js';
import { RecordingHandlers } from '../support/fake-kernel-handlers.js';
import { FakeKernel, NEGOTIATED } from '../support/fake-kernel.js';
import { evictSlot, fillSlot, insertBlock } from '../support/pool-blocks.js';

/** A node id whose low half has its sign bit set: the words are signed. */
const NODE = 0x1_8000_0003;

interface Record {
  readonly kind: number;
  readonly payload: Buffer;
}

interface Bench {
  readonly kernel: FakeKernel;
  readonly pool: PoolMemory;
  readonly loop: ReaderLoop;
  readonly counters: Int32Array;
  readonly consumer: RingConsumer;
  read(offset: number, size: number, node?: number): void;
  records(): Record[];
}

function bench(
  options: { ringBytes?: number; withoutPool?: boolean; nowMs?: () => number; wake?: () => void } = {},
): Bench {
  const kernel = new FakeKernel();
  const pool = allocatePool(8);
  const ring = allocateRing(options.ringBytes ?? REQUEST_RING_BYTES);
  const counters = new Int32Array(COUNTER_WORDS);
  const consumer = new RingConsumer(ring);
  let unique = 0;
  return {
    kernel,
    pool,
    counters,
    consumer,
    loop: new ReaderLoop({
      transport: kernel,
      ring: new RingProducer(ring, options.wake ?? (() => undefined)),
      ...(options.nowMs ? { nowMs: options.nowMs } : {}),
      ...(options.withoutPool === true ? {} : { pool: new PoolView(pool) }),
      requestBufferBytes: NEGOTIATED.requestBufferBytes,
      counters,
    }),
    read: (offset, size, node = NODE) =>
      void kernel.queue.push(encodeRequest('READ', { unique: (unique += 2), nodeid: node }, { fh: 77, offset, size })),
    records: () => {
      const found: Record[] = [];
      while (consumer.drain(100, (kind, payload) => void found.push({ kind, payload: Buffer.from(payload) })) > 0);
      return found;
    },
  };
}

/** No pin is left anywhere. */
function pins(pool: PoolMemory): number {
  const words = new Int32Array(pool.words);
  let sum = 0;
  for (let slot = 0; slot < pool.slotCount; slot++) sum += (words[slot * SLOT_WORDS + GATE] ?? 0) & ~GATE_LIVE;
  return sum;
}

function object(bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  for (let at = 0; at + 4 <= bytes; at += 4) buffer.writeUInt32LE((at * 2654435761) >>> 0, at);
  return buffer;
}

const OBJECT = object(2 * BLOCK_BYTES + 5000);

t.test('hits: within a block, across two, up to the end and beyond (kernel facts 5 and 6)', (t) => {
  const b = bench();
  insertBlock(b.pool, NODE, OBJECT);
  const cases: [string, number, number][] = [
    ['the first bytes', 0, 4096],
    ['a whole block', BLOCK_BYTES, BLOCK_BYTES],
    ['one byte', 12345, 1],
    ['across two blocks', BLOCK_BYTES - 300, 131072],
    ['a whole MiB across two blocks', 4096, BLOCK_BYTES],
    ['across into the last, short block', 2 * BLOCK_BYTES - 100, 200],
    ['short at the end', 2 * BLOCK_BYTES, 131072],
    ['across blocks and short at the end', 2 * BLOCK_BYTES - 4096, 131072],
    ['starting at the end', OBJECT.length, 4096],
    ['starting beyond the end', OBJECT.length + 10, 4096],
  ];
  for (const [, offset, size] of cases) b.read(offset, size);
  b.loop.run();
  cases.forEach(([name, offset, size], index) => {
    const reply = b.kernel.replies[index];
    t.equal(reply?.errno, 0, name);
    t.ok(reply?.body.equals(OBJECT.subarray(offset, offset + size)), `${name}: the right bytes`);
  });
  t.equal(b.counters[COUNTER_HITS], cases.length);
  t.equal(b.counters[COUNTER_MISSES], 0);
  t.equal(
    b.counters[COUNTER_HIT_KIB],
    cases.reduce((sum, [, , size]) => sum + (size >>> 10), 0),
  );
  t.equal(pins(b.pool), 0);
  t.equal(new Int32Array(b.pool.words)[RECENT], 1, 'the recency bit is set');
  const kinds = new Set(b.records().map(({ kind }) => kind));
  t.notOk(kinds.has(RECORD_REQUEST));
  t.end();
});

t.test('misses go to the main thread whole, with no pin left', (t) => {
  const b = bench();
  fillSlot(b.pool, 0, NODE, 0, OBJECT.subarray(0, BLOCK_BYTES));
  // Block 1 is on its way: bytes [0, 1000) are there.
  fillSlot(b.pool, 1, NODE, 1, OBJECT.subarray(BLOCK_BYTES, 2 * BLOCK_BYTES), 0, 1000);
  // An exact range of block 5.
  fillSlot(b.pool, 2, NODE, 5, object(BLOCK_BYTES), 8192, 12288);
  const cases: [string, number, number, number?][] = [
    ['another node', 0, 4096, NODE + 2 ** 32],
    ['another block', 3 * BLOCK_BYTES, 4096],
    ['bytes that have not arrived', BLOCK_BYTES, 1001],
    ['across, the second half not there', BLOCK_BYTES - 10, 1011],
    ['before an exact range', 5 * BLOCK_BYTES + 4096, 4097],
    ['after an exact range', 5 * BLOCK_BYTES + 8192, 4097],
    ['nothing', 0, 0],
    ['more than a block', 0, BLOCK_BYTES + 1],
    ['an absurd offset', 2 ** 52, 4096],
  ];
  for (const [, offset, size, node] of cases) b.read(offset, size, node);
  b.read(BLOCK_BYTES - 10, 1010);
  b.read(5 * BLOCK_BYTES + 8192, 4096);
  b.loop.run();
  const requests = b.records().filter(({ kind }) => kind === RECORD_REQUEST);
  t.equal(requests.length, cases.length);
  cases.forEach(([name], index) => t.equal(requests[index]?.payload.readBigUInt64LE(8), BigInt(2 * index + 2), name));
  t.equal(b.kernel.replies.length, 2, 'what is there is answered');
  t.equal(b.counters[COUNTER_MISSES], cases.length);
  t.equal(pins(b.pool), 0);
  t.end();
});

t.test('an object that ends exactly with a block: reading on is for the main thread to judge', (t) => {
  const b = bench();
  insertBlock(b.pool, NODE, OBJECT.subarray(0, BLOCK_BYTES));
  b.read(BLOCK_BYTES - 10, 20);
  b.loop.run();
  t.equal(b.kernel.replies.length, 0, 'ten bytes would be a guess that the file ends there');
  t.equal(pins(b.pool), 0);
  t.end();
});

t.test('a block cannot be evicted while it is being sent', (t) => {
  const b = bench();
  insertBlock(b.pool, NODE, OBJECT);
  let evicted: boolean[] = [];
  b.kernel.onWrite = () => {
    evicted = [evictSlot(b.pool, 0), evictSlot(b.pool, 1), evictSlot(b.pool, 2)];
  };
  b.read(BLOCK_BYTES - 100, 200);
  b.loop.run();
  t.same(evicted, [false, false, true], 'the two that are sent stay, the third may go');
  t.ok(b.kernel.replies[0]?.body.equals(OBJECT.subarray(BLOCK_BYTES - 100, BLOCK_BYTES + 100)));
  t.end();
});

t.test('a slot that was evicted and filled with another block is a miss', (t) => {
  const b = bench();
  fillSlot(b.pool, 0, NODE, 0, OBJECT.subarray(0, BLOCK_BYTES));
  t.ok(evictSlot(b.pool, 0));
  b.read(0, 4096);
  t.ok(b.loop.step());
  // The old hint still names slot 0.
  fillSlot(b.pool, 0, NODE, 7, OBJECT.subarray(0, BLOCK_BYTES));
  b.read(0, 4096);
  t.ok(b.loop.step());
  t.equal(b.kernel.replies.length, 0);
  t.equal(pins(b.pool), 0);
  t.end();
});

t.test('a READ that is gone, a kernel that refuses, an unmounted file system', (t) => {
  const b = bench();
  insertBlock(b.pool, NODE, OBJECT);
  b.read(0, 4096);
  b.kernel.onWrite = () => b.kernel.withdraw(2n);
  t.ok(b.loop.step());
  b.kernel.onWrite = undefined;
  t.equal(b.kernel.unknown, 1);
  b.read(0, 4096);
  b.kernel.refuseNext = 12;
  t.ok(b.loop.step());
  t.equal(b.kernel.replies[0]?.errno, 5, 'its caller does not wait for ever');
  b.read(0, 4096);
  b.kernel.unmounted = true;
  t.ok(b.loop.step());
  t.equal(pins(b.pool), 0);
  t.same(
    b.records().map(({ kind }) => kind),
    [RECORD_ACCESS, RECORD_TROUBLE, RECORD_ACCESS, RECORD_ACCESS],
  );
  t.end();
});

t.test('what the main thread hears of hits', (t) => {
  const b = bench();
  insertBlock(b.pool, NODE, OBJECT);
  const told: AccessRecord[] = [];
  for (let offset = 0; offset < 2 * ACCESS_LINE_BYTES; offset += 4096) b.read(offset, 4096);
  b.read(BLOCK_BYTES, 1);
  b.read(BLOCK_BYTES + 5000, 1);
  b.loop.run();
  for (const { kind, payload } of b.records()) {
    if (kind !== RECORD_ACCESS) continue;
    const access = newAccessRecord();
    decodeAccess(payload, access);
    told.push(access);
  }
  t.same(told, [
    { nodeId: NODE, handle: 77, offset: 0, sizeBytes: 4096 },
    { nodeId: NODE, handle: 77, offset: ACCESS_LINE_BYTES - 4096, sizeBytes: 4096 },
    { nodeId: NODE, handle: 77, offset: 2 * ACCESS_LINE_BYTES - 4096, sizeBytes: 4096 },
    { nodeId: NODE, handle: 77, offset: BLOCK_BYTES, sizeBytes: 1 },
  ]);
  t.end();
});

t.test('a block whose hits are wanted: main hears of each', (t) => {
  const b = bench();
  insertBlock(b.pool, NODE, OBJECT);
  new Int32Array(b.pool.words)[TELL] = 1;
  for (const offset of [8192, 20_480, 8192]) b.read(offset, 4096);
  b.loop.run();
  t.equal(b.records().filter(({ kind }) => kind === RECORD_ACCESS).length, 3);
  t.end();
});

t.test('hints in close succession wake the main thread once; a READ that misses wakes it at once', (t) => {
  let nowMs = 1000;
  let wakes = 0;
  const b = bench({ nowMs: () => nowMs, wake: () => void wakes++ });
  insertBlock(b.pool, NODE, OBJECT);
  const after = (offsets: readonly number[], passedMs: number): number => {
    nowMs += passedMs;
    wakes = 0;
    for (const offset of offsets) b.read(offset, 4096);
    for (let at = 0; at < offsets.length; at++) b.loop.step();
    return wakes;
  };
  b.records();
  t.equal(after([0], 0), 1);
  b.records();
  t.equal(after([0, 0, 0], 1), 0, 'soon after');
  t.equal(after([64 * BLOCK_BYTES], 0), 1, 'a miss');
  t.same(
    b.records().map(({ kind }) => kind),
    [RECORD_ACCESS, RECORD_ACCESS, RECORD_ACCESS, RECORD_REQUEST],
  );
  t.equal(after([0], 10), 1, 'later');
  b.records();
  t.equal(
    after(
      Array.from({ length: 100 }, () => 0),
      1,
    ),
    1,
    'so many are worth one',
  );
  t.end();
});

t.test('a full ring drops what it may drop, and no more', (t) => {
  const b = bench({ ringBytes: 4096 });
  insertBlock(b.pool, NODE, OBJECT);
  for (let n = 0; n < 200; n++) b.read(0, 4096);
  while (b.kernel.queue.length > 0) b.loop.step();
  t.equal(b.kernel.replies.length, 200, 'every READ was answered');
  const { length } = b.records();
  t.ok(length > 50 && length < 200, `${length} of 200 hints arrived`);
  t.end();
});

t.test('no object has security attributes: that is answered in the thread', (t) => {
  const b = bench();
  for (const [at, name] of ['security.capability', 'security.', 'user.a', 'security', 'system.security.x'].entries()) {
    b.kernel.queue.push(encodeRequest('GETXATTR', { unique: 2 * at + 2 }, { size: 20 }, [name]));
  }
  b.loop.run();
  t.same(
    b.kernel.replies.map(({ errno }) => errno),
    [61, 61],
  );
  t.equal(b.records().filter(({ kind }) => kind === RECORD_REQUEST).length, 3);
  t.end();
});

t.test('IOCTL is answered in the thread, everything else travels (kernel fact 25)', (t) => {
  const b = bench();
  b.kernel.queue.push(encodeRequest('IOCTL', { unique: 2 }, { fh: 1, cmd: 0x5401 }));
  b.kernel.queue.push(encodeRequest('LOOKUP', { unique: 4 }, {}, ['a']));
  b.kernel.queue.push(READ_AGAIN);
  b.kernel.queue.push(
    encodeRequest('WRITE', { unique: 6 }, { fh: 1, size: BLOCK_BYTES }, [OBJECT.subarray(0, BLOCK_BYTES)]),
  );
  const lying = encodeRequest('READ', { unique: 8 }, { fh: 1, size: 10 });
  lying.writeUInt32LE(9999, 0);
  b.kernel.queue.push(lying, Buffer.alloc(3));
  b.loop.run();
  t.equal(b.kernel.replies.length, 1);
  t.equal(b.kernel.replies[0]?.errno, 25);
  const records = b.records();
  t.same(
    records.map(({ kind }) => kind),
    [RECORD_REQUEST, RECORD_REQUEST, RECORD_REQUEST, RECORD_REQUEST, RECORD_ENDED],
  );
  t.ok(records[1]?.payload.subarray(80).equals(OBJECT.subarray(0, BLOCK_BYTES)), 'a WRITE of 1 MiB fits');
  t.equal(b.counters[COUNTER_OTHER], 3);
  t.end();
});

t.test('without a pool every READ travels', (t) => {
  const b = bench({ withoutPool: true });
  b.read(0, 4096);
  b.loop.run();
  t.equal(b.counters[COUNTER_MISSES], 1);
  t.end();
});

t.test('an error of the device ends the thread, and main hears which', (t) => {
  const b = bench();
  b.kernel.read = () => {
    throw Object.assign(new Error('EBADF: bad file descriptor, read'), { errno: -9, code: 'EBADF' });
  };
  t.throws(() => b.loop.run(), /EBADF/);
  const last = b.records().at(-1);
  t.equal(last?.kind, RECORD_ENDED);
  t.equal(last?.payload.readUInt32LE(0), 9);
  t.end();
});

t.test('the pump', async (t) => {
  const b = bench();
  insertBlock(b.pool, NODE, OBJECT);
  const handlers = new RecordingHandlers();
  handlers.results['read'] = undefined;
  const woken: number[] = [];
  const dispatcher = new FuseDispatcher(
    { inFlightMax: 3 },
    { handlers, writer: b.kernel, negotiated: NEGOTIATED, log: silentLog, onRoom: () => woken.push(1) },
  );
  const seen: string[] = [];
  const callbacks = {
    onAccess: (access: Readonly<AccessRecord>) => void seen.push(`access ${access.offset}`),
    onEnded: (errno: number) => void seen.push(`ended ${errno}`),
    onTrouble: (message: string) => void seen.push(message),
  };
  t.equal(pumpRing(b.consumer, dispatcher, callbacks), 'idle');
  b.read(0, 1);
  for (let n = 0; n < 5; n++) b.read(0, 10, 99);
  b.loop.run();
  const results: PumpResult[] = [];
  results.push(pumpRing(b.consumer, dispatcher, callbacks));
  results.push(pumpRing(b.consumer, dispatcher, callbacks));
  results.push(pumpRing(b.consumer, dispatcher, callbacks));
  t.same(results, ['more', 'full', 'full'], 'it stops when the dispatcher has no room');
  t.equal(handlers.calls.length, 3);
  handlers.reply?.error(5);
  t.equal(woken.length, 1);
  t.equal(pumpRing(b.consumer, dispatcher, callbacks), 'full');
  t.equal(handlers.calls.length, 4);
  handlers.reply?.error(5);
  t.equal(pumpRing(b.consumer, dispatcher, callbacks), 'full');
  handlers.reply?.error(5);
  t.equal(pumpRing(b.consumer, dispatcher, callbacks), 'more');
  t.equal(pumpRing(b.consumer, dispatcher, callbacks), 'idle');
  t.same(seen, ['access 0', 'ended 0']);

  await t.test('takes a bounded batch a turn, and goes on by itself', async (t) => {
    const ring = allocateRing(1 << 16);
    const producer = new RingProducer(ring, () => undefined);
    const ended: number[] = [];
    const room = new FuseDispatcher({}, { handlers, writer: b.kernel, negotiated: NEGOTIATED, log: silentLog });
    const count = 3 * PUMP_BATCH;
    for (let n = 0; n < count; n++) producer.push(RECORD_ENDED, Buffer.alloc(4));
    const pump = new RingPump([new RingConsumer(ring)], room, {
      ...callbacks,
      onEnded: (errno) => void ended.push(errno),
    });
    pump.wake();
    pump.wake();
    t.equal(ended.length, 0, 'never inside wake');
    await new Promise((resolve) => setImmediate(resolve));
    t.equal(ended.length, PUMP_BATCH);
    for (let n = 0; n < 5; n++) await new Promise((resolve) => setImmediate(resolve));
    t.equal(ended.length, count);
  });
});
