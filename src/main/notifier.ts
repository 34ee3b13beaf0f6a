/**
 * The main thread's handle on a notification thread: queues what the kernel shall forget (names that others changed) and
 * starts the thread with the first job, since many mounts never need one. Invalidations are advice to the kernel: names
 * expire by themselves, so a job that finds the queue full is dropped, and said so once a minute.
 * Refuses to wait for a job.
 */
import { Worker } from 'node:worker_threads';
import { programFile } from '../base/program-file.js';
import type { Clock } from '../base/clock.js';
import { EBUSY, ENOENT, errnoName, ErrnoError } from '../base/errno.js';
import type { Log } from '../base/log.js';
import { NotifierQueue, type NotifierResult } from '../fuse/notifier-loop.js';
import type { Notification } from '../fuse/notify.js';
import type { NotifierWorkerData } from './threads/messages.js';
import { asError } from './worker-events.js';

/** Between two log lines about a full queue. */
const COMPLAINT_MS = 60_000;

export interface NotifierDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** The thread died: end the daemon. */
  readonly onFatal: (error: Error) => void;
}

export class Notifier {
  readonly #data: NotifierWorkerData;
  readonly #deps: NotifierDeps;
  readonly #queue: NotifierQueue;
  #worker: Worker | undefined;
  #complainedMs = -Infinity;
  #closed = false;

  constructor(data: NotifierWorkerData, deps: NotifierDeps) {
    this.#data = data;
    this.#deps = deps;
    this.#queue = new NotifierQueue((request) => this.#thread().postMessage(request));
  }

  /** Tells the kernel, and resolves when it has taken it; rejects when it did not, or there is no room for the job. */
  tell(job: Notification): Promise<void> {
    return new Promise((resolve, reject) => {
      const told = (errno: number): void => {
        if (errno === 0 || errno === ENOENT) resolve();
        else reject(new ErrnoError(errno, `${job.type}: the kernel answered ${errnoName(errno)}`));
      };
      if (this.#closed || !this.#queue.push(job, told)) reject(new ErrnoError(EBUSY, `${job.type}: no room for it`));
    });
  }

  /** Tells the kernel, some time soon. */
  push(job: Notification): void {
    if (this.#closed || this.#queue.push(job)) return;
    const nowMs = this.#deps.clock.nowMs();
    if (nowMs - this.#complainedMs < COMPLAINT_MS) return;
    this.#complainedMs = nowMs;
    this.#deps.log.warn({ job: job.type }, 'more changes than the kernel takes: it keeps names until they expire');
  }

  /** After the mount's end, which fails the job that waits in the kernel. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#worker?.terminate();
  }

  #thread(): Worker {
    if (this.#worker) return this.#worker;
    const worker = new Worker(programFile('src/main/threads/notifier-worker.js'), {
      workerData: this.#data,
      name: 'notifier',
    });
    worker.on('message', (result: NotifierResult) => this.#queue.finished(result));
    worker.on('error', (error: unknown) => this.#deps.onFatal(asError(error)));
    this.#worker = worker;
    return worker;
  }
}
