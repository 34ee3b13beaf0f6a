/** The producer thread of the ring's thread test: pushes records as fast as the ring takes them, and says when it wakes. */
import { parentPort, workerData } from 'node:worker_threads';
import { RingProducer, type RingMemory } from '../../src/base/byte-ring.js';

const { memory, records, largest } = workerData as { memory: RingMemory; records: number; largest: number };
const producer = new RingProducer(memory, () => parentPort?.postMessage('wake'));
let state = 1;
for (let kind = 0; kind < records; kind++) {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  const bytes = kind % 50 === 0 ? largest : (state >>> 8) % 200;
  producer.push(kind, new Uint8Array(bytes).fill(kind & 0xff));
}
parentPort?.postMessage('done');
