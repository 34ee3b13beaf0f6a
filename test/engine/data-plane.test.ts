/**
 * The data plane by itself, on ports that only record: which thread gets a fetch, what cancel, interrupt and the moves of
 * a READ between threads do, and that events which come late or twice change nothing.
 */
import t from 'tap';
import { EINTR, EIO, ESTALE } from '../../src/base/errno.js';
import { silentLog } from '../../src/base/log.js';
import { BLOCK_BYTES, allocatePool } from '../../src/base/pool/layout.js';
import { BlockTable } from '../../src/base/pool/block-table.js';
import { PoolView } from '../../src/base/pool/pool-view.js';
import type { NetCommand, ReadSpan } from '../../src/engine/api.js';
import { DataPlane } from '../../src/engine/data-plane.js';

const TICKET = { lo: 7, hi: 0 };

class Bench {
  readonly view = new PoolView(allocatePool(8));
  readonly table = new BlockTable(this.view);
  readonly posted: NetCommand[][] = [];
  readonly log: string[] = [];
  readonly plane: DataPlane;
  #block = 0;

  constructor(threads: number) {
    for (let thread = 0; thread < threads; thread++) this.posted.push([]);
    this.plane = new DataPlane({
      ports: this.posted.map((commands) => ({ post: (command) => void commands.push(structuredClone(command)) })),
      pool: this.view,
      log: { ...silentLog, error: (_fields, message) => this.log.push(`error: ${message}`) },
      credentialsRefused: (code) => this.log.push(`credentials refused: ${code}`),
      replyError: (ticket, errno) => this.log.push(`reply ${ticket.lo} errno ${errno}`),
    });
  }

