/**
 * Threads that come up before it is known what they will work with: a thread takes 50-100 ms to be there, and the start of a
 * mount has other things to do meanwhile. Each waits for its first message, which is its data. More are started when more
 * are taken; those that nobody took end with `close`.
 * Refuses to know what a thread does. Thread: main. Owns: the threads that nobody has taken.
 */
import { Worker } from 'node:worker_threads';
import { programFile } from '../base/program-file.js';

export type ThreadName = 'net' | 'reader';

/** Starts one. Its first message is its data. */
export function startThread(name: ThreadName): Worker {
  return new Worker(programFile(`src/main/threads/${name}-worker.js`), { name });
}

export class SpareThreads {
  readonly #spare: Record<ThreadName, Worker[]>;

  /** So many are started at once. */
  constructor(counts: Readonly<Record<ThreadName, number>>) {
    const start = (name: ThreadName): Worker[] => Array.from({ length: counts[name] }, () => startThread(name));
    this.#spare = { net: start('net'), reader: start('reader') };
  }

  /** `@gives` the thread. */
  take(name: ThreadName): Worker {
    return this.#spare[name].shift() ?? startThread(name);
  }

  /** Ends those that nobody took. */
  close(): void {
    for (const workers of Object.values(this.#spare)) {
      for (const worker of workers.splice(0)) void worker.terminate();
    }
  }
}
