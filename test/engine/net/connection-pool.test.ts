/**
 * The connection pool with sockets that do nothing: who gets which connection, how many there are, what a failed open and
 * a lower limit do. Random sequences of events against the rules that must always hold.
 */
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import fc from 'fast-check';
import t from 'tap';
import { ManualClock } from '../../../src/base/clock.js';
import { PRIORITY_UPLOAD, PRIORITY_WAITING } from '../../../src/engine/api.js';
import { ConnectionPool, type Waiter } from '../../../src/engine/net/connection-pool.js';
import type { Connection } from '../../../src/engine/net/connection.js';
import type { Exchange } from '../../../src/engine/net/exchange.js';
import { CONNECTION_AGE_MAX_MS, DEFAULT_TIMEOUTS, IDLE_RELEARN_MS } from '../../../src/engine/net/limits.js';
import type { OnRead } from '../../../src/engine/net/socket-opener.js';

class FakeSocket extends EventEmitter {
  destroyed = false;
  localAddress: string | undefined;
  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    this.emit('close');
  }
  write(): boolean {
    return true;
  }
  isPaused = false;
  pause(): void {
    this.isPaused = true;
  }
  resume(): void {
    this.isPaused = false;
  }
}

interface Open {
  readonly socket: FakeSocket;
  readonly onread: OnRead;
  resolve(): Promise<void>;
  reject(): Promise<void>;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

class Bench {
  readonly clock = new ManualClock();
  readonly opens: Open[] = [];
  readonly log: string[] = [];
  readonly got = new Map<string, Connection>();
  readonly pool: ConnectionPool;

  constructor(connectionsMax: number, waitersMax = 100, isSpread = false) {
    this.pool = new ConnectionPool(
      { connectionsMax, waitersMax, timeouts: DEFAULT_TIMEOUTS, isSpread },
      {
        clock: this.clock,
        open: (onread) => {
          const socket = new FakeSocket();
          let settle: { ok: (socket: Socket) => void; no: (error: Error) => void } | undefined;
          const promise = new Promise<Socket>((ok, no) => (settle = { ok, no }));
          this.opens.push({
            socket,
            onread,
            resolve: async () => {
              settle?.ok(socket as unknown as Socket);
              await turn();
            },
            reject: async () => {
              settle?.no(Object.assign(new Error('refused'), { code: 'ECONNREFUSED' }));
              await turn();
            },
          });
          return { socket: promise, abort: () => settle?.no(new Error('aborted')) };
        },
      },
    );
  }

  waiter(name: string, priority = 1, wantsFresh = false): Waiter {
    return {
      priority,
      wantsFresh,
      got: (connection) => {
        this.log.push(`got ${name}`);
        this.got.set(name, connection);
      },
      failed: (failure) => this.log.push(`failed ${name} ${failure.code}`),
    };
  }

  acquire(name: string, priority = 1, wantsFresh = false): Waiter {
    const waiter = this.waiter(name, priority, wantsFresh);
    this.pool.acquire(waiter);
    return waiter;
  }

