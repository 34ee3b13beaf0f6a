/**
 * Messages that are read into a head, a lent slot and a rest, from the fake kernel through reader loop, ring and dispatcher to
 * a handler: every message arrives as without slots, large WRITEs without having been copied, and every slot comes back,
 * whatever the handler does. And the same on a real mount, with slots that the file system keeps.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import t from 'tap';
import { RingConsumer, RingProducer, allocateRing } from '../../src/base/byte-ring.js';
import { ManualClock } from '../../src/base/clock.js';
import { ENOSPC, ErrnoError } from '../../src/base/errno.js';
import { silentLog } from '../../src/base/log.js';
import { BLOCK_BYTES, allocatePool } from '../../src/base/pool/layout.js';
import { PoolView } from '../../src/base/pool/pool-view.js';
import { FuseDispatcher } from '../../src/fuse/dispatcher.js';
import type { FuseHandlers, MaybePromise, WriteLoan } from '../../src/fuse/handlers.js';
import { COUNTER_LENT, COUNTER_WORDS, ReaderLoop } from '../../src/fuse/reader-loop.js';
import { pumpRing } from '../../src/fuse/ring-pump.js';
import { REQUEST_RING_BYTES } from '../../src/fuse/ring-records.js';
import { LOAN_BYTES_MIN, LoanTaker, SlotLender, allocateLoans } from '../../src/fuse/slot-loans.js';
import { encodeRequest } from '../support/fake-kernel-codec.js';
import { RecordingHandlers } from '../support/fake-kernel-handlers.js';
import { FakeKernel, NEGOTIATED } from '../support/fake-kernel.js';
import { noMountReason, runProgram, startServer } from '../support/fuse-mount.js';
import { ListWriteSlots } from '../support/list-write-slots.js';
import { until } from '../support/until.js';

/** What a handler got of one WRITE. */
interface Got {
  readonly offset: number;
  readonly data: Buffer;
  readonly loan: WriteLoan | undefined;
}

class Bench {
  readonly kernel = new FakeKernel();
  readonly clock = new ManualClock();
  readonly pool = allocatePool(40);
  readonly slots = new ListWriteSlots(this.pool, 32);
  readonly handlers = new RecordingHandlers();
  readonly counters = new Int32Array(COUNTER_WORDS);
  readonly lender: SlotLender;
  readonly loop: ReaderLoop;
  readonly dispatcher: FuseDispatcher;
  readonly got: Got[] = [];
  /** What the handler does with a WRITE, by default: takes it and keeps nothing. */
  onWrite: (got: Got) => MaybePromise<number> = ({ data }) => data.length;
  readonly #consumer: RingConsumer;
  #unique = 0;

  constructor() {
    const loans = allocateLoans(1);
    const ring = allocateRing(REQUEST_RING_BYTES);
    this.#consumer = new RingConsumer(ring);
    this.lender = new SlotLender(loans, { slots: this.slots, clock: this.clock });
    this.loop = new ReaderLoop({
      transport: this.kernel,
      ring: new RingProducer(ring, () => undefined),
      pool: new PoolView(this.pool),
      loans: new LoanTaker(loans),
      requestBufferBytes: NEGOTIATED.requestBufferBytes,
      counters: this.counters,
    });
    const { kernel: writer, lender, clock } = this;
    (this.handlers as FuseHandlers).write = (_context, _nodeId, _handle, offset, data, _flags, loan) => {
      const got = { offset, data: Buffer.from(data), loan };
      this.got.push(got);
      return this.onWrite(got);
    };
    this.dispatcher = new FuseDispatcher(
      {},
      { handlers: this.handlers, writer, negotiated: NEGOTIATED, log: silentLog, lender, clock },
    );
  }

  get lent(): number {
    return this.counters[COUNTER_LENT] ?? 0;
  }

  /** One message of the kernel, all the way. */
  message(bytes: Buffer): void {
    this.kernel.queue.push(bytes);
    this.loop.step();
    this.pump();
  }

