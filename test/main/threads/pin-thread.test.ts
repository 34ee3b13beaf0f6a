/** A thread that is pinned stays so, and only that one; what cannot be is said and harms nobody. */
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { parseCpuList } from '../../../src/hwdetect/cpu-list.js';
import { allowedHere, type PinReport } from './pin-worker.js';

function inWorker(cpus: readonly number[]): Promise<PinReport> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./pin-worker.js', import.meta.url), { workerData: { cpus } });
    worker.once('message', resolve);
    worker.once('error', reject);
  });
}

t.test('one thread', async (t) => {
  const before = allowedHere();
  const last = parseCpuList(before)?.at(-1) ?? 0;
  t.strictSame(await inWorker([last]), { why: undefined, allowed: String(last) });
  t.equal(allowedHere(), before, 'other threads stay where they were');
});

t.test('CPUs that there are none of', async (t) => {
  const before = allowedHere();
  t.match(await inWorker([8191]), { why: /^errno \d+$/, allowed: before });
  t.match(await inWorker([9000]), { why: /beyond what a mask holds/, allowed: before });
  t.match(await inWorker([]), { why: /^errno \d+$/, allowed: before });
});
