/**
 * Starts the threads that read /dev/fuse, pumps their rings into the dispatcher, and says when all have ended, which is
 * how the daemon learns that its file system is gone. A reader thread that dies for another reason takes the daemon with
 * it: the kernel's requests would wait for ever.
 * Refuses to stop a thread: only the end of the mount does (kernel fact 2, docs/KERNEL.md).
 */
import type { Worker } from 'node:worker_threads';
import { RingConsumer, allocateRing, type RingMemory } from '../base/byte-ring.js';
import { errnoName } from '../base/errno.js';
import type { Log } from '../base/log.js';
import type { PoolMemory } from '../base/pool/layout.js';
import type { FuseDispatcher } from '../fuse/dispatcher.js';
import { COUNTER_HITS, COUNTER_HIT_KIB, COUNTER_LENT, COUNTER_MISSES, COUNTER_WORDS } from '../fuse/reader-loop.js';
import { AccountView, allocateAccount } from '../fuse/reader-account.js';
import type { LoanMemory } from '../fuse/slot-loans.js';
import { RingPump } from '../fuse/ring-pump.js';
import { REQUEST_RING_BYTES } from '../fuse/ring-records.js';
import type { SpareThreads } from './spare-threads.js';
import type { FromReaderWorker, ReaderStart, ReaderWorkerData } from './threads/messages.js';
import { asError, untilMessage } from './worker-events.js';

/** A thread that has not said `ready` by then will not (measured: about 50 ms). */
const READY_WAIT_MS = 10_000;

export interface ReaderThreadsOptions {
  readonly count: number;
  readonly pool: PoolMemory;
  /** Slots for the bytes of WRITEs; absent: nothing is written. */
  readonly loans?: LoanMemory;
}

export interface ReaderThreadsDeps {
  readonly log: Log;
  readonly accessed: (nodeId: number, handle: number, offset: number, sizeBytes: number) => void;
  /** A thread died: end the daemon. */
  readonly onFatal: (error: Error) => void;
  /** All threads have ended: the file system is unmounted. */
  readonly onEnded: () => void;
  readonly threads: SpareThreads;
}

export interface ReaderCounts {
  /** READs that reader threads answered by themselves, and their payload. */
  readonly hits: number;
  readonly hitBytes: number;
  /** READs that went to the main thread. */
  readonly misses: number;
  /** WRITEs whose bytes came in slots of the pool. */
  readonly lentWrites: number;
}

interface Reader {
  worker: Worker | undefined;
  readonly data: ReaderWorkerData;
  readonly ring: RingMemory;
  readonly counters: Int32Array;
  readonly account: AccountView;
}

export class ReaderThreads {
  /** Settles when every thread can start; rejects when one does not come up. */
  readonly ready: Promise<void>;
  readonly #deps: ReaderThreadsDeps;
  readonly #readers: readonly Reader[];
  #pump: RingPump | undefined;
  #start: ReaderStart | undefined;
  #live = 0;

  /** One comes up at once, so that it is there when the file system is mounted; the others when `startRest` says so. */
  constructor(options: ReaderThreadsOptions, deps: ReaderThreadsDeps) {
    this.#deps = deps;
    this.#readers = Array.from({ length: options.count }, () => {
      const ring = allocateRing(REQUEST_RING_BYTES);
      const counters = new SharedArrayBuffer(COUNTER_WORDS * 4);
      const account = allocateAccount();
      const { pool, loans } = options;
      const data: ReaderWorkerData = { pool, ring, counters, account, ...(loans ? { loans } : {}) };
      return {
        ...{ worker: undefined, data, ring },
        counters: new Int32Array(counters),
        account: new AccountView(account),
      };
    });
    const [first] = this.#readers;
    this.ready =
      first === undefined
        ? Promise.resolve()
        : untilMessage<FromReaderWorker>(
            this.#begin(first),
            'waiting for a reader thread',
            READY_WAIT_MS,
            (message) => message === 'ready',
          );
  }

  /** The threads read `fd` from now on, and what they read goes to `dispatcher`. */
  start(fd: number, requestBufferBytes: number, dispatcher: FuseDispatcher): void {
    const { log } = this.#deps;
    this.#start = { fd, requestBufferBytes };
    this.#pump = new RingPump(
      this.#readers.map(({ ring }) => new RingConsumer(ring)),
      dispatcher,
      {
        onAccess: (access) => this.#deps.accessed(access.nodeId, access.handle, access.offset, access.sizeBytes),
        onEnded: (errno) => {
          this.#live--;
          if (errno !== 0) log.error({ errno: errnoName(errno) }, 'a reader thread ended with an error');
          if (this.#live > 0) return;
          // None is started any more: the descriptor will be closed.
          this.#start = undefined;
          this.#deps.onEnded();
        },
        onTrouble: (message) => log.error({}, message),
      },
    );
    for (const { worker } of this.#readers) this.#letLoose(worker);
    this.#pump.wake();
  }

  /** The mount answers, and somebody may want more of it than one thread carries. */
  startRest(): void {
    if (this.#start === undefined) return;
    for (const reader of this.#readers) {
      if (reader.worker === undefined) this.#letLoose(this.#begin(reader));
    }
  }

  /** For a start that failed before start(): ends threads that do not sit in read(2) yet. */
  async abandon(): Promise<void> {
    this.#start = undefined;
    await Promise.all(this.#readers.flatMap(({ worker }) => (worker === undefined ? [] : [worker.terminate()])));
  }

  /** The dispatcher has room again, or a thread may have left records behind. */
  wake(): void {
    this.#pump?.wake();
  }

  /** What each thread notes of the READs that it answers; see src/fuse/reader-account. */
  get accounts(): readonly AccountView[] {
    return this.#readers.map(({ account }) => account);
  }

  counts(): ReaderCounts {
    let hits = 0;
    let misses = 0;
    let hitBytes = 0;
    let lentWrites = 0;
    for (const { counters } of this.#readers) {
      hits += Atomics.load(counters, COUNTER_HITS) >>> 0;
      misses += Atomics.load(counters, COUNTER_MISSES) >>> 0;
      lentWrites += Atomics.load(counters, COUNTER_LENT) >>> 0;
      hitBytes += (Atomics.load(counters, COUNTER_HIT_KIB) >>> 0) * 1024;
    }
    return { hits, hitBytes, misses, lentWrites };
  }

  #begin(reader: Reader): Worker {
    const worker = this.#deps.threads.take('reader');
    worker.on('message', () => this.#pump?.woken());
    worker.on('error', (error: unknown) => this.#deps.onFatal(asError(error)));
    worker.postMessage(reader.data);
    reader.worker = worker;
    return worker;
  }

  #letLoose(worker: Worker | undefined): void {
    if (worker === undefined || this.#start === undefined) return;
    this.#live++;
    worker.postMessage(this.#start);
  }
}
