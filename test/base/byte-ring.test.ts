/**
 * The byte ring against a plain queue: every position of the wrap, every size, positions that pass 2^32, a consumer
 * that throws; and the idle handshake under every interleaving of a push with a drain.
 */
import fc from 'fast-check';
import t from 'tap';
import { RingConsumer, RingProducer, allocateRing, type RingMemory } from '../../src/base/byte-ring.js';
import { Stepped, countOperations, withHook } from './atomics-script.js';

const CAPACITY = 4096;
const LARGEST = CAPACITY / 2 - 8;
const full = (): boolean => true;

/** A ring whose positions stand at `start`, as after that many bytes. */
function ringAt(start: number): RingMemory {
  const memory = allocateRing(CAPACITY);
  const control = new Int32Array(memory.control);
  control[0] = start | 0;
  control[16] = start | 0;
  return memory;
}

function payloadOf(number: number, bytes: number): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, at) => (number * 31 + at * 7) & 0xff);
}

interface Rec {
  readonly kind: number;
  readonly payload: readonly number[];
}

t.test('refuses capacities and records that cannot work', (t) => {
  t.throws(() => allocateRing(1000), { name: 'InvariantError' });
  t.throws(() => allocateRing(2048), { name: 'InvariantError' });
  t.throws(() => allocateRing(5000), { name: 'InvariantError' });
  const producer = new RingProducer(allocateRing(CAPACITY), () => undefined);
  t.throws(() => producer.push(0, new Uint8Array(LARGEST + 1), full), { name: 'InvariantError' });
  t.throws(() => producer.push(-1, new Uint8Array(0), full), { name: 'InvariantError' });
  t.ok(producer.push(0, new Uint8Array(LARGEST), full));
  t.end();
});

t.test('a record at every position of the ring, near the end with and without a pad', (t) => {
  let wrong = 0;
  const sizes = [0, 1, 8, 9, 100, LARGEST - 1, LARGEST];
  const payloads = new Map(sizes.map((bytes) => [bytes, payloadOf(1, bytes)]));
  const small = payloadOf(2, 3);
  const largest = payloadOf(3, LARGEST);
  // The second base makes the positions pass 2^32 on the way.
  for (const base of [0, 2 ** 32 - CAPACITY]) {
    for (let start = 0; start < CAPACITY; start += 8) {
      for (const [bytes, payload] of payloads) {
        const memory = ringAt(base + start);
        const producer = new RingProducer(memory, () => undefined);
        const consumer = new RingConsumer(memory);
        const expected = producer.push(bytes, payload, full) ? [payload] : [];
        if (producer.push(5, small, full)) expected.push(small);
        if (expected[0] !== payload) wrong++;
        const take = (_kind: number, got: Uint8Array): void => {
          const next = expected.shift();
          if (!next || Buffer.compare(got, next) !== 0) wrong++;
        };
        while (consumer.drain(9, take) > 0);
        // Empty again: the largest record always fits, whatever the position.
        expected.push(largest);
        if (!producer.push(3, largest, full) || consumer.drain(9, take) !== 1) wrong++;
      }
    }
  }
  t.equal(wrong, 0);
  t.end();
});

t.test('any pushes and drains give what a queue gives, and a full ring holds what fits', (t) => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.record({ push: fc.oneof(fc.nat(40), fc.nat(LARGEST)) }) },
    { weight: 2, arbitrary: fc.record({ drain: fc.integer({ min: 1, max: 20 }) }) },
  );
  fc.assert(
    fc.property(fc.nat(2 ** 29), fc.array(step, { minLength: 20, maxLength: 120, size: 'max' }), (start, steps) => {
      const memory = ringAt(start * 8);
      const producer = new RingProducer(memory, () => undefined);
      const consumer = new RingConsumer(memory);
      // `ringBytes` is what a record takes of the ring, with the pad before it when it would not fit before the end.
      const queue: (Rec & { readonly ringBytes: number })[] = [];
      let position = start * 8;
      const ringBytesOf = (payloadBytes: number): number => {
        const bytes = (8 + payloadBytes + 7) & ~7;
        const toEnd = CAPACITY - (position % CAPACITY);
        return bytes <= toEnd ? bytes : toEnd + bytes;
      };
      const used = (): number => queue.reduce((sum, { ringBytes }) => sum + ringBytes, 0);
      let number = 0;
      const take = (limit: number): void => {
        const count = consumer.drain(limit, (kind, payload) => {
          const expected = queue.shift();
          if (!expected || expected.kind !== kind || Buffer.compare(payload, Buffer.from(expected.payload)) !== 0) {
            throw new Error(`record ${kind} is not the one that was pushed`);
          }
        });
        if (count > limit) throw new Error('more than the limit');
        if (count < limit && queue.length > 0) throw new Error('left records behind');
      };
      for (const one of steps) {
        if ('drain' in one) {
          take(one.drain);
          continue;
        }
        const payload = payloadOf(number, one.push);
        const pushed = producer.push(number, payload, full);
        const ringBytes = ringBytesOf(one.push);
        if (pushed !== used() + ringBytes <= CAPACITY) throw new Error('a record is taken if and only if it fits');
        if (pushed) {
          queue.push({ kind: number, payload: [...payload], ringBytes });
          position += ringBytes;
        }
        number++;
      }
      take(1000);
      return queue.length === 0;
    }),
    { numRuns: 800 },
  );
  t.end();
});

