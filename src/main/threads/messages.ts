/**
 * What the daemon's threads are given at their start, and what they say to the main thread beyond the engine's and the
 * rings' own messages. Plain data and shared memory only.
 */
import type { RingMemory } from '../../base/byte-ring.js';
import type { PoolMemory } from '../../base/pool/layout.js';
import type { LoanMemory } from '../../fuse/slot-loans.js';
import type { DataTarget, NetCommand, VerifyMode } from '../../engine/api.js';

export interface NetWorkerData {
  readonly target: DataTarget;
  readonly pool: PoolMemory;
  readonly connectionsMax: number;
  readonly anonymous: boolean;
  readonly verify: VerifyMode;
  readonly readDeadlineMs?: number;
  /** Where the supervisor asks for the main thread's stack; one thread has it. */
  readonly stackFd?: number;
  /** Numbers of the CPUs that the thread stays on; absent: any. */
  readonly cpus?: readonly number[];
}

/** Main thread to net thread. */
export type ToNetWorker =
  | NetCommand
  | { readonly type: 'device'; readonly fd: number }
  /** The mount rests: collect what work left behind. */
  | { readonly type: 'collect' }
  /** Nobody wants anything: make code fast that has not run yet. Anything that is wanted ends it. */
  | { readonly type: 'rehearse' };

export interface ReaderWorkerData {
  readonly pool: PoolMemory;
  readonly ring: RingMemory;
  /** COUNTER_WORDS words of src/fuse's reader loop. */
  readonly counters: SharedArrayBuffer;
  /** Of src/fuse's reader-account. */
  readonly account: SharedArrayBuffer;
  /** Absent: the mount is read-only. */
  readonly loans?: LoanMemory;
}

/** The one message to a reader thread: from then on it sits in read(2). */
export interface ReaderStart {
  readonly fd: number;
  readonly requestBufferBytes: number;
}

/** `ready` once, then `wake` when the ring holds a record that the main thread may not know of. */
export type FromReaderWorker = 'ready' | 'wake';

export interface NotifierWorkerData {
  readonly fd: number;
}
