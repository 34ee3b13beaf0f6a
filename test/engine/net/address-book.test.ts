/** Addresses: round robin, bad ones passed over and forgiven, refreshed without waiting, bounded. */
import t from 'tap';
import { ManualClock } from '../../../src/base/clock.js';
import { AddressBook, type Address } from '../../../src/engine/net/address-book.js';
import {
  ADDRESSES_MAX,
  ADDRESS_EXPIRY_MS,
  ADDRESS_PENALTY_MS,
  ADDRESS_REFRESH_MS,
} from '../../../src/engine/net/limits.js';

const v4 = (n: number): Address => ({ address: `10.0.${n >> 8}.${n & 255}`, family: 4 });

class Bench {
  readonly clock = new ManualClock();
  answer: Address[] | Error = [v4(1), v4(2), v4(3)];
  lookups = 0;
  readonly book = new AddressBook('bucket.example', {
    clock: this.clock,
    lookup: () => {
      this.lookups++;
      return this.answer instanceof Error ? Promise.reject(this.answer) : Promise.resolve(this.answer);
    },
  });
  async next(): Promise<string> {
    const { address } = await this.book.next();
    // A refresh in the background is done.
    await new Promise((resolve) => setImmediate(resolve));
    return address;
  }
  async take(count: number): Promise<string[]> {
    const got: string[] = [];
    for (let i = 0; i < count; i++) got.push(await this.next());
    return got;
  }
}

t.test('round robin, one lookup', async (t) => {
  const bench = new Bench();
  const both = await Promise.all([bench.book.next(), bench.book.next()]);
  t.same(
    both.map(({ address }) => address),
    ['10.0.0.1', '10.0.0.2'],
  );
  t.same(await bench.take(3), ['10.0.0.3', '10.0.0.1', '10.0.0.2']);
  t.equal(bench.lookups, 1);
});

t.test('a failed address is passed over until its penalty is over', async (t) => {
  const bench = new Bench();
  await bench.next();
  bench.book.failed('10.0.0.2');
  t.same(await bench.take(4), ['10.0.0.3', '10.0.0.1', '10.0.0.3', '10.0.0.1']);
  bench.clock.advance(ADDRESS_PENALTY_MS);
  t.ok((await bench.take(3)).includes('10.0.0.2'));
});

t.test('with all bad, the one that failed first is tried', async (t) => {
  const bench = new Bench();
  await bench.next();
  for (const n of [3, 1, 2]) {
    bench.clock.advance(1);
    bench.book.failed(v4(n).address);
  }
  t.same(await bench.take(2), ['10.0.0.3', '10.0.0.3']);
});

t.test('refreshed in the background: new addresses join, unseen ones expire', async (t) => {
  const bench = new Bench();
  await bench.next();
  bench.answer = [v4(4)];
  bench.clock.advance(ADDRESS_REFRESH_MS + 1);
  t.not(await bench.next(), '10.0.0.4', 'nobody waits for a refresh');
  t.equal(bench.lookups, 2);
  t.equal(bench.book.size, 4);
  bench.clock.advance(ADDRESS_EXPIRY_MS + 1);
  await bench.next();
  t.equal(bench.book.size, 1);
  t.equal(await bench.next(), '10.0.0.4');
  bench.answer = new Error('resolver is down');
  bench.clock.advance(ADDRESS_EXPIRY_MS + 1);
  t.equal(await bench.next(), '10.0.0.4', 'a resolver that fails takes nothing away');
});

t.test('a name that does not resolve, then does', async (t) => {
  const bench = new Bench();
  bench.answer = Object.assign(new Error('no'), { code: 'ENOTFOUND' });
  await t.rejects(bench.next(), { code: 'ENOTFOUND' });
  bench.answer = [];
  await t.rejects(bench.next(), { code: 'ENOTFOUND' });
  bench.clock.advance(ADDRESS_REFRESH_MS + 1);
  bench.answer = [v4(9)];
  t.equal(await bench.next(), '10.0.0.9');
});

t.test('bounded', async (t) => {
  const bench = new Bench();
  for (let round = 0; round < 20; round++) {
    bench.answer = Array.from({ length: 8 }, (_, i) => v4(round * 8 + i));
    bench.clock.advance(ADDRESS_REFRESH_MS + 1);
    await bench.next();
  }
  t.ok(bench.book.size <= ADDRESSES_MAX);
});

t.test('an address needs no lookup', async (t) => {
  for (const [hostname, address, family] of [
    ['127.0.0.1', '127.0.0.1', 4],
    ['::1', '::1', 6],
    ['[::1]', '::1', 6],
  ] as const) {
    const clock = new ManualClock();
    const book = new AddressBook(hostname, { clock, lookup: () => Promise.reject(new Error('asked')) });
    t.match(await book.next(), { address, family });
    clock.advance(ADDRESS_EXPIRY_MS * 2);
    t.match(await book.next(), { address, family });
  }
});

t.test('an address whose answers are outrun again and again is passed over', async (t) => {
  const bench = new Bench();
  await bench.next();
  for (let i = 0; i < 2; i++) bench.book.slow('10.0.0.2');
  t.ok((await bench.take(3)).includes('10.0.0.2'), 'twice is chance');
  bench.clock.advance(ADDRESS_PENALTY_MS);
  bench.book.slow('10.0.0.2');
  t.ok((await bench.take(3)).includes('10.0.0.2'), 'long ago is forgotten');
  for (let i = 0; i < 2; i++) bench.book.slow('10.0.0.2');
  t.notOk((await bench.take(6)).includes('10.0.0.2'));
  bench.clock.advance(ADDRESS_PENALTY_MS);
  t.ok((await bench.take(3)).includes('10.0.0.2'));
});
