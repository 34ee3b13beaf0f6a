/** A process whose main thread does as its argument says, once it has said `up`, and whose other thread tells where that is. */
import { readSync } from 'node:fs';
import { Worker, isMainThread } from 'node:worker_threads';
import { tellStacks } from '../../../src/main/threads/stack-teller.js';

function runForEver(): void {
  for (;;) Math.hypot(3, 4);
}

function waitForMemory(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
}

/** From a socket on which nobody says anything. */
function readForEver(): void {
  readSync(4, Buffer.alloc(1));
}

function beat(): void {
  setInterval(() => undefined, 100);
}

/** A promise that never settles. */
async function waitForNobody(): Promise<void> {
  await new Promise(() => undefined);
}

const ways: Readonly<Record<string, () => unknown>> = { runForEver, waitForMemory, readForEver, beat, waitForNobody };

if (isMainThread) {
  const worker = new Worker(new URL(import.meta.url));
  worker.once('message', () => {
    process.stdout.write('up\n', () => setImmediate(() => ways[process.argv[2] ?? '']?.()));
  });
} else {
  const { parentPort } = await import('node:worker_threads');
  parentPort?.ref();
  parentPort?.on('message', () => undefined);
  tellStacks(3);
  parentPort?.postMessage('up');
}