  pump(): void {
    const ignore = (): void => undefined;
    while (
      pumpRing(this.#consumer, this.dispatcher, {
        onAccess: ignore,
        onEnded: ignore,
        onTrouble: (message) => {
          throw new Error(message);
        },
      }) === 'more'
    );
  }

  write(offset: number, data: Uint8Array, sizeBytes = data.length): void {
    this.message(encodeRequest('WRITE', { unique: (this.#unique += 2) }, { fh: 1, offset, size: sizeBytes }, [data]));
  }

  /** One WRITE without a slot begins it; from then on there is one at hand. */
  begin(): void {
    this.write(0, Buffer.alloc(LOAN_BYTES_MIN));
    this.got.length = 0;
    this.kernel.replies.length = 0;
  }

  /** Slots that are out although nobody writes any more: none but the one in hand, which goes with the next message. */
  leftOver(): number {
    this.clock.advance(4000);
    this.message(encodeRequest('GETATTR', { unique: (this.#unique += 2) }, {}));
    this.message(encodeRequest('GETATTR', { unique: (this.#unique += 2) }, {}));
    return this.slots.used;
  }
}

const content = (bytes: number): Buffer => {
  const buffer = Buffer.alloc(bytes);
  for (let at = 0; at + 4 <= bytes; at += 4) buffer.writeUInt32LE(Math.imul(at + 1, 0x9e3779b1) >>> 0, at);
  return buffer;
};

/** Lets settled promises run their course. */
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

t.test('WRITEs of every size arrive whole, large ones in their slot', (t) => {
  const sizes = [0, 1, 4096, LOAN_BYTES_MIN - 1, LOAN_BYTES_MIN, 100_001, BLOCK_BYTES - 1, BLOCK_BYTES];
  const b = new Bench();
  b.write(0, content(BLOCK_BYTES));
  t.equal(b.got[0]?.loan, undefined, 'the first comes as it always did');
  for (const bytes of sizes) {
    const before = b.lent;
    b.write(5 * bytes, content(bytes));
    const got = b.got.at(-1);
    t.ok(got?.data.equals(content(bytes)), `${bytes} bytes`);
    t.equal(got?.offset, 5 * bytes);
    t.equal(got?.loan !== undefined, bytes >= LOAN_BYTES_MIN);
    t.equal(b.lent - before, bytes >= LOAN_BYTES_MIN ? 1 : 0);
  }
  t.ok(b.kernel.replies.every(({ errno }) => errno === 0));
  t.equal(b.kernel.waiting, 0);
  t.equal(b.leftOver(), 0);
  t.end();
});

t.test('any messages in any order arrive as without slots', (t) => {
  const message = fc.oneof(
    fc.record({ name: fc.constant('LOOKUP'), bytes: fc.nat(255) }),
    fc.record({ name: fc.constant('SETXATTR'), bytes: fc.constantFrom(0, 30, 65_536) }),
    fc.record({ name: fc.constant('READ'), bytes: fc.constant(4096) }),
    fc.record({ name: fc.constant('WRITE'), bytes: fc.constantFrom(1, 4096, 40_000, BLOCK_BYTES) }),
  );
  let withSlot = 0;
  fc.assert(
    fc.property(fc.array(message, { minLength: 10, maxLength: 40, size: 'max' }), (messages) => {
      const plain = new Bench();
      const b = new Bench();
      plain.slots.slotsMax = 0;
      b.begin();
      const before = b.lent;
      messages.forEach(({ name, bytes }, at) => {
        const unique = 1000 + 2 * at;
        const encoded =
          name === 'LOOKUP'
            ? encodeRequest('LOOKUP', { unique }, {}, ['n'.repeat(Math.max(1, bytes))])
            : name === 'SETXATTR'
              ? encodeRequest('SETXATTR', { unique }, { size: bytes }, ['user.name', content(bytes)])
              : name === 'READ'
                ? encodeRequest('READ', { unique }, { fh: 1, offset: 0, size: bytes })
                : encodeRequest('WRITE', { unique }, { fh: 1, offset: at, size: bytes }, [content(bytes)]);
        for (const one of [plain, b]) {
          one.kernel.queue.push(Buffer.from(encoded));
          one.loop.step();
          one.pump();
        }
      });
      t.same(
        b.handlers.calls.map((call) => JSON.stringify(call)),
        plain.handlers.calls.map((call) => JSON.stringify(call)),
      );
      if (b.got.length !== plain.got.length) return false;
      withSlot += b.lent - before;
      return (
        b.got.every(({ data, offset }, at) => {
          const same = plain.got[at];
          return same?.offset === offset && data.equals(same.data);
        }) && b.leftOver() === 0
      );
    }),
    { numRuns: 60 },
  );
  t.ok(withSlot > 100, `${withSlot} came in slots`);
  t.end();
});

t.test('what a handler may do: keep the slot, wait, fail, throw', async (t) => {
  const b = new Bench();
  b.begin();
  const adopted: number[] = [];
  b.onWrite = ({ data, loan }) => {
    if (loan) adopted.push(loan.adopt());
    return data.length;
  };
  for (let at = 0; at < 6; at++) b.write(at * BLOCK_BYTES, content(BLOCK_BYTES).fill(at));
  t.equal(adopted.length, 6);
  t.equal(new Set(adopted).size, 6);
  adopted.forEach((slot, at) => {
    t.ok(
      b.slots.bytes(slot, 0, BLOCK_BYTES).every((byte) => byte === at),
      'what was kept stays as it came',
    );
    b.slots.give(slot);
  });
  let settle: (taken: number) => void = () => undefined;
  b.onWrite = () => new Promise((resolve) => (settle = resolve));
  b.write(0, content(BLOCK_BYTES));
  t.equal(b.dispatcher.stats().writeBytesInFlight, BLOCK_BYTES);
  const late = b.got.at(-1)?.loan;
  t.ok(
    Buffer.from(b.slots.bytes(late?.slot ?? -1, 0, BLOCK_BYTES)).equals(content(BLOCK_BYTES)),
    'borrowed until the promise settles',
  );
  const { used } = b.slots;
  settle(BLOCK_BYTES);
  await turn();
  t.equal(b.dispatcher.stats().writeBytesInFlight, 0);
  t.ok(b.slots.used <= used);
  t.throws(() => late?.adopt(), { name: 'InvariantError' }, 'not after the WRITE');
  b.onWrite = () => Promise.reject(new ErrnoError(ENOSPC));
  b.write(0, content(BLOCK_BYTES));
  await turn();
  t.equal(b.kernel.replies.at(-1)?.errno, ENOSPC);
  b.onWrite = () => {
    throw new ErrnoError(ENOSPC);
  };
  b.write(0, content(BLOCK_BYTES));
  t.equal(b.kernel.replies.at(-1)?.errno, ENOSPC);
  b.onWrite = ({ loan }) => {
    // It fails with the slot in its hands.
    if (loan) b.slots.give(loan.adopt());
    throw new ErrnoError(ENOSPC);
  };
  b.write(0, content(BLOCK_BYTES));
  t.equal(b.kernel.waiting, 0);
  t.equal(b.leftOver(), 0);
  t.end();
});

t.test('messages that no kernel sends, in a slot', (t) => {
  const b = new Bench();
  b.begin();
  b.write(0, content(BLOCK_BYTES), BLOCK_BYTES - 1);
  t.equal(b.got.length, 1, 'longer than it says: the bytes that it says');
  b.write(0, content(LOAN_BYTES_MIN), BLOCK_BYTES);
  t.equal(b.kernel.replies.at(-1)?.errno, 5, 'shorter than it says');
  b.message(
    encodeRequest('WRITE', { unique: 600 }, { fh: 1, offset: 2n ** 60n, size: BLOCK_BYTES }, [content(BLOCK_BYTES)]),
  );
  t.equal(b.kernel.replies.at(-1)?.errno, 27, 'an offset beyond all files');
  const { lent } = b;
  t.ok(lent > 0, 'it had come in a slot');
  t.equal(b.kernel.waiting, 0);
  t.equal(b.leftOver(), 0);
  t.end();
});

t.test('without a slot at hand a WRITE goes through the ring, and is not delayed', (t) => {
  const b = new Bench();
  b.begin();
  const all: number[] = [];
  b.onWrite = ({ data, loan }) => {
    if (loan) all.push(loan.adopt());
    return data.length;
  };
  for (let at = 0; at < 60; at++) b.write(at, content(BLOCK_BYTES));
  t.equal(b.got.length, 60);
  t.ok(b.got.every(({ data }) => data.equals(content(BLOCK_BYTES))));
  t.equal(all.length, 32, 'all slots there are');
  for (const slot of all) b.slots.give(slot);
  b.write(0, content(BLOCK_BYTES));
  b.write(0, content(BLOCK_BYTES));
  t.ok(b.got.at(-1)?.loan, 'and then again in slots');
  for (const slot of all.splice(32)) b.slots.give(slot);
  t.equal(b.leftOver(), 0);
  t.end();
});

const skip = noMountReason() ?? false;
const MAKE = 'import sys, random; sys.stdout.buffer.write(random.Random(int(sys.argv[1])).randbytes(24 << 20))';

for (const loans of ['copy', 'keep'] as const) {
  t.test(`on a real mount, slots that are ${loans === 'copy' ? 'copied from' : 'kept'}`, { skip }, async (t) => {
    const server = await startServer(t, { readers: 2, loans });
    const source = t.testdir({ source: '' });
    const writers = ['bs=1M', 'bs=1M oflag=direct', 'bs=300k', 'bs=64k', 'bs=4k count=1000', 'bs=3M oflag=direct'];
    const hashes = await Promise.all(
      writers.map(async (how, at) => {
        const file = `${source}/${at}`;
        const run = `python3 -c '${MAKE}' ${at} > ${file} && dd if=${file} of=${server.mountPoint}/${at} ${how} status=none`;
        const result = await runProgram('sh', ['-c', run]);
        if (result.code !== 0) throw new Error(result.stderr);
        const whole = await readFile(file);
        const bytes = how.includes('count') ? whole.subarray(0, 4096 * 1000) : whole;
        return createHash('sha256').update(bytes).digest('hex');
      }),
    );
    // What is kept is put in place a little later.
    for (const [at, how] of writers.entries()) {
      await until(`${how}: the bytes that were written`, async () => {
        const { stdout } = await runProgram('sha256sum', [`${server.mountPoint}/${at}`]);
        return stdout.slice(0, 64) === hashes[at];
      });
    }
    const stats = (await server.command({ do: 'stats' })) as { lent: number; kept: number; errors: string[] };
    t.ok(stats.lent > 50, `${stats.lent} WRITEs came in slots`);
    t.ok(loans === 'copy' || stats.kept > 50, `${stats.kept} slots were kept`);
    t.same(stats.errors, []);
    await server.unmount();
  });
}
