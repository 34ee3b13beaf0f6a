/**
 * The main thread's handle on the net threads: numbers fetches, spreads them over the threads, and keeps track of who
 * waits for what. Bytes never pass here; commands and events are small messages.
 *
 * It exists so that the prefetcher need not know how many net threads there are, nor which of them fills a block.
 * Bounds: fetches under way are bounded by the pool's slots (each fetch owns at least one), parked reads by the kernel's
 * request limit, hops of a read between threads by HOPS_MAX. Refuses to retry: net threads do, with their deadline.
 */
import { EINTR, EIO } from '../base/errno.js';
import { invariant } from '../base/invariant.js';
import type { Log } from '../base/log.js';
import type { PoolView } from '../base/pool/pool-view.js';
import type { DataCredentials, FetchCommand, NetCommand, NetEvent, ReadSpan } from './api.js';
import { ThreadLoads } from './thread-loads.js';
import type { RequestTicketParts } from './ticket.js';

/** A READ spans two blocks, so two threads at most take part; more moves than this mean that our reasoning is wrong. */
const HOPS_MAX = 8;

/** The channel to one net thread. */
export interface NetPort {
  post(command: NetCommand): void;
}

export interface FetchObserver {
  done(firstByteMs: number, totalMs: number): void;
  failed(errno: number, code: string, message: string): void;
}

/** What became of a parked READ. One of the two is called, once. */
export interface ReadObserver {
  /** Answered (errno 0: with its bytes). With a ticket the pins are gone, without one they are the caller's again. */
  over(errno: number): void;
  /** The fetch it waited for was cancelled before it got there. Nothing is answered and all pins are the caller's: place it again. */
  lost(): void;
}

interface Fetch {
  readonly fetchId: number;
  readonly thread: number;
  readonly bytes: number;
  readonly observer: FetchObserver;
  cancelled: boolean;
}

interface Parked {
  readonly readId: number;
  readonly ticket: RequestTicketParts | undefined;
  readonly spans: readonly ReadSpan[];
  readonly observer: ReadObserver;
  thread: number;
  hops: number;
  interrupted: boolean;
  /** A fetch that it waits for failed with this, perhaps before the READ got to the thread. */
  failure: number | undefined;
}

export interface DataPlaneDeps {
  readonly ports: readonly NetPort[];
  readonly pool: PoolView;
  readonly log: Log;
  /** The store refused our credentials: get new ones and call `setCredentials`. */
  readonly credentialsRefused: (code: string) => void;
  /** Answers a kernel request from this thread (only when a read cannot be placed on any thread). */
  readonly replyError: (ticket: RequestTicketParts, errno: number) => void;
}

export class DataPlane {
  readonly #deps: DataPlaneDeps;
  readonly #fetches = new Map<number, Fetch>();
  readonly #reads = new Map<number, Parked>();
  readonly #loads: ThreadLoads;
  #nextFetchId = 1;
  #nextReadId = 1;
  #bytesFetched = 0;

  constructor(deps: DataPlaneDeps) {
    invariant(deps.ports.length > 0, 'a data plane has at least one net thread');
    this.#deps = deps;
    this.#loads = new ThreadLoads(deps.ports.length);
  }

  /** READs that had to wait for bytes, ever. */
  get parkedTotal(): number {
    return this.#nextReadId - 1;
  }

  /** Threads that get new fetches: the first so many. */
  setActiveThreads(threads: number): void {
    this.#loads.setActive(threads);
  }

