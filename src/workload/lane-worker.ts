/**
 * The thread of one lane: it makes its memory, says `ready`, sleeps until all lanes are released at once, runs, and says the
 * result. Thread: one a lane. Shared words: gate.ts. Blocks: in Atomics.wait until the start, and in the file system's calls.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { Content } from './content.js';
import { GATE_GO, GATE_RUNNING, type LaneWorkerData } from './gate.js';
import { LaneRunner } from './lane.js';

const { lane, gate, contentBase } = workerData as LaneWorkerData;
const runner = new LaneRunner(lane, {
  ...(contentBase && { content: new Content(contentBase) }),
  isOver: () => Atomics.load(gate, GATE_RUNNING) === 0,
});
parentPort?.postMessage('ready');
Atomics.wait(gate, GATE_GO, 0);
const result = runner.run();
if (lane.isRepeated !== true) Atomics.sub(gate, GATE_RUNNING, 1);
parentPort?.postMessage(result);
