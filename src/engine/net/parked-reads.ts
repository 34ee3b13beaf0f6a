/**
 * READs of the kernel that wait for bytes on their way, each answered exactly once by the thread that brings its last byte.
 * One table by read id is the only truth about who still waits: a READ leaves it before anything is said to anybody, so
 * a second answer cannot happen, whatever comes in between (arrival, interrupt, failure, deadline).
 *
 * Thread: a net thread. Owns: the READs in its table; the pins of those with a ticket, until it answers.
 * Shared words: reads which bytes of a slot have arrived, gives pins back on GATE. Blocks? The replier's writev, briefly.
 * READs without a ticket are only reported: their pins stay the main thread's, whatever the outcome.
 * Refuses to wait longer than `deadlineMs`: EIO is better than a process that nobody can kill.
 */
import { EINTR, EIO } from '../../base/errno.js';
import type { PoolView } from '../../base/pool/pool-view.js';
import type { ParkedRead } from '../api.js';
import type { KernelReplier } from '../ticket.js';
import { PARKED_READS_MAX } from './limits.js';

export interface ParkedReadsOptions {
  /** How long a READ may wait that comes when so many wait, itself included. */
  readonly deadlineMs: (reads: number) => number;
}

export interface ParkedReadsDeps {
  readonly pool: PoolView;
  readonly replier: KernelReplier;
  nowMs(): number;
  /** Whether this thread's fetch of that id is still under way. */
  isFetching(fetchId: number): boolean;
  /** Somebody waits for this fetch now. */
  wanted(fetchId: number): void;
  /** It is answered EIO, and nobody else knows why. */
  refused(read: ParkedRead, because: string): void;
  over(readId: number, errno: number): void;
  elsewhere(readId: number): void;
}

interface Waiting {
  readonly read: ParkedRead;
  readonly parkedMs: number;
  readonly deadlineMs: number;
}

export class ParkedReads {
  readonly #options: ParkedReadsOptions;
  readonly #deps: ParkedReadsDeps;
  /** Oldest first; deadlines need not be in that order, because who comes into a crowd may wait longer. */
  readonly #waiting = new Map<number, Waiting>();
  readonly #byFetch = new Map<number, Set<Waiting>>();
  #isClosed = false;

  constructor(options: ParkedReadsOptions, deps: ParkedReadsDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Takes over a READ; answers it at once when its bytes are there. */
  park(read: ParkedRead): void {
    const parkedMs = this.#deps.nowMs();
    const waiting: Waiting = {
      read,
      parkedMs,
      deadlineMs: parkedMs + this.#options.deadlineMs(this.#waiting.size + 1),
    };
    this.#waiting.set(read.readId, waiting);
    if (this.#isClosed || this.#waiting.size > PARKED_READS_MAX) {
      if (!this.#isClosed) this.#deps.refused(read, `more than ${PARKED_READS_MAX} READs wait`);
      this.#fail(waiting, EIO);
      return;
    }
    if (!this.#look(waiting)) return;
    for (const span of read.spans) {
      if (this.#hasArrived(span) || !this.#deps.isFetching(span.fetchId)) continue;
      let readers = this.#byFetch.get(span.fetchId);
      if (readers === undefined) this.#byFetch.set(span.fetchId, (readers = new Set()));
      readers.add(waiting);
      this.#deps.wanted(span.fetchId);
    }
  }

  /** The kernel gave up on it; nothing happens when it is over already. */
  interrupt(readId: number): void {
    const waiting = this.#waiting.get(readId);
    if (waiting !== undefined) this.#fail(waiting, EINTR);
  }

  /** More bytes of this fetch are published. */
  arrived(fetchId: number): void {
    const readers = this.#byFetch.get(fetchId);
    if (readers === undefined) return;
    for (const waiting of readers) this.#look(waiting);
  }

  /**
   * The fetch is over and `isFetching` says so. `errno` 0: all its bytes are there. 'elsewhere': it was cancelled, so main
   * decides again about READs that still want it. Otherwise they fail with `errno`.
   */
  fetchOver(fetchId: number, errno: number | 'elsewhere'): void {
    const readers = this.#byFetch.get(fetchId);
    if (readers === undefined) return;
    for (const waiting of readers) {
      const isMissing = waiting.read.spans.some((span) => span.fetchId === fetchId && !this.#hasArrived(span));
      if (isMissing && errno !== 0 && errno !== 'elsewhere') this.#fail(waiting, errno);
      else if (isMissing) this.#sendElsewhere(waiting);
      else this.#look(waiting);
    }
    this.#byFetch.delete(fetchId);
  }

  /** Ends the READs whose time is up. Looks at all: PARKED_READS_MAX of them are 0.1 ms. */
  sweep(nowMs: number): void {
    for (const waiting of this.#waiting.values()) {
      if (waiting.deadlineMs > nowMs) continue;
      this.#deps.refused(waiting.read, `its bytes did not come within ${(nowMs - waiting.parkedMs) / 1000} s`);
      this.#fail(waiting, EIO);
    }
  }

  /** Fails what waits, and all that comes later. */
  close(): void {
    this.#isClosed = true;
    for (const waiting of this.#waiting.values()) this.#fail(waiting, EIO);
  }

  /** Answers it when complete; returns whether it still waits here. */
  #look(waiting: Waiting): boolean {
    let isComplete = true;
    for (const span of waiting.read.spans) {
      if (this.#hasArrived(span)) continue;
      if (this.#deps.isFetching(span.fetchId)) return true;
      isComplete = false;
    }
    if (isComplete) this.#answer(waiting);
    else this.#sendElsewhere(waiting);
    return false;
  }

  #hasArrived(span: ParkedRead['spans'][number]): boolean {
    return this.#deps.pool.holds(span.slot, span.from, span.to);
  }

  #answer(waiting: Waiting): void {
    const { pool, replier } = this.#deps;
    const { read } = waiting;
    this.#forget(waiting);
    if (read.ticket !== undefined) {
      const parts = read.spans.map((span) => pool.bytes(span.slot, span.from, span.to));
      replier.data(read.ticket, parts);
      this.#unpin(read);
    }
    this.#deps.over(read.readId, 0);
  }

  #fail(waiting: Waiting, errno: number): void {
    const { read } = waiting;
    this.#forget(waiting);
    if (read.ticket !== undefined) {
      this.#deps.replier.error(read.ticket, errno);
      this.#unpin(read);
    }
    this.#deps.over(read.readId, errno);
  }

  #sendElsewhere(waiting: Waiting): void {
    this.#forget(waiting);
    this.#deps.elsewhere(waiting.read.readId);
  }

  #unpin(read: ParkedRead): void {
    for (const span of read.spans) this.#deps.pool.unpin(span.slot);
  }

  #forget(waiting: Waiting): void {
    this.#waiting.delete(waiting.read.readId);
    for (const span of waiting.read.spans) {
      const readers = this.#byFetch.get(span.fetchId);
      if (readers === undefined) continue;
      readers.delete(waiting);
      if (readers.size === 0) this.#byFetch.delete(span.fetchId);
    }
  }
}
