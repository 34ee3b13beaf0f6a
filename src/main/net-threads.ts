/**
 * Starts the net threads and joins them to the data plane. A net thread that dies takes the daemon with it: READs parked
 * with it could not be answered, and a supervisor that starts another daemon is better than a mount that hangs.
 * Refuses to restart a thread.
 */
import type { Worker } from 'node:worker_threads';
import { soon } from '../base/soon.js';
import type { NetEvent } from '../engine/api.js';
import type { NetPort } from '../engine/data-plane.js';
import { startThread, type SpareThreads } from './spare-threads.js';
import type { NetWorkerData, ToNetWorker } from './threads/messages.js';
import { Outbox } from './threads/outbox.js';
import { asError, untilMessage } from './worker-events.js';

/** A thread that has not said `ready` by then will not (measured: 60-120 ms). */
const READY_WAIT_MS = 10_000;
/** For the `closed` answer at the end; sockets are torn down at once. */
const CLOSE_WAIT_MS = 2_000;

export interface NetThreadsDeps {
  /** An event of thread `index`. */
  readonly onEvent: (index: number, event: NetEvent) => void;
  /** A thread died: end the daemon. */
  readonly onFatal: (error: Error) => void;
  /** Threads that are there already. */
  readonly threads?: SpareThreads;
}

export class NetThreads {
  readonly ports: readonly NetPort[];
  /** Settles when every thread can take commands; rejects when one does not come up. */
  readonly ready: Promise<void>;
  readonly #workers: readonly Worker[];
  readonly #outboxes: readonly Outbox<ToNetWorker>[];
  #closing = false;

  constructor(data: readonly NetWorkerData[], deps: NetThreadsDeps) {
    // One that is to stay beside its card makes its heap there: it is started now.
    this.#workers = data.map(
      ({ cpus }) => (cpus === undefined ? deps.threads?.take('net') : undefined) ?? startThread('net'),
    );
    this.#outboxes = this.#workers.map((worker) => new Outbox<ToNetWorker>(worker, soon));
    this.ports = this.#outboxes.map((outbox) => ({ post: (command) => outbox.post(command) }));
    this.ready = Promise.all(this.#workers.map((worker) => untilEvent(worker, 'ready', READY_WAIT_MS))).then(
      () => undefined,
    );
    for (const [index, worker] of this.#workers.entries()) {
      worker.postMessage(data[index]);
      worker.on('message', (events: readonly NetEvent[]) => {
        for (const event of events) deps.onEvent(index, event);
      });
      worker.on('error', (error: unknown) => deps.onFatal(asError(error)));
      worker.on('exit', (code) => {
        if (!this.#closing) deps.onFatal(new Error(`net thread ${index} ended with code ${code}`));
      });
    }
  }

  /** The mount is there: READs may be answered on this descriptor. */
  setDevice(fd: number): void {
    for (const outbox of this.#outboxes) outbox.post({ type: 'device', fd });
  }

  /** Nobody wants anything from the store: what has never run is made fast. The first command ends it. */
  rehearse(): void {
    for (const outbox of this.#outboxes) outbox.post({ type: 'rehearse' });
  }

  /** The mount rests: each thread collects what work left behind. */
  collect(): void {
    for (const outbox of this.#outboxes) outbox.post({ type: 'collect' });
  }

  /** Ends the threads: parked READs are answered EIO, connections closed. */
  async close(): Promise<void> {
    if (this.#closing) return;
    this.#closing = true;
    await Promise.all(
      this.#workers.map(async (worker, index) => {
        const closed = untilEvent(worker, 'closed', CLOSE_WAIT_MS).catch(() => undefined);
        this.#outboxes[index]?.post({ type: 'close' });
        await closed;
        await worker.terminate();
      }),
    );
  }
}

function untilEvent(worker: Worker, type: NetEvent['type'], waitMs: number): Promise<void> {
  return untilMessage<readonly NetEvent[]>(worker, `waiting for a net thread to be ${type}`, waitMs, (events) =>
    events.some((event) => event.type === type),
  );
}