  giveBack(name: string): void {
    const connection = this.got.get(name);
    this.got.delete(name);
    if (connection) this.pool.giveBack(connection);
  }
}

const nobody = (): never => {
  throw new Error('not served');
};

const answer = 'HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n';

/** Lets a request be answered on the newest open socket, so that its connection counts as used. */
function use(bench: Bench, name: string, open: Open | undefined): void {
  const exchange: Exchange = {
    head: () => 'text',
    view: () => Buffer.alloc(0),
    filled: () => undefined,
    done: () => undefined,
    text: () => undefined,
    failed: () => undefined,
  };
  bench.got.get(name)?.start('GET', exchange);
  const buffer = open?.onread.buffer();
  if (buffer === undefined || open === undefined) throw new Error('no socket');
  Buffer.from(answer).copy(buffer);
  open.onread.callback(answer.length);
}

t.test('the line: by priority, then by age', async (t) => {
  const bench = new Bench(1);
  for (const [name, priority] of [
    ['guess', 3],
    ['window', 2],
    ['stream1', 1],
    ['stream2', 1],
    ['reader', 0],
  ] as const) {
    bench.acquire(name, priority);
  }
  t.equal(bench.opens.length, 1);
  await bench.opens[0]?.resolve();
  for (const name of ['reader', 'stream1', 'stream2', 'window', 'guess']) {
    t.equal(bench.log.at(-1), `got ${name}`);
    bench.giveBack(name);
  }
  t.equal(bench.pool.idleCount, 1);
});

t.test('parts that nobody waits for rest while small reads find the line full, the oldest go on first', async (t) => {
  const bench = new Bench(32);
  const { pool, clock } = bench;
  const urgent = new Set<number>();
  const names = Array.from({ length: 12 }, (_none, at) => `part${at}`);
  for (const name of names) pool.acquire({ ...bench.waiter(name, 2), isBulk: true });
  while (bench.got.size < names.length) for (const open of bench.opens) await open.resolve();
  const sockets = bench.opens.map(({ socket }) => socket);
  // Whose connection is which: they were opened in turn.
  for (const [at, name] of [...bench.got.keys()].entries()) {
    const exchange: Exchange = {
      head: () => 'slots',
      view: (bytes) => Buffer.alloc(bytes),
      filled: () => undefined,
      done: () => pool.giveBack(connection),
      text: () => undefined,
      failed: () => undefined,
      get isUrgent() {
        return urgent.has(at);
      },
    };
    const connection = bench.got.get(name) ?? nobody();
    connection.start('GET', exchange);
    const { onread } = bench.opens[at] ?? {};
    const head = 'HTTP/1.1 206 Partial Content\r\nContent-Length: 1000\r\n\r\n';
    onread?.buffer().set(Buffer.from(head));
    onread?.callback(head.length);
  }
  const resting = (): number[] => [...sockets.keys()].filter((at) => sockets[at]?.isPaused === true);
  const connections = [...bench.got.values()];
  pool.answered(20, false);
  for (let count = 0; count < 8; count++) pool.answered(100, false);
  t.same(resting(), [], 'streams among themselves do not mind');
  urgent.add(11);
  pool.probeSent();
  bench.acquire('reader', 0);
  t.same(resting(), [5, 6, 7, 8, 9, 10], 'a fifth of them fills the line, six are left at least, one is waited for');
  clock.advance(DEFAULT_TIMEOUTS.stallMs - 1);
  pool.probeSent();
  pool.sweep(clock.nowMs());
  clock.advance(2);
  pool.probeSent();
  const { onread } = bench.opens[1] ?? {};
  onread?.buffer();
  onread?.callback(1000);
  t.same(resting(), [6, 7, 8, 9, 10], 'one is over: the oldest of those that rest goes on');
  const waitedFor = connections[9];
  if (waitedFor) pool.wanted(waitedFor);
  t.same(resting(), [6, 7, 8, 10], 'a READ waits for one');
  clock.advance(1_000);
  pool.sweep(clock.nowMs());
  t.same(resting(), [], 'the last small read was a second ago');
  const closed = [...connections.keys()].filter((at) => connections[at]?.isClosed === true);
  t.same(
    closed,
    [0, 2, 3, 4, 11],
    'those that had the line and brought nothing are stalled, those that rested are not',
  );
  pool.close();
});

t.test('the only connection: an upload without end and readers without end take turns', async (t) => {
  const bench = new Bench(1);
  let count = 0;
  const more = (): void => {
    bench.acquire(`upload${count}`, PRIORITY_UPLOAD);
    bench.acquire(`reader${count++}`, PRIORITY_WAITING);
  };
  for (let each = 0; each < 4; each++) more();
  await bench.opens[0]?.resolve();
  for (let each = 0; each < 8; each++) {
    more();
    bench.giveBack(bench.log.at(-1)?.slice(4) ?? '');
  }
  const served = (kind: string): number => bench.log.filter((line) => line.startsWith(`got ${kind}`)).length;
  t.ok(served('upload') >= 4 && served('reader') >= 4, bench.log.join(', '));
});

t.test('whoever is first in line takes whichever connection is free first', async (t) => {
  const bench = new Bench(2);
  bench.acquire('a');
  await bench.opens[0]?.resolve();
  bench.acquire('b');
  t.equal(bench.opens.length, 2);
  bench.giveBack('a');
  t.same(bench.log, ['got a', 'got b'], 'b did not wait for its own open');
  await bench.opens[1]?.resolve();
  t.equal(bench.pool.idleCount, 1);
});

t.test('the most recently used connection first, the oldest idle one times out', async (t) => {
  const bench = new Bench(2);
  bench.acquire('a');
  bench.acquire('b');
  for (const open of bench.opens) await open.resolve();
  const [a, b] = [bench.got.get('a'), bench.got.get('b')];
  bench.giveBack('a');
  bench.clock.advance(1000);
  bench.giveBack('b');
  bench.acquire('c');
  t.equal(bench.got.get('c'), b);
  bench.pool.sweep(DEFAULT_TIMEOUTS.idleMs);
  t.ok(a?.isClosed);
  t.notOk(b?.isClosed, 'one in use is not idle');
});

t.test('a failed open fails the first in line, only that one', async (t) => {
  const bench = new Bench(1);
  bench.acquire('a');
  bench.acquire('b');
  await bench.opens[0]?.reject();
  t.same(bench.log, ['failed a ECONNREFUSED']);
  t.equal(bench.opens.length, 2, 'the next one gets its own open');
  await bench.opens[1]?.resolve();
  t.same(bench.log.slice(1), ['got b']);
});

t.test("opened ahead: two, for whoever comes first; that they failed is nobody's loss", async (t) => {
  const bench = new Bench(8);
  bench.pool.openAhead();
  bench.pool.openAhead();
  t.equal(bench.opens.length, 2);
  await bench.opens[0]?.reject();
  await bench.opens[1]?.reject();
  t.equal(bench.pool.size, 0);
  bench.pool.openAhead();
  bench.acquire('a', 0);
  bench.acquire('b', 0);
  await bench.opens[2]?.resolve();
  await bench.opens[3]?.resolve();
  t.same(bench.log, ['got a', 'got b']);
  t.equal(bench.opens.length, 4, 'the first requests did not open another');
  bench.giveBack('a');
  bench.pool.openAhead();
  t.equal(bench.opens.length, 4);
  bench.pool.close();
  bench.pool.openAhead();
  t.equal(bench.opens.length, 4);
  const narrow = new Bench(1);
  narrow.pool.openAhead();
  t.equal(narrow.opens.length, 1, 'never more than there may be');
});

t.test('withdrawn waiters get nothing; a full line says no', async (t) => {
  const bench = new Bench(1, 2);
  const a = bench.acquire('a');
  t.ok(bench.pool.acquire(bench.waiter('b')));
  t.notOk(bench.pool.acquire(bench.waiter('c')));
  bench.pool.withdraw(a);
  bench.pool.withdraw(a);
  await bench.opens[0]?.resolve();
  t.same(bench.log, ['got b']);
});

t.test('a waiter that wants a fresh connection gets one, at the bound in place of a used one', async (t) => {
  const bench = new Bench(1);
  bench.acquire('a');
  await bench.opens[0]?.resolve();
  use(bench, 'a', bench.opens[0]);
  bench.giveBack('a');
  bench.acquire('b', 1, true);
  t.same(bench.log, ['got a']);
  t.equal(bench.opens.length, 2);
  t.equal(bench.opens[0]?.socket.destroyed, true);
  await bench.opens[1]?.resolve();
  t.same(bench.log, ['got a', 'got b']);
  t.equal(bench.pool.size, 1);
});

t.test('one that wants a fresh connection does not hold up the others', async (t) => {
  const bench = new Bench(2);
  bench.acquire('a');
  await bench.opens[0]?.resolve();
  use(bench, 'a', bench.opens[0]);
  bench.acquire('fresh', 0, true);
  bench.giveBack('a');
  bench.acquire('b', 1);
  t.same(bench.log, ['got a', 'got b']);
  await bench.opens[1]?.resolve();
  t.same(bench.log.slice(2), ['got fresh']);
});

t.test('a connection that ends while idle is gone; bytes on an idle one end it', async (t) => {
  const bench = new Bench(2);
  bench.acquire('a');
  bench.acquire('b');
  for (const open of bench.opens) await open.resolve();
  bench.giveBack('a');
  bench.giveBack('b');
  bench.opens[0]?.socket.emit('end');
  t.equal(bench.pool.size, 1);
  bench.opens[1]?.onread.callback(5);
  t.equal(bench.pool.size, 0);
  t.ok(bench.opens.every((open) => open.socket.destroyed));
});

t.test('close', async (t) => {
  const bench = new Bench(2);
  bench.acquire('a');
  await bench.opens[0]?.resolve();
  bench.acquire('b');
  bench.pool.close();
  t.equal(bench.pool.size, 0);
  t.equal(bench.opens[0]?.socket.destroyed, true);
  await bench.opens[1]?.resolve();
  t.equal(bench.opens[1]?.socket.destroyed || bench.pool.size === 0, true);
  t.same(bench.log, ['got a']);
});

t.test('whatever happens: never above the bound, nobody forgotten, nobody served twice', async () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('acquire' as const), priority: fc.nat(3), fresh: fc.boolean() }),
    fc.record({ do: fc.constant('resolve' as const), at: fc.nat(9) }),
    fc.record({ do: fc.constant('reject' as const), at: fc.nat(9) }),
    fc.record({ do: fc.constant('giveBack' as const), at: fc.nat(9) }),
    fc.record({ do: fc.constant('lose' as const), at: fc.nat(9) }),
    fc.record({ do: fc.constant('limit' as const), max: fc.integer({ min: 1, max: 5 }) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      let max = 3;
      let allowed = 3;
      const bench = new Bench(max);
      const settled = new Set<Open>();
      let count = 0;
      for (const s of steps) {
        switch (s.do) {
          case 'acquire':
            bench.acquire(`w${count++}`, s.priority, s.fresh);
            break;
          case 'resolve':
          case 'reject': {
            const waiting = bench.opens.filter((open) => !settled.has(open));
            const open = waiting[s.at % Math.max(1, waiting.length)];
            if (!open) break;
            settled.add(open);
            await open[s.do]();
            break;
          }
          case 'giveBack': {
            const names = [...bench.got.keys()];
            const name = names[s.at % Math.max(1, names.length)];
            if (name !== undefined) bench.giveBack(name);
            break;
          }
          case 'lose': {
            const open = bench.opens.filter((one) => settled.has(one))[s.at];
            open?.socket.emit('end');
            break;
          }
          case 'limit':
            max = s.max;
            bench.pool.setLimit(max);
            break;
        }
        // After the bound was lowered, those in use or opening may stay until they end.
        allowed = Math.max(max, Math.min(allowed, bench.pool.size));
        if (bench.pool.size > allowed) throw new Error(`${bench.pool.size} connections, ${allowed} allowed`);
      }
      // Now everything goes well: nobody may be left in line.
      for (let round = 0; round < 200 && bench.pool.waiterCount > 0; round++) {
        for (const open of bench.opens) {
          if (settled.has(open)) continue;
          settled.add(open);
          await open.resolve();
        }
        for (const name of [...bench.got.keys()]) bench.giveBack(name);
      }
      if (bench.pool.waiterCount > 0) throw new Error(`${bench.pool.waiterCount} waiters are left in line`);
      const names = bench.log.map((line) => line.split(' ')[1]);
      if (new Set(names).size !== names.length || names.length !== count) throw new Error('served not exactly once');
    }),
    { numRuns: 200 },
  );
});