  /** Fetches under way, reads parked and bytes that completed fetches brought, for stats and for tests. */
  get counts(): { fetches: number; reads: number; bytesFetched: number } {
    return { fetches: this.#fetches.size, reads: this.#reads.size, bytesFetched: this.#bytesFetched };
  }

  /** Starts a GET on the thread with the least bytes outstanding. The observer is called exactly once. */
  fetch(command: Omit<FetchCommand, 'fetchId'>, observer: FetchObserver): number {
    const fetchId = this.#nextFetchId++;
    const thread = this.#loads.least();
    const bytes = command.endOffset - command.startOffset;
    this.#loads.add(thread, bytes);
    this.#fetches.set(fetchId, { fetchId, thread, bytes, observer, cancelled: false });
    this.#post(thread, { type: 'fetch', fetch: { ...command, fetchId } });
    return fetchId;
  }

  /** Asks for an early end; the observer still hears done or failed. */
  cancel(fetchId: number): void {
    const fetch = this.#fetches.get(fetchId);
    if (!fetch) return;
    fetch.cancelled = true;
    this.#post(fetch.thread, { type: 'cancelFetch', fetchId });
  }

  /** Parks a READ with the fetches that bring its bytes. The caller has pinned each span's slot for it (@gives). */
  park(spans: readonly ReadSpan[], request: RequestTicketParts | undefined, observer: ReadObserver): number {
    const readId = this.#nextReadId++;
    // The caller's object may hold more than the two numbers, and functions cannot be posted.
    const ticket = request && { lo: request.lo, hi: request.hi };
    const thread = this.#threadFor(spans);
    this.#reads.set(readId, {
      readId,
      ticket,
      spans,
      observer,
      thread,
      hops: 0,
      interrupted: false,
      failure: undefined,
    });
    this.#post(thread, { type: 'park', read: { readId, ticket, spans } });
    return readId;
  }

  /** The kernel interrupted a parked READ. */
  interrupt(readId: number): void {
    const read = this.#reads.get(readId);
    if (!read) return;
    read.interrupted = true;
    this.#post(read.thread, { type: 'interruptRead', readId });
  }

  /** Answers a READ that no thread holds with an errno. */
  refuse(ticket: RequestTicketParts, errno: number): void {
    this.#deps.replyError(ticket, errno);
  }

  setCredentials(credentials: DataCredentials | undefined): void {
    this.#deps.ports.forEach((_port, thread) => this.#post(thread, { type: 'credentials', credentials }));
  }

  close(): void {
    this.#deps.ports.forEach((_port, thread) => this.#post(thread, { type: 'close' }));
  }

  /** An event from net thread `thread`. */
  handle(thread: number, event: NetEvent): void {
    switch (event.type) {
      case 'fetchDone': {
        const fetch = this.#end(event.fetchId);
        if (!fetch) return;
        this.#bytesFetched += fetch.bytes;
        fetch.observer.done(event.firstByteMs, event.totalMs);
        return;
      }
      case 'fetchFailed': {
        const fetch = this.#end(event.fetchId);
        if (!fetch) return;
        if (!fetch.cancelled) this.#noteFailure(fetch.fetchId, event.errno);
        fetch.observer.failed(event.errno, event.code, event.message);
        return;
      }
      case 'readsOver':
        for (const { readId, errno } of event.reads) {
          const read = this.#reads.get(readId);
          if (!read) continue;
          this.#reads.delete(readId);
          read.observer.over(errno);
        }
        return;
      case 'readElsewhere':
        this.#move(event.readId, thread);
        return;
      case 'credentialsRefused':
        this.#deps.credentialsRefused(event.code);
        return;
      case 'log':
        this.#deps.log[event.level]({ thread: `net-${thread}`, ...event.fields }, event.message);
        return;
      // Listings and calls have their own planes (listing/list-plane.ts, calls/call-plane.ts).
      case 'listed':
      case 'listFailed':
      case 'called':
      case 'callFailed':
        return;
      // The scheduler's (src/main/scheduler/driver.ts).
      case 'sample':
      case 'described':
      case 'ready':
      case 'closed':
        return;
    }
  }

  #end(fetchId: number): Fetch | undefined {
    const fetch = this.#fetches.get(fetchId);
    if (!fetch) return undefined;
    this.#fetches.delete(fetchId);
    this.#loads.add(fetch.thread, -fetch.bytes);
    return fetch;
  }

  #post(thread: number, command: NetCommand): void {
    this.#deps.ports[thread]?.post(command);
  }

  #arrived(span: ReadSpan): boolean {
    return this.#deps.pool.holds(span.slot, span.from, span.to);
  }

  /** The thread of the last span whose bytes are still to come; any thread answers when all are there. */
  #threadFor(spans: readonly ReadSpan[]): number {
    for (let at = spans.length - 1; at >= 0; at--) {
      const span = spans[at];
      if (!span || this.#arrived(span)) continue;
      const fetch = this.#fetches.get(span.fetchId);
      if (fetch) return fetch.thread;
    }
    return 0;
  }

  #noteFailure(fetchId: number, errno: number): void {
    for (const read of this.#reads.values()) {
      if (read.spans.some((span) => span.fetchId === fetchId && !this.#arrived(span))) read.failure ??= errno;
    }
  }

  #move(readId: number, from: number): void {
    const read = this.#reads.get(readId);
    // A thread that does not hold the read any more has nothing to say about it.
    if (!read || read.thread !== from) return;
    // Our interrupt and the thread's "not here" may have crossed; the thread held nothing any more then.
    if (read.interrupted) {
      this.#fail(read, EINTR);
      return;
    }
    if (read.failure !== undefined) {
      this.#fail(read, read.failure);
      return;
    }
    const missing = read.spans.filter((span) => !this.#arrived(span));
    if (!missing.every((span) => this.#fetches.has(span.fetchId))) {
      this.#reads.delete(readId);
      read.observer.lost();
      return;
    }
    if (++read.hops > HOPS_MAX) {
      this.#deps.log.error({ readId, from, hops: read.hops }, 'a read was passed on between net threads too often');
      this.#fail(read, EIO);
      return;
    }
    read.thread = this.#threadFor(read.spans);
    this.#post(read.thread, { type: 'park', read: { readId, ticket: read.ticket, spans: read.spans } });
  }

  /** Ends a read that no thread holds. */
  #fail(read: Parked, errno: number): void {
    this.#reads.delete(read.readId);
    if (read.ticket) {
      this.refuse(read.ticket, errno);
      for (const span of read.spans) this.#deps.pool.unpin(span.slot);
    }
    read.observer.over(errno);
  }
}
