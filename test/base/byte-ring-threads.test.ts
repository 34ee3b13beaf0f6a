/**
 * The ring between two real threads: the producer finds it full again and again and waits, the consumer sleeps between
 * wake-ups and is slow at times. Every record comes once, in order, whole; nobody sleeps for ever.
 */
import { once } from 'node:events';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { RingConsumer, RingProducer, allocateRing } from '../../src/base/byte-ring.js';

const RECORDS = 30_000;
const CAPACITY = 4096;
const LARGEST = CAPACITY / 2 - 8;

t.test('every record once, in order, whole, through a ring that is often full and often empty', async (t) => {
  const memory = allocateRing(CAPACITY);
  const consumer = new RingConsumer(memory);
  let next = 0;
  let wrong = 0;
  let wakes = 0;
  const take = (kind: number, payload: Uint8Array): void => {
    if (kind !== next++) wrong++;
    if (kind % 50 === 0 && payload.length !== LARGEST) wrong++;
    if (!payload.every((byte) => byte === (kind & 0xff))) wrong++;
  };
  consumer.drain(1, take);
  const worker = new Worker(new URL('./ring-worker.js', import.meta.url), {
    workerData: { memory, records: RECORDS, largest: LARGEST },
  });
  worker.on('message', (message) => {
    if (message !== 'wake') return;
    wakes++;
    while (consumer.drain(16, take) > 0);
  });
  await once(worker, 'exit');
  while (consumer.drain(16, take) > 0);
  t.equal(next, RECORDS);
  t.equal(wrong, 0);
  t.comment(`${wakes} wake-ups`);
  t.ok(wakes > 0 && wakes < RECORDS, 'wake-ups are needed, but not one a record');
});

t.test('a producer that waits for room gives up when told to', (t) => {
  const memory = allocateRing(CAPACITY);
  const producer = new RingProducer(memory, () => undefined);
  let asked = 0;
  let pushed = 0;
  // The ring fills, and each wait ends by itself to ask.
  while (producer.push(1, new Uint8Array(1000), () => ++asked > 2)) pushed++;
  t.equal(pushed, 4);
  t.equal(asked, 3);
  t.end();
});