/** Opens everything that was asked for. */
async function openAll(bench: Bench): Promise<void> {
  for (const open of bench.opens) await open.resolve();
}

t.test('a few connections are kept for those who wait', async (t) => {
  const bench = new Bench(16);
  for (let i = 0; i < 20; i++) bench.acquire(`window ${i}`, 2);
  await openAll(bench);
  t.equal(bench.got.size, 14, 'an eighth is left');
  t.equal(bench.opens.length, 14, 'and not even opened before somebody needs it');
  bench.acquire('reader 1', 0);
  bench.acquire('reader 2', 0);
  bench.acquire('reader 3', 0);
  await openAll(bench);
  t.same(bench.log.slice(-2), ['got reader 1', 'got reader 2'], 'without anybody giving one back');
  t.equal(bench.pool.size, 16, 'and never more than the bound');
  bench.giveBack('reader 1');
  t.equal(bench.log.at(-1), 'got reader 3');
  bench.giveBack('reader 3');
  bench.giveBack('reader 2');
  t.equal(bench.log.at(-1), 'got reader 3', 'idle ones stay reserved');
  bench.giveBack('window 0');
  t.equal(bench.log.at(-1), 'got reader 3', 'as many as waited lately');
  for (let i = 0; i < 30; i++) bench.pool.sweep(bench.clock.nowMs());
  bench.giveBack('window 1');
  t.same(bench.log.slice(-2), ['got window 14', 'got window 15']);
  bench.pool.close();
});