t.test('a quiet record wakes nobody, and is taken with the next that does, in order', (t) => {
  const memory = allocateRing(CAPACITY);
  let wakes = 0;
  const producer = new RingProducer(memory, () => void wakes++);
  const consumer = new RingConsumer(memory);
  const taken: number[] = [];
  const drain = (): number => consumer.drain(10, (kind) => void taken.push(kind));
  t.equal(drain(), 0, 'idle');
  for (const kind of [1, 2]) producer.push(kind, new Uint8Array(0), full, true);
  t.equal(wakes, 0);
  producer.push(3, new Uint8Array(0), full);
  t.equal(wakes, 1);
  producer.push(4, new Uint8Array(0), full, true);
  t.equal(drain(), 4);
  t.same(taken, [1, 2, 3, 4]);
  t.end();
});

t.test('a consumer that throws loses that record only', (t) => {
  const memory = ringAt(CAPACITY - 24);
  let wakes = 0;
  const producer = new RingProducer(memory, () => wakes++);
  const consumer = new RingConsumer(memory);
  t.equal(
    consumer.drain(9, () => undefined),
    0,
    'idle',
  );
  for (let kind = 0; kind < 5; kind++) producer.push(kind, payloadOf(kind, 20), full);
  t.equal(wakes, 1, 'woken once, not once a record');
  const got: number[] = [];
  const take = (kind: number): void => {
    if (kind % 2 === 0) throw new Error(`refused ${kind}`);
    got.push(kind);
  };
  for (const kind of [0, 2, 4]) t.throws(() => consumer.drain(9, take), { message: `refused ${kind}` });
  t.same(got, [1, 3]);
  t.equal(consumer.drain(9, take), 0);
  t.ok(producer.push(7, payloadOf(7, LARGEST), full), 'all of the ring is free again');
  t.equal(wakes, 2);
  t.end();
});

t.test('idle handshake: no interleaving of pushes with a drain leaves a record behind a sleeping consumer', (t) => {
  let runs = 0;
  let sleptAndWoken = 0;
  const problems: string[] = [];
  for (const before of [0, 1, 2]) {
    for (const idleBefore of [false, true]) {
      for (const limit of [1, 2, 10]) {
        // The last 16 bytes of the ring: the second record needs a pad.
        for (const start of [0, CAPACITY - 16]) {
          const prepare = (): {
            consume: () => void;
            push: (kind: number) => Stepped<boolean>;
            end: () => string[];
          } => {
            const memory = ringAt(start);
            let wakes = 0;
            const producer = new RingProducer(memory, () => wakes++);
            const consumer = new RingConsumer(memory);
            if (idleBefore) consumer.drain(1, () => undefined);
            for (let kind = 0; kind < before; kind++) producer.push(kind, payloadOf(kind, 5), full);
            wakes = idleBefore && before > 0 ? 1 : 0;
            const got: number[] = [];
            const consume = (): void => {
              while (consumer.drain(limit, (kind) => got.push(kind)) > 0);
            };
            return {
              consume,
              push: (kind) => new Stepped(() => producer.push(kind, payloadOf(kind, 5), full)),
              end: () => {
                // A wake-up is a message: it is there after the drain, however early it was sent.
                if (wakes > 0) {
                  if (got.length < before + 2) sleptAndWoken++;
                  consume();
                }
                return got.length === before + 2 && got.every((kind, at) => kind === at)
                  ? []
                  : [`got ${got.join(',')}`];
              },
            };
          };
          const drainLength = countOperations(() => prepare().consume()) + 8;
          for (let piece = 0; piece < 5; piece++) {
            for (let first = 0; first <= drainLength; first++) {
              for (let second = first; second <= drainLength; second++) {
                runs++;
                const { consume, push, end } = prepare();
                const one = push(before);
                const two = push(before + 1);
                withHook((at) => {
                  if (at === first) one.advance(piece);
                  if (at === second) {
                    one.finish();
                    two.advance(piece);
                  }
                  if (at === second + 2) two.finish();
                }, consume);
                one.finish();
                two.finish();
                const problem = end();
                if (problem.length > 0) {
                  problems.push(
                    `${problem[0]} before=${before} idle=${idleBefore} limit=${limit} ${piece}@${first},${second}`,
                  );
                }
              }
            }
          }
        }
      }
    }
  }
  t.same(problems.slice(0, 5), []);
  t.ok(sleptAndWoken > 100, 'some runs needed the wake-up');
  t.comment(`${runs} runs, ${sleptAndWoken} needed the wake-up`);
  t.end();
});
