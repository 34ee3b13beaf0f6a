/**
 * The two ends of a notification thread. The thread's end runs one job at a time, synchronously, since each may wait in
 * the kernel (kernel fact 8, docs/KERNEL.md). The main thread's end queues: it has at most JOBS_POSTED_MAX jobs with the
 * thread, the rest waits in a bounded queue here, where a job that says the same as one that waits is dropped.
 * Refuses to grow: `push` says no when the queue is full, and the caller decides what that means (for names: they expire
 * by themselves). Refuses stores into the page cache, which were tried and cost more than READs (docs/BENCHMARKS.md).
 *
 * Thread: NotifierThread in its worker, NotifierQueue on main. Owns: each its own side. Blocks? NotifierThread.run in the
 * kernel; the queue never.
 */
import { ENOENT } from '../base/errno.js';
import { runNotification, type Notification } from './notify.js';
import type { ReplyWriter } from './transport.js';

/** Main to thread, and back: `errno` 0 when the kernel took it. */
export interface NotifierRequest {
  readonly jobId: number;
  readonly job: Notification;
}
export interface NotifierResult {
  readonly jobId: number;
  readonly errno: number;
}

/** Jobs that the thread has at a time: one that runs and one that waits behind it. */
export const JOBS_POSTED_MAX = 2;

/** Jobs that wait on main. Guessed: a directory's worth of changed names. */
export const JOBS_QUEUED_MAX = 4096;

export class NotifierThread {
  readonly #writer: ReplyWriter;

  constructor(writer: ReplyWriter) {
    this.#writer = writer;
  }

  /** Runs one job; waits for the kernel. Post the result to main. */
  run({ jobId, job }: NotifierRequest): NotifierResult {
    return { jobId, errno: runNotification(this.#writer, job) };
  }
}

export interface NotifierStats {
  readonly queued: number;
  readonly posted: number;
  readonly done: number;
  /** Jobs that the kernel refused, ENOENT (it does not know the node or name) left out. */
  readonly failed: number;
  /** Jobs that repeated one that waited. */
  readonly merged: number;
  /** Jobs that found the queue full. */
  readonly refused: number;
}

interface Waiting {
  readonly request: NotifierRequest;
  readonly key: string | undefined;
  /** All who said it. */
  readonly onDone: ((errno: number) => void)[];
}

export class NotifierQueue {
  readonly #post: (request: NotifierRequest) => void;
  readonly #queuedMax: number;
  readonly #queue: Waiting[] = [];
  /** Those of #queue that can be merged with, by what they say. */
  readonly #byKey = new Map<string, Waiting>();
  readonly #posted = new Map<number, Waiting>();
  #nextJobId = 1;
  #done = 0;
  #failed = 0;
  #merged = 0;
  #refused = 0;

  /** `post` sends a request to the thread (postMessage); give its results to `finished`. */
  constructor(post: (request: NotifierRequest) => void, queuedMax = JOBS_QUEUED_MAX) {
    this.#post = post;
    this.#queuedMax = queuedMax;
  }

  /**
   * Queues a job. False when the queue is full: nothing was queued. `onDone` hears the kernel's errno, of a job that was merged
   * that of the one that stands for it.
   */
  push(job: Notification, onDone?: (errno: number) => void): boolean {
    const key = keyOf(job);
    const same = key === undefined ? undefined : this.#byKey.get(key);
    if (same) {
      if (onDone) same.onDone.push(onDone);
      this.#merged++;
      return true;
    }
    if (this.#queue.length >= this.#queuedMax) {
      this.#refused++;
      return false;
    }
    const waiting = { request: { jobId: this.#nextJobId++, job }, key, onDone: onDone ? [onDone] : [] };
    if (key !== undefined) this.#byKey.set(key, waiting);
    this.#queue.push(waiting);
    this.#pump();
    return true;
  }

  /** The thread has run a job. */
  finished({ jobId, errno }: NotifierResult): void {
    const waiting = this.#posted.get(jobId);
    if (waiting === undefined) return;
    this.#posted.delete(jobId);
    this.#done++;
    if (errno !== 0 && errno !== ENOENT) this.#failed++;
    for (const onDone of waiting.onDone) onDone(errno);
    this.#pump();
  }

  stats(): NotifierStats {
    return {
      queued: this.#queue.length,
      posted: this.#posted.size,
      done: this.#done,
      failed: this.#failed,
      merged: this.#merged,
      refused: this.#refused,
    };
  }

  #pump(): void {
    while (this.#posted.size < JOBS_POSTED_MAX) {
      const next = this.#queue.shift();
      if (next === undefined) return;
      // From here on the kernel may already have looked: the same job again would not be a repetition.
      if (next.key !== undefined) this.#byKey.delete(next.key);
      this.#posted.set(next.request.jobId, next);
      this.#post(next.request);
    }
  }
}

/** What makes two waiting jobs one; undefined for jobs that are never merged. */
function keyOf(job: Notification): string | undefined {
  switch (job.type) {
    case 'invalidateInode':
      return `i${job.nodeId}:${job.offset}:${job.lengthBytes}`;
    case 'invalidateEntry':
      return `e${job.parent}:${job.expireOnly ? 1 : 0}:${job.name}`;
    case 'incrementEpoch':
      return 'epoch';
    case 'delete':
    case 'resend':
      return undefined;
  }
}