t.test('as many as wait at a time are kept, for a while', async (t) => {
  const bench = new Bench(32);
  for (let i = 0; i < 12; i++) bench.acquire(`reader ${i}`, 0);
  await openAll(bench);
  for (let i = 0; i < 12; i++) bench.giveBack(`reader ${i}`);
  for (let i = 0; i < 40; i++) bench.acquire(`window ${i}`, 2);
  await openAll(bench);
  t.equal(bench.got.size, 20, '12 are left');
  for (let i = 0; i < 30; i++) bench.pool.sweep(bench.clock.nowMs());
  bench.giveBack('window 0');
  await openAll(bench);
  t.equal(bench.got.size, 28, 'nobody waits any more: the usual few are kept');
  bench.pool.close();
});

t.test('a bound for those who do not wait', async (t) => {
  const bench = new Bench(32);
  bench.pool.setLimit(32, 8);
  for (let i = 0; i < 20; i++) bench.acquire(`window ${i}`, 2);
  for (let i = 0; i < 10; i++) bench.acquire(`reader ${i}`, 0);
  await openAll(bench);
  t.equal([...bench.got.keys()].filter((name) => name.startsWith('window')).length, 8);
  t.equal(bench.got.size, 18, 'who waits has the rest');
  bench.pool.setLimit(32, 12);
  await openAll(bench);
  t.equal(bench.got.size, 22);
  bench.pool.close();
});