  /** Starts a fetch of so many bytes into a slot of its own. */
  fetch(bytes = 1000): { fetchId: number; slot: number; thread: number } {
    const slot = this.table.insert({ nodeId: 1, blockIndex: this.#block++ }, 0, BLOCK_BYTES);
    const fetchId: number = this.plane.fetch(
      {
        key: 'k',
        etag: '"e"',
        objectBytes: 2 ** 40,
        startOffset: 0,
        endOffset: bytes,
        firstBlock: 0,
        slots: [slot],
        priority: 0,
      },
      {
        done: (firstByteMs, totalMs) => this.log.push(`fetch ${fetchId} done ${firstByteMs} ${totalMs}`),
        failed: (errno, code) => this.log.push(`fetch ${fetchId} failed ${errno} ${code}`),
      },
    );
    const thread = this.posted.findIndex((commands) =>
      commands.some((command) => command.type === 'fetch' && command.fetch.fetchId === fetchId),
    );
    return { fetchId, slot, thread };
  }

  park(spans: readonly ReadSpan[], withTicket = true): number {
    for (const span of spans) this.view.pin(span.slot);
    const readId: number = this.plane.park(spans, withTicket ? TICKET : undefined, {
      over: (errno) => this.log.push(`read ${readId} over ${errno}`),
      lost: () => this.log.push(`read ${readId} lost`),
    });
    return readId;
  }

  /** What a thread was told since the last call, as words. */
  told(thread: number): string[] {
    return (this.posted[thread] ?? []).splice(0).map((command) => {
      switch (command.type) {
        case 'fetch':
          return `fetch ${command.fetch.fetchId}`;
        case 'cancelFetch':
          return `cancel ${command.fetchId}`;
        case 'park':
          return `park ${command.read.readId}`;
        case 'interruptRead':
          return `interrupt ${command.readId}`;
        default:
          return command.type;
      }
    });
  }

  said(): string[] {
    return this.log.splice(0);
  }

  done(thread: number, fetchId: number): void {
    this.plane.handle(thread, { type: 'fetchDone', fetchId, firstByteMs: 1, totalMs: 2 });
  }

  failed(thread: number, fetchId: number, errno: number): void {
    this.plane.handle(thread, { type: 'fetchFailed', fetchId, errno, code: 'Code', status: 0, message: '' });
  }

  pins(slot: number): number {
    return this.table.pins(slot);
  }
}

const span = (fetch: { fetchId: number; slot: number }, to = 100): ReadSpan => ({ ...fetch, from: 0, to });

t.test('a fetch goes to the thread with the least bytes outstanding, whatever ended meanwhile', (t) => {
  const bench = new Bench(3);
  const threads = [800, 300, 500, 100].map((bytes) => bench.fetch(bytes).thread);
  t.same(threads, [0, 1, 2, 1]);
  bench.done(0, 1);
  t.equal(bench.fetch(50).thread, 0, 'its load went with the end of its fetch');
  bench.failed(1, 2, EIO);
  bench.failed(1, 4, EIO);
  t.equal(bench.fetch(10).thread, 1);
  t.same(bench.plane.counts, { fetches: 3, reads: 0, bytesFetched: 800 });
  t.same(bench.said(), ['fetch 1 done 1 2', `fetch 2 failed ${EIO} Code`, `fetch 4 failed ${EIO} Code`]);
  t.throws(() => new Bench(0), { name: 'InvariantError' });
  t.end();
});

t.test('late and doubled events change nothing', (t) => {
  const bench = new Bench(2);
  const fetch = bench.fetch(500);
  bench.done(0, fetch.fetchId);
  bench.done(0, fetch.fetchId);
  bench.failed(0, fetch.fetchId, EIO);
  bench.failed(1, 99, EIO);
  bench.done(1, 98);
  t.same(bench.said(), ['fetch 1 done 1 2']);
  bench.told(0);
  bench.plane.cancel(fetch.fetchId);
  bench.plane.cancel(99);
  t.same(bench.told(0), [], 'nothing is left to cancel');
  const other = bench.fetch(500);
  t.equal(other.thread, 0, 'the load went back once');
  const read = bench.park([span(other)]);
  const over = {
    type: 'readsOver',
    reads: [
      { readId: read, errno: 0 },
      { readId: read, errno: EIO },
    ],
  } as const;
  bench.plane.handle(0, over);
  bench.plane.handle(0, over);
  bench.plane.handle(0, { type: 'readElsewhere', readId: read });
  bench.plane.interrupt(read);
  t.same(bench.said(), [`read ${read} over 0`]);
  t.same(bench.told(0), ['fetch 2', `park ${read}`]);
  t.equal(bench.plane.counts.reads, 0);
  t.end();
});

t.test('cancel tells the thread that has the fetch; its observer still hears the end', (t) => {
  const bench = new Bench(2);
  bench.fetch(100);
  const second = bench.fetch(100);
  t.equal(second.thread, 1);
  bench.told(1);
  bench.plane.cancel(second.fetchId);
  t.same(bench.told(1), ['cancel 2']);
  bench.failed(1, second.fetchId, 125);
  t.same(bench.said(), ['fetch 2 failed 125 Code']);
  t.end();
});

t.test('a READ is parked where its last missing bytes come, and follows them', (t) => {
  const bench = new Bench(3);
  const [one, two] = [bench.fetch(100), bench.fetch(100)];
  t.same([one.thread, two.thread], [0, 1]);
  const read = bench.park([span(one), span(two)]);
  t.same(bench.told(1), ['fetch 2', `park ${read}`]);
  bench.view.publishArrived(two.slot, 100);
  bench.done(1, two.fetchId);
  bench.plane.handle(1, { type: 'readElsewhere', readId: read });
  t.same(bench.told(0), ['fetch 1', `park ${read}`]);
  bench.plane.handle(1, { type: 'readElsewhere', readId: read });
  t.same(bench.told(0), [], 'a thread that no longer has it is not heard');
  bench.plane.interrupt(read);
  t.same(bench.told(0), [`interrupt ${read}`]);
  bench.plane.handle(0, { type: 'readsOver', reads: [{ readId: read, errno: EINTR }] });
  t.same(bench.said(), ['fetch 2 done 1 2', `read ${read} over ${EINTR}`]);
  // All bytes there: any thread answers.
  const resident = bench.park([{ ...span(two), fetchId: 0 }]);
  t.same(bench.told(0), [`park ${resident}`]);
  t.end();
});

t.test('what a thread is told of a ticket is two numbers', (t) => {
  const bench = new Bench(1);
  const fetch = bench.fetch();
  bench.view.pin(fetch.slot);
  const request = { lo: 3, hi: 4, answer: () => undefined };
  bench.plane.park([span(fetch)], request, { over: () => undefined, lost: () => undefined });
  const park = bench.posted[0]?.at(-1);
  t.same(park?.type === 'park' ? park.read.ticket : undefined, { lo: 3, hi: 4 });
  t.end();
});

for (const withTicket of [true, false]) {
  const who = withTicket ? 'with a ticket' : 'without a ticket';

  t.test(`a READ whose fetch failed before it got to the thread gets that failure, ${who}`, (t) => {
    const bench = new Bench(1);
    const fetch = bench.fetch();
    const read = bench.park([span(fetch)], withTicket);
    bench.failed(0, fetch.fetchId, ESTALE);
    bench.plane.handle(0, { type: 'readElsewhere', readId: read });
    t.same(bench.said(), [
      `fetch 1 failed ${ESTALE} Code`,
      ...(withTicket ? [`reply 7 errno ${ESTALE}`] : []),
      `read ${read} over ${ESTALE}`,
    ]);
    t.equal(bench.pins(fetch.slot), withTicket ? 0 : 1, 'pins are gone, or the caller’s again');
    t.end();
  });

  t.test(`a READ whose fetch was cancelled is the caller's again, ${who}`, (t) => {
    const bench = new Bench(1);
    const fetch = bench.fetch();
    bench.plane.cancel(fetch.fetchId);
    const read = bench.park([span(fetch)], withTicket);
    bench.failed(0, fetch.fetchId, 125);
    bench.plane.handle(0, { type: 'readElsewhere', readId: read });
    t.same(bench.said(), ['fetch 1 failed 125 Code', `read ${read} lost`]);
    t.equal(bench.pins(fetch.slot), 1, 'nothing is unpinned');
    t.equal(bench.plane.counts.reads, 0);
    t.end();
  });

  t.test(`an interrupt that crosses a move between threads is not lost, ${who}`, (t) => {
    const bench = new Bench(2);
    const [one, two] = [bench.fetch(100), bench.fetch(100)];
    const read = bench.park([span(one), span(two)], withTicket);
    bench.view.publishArrived(two.slot, 100);
    // Thread 1 has sent the READ away when the interrupt reaches it, and ignores that.
    bench.plane.interrupt(read);
    bench.plane.handle(1, { type: 'readElsewhere', readId: read });
    t.same(bench.said(), [...(withTicket ? [`reply 7 errno ${EINTR}`] : []), `read ${read} over ${EINTR}`]);
    t.equal(bench.pins(one.slot), withTicket ? 0 : 1);
    t.equal(bench.pins(two.slot), withTicket ? 0 : 1);
    t.same(bench.told(0), ['fetch 1'], 'it is not parked again');
    t.end();
  });

  t.test(`a READ that threads pass on and on ends with an error, ${who}`, (t) => {
    const bench = new Bench(2);
    const fetch = bench.fetch();
    const read = bench.park([span(fetch)], withTicket);
    let moves = 0;
    while (bench.plane.counts.reads > 0) {
      if (++moves > 20) break;
      bench.plane.handle(0, { type: 'readElsewhere', readId: read });
    }
    t.equal(moves, 9);
    t.same(bench.said(), [
      'error: a read was passed on between net threads too often',
      ...(withTicket ? [`reply 7 errno ${EIO}`] : []),
      `read ${read} over ${EIO}`,
    ]);
    t.equal(bench.pins(fetch.slot), withTicket ? 0 : 1);
    t.end();
  });
}

t.test('credentials, closing and the threads’ log lines pass through', (t) => {
  const bench = new Bench(2);
  bench.plane.setCredentials({ accessKeyId: 'a', secretAccessKey: 'b' });
  bench.plane.setCredentials(undefined);
  bench.plane.close();
  for (const thread of [0, 1]) t.same(bench.told(thread), ['credentials', 'credentials', 'close']);
  bench.plane.handle(1, { type: 'credentialsRefused', code: 'ExpiredToken' });
  bench.plane.handle(0, { type: 'log', level: 'error', fields: {}, message: 'a line' });
  bench.plane.handle(0, { type: 'ready' });
  bench.plane.handle(0, { type: 'closed' });
  t.same(bench.said(), ['credentials refused: ExpiredToken', 'error: a line']);
  t.end();
});
