/**
 * The protocol of parked READs, by enumeration: every order of (a arrives, b arrives, park, interrupt, a fails, a ends),
 * for READs with and without a ticket and for spans of this thread, of another, or resident. Each READ must be answered
 * exactly once, with the right bytes or the errno that the order implies, and no pin may be left or given back twice.
 */
import t from 'tap';
import { EINTR, EIO, ESTALE } from '../../../src/base/errno.js';
import { ARRIVED_END, ARRIVED_FROM, GATE, GATE_LIVE, SLOT_WORDS, allocatePool } from '../../../src/base/pool/layout.js';
import { PoolView } from '../../../src/base/pool/pool-view.js';
import type { ReadSpan } from '../../../src/engine/api.js';
import { PARKED_READS_MAX } from '../../../src/engine/net/limits.js';
import { ParkedReads } from '../../../src/engine/net/parked-reads.js';

const memory = allocatePool(4);

class Bench {
  readonly pool = new PoolView(memory);
  readonly fetching = new Set<number>();
  readonly wanted: number[] = [];
  /** What happened, in order: kernel answers and reports. */
  readonly log: string[] = [];
  readonly refused: string[] = [];
  nowMs = 0;
  readonly parked: ParkedReads;

  constructor(deadlineMs: number | ((reads: number) => number) = 1000) {
    for (let slot = 0; slot < 4; slot++) {
      const row = slot * SLOT_WORDS;
      Atomics.store(this.pool.words, row + ARRIVED_FROM, 0);
      Atomics.store(this.pool.words, row + ARRIVED_END, 0);
      Atomics.store(this.pool.words, row + GATE, GATE_LIVE);
      this.pool.bytes(slot, 0, 100).fill(0x41 + slot);
    }
    this.parked = new ParkedReads(
      { deadlineMs: typeof deadlineMs === 'number' ? () => deadlineMs : deadlineMs },
      {
        pool: this.pool,
        replier: {
          data: (ticket, parts) => this.log.push(`data ${ticket.lo} ${Buffer.concat(parts).toString()}`),
          error: (ticket, errno) => this.log.push(`error ${ticket.lo} ${errno}`),
        },
        nowMs: () => this.nowMs,
        isFetching: (fetchId) => this.fetching.has(fetchId),
        wanted: (fetchId) => this.wanted.push(fetchId),
        refused: ({ readId }, because) => this.refused.push(`${readId}: ${because}`),
        over: (readId, errno) => this.log.push(`over ${readId} ${errno}`),
        elsewhere: (readId) => this.log.push(`elsewhere ${readId}`),
      },
    );
  }

  park(readId: number, spans: ReadSpan[], hasTicket = true): void {
    for (const span of spans) this.pool.tryPin(span.slot);
    this.parked.park({ readId, ticket: hasTicket ? { lo: readId, hi: 0 } : undefined, spans });
  }

  arrive(slot: number, end: number): void {
    this.pool.publishArrived(slot, end);
  }

  end(fetchId: number, errno: number | 'elsewhere'): void {
    this.fetching.delete(fetchId);
    this.parked.fetchOver(fetchId, errno);
  }

  pins(): number {
    let pins = 0;
    for (let slot = 0; slot < 4; slot++) pins += Atomics.load(this.pool.words, slot * SLOT_WORDS + GATE) & ~GATE_LIVE;
    return pins;
  }
}

function permutations<T>(items: readonly T[]): T[][] {
  if (items.length === 0) return [[]];
  return items.flatMap((item, at) =>
    permutations([...items.slice(0, at), ...items.slice(at + 1)]).map((rest) => [item, ...rest]),
  );
}

type Action = 'park' | 'interrupt' | 'arriveA' | 'arriveB' | 'failA' | 'cancelA' | 'endA' | 'endB';
const spanA: ReadSpan = { slot: 0, from: 2, to: 6, fetchId: 1 };
const spanB: ReadSpan = { slot: 1, from: 0, to: 3, fetchId: 2 };

/**
 * What must come of an order of actions, worked out from the rules alone: walk through it, keep what is there.
 * `isBHere` false = fetch 2 belongs to another thread, which publishes and never tells us.
 */
