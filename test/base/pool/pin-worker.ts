/**
 * A reader thread of the stress test: looks random blocks up, pins, checks every byte it asked for against the key, and
 * unpins, until told to stop. Counts; the test judges.
 */
import { parentPort, workerData } from 'node:worker_threads';
import type { PoolMemory } from '../../../src/base/pool/layout.js';
import { PoolView } from '../../../src/base/pool/pool-view.js';
import { halves, payloadByte } from './small-pool.js';

const { memory, stop, nodeId, blocks, bytes, seed } = workerData as {
  memory: PoolMemory;
  stop: SharedArrayBuffer;
  nodeId: number;
  blocks: number;
  bytes: number;
  seed: number;
};
const view = new PoolView(memory);
const stopWord = new Int32Array(stop);
const [lo, hi] = halves(nodeId);
let state = seed;
const random = (below: number): number => {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return Math.floor((state / 2 ** 32) * below);
};
let hits = 0;
let lookups = 0;
let wrong = 0;
parentPort?.postMessage('ready');
while (Atomics.load(stopWord, 0) === 0) {
  for (let turn = 0; turn < 100; turn++) {
    lookups++;
    const blockIndex = random(blocks);
    const from = random(bytes - 1);
    const to = from + 1 + random(bytes - from);
    const slot = view.pinResident(lo, hi, blockIndex, from, to);
    if (slot < 0) continue;
    hits++;
    Atomics.add(stopWord, 1, 1);
    const held = view.bytes(slot, from, to);
    for (let at = from; at < to; at++) if (held[at - from] !== payloadByte({ nodeId, blockIndex }, at)) wrong++;
    view.unpin(slot);
  }
}
parentPort?.postMessage({ hits, lookups, wrong });
