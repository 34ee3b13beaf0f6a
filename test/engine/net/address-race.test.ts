/** One open over several addresses: who is tried when, who wins, and that nothing stays open behind the winner. */
import { EventEmitter } from 'node:events';
import type { Socket } from 'node:net';
import t from 'tap';
import { ManualClock } from '../../../src/base/clock.js';
import { AddressBook, type Address } from '../../../src/engine/net/address-book.js';
import { AddressRace } from '../../../src/engine/net/address-race.js';
import { transportFailure, type Remedy } from '../../../src/engine/net/failure.js';
import { CONNECT_STAGGER_MS } from '../../../src/engine/net/limits.js';
import { asError } from '../../../src/engine/net/proxy.js';

class FakeSocket extends EventEmitter {
  destroyed = false;
  destroy(): void {
    this.destroyed = true;
  }
}

interface Attempt {
  readonly address: string;
  readonly socket: FakeSocket;
  resolve(): Promise<void>;
  reject(remedy?: Remedy): Promise<void>;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

class Bench {
  readonly clock = new ManualClock();
  readonly attempts: Attempt[] = [];
  readonly book: AddressBook;
  readonly race: AddressRace;
  ended = '';

  constructor(count: number) {
    const found = Array.from({ length: count }, (_, n): Address => ({ address: `10.0.0.${n + 1}`, family: 4 }));
    this.book = new AddressBook('bucket.example', { clock: this.clock, lookup: () => Promise.resolve(found) });
    this.race = new AddressRace({
      clock: this.clock,
      addresses: this.book,
      connect: (address, took) =>
        new Promise((ok, no) => {
          const socket = new FakeSocket();
          took(socket as unknown as Socket);
          this.attempts.push({
            address: address.address,
            socket,
            resolve: async () => {
              ok(socket as unknown as Socket);
              await turn();
            },
            reject: async (remedy = 'backoff') => {
              no(asError(transportFailure('Refused', `${address.address} refused`, remedy)));
              await turn();
            },
          });
        }),
    });
  }

  async run(): Promise<void> {
    this.race.run().then(
      (socket) => (this.ended = `won ${this.attempts.find((one) => (one.socket as unknown) === socket)?.address}`),
      (error: Error) => (this.ended = error.message),
    );
    await turn();
  }

  async advance(byMs: number): Promise<void> {
    this.clock.advance(byMs);
    await turn();
  }

  tried(): string[] {
    return this.attempts.map(({ address }) => address);
  }
}

t.test('the first one answers: nobody else is asked', async (t) => {
  const bench = new Bench(3);
  await bench.run();
  await bench.advance(CONNECT_STAGGER_MS - 1);
  await bench.attempts[0]?.resolve();
  t.equal(bench.ended, 'won 10.0.0.1');
  await bench.advance(10_000);
  t.same(bench.tried(), ['10.0.0.1']);
  t.equal(bench.clock.pending, 0);
});

t.test('a silent one gets company, and the loser is closed', async (t) => {
  const bench = new Bench(3);
  await bench.run();
  await bench.advance(CONNECT_STAGGER_MS);
  t.same(bench.tried(), ['10.0.0.1', '10.0.0.2']);
  await bench.attempts[1]?.resolve();
  t.equal(bench.ended, 'won 10.0.0.2');
  t.ok(bench.attempts[0]?.socket.destroyed);
  t.notOk(bench.attempts[1]?.socket.destroyed);
  await bench.attempts[0]?.resolve();
  t.equal(bench.ended, 'won 10.0.0.2', 'too late');
  t.equal(bench.clock.pending, 0);
});

t.test('a refusal is followed by the next at once; all refusals are the last one', async (t) => {
  const bench = new Bench(5);
  await bench.run();
  for (let i = 0; i < 3; i++) await bench.attempts[i]?.reject();
  t.same(bench.tried(), ['10.0.0.1', '10.0.0.2', '10.0.0.3'], 'three at most');
  t.equal(bench.ended, '10.0.0.3 refused');
  t.equal(bench.clock.pending, 0);
});

t.test('one refused while another is still at it', async (t) => {
  const bench = new Bench(2);
  await bench.run();
  await bench.advance(CONNECT_STAGGER_MS);
  await bench.attempts[1]?.reject();
  t.equal(bench.ended, '', 'the first may still come');
  await bench.attempts[0]?.resolve();
  t.equal(bench.ended, 'won 10.0.0.1');
});

t.test('the only address is tried once', async (t) => {
  const bench = new Bench(1);
  await bench.run();
  await bench.advance(CONNECT_STAGGER_MS * 3);
  t.same(bench.tried(), ['10.0.0.1']);
  await bench.attempts[0]?.reject();
  t.equal(bench.ended, '10.0.0.1 refused');
});

t.test('what no other address would change ends it', async (t) => {
  const bench = new Bench(3);
  await bench.run();
  await bench.advance(CONNECT_STAGGER_MS);
  await bench.attempts[0]?.reject('none');
  t.equal(bench.ended, '10.0.0.1 refused');
  t.ok(bench.attempts[1]?.socket.destroyed);
});

t.test('giving up closes all', async (t) => {
  const bench = new Bench(3);
  await bench.run();
  await bench.advance(CONNECT_STAGGER_MS);
  bench.race.abort();
  await turn();
  t.match(bench.ended, 'given up');
  t.ok(bench.attempts.every(({ socket }) => socket.destroyed));
  t.equal(bench.clock.pending, 0);
});

t.test('no address at all', async (t) => {
  const bench = new Bench(0);
  await bench.run();
  t.match(bench.ended, 'no addresses');
});