function expected(actions: readonly Action[], isBHere: boolean): string {
  const has = { a: false, b: false };
  const isOn = { a: true, b: isBHere };
  let isParked = false;
  const settle = (): string | undefined => {
    if (!isParked) return undefined;
    if (has.a && has.b) return '0';
    const waitsHere = (!has.a && isOn.a) || (!has.b && isOn.b);
    return waitsHere ? undefined : 'elsewhere';
  };
  for (const action of actions) {
    let outcome: string | undefined;
    switch (action) {
      case 'park':
        isParked = true;
        outcome = settle();
        break;
      case 'interrupt':
        outcome = isParked ? String(EINTR) : undefined;
        break;
      case 'arriveA':
        has.a = true;
        outcome = settle();
        break;
      case 'arriveB':
        has.b = true;
        // Another thread's arrival is seen when something of ours happens.
        outcome = isBHere ? settle() : undefined;
        break;
      case 'endB':
        isOn.b = false;
        outcome = settle();
        break;
      case 'failA':
      case 'cancelA':
      case 'endA':
        isOn.a = false;
        if (isParked && !has.a) outcome = action === 'failA' ? String(ESTALE) : 'elsewhere';
        else outcome = settle();
        break;
    }
    if (outcome !== undefined) return outcome;
  }
  return 'waits';
}

function play(actions: readonly Action[], isBHere: boolean, hasTicket: boolean): Bench {
  const bench = new Bench();
  bench.fetching.add(1);
  if (isBHere) bench.fetching.add(2);
  for (const action of actions) {
    switch (action) {
      case 'park':
        bench.park(7, [spanA, spanB], hasTicket);
        break;
      case 'interrupt':
        bench.parked.interrupt(7);
        break;
      case 'arriveA':
        bench.arrive(0, 50);
        bench.parked.arrived(1);
        break;
      case 'arriveB':
        bench.arrive(1, 50);
        if (isBHere) bench.parked.arrived(2);
        break;
      case 'failA':
        bench.end(1, ESTALE);
        break;
      case 'cancelA':
        bench.end(1, 'elsewhere');
        break;
      case 'endA':
        bench.end(1, 0);
        break;
      case 'endB':
        bench.end(2, 0);
        break;
    }
  }
  return bench;
}

const sets: Action[][] = [
  ['park', 'interrupt', 'arriveA', 'arriveB'],
  ['park', 'interrupt', 'arriveA', 'arriveB', 'failA'],
  ['park', 'interrupt', 'arriveA', 'arriveB', 'cancelA'],
  ['park', 'interrupt', 'arriveA', 'arriveB', 'endA', 'endB'],
  ['park', 'arriveA', 'endA', 'endB'],
  ['park', 'interrupt', 'failA'],
];

t.test('every order of arrival, interrupt and failure', (t) => {
  let count = 0;
  const faults: string[] = [];
  for (const set of sets) {
    for (const actions of permutations(set)) {
      // An action on a thread that ended the fetch before it arrived cannot happen: bytes come before the end.
      const order = (first: Action, second: Action): boolean =>
        !actions.includes(first) || !actions.includes(second) || actions.indexOf(first) < actions.indexOf(second);
      if (!order('arriveA', 'endA') || !order('arriveB', 'endB')) continue;
      if (!order('arriveA', 'failA') && set.includes('arriveA')) {
        // A fetch that failed brings nothing any more.
        if (actions.indexOf('failA') < actions.indexOf('arriveA')) continue;
      }
      if (actions.includes('cancelA') && !order('arriveA', 'cancelA')) continue;
      for (const isBHere of [true, false]) {
        if (!isBHere && actions.includes('endB')) continue;
        for (const hasTicket of [true, false]) {
          count++;
          const want = expected(actions, isBHere);
          const bench = play(actions, isBHere, hasTicket);
          const name = `${actions.join(' ')} b=${isBHere ? 'here' : 'there'} ticket=${hasTicket}`;
          let log: string[];
          let pins = hasTicket ? 0 : 2;
          if (want === 'waits') {
            log = [];
            pins = 2;
          } else if (want === 'elsewhere') {
            log = ['elsewhere 7'];
            pins = 2;
          } else {
            log = [`over 7 ${want}`];
            if (hasTicket) log.unshift(want === '0' ? 'data 7 AAAABBB' : `error 7 ${want}`);
          }
          if (bench.log.join('|') !== log.join('|'))
            faults.push(`${name}: ${bench.log.join('|')} not ${log.join('|')}`);
          if (bench.pins() !== pins) faults.push(`${name}: ${bench.pins()} pins left, not ${pins}`);
          if (bench.parked.size !== (want === 'waits' ? 1 : 0))
            faults.push(`${name}: table holds ${bench.parked.size}`);
        }
      }
    }
  }
  t.same(faults, []);
  t.ok(count > 500, `${count} orders`);
  t.end();
});