/** How many of each kind have a connection. */
function kinds(bench: Bench): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const name of bench.got.keys()) {
    const kind = name.split(' ')[0] ?? '';
    counts[kind] = (counts[kind] ?? 0) + 1;
  }
  return counts;
}

t.test('uploads, streams and readers share, and none starves another', async (t) => {
  const bench = new Bench(16);
  let next = 0;
  const fill = (kind: string, priority: number, count: number): void => {
    for (let i = 0; i < count; i++) bench.acquire(`${kind} ${next++}`, priority);
  };
  fill('upload', 4, 30);
  await openAll(bench);
  t.same(kinds(bench), { upload: 14 }, 'alone they have all but the few');
  fill('stream', 1, 20);
  fill('guess', 3, 4);
  fill('reader', 0, 20);
  const seen: Record<string, number> = {};
  for (let i = 0; i < 300; i++) {
    const [name] = bench.got.keys();
    if (name === undefined) break;
    const [kind = ''] = name.split(' ');
    seen[kind] = (seen[kind] ?? 0) + 1;
    fill(kind, { upload: 4, stream: 1, guess: 3, reader: 0 }[kind] ?? 0, 1);
    bench.giveBack(name);
    await openAll(bench);
  }
  t.ok((seen['upload'] ?? 0) > 14 + 10, `uploads go on beside endless readers: ${JSON.stringify(seen)}`);
  t.ok((seen['reader'] ?? 0) > 100, `and they beside uploads and streams: ${JSON.stringify(seen)}`);
  bench.pool.close();
});

