/**
 * Runs a load in this process: a thread a lane, all released at the same moment, and the CPU that the process took for it.
 * Refuses to be called where a hung file system must not hang the caller: generator.ts puts it into a child.
 */
import { Worker } from 'node:worker_threads';
import { programFile } from '../base/program-file.js';
import { invariant } from '../base/invariant.js';
import { makeContentBase } from './content.js';
import { GATE_GO, GATE_RUNNING, GATE_WORDS, type LaneWorkerData } from './gate.js';
import { dropPages } from './page-cache.js';
import { LANES_MAX, type Lane, type LaneResult, type Load, type LoadResult } from './steps.js';

function needsContent(lane: Lane): boolean {
  return lane.steps.some((step) => step.op === 'write' || (step.op === 'read' && step.isVerified === true));
}

/** Resolves when every lane has ended; a lane that failed says so in its result. */
export async function runLoad(load: Load): Promise<LoadResult> {
  invariant(load.lanes.length <= LANES_MAX, `a load of ${load.lanes.length} lanes`);
  const contentBase = load.lanes.some(needsContent) ? makeContentBase() : undefined;
  const gate = new Int32Array(new SharedArrayBuffer(GATE_WORDS * Int32Array.BYTES_PER_ELEMENT));
  gate[GATE_RUNNING] = load.lanes.filter((lane) => lane.isRepeated !== true).length;
  const threads = load.lanes.map((lane) => startLane({ lane, gate, ...(contentBase && { contentBase }) }));
  await Promise.all(threads.map(({ ready }) => ready));
  const before = process.cpuUsage();
  Atomics.store(gate, GATE_GO, 1);
  Atomics.notify(gate, GATE_GO);
  const lanes = await Promise.all(threads.map(({ result }) => result));
  const used = process.cpuUsage(before);
  const cached = load.dropped === undefined ? undefined : dropPages(load.dropped);
  return { lanes, generatorCpuSeconds: (used.user + used.system) / 1e6, ...(cached && { cached }) };
}

function startLane(workerData: LaneWorkerData): { ready: Promise<void>; result: Promise<LaneResult> } {
  const worker = new Worker(programFile('src/workload/lane-worker.js'), { workerData });
  const failed = new Promise<never>((_, reject) => worker.once('error', reject));
  const ready = new Promise<void>((resolve) => worker.once('message', () => resolve()));
  const result = ready.then(
    () => new Promise<LaneResult>((resolve) => worker.once('message', (said: LaneResult) => resolve(said))),
  );
  return { ready: Promise.race([ready, failed]), result: Promise.race([result, failed]) };
}