t.test('a READ is answered when its own bytes are there, not when the part ends', (t) => {
  const bench = new Bench();
  bench.fetching.add(1);
  bench.park(1, [{ slot: 0, from: 0, to: 10, fetchId: 1 }]);
  bench.park(2, [{ slot: 0, from: 10, to: 20, fetchId: 1 }]);
  bench.arrive(0, 9);
  bench.parked.arrived(1);
  t.same(bench.log, []);
  bench.arrive(0, 10);
  bench.parked.arrived(1);
  t.same(bench.log, ['data 1 AAAAAAAAAA', 'over 1 0']);
  bench.arrive(0, 64);
  bench.parked.arrived(1);
  t.same(bench.log.slice(2), ['data 2 AAAAAAAAAA', 'over 2 0']);
  t.equal(bench.pins(), 0);
  t.same(bench.wanted, [1, 1], 'the fetch was made urgent');
  t.end();
});

t.test('resident spans need no fetch, and two spans may share one', (t) => {
  const bench = new Bench();
  bench.arrive(0, 10);
  bench.park(1, [{ slot: 0, from: 0, to: 2, fetchId: 0 }]);
  t.same(bench.log, ['data 1 AA', 'over 1 0']);
  bench.fetching.add(5);
  bench.park(2, [
    { slot: 1, from: 0, to: 2, fetchId: 5 },
    { slot: 2, from: 0, to: 2, fetchId: 5 },
  ]);
  bench.arrive(1, 2);
  bench.parked.arrived(5);
  bench.arrive(2, 2);
  bench.parked.arrived(5);
  t.same(bench.log.slice(2), ['data 2 BBCC', 'over 2 0']);
  // ARRIVED_FROM says that bytes before it will never come by this fill.
  Atomics.store(bench.pool.words, 3 * SLOT_WORDS + ARRIVED_FROM, 8);
  bench.arrive(3, 16);
  bench.park(3, [{ slot: 3, from: 4, to: 10, fetchId: 0 }]);
  t.same(bench.log.slice(4), ['elsewhere 3']);
  t.end();
});

t.test('deadlines, close, and the bound of the table', (t) => {
  const bench = new Bench(100);
  bench.fetching.add(1);
  const span = { slot: 0, from: 0, to: 10, fetchId: 1 };
  bench.park(1, [span]);
  bench.nowMs = 60;
  bench.park(2, [span]);
  bench.parked.sweep(99);
  t.same(bench.log, []);
  bench.parked.sweep(100);
  t.same(bench.log, [`error 1 ${EIO}`, `over 1 ${EIO}`]);
  t.same(bench.refused, ['1: its bytes did not come within 0.1 s']);
  bench.parked.sweep(160);
  t.same(bench.log.slice(2), [`error 2 ${EIO}`, `over 2 ${EIO}`]);
  for (let readId = 10; readId < 10 + PARKED_READS_MAX; readId++) bench.park(readId, [span]);
  t.equal(bench.log.length, 4);
  bench.park(5, [span]);
  t.same(bench.log.slice(4), [`error 5 ${EIO}`, `over 5 ${EIO}`], 'one too many');
  bench.parked.close();
  t.equal(bench.parked.size, 0);
  bench.park(6, [span]);
  t.same(bench.log.slice(-2), [`error 6 ${EIO}`, `over 6 ${EIO}`], 'after close');
  t.equal(bench.pins(), 0);
  t.end();
});

t.test('who came into a crowd waits longer, and who comes after it no longer than said', (t) => {
  const bench = new Bench((reads) => 100 * reads);
  bench.fetching.add(1);
  bench.fetching.add(2);
  const span = { slot: 0, from: 0, to: 10, fetchId: 1 };
  for (let readId = 1; readId <= 3; readId++) bench.park(readId, [span]);
  for (const readId of [1, 2]) bench.parked.interrupt(readId);
  bench.log.length = 0;
  bench.park(4, [{ ...span, fetchId: 2 }]);
  bench.parked.sweep(199);
  t.same(bench.log, []);
  bench.parked.sweep(200);
  t.same(bench.log, [`error 4 ${EIO}`, `over 4 ${EIO}`], 'not held up by the third, which may wait until 300');
  bench.parked.sweep(300);
  t.same(bench.log.slice(2), [`error 3 ${EIO}`, `over 3 ${EIO}`]);
  t.equal(bench.pins(), 0);
  t.end();
});