t.test('streams come to their share beside endless uploads', async (t) => {
  const bench = new Bench(16);
  let next = 0;
  for (let i = 0; i < 40; i++) bench.acquire(`upload ${next++}`, 4);
  await openAll(bench);
  for (let i = 0; i < 40; i++) bench.acquire(`stream ${next++}`, 1);
  for (let i = 0; i < 14; i++) {
    bench.acquire(`upload ${next++}`, 4);
    const [name] = [...bench.got.keys()].filter((one) => one.startsWith('upload'));
    if (name !== undefined) bench.giveBack(name);
  }
  const { upload = 0, stream = 0 } = kinds(bench);
  t.ok(upload >= 3 && stream >= 10, `${upload} uploads, ${stream} streams`);
  bench.pool.close();
});

t.test('a small bound has no reserve, so that it can be used up', async (t) => {
  const bench = new Bench(4);
  for (let i = 0; i < 5; i++) bench.acquire(`${i}`, 3);
  await openAll(bench);
  t.equal(bench.got.size, 4);
  bench.pool.close();
});

t.test('a bound that is lowered: those that are busy beyond it finish first', async (t) => {
  const bench = new Bench(7);
  for (let i = 0; i < 6; i++) bench.acquire(`${i}`);
  await openAll(bench);
  t.equal(bench.got.size, 6);
  bench.pool.setLimit(3);
  for (let i = 6; i < 12; i++) bench.acquire(`${i}`);
  for (let i = 0; i < 3; i++) bench.giveBack(`${i}`);
  await openAll(bench);
  t.equal(bench.got.size, 3);
  bench.giveBack('3');
  t.equal(bench.got.size, 3, 'one goes, one comes');
  t.ok(bench.got.has('6'));
  bench.pool.close();
});

t.test('a connection ends after a long life', async (t) => {
  const bench = new Bench(1);
  bench.acquire('first');
  await openAll(bench);
  bench.clock.advance(CONNECTION_AGE_MAX_MS);
  bench.acquire('second');
  bench.giveBack('first');
  t.ok(bench.opens[0]?.socket.destroyed);
  t.equal(bench.opens.length, 2, 'and another is opened');
  await openAll(bench);
  t.equal(bench.log.at(-1), 'got second');
  bench.pool.close();
});

t.test('idle connections are closed before the server does it', async (t) => {
  const bench = new Bench(4);
  const idleOne = async (name: string): Promise<Open> => {
    bench.acquire(name);
    const open = bench.opens.at(-1);
    if (!open) throw new Error('nothing was opened');
    await open.resolve();
    bench.giveBack(name);
    return open;
  };
  const first = await idleOne('first');
  bench.clock.advance(6_000);
  first.socket.emit('end');
  t.ok(first.socket.destroyed, 'the server closed it after 6 s');
  const second = await idleOne('second');
  bench.clock.advance(4_700);
  bench.pool.sweep(bench.clock.nowMs());
  t.notOk(second.socket.destroyed);
  bench.clock.advance(200);
  bench.pool.sweep(bench.clock.nowMs());
  t.ok(second.socket.destroyed, 'the next one leaves first');
  bench.clock.advance(IDLE_RELEARN_MS);
  const third = await idleOne('third');
  bench.clock.advance(DEFAULT_TIMEOUTS.idleMs - 100);
  bench.pool.sweep(bench.clock.nowMs());
  t.notOk(third.socket.destroyed, 'forgotten after a while');
  bench.pool.close();
});

t.test('with several local addresses, one request at a time goes over each in turn', async (t) => {
  for (const [isSpread, turns, why] of [
    [true, 'b a b a', 'spread'],
    [false, 'a a a a', 'else the newest again'],
  ] as const) {
    const bench = new Bench(4, 100, isSpread);
    for (const name of ['1', '2', '3', '4']) bench.acquire(name);
    for (const [at, open] of bench.opens.entries()) {
      open.socket.localAddress = at < 2 ? 'a' : 'b';
      await open.resolve();
    }
    for (const name of ['3', '4', '1', '2']) bench.giveBack(name);
    const seen = ['5', '6', '7', '8'].map((name) => {
      bench.acquire(name);
      const { localAddress } = bench.got.get(name) ?? {};
      bench.giveBack(name);
      return localAddress;
    });
    t.equal(seen.join(' '), turns, why);
  }
});
