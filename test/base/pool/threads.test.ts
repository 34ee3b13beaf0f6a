/**
 * The pin protocol with real threads: two readers look blocks up and verify their bytes while the main thread inserts,
 * fills and evicts. Bounded by rounds of the main thread, which gives way to the readers between them.
 */
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { allocatePool } from '../../../src/base/pool/layout.js';
import { BlockTable } from '../../../src/base/pool/block-table.js';
import { PoolView } from '../../../src/base/pool/pool-view.js';
import { payloadByte } from './small-pool.js';

const BLOCKS = 24;
const BYTES = 48;
const ROUNDS_MIN = 100;
const ROUNDS_MAX = 5000;
/** Enough hits to call it a test; on a busy machine they take more rounds. */
const HITS = 20_000;
const STEPS_PER_ROUND = 400;

t.test('readers never see another block or bytes that have not arrived', async (t) => {
  const memory = allocatePool(8);
  const view = new PoolView(memory);
  const table = new BlockTable(view);
  const nodeId = 2 ** 33 + 2 ** 31 + 7;
  // Word 0: stop; word 1: hits of both readers.
  const stop = new SharedArrayBuffer(8);
  const words = new Int32Array(stop);
  const workers = [1, 2].map(
    (seed) =>
      new Worker(new URL('./pin-worker.js', import.meta.url), {
        workerData: { memory, stop, nodeId, blocks: BLOCKS, bytes: BYTES, seed },
      }),
  );
  await Promise.all(workers.map((worker) => once(worker, 'message')));
  const reports = workers.map((worker) => once(worker, 'message'));
  const slots = new Map<number, number>();
  let evictions = 0;
  let refused = 0;
  let state = 12345;
  const random = (below: number): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
  for (let round = 0; round < ROUNDS_MAX; round++) {
    if (round >= ROUNDS_MIN && Atomics.load(words, 1) >= HITS) break;
    for (let step = 0; step < STEPS_PER_ROUND; step++) {
      const blockIndex = random(BLOCKS);
      const held = slots.get(blockIndex);
      if (held === undefined) {
        const slot = table.insert({ nodeId, blockIndex }, 0, BYTES);
        if (slot >= 0) slots.set(blockIndex, slot);
      } else if (view.arrivedEnd(held) < BYTES) {
        const end = Math.min(BYTES, view.arrivedEnd(held) + 16);
        const bytes = view.bytes(held, 0, BYTES);
        for (let at = view.arrivedEnd(held); at < end; at++) bytes[at] = payloadByte({ nodeId, blockIndex }, at);
        view.publishArrived(held, end);
      } else if (table.tryEvict(held)) {
        evictions++;
        view.bytes(held, 0, BYTES).fill(0xcc);
        slots.delete(blockIndex);
      } else refused++;
    }
    await sleep(1);
  }
  Atomics.store(words, 0, 1);
  const counts = (await Promise.all(reports)).map(
    ([message]) => message as { hits: number; lookups: number; wrong: number },
  );
  await Promise.all(workers.map((worker) => worker.terminate()));
  t.comment(JSON.stringify({ counts, evictions, refused }));
  for (const { wrong, hits } of counts) {
    t.equal(wrong, 0, 'wrong bytes');
    t.ok(hits > 0, 'hits');
  }
  t.ok(evictions > ROUNDS_MIN, 'blocks came and went');
  for (const slot of slots.values()) {
    t.equal(table.pins(slot), 0, 'no pin is left');
    t.ok(table.tryEvict(slot));
  }
  t.equal(table.freeSlots, 8);
});
