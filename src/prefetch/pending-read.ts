/**
 * One READ from its arrival to its answer: placed at once, or queued until there is room and then placed, or interrupted.
 * Answered by this thread when its bytes are resident, otherwise by the net thread that brings them.
 *
 * Thread: main. Owns: the pins of its blocks until they are given to the net thread with the READ.
 * A READ waits for nothing but its own bytes, and never holds a pin while it is queued: otherwise READs that wait for
 * room could hold all of it. Bound: PLACINGS_MAX. Refuses to answer short: only the object's end shortens a reply
 * (kernel fact 5).
 */
import { EINTR, EIO } from '../base/errno.js';
import type { ReadSpan } from '../engine/api.js';
import type { ObjectVersion, ReadSink } from './api.js';
import type { BlockFetcher } from './block-fetcher.js';
import { pageCeil, pageFloor } from './block-ranges.js';

/** A READ whose fetch was cancelled under it is placed again this often: more means that our reasoning is wrong. */
const PLACINGS_MAX = 4;

export interface ReadRange {
  readonly version: ObjectVersion;
  readonly offset: number;
  /** Not past the object's end, and at most BLOCK_BYTES after `offset`. */
  readonly endOffset: number;
  /** Fetch whole blocks (a stream), not only these bytes. */
  readonly whole: boolean;
}

export interface PendingReadDeps {
  readonly fetcher: BlockFetcher;
  /** Places it again, or queues it: nobody holds it. */
  readonly place: (read: PendingRead) => void;
  /** Answered. */
  readonly over: () => void;
}

export class PendingRead {
  readonly #range: ReadRange;
  readonly #sink: ReadSink;
  readonly #deps: PendingReadDeps;
  #placings = 0;
  #handover: { finished(): void } | undefined;
  /** The plane's number while a net thread has it. */
  #readId: number | undefined;
  /** The kernel had interrupted it before it was handed over. */
  #interruptedEarly = false;
  #over = false;

  constructor(range: ReadRange, sink: ReadSink, deps: PendingReadDeps) {
    this.#range = range;
    this.#sink = sink;
    this.#deps = deps;
  }

  /** Of the object, as it is now. */
  get key(): string {
    return this.#range.version.key;
  }

  /**
   * Answers or parks the READ. False when that takes room that there is not, or `room` is 'none' and it would take any:
   * the caller queues it and tries again. True also when it was interrupted meanwhile.
   */
  tryPlace(room: 'any' | 'none'): boolean {
    if (this.#over) return true;
    const { version, offset, endOffset, whole } = this.#range;
    const { fetcher } = this.#deps;
    // A random read is fetched exactly, rounded to the kernel's page.
    const exact = whole
      ? undefined
      : {
          from: pageFloor(offset),
          to: pageCeil(endOffset, version.sizeBytes),
        };
    const spans = fetcher.need(version, offset, endOffset, exact, room);
    if (!spans) return false;
    const resident = spans.every(({ slot, from, to }) => fetcher.view.holds(slot, from, to));
    // Once the dispatcher was told that another thread answers, one does, bytes resident or not.
    if (resident && (!this.#handover || !this.#sink.ticket)) this.#answer(spans);
    else this.#park(spans);
    return true;
  }

  /** The READ has to wait for room: from now on the kernel may interrupt it. */
  queued(): void {
    if (!this.#handOver()) this.#refuse(EINTR);
  }

  #answer(spans: readonly ReadSpan[]): void {
    const { view } = this.#deps.fetcher;
    try {
      this.#sink.data(spans.map((span) => view.bytes(span.slot, span.from, span.to)));
    } finally {
      for (const span of spans) view.unpin(span.slot);
      this.#end();
    }
  }

  #park(spans: readonly ReadSpan[]): void {
    const { fetcher } = this.#deps;
    if (!this.#handOver()) {
      for (const span of spans) fetcher.view.unpin(span.slot);
      this.#refuse(EINTR);
      return;
    }
    this.#placings++;
    this.#readId = fetcher.plane.park(spans, this.#sink.ticket, {
      over: (errno) => this.#parkedOver(spans, errno),
      lost: () => this.#lost(spans),
    });
  }

  #parkedOver(spans: readonly ReadSpan[], errno: number): void {
    this.#readId = undefined;
    if (this.#sink.ticket) this.#end();
    else if (errno === 0) this.#answer(spans);
    else {
      for (const span of spans) this.#deps.fetcher.view.unpin(span.slot);
      this.#refuse(errno);
    }
    this.#deps.fetcher.roomMayBe();
  }

  /** The fetch was cancelled when this READ had joined it already: it is asked again. */
  #lost(spans: readonly ReadSpan[]): void {
    this.#readId = undefined;
    for (const span of spans) this.#deps.fetcher.view.unpin(span.slot);
    if (this.#placings < PLACINGS_MAX) {
      this.#deps.place(this);
      return;
    }
    const { version, offset } = this.#range;
    const fields = { key: version.key, offset, placings: this.#placings };
    this.#deps.fetcher.log.error(
      fields,
      `a READ of '${version.key}' is answered EIO: its fetch was cancelled ${this.#placings} times`,
    );
    this.#refuse(EIO);
  }

  /**
   * False when the kernel interrupted it before: handing over says so at once. A sink without a ticket is answered on this
   * thread, sooner or later, and is never handed over (nor interrupted).
   */
  #handOver(): boolean {
    if (!this.#sink.ticket) return true;
    this.#handover ??= this.#sink.handedOver(() => this.#interrupt());
    return !this.#interruptedEarly;
  }

  #interrupt(): void {
    if (this.#over) return;
    if (!this.#handover) this.#interruptedEarly = true;
    else if (this.#readId !== undefined) this.#deps.fetcher.plane.interrupt(this.#readId);
    else this.#refuse(EINTR);
  }

  #refuse(errno: number): void {
    if (this.#sink.ticket && this.#handover) this.#deps.fetcher.plane.refuse(this.#sink.ticket, errno);
    else this.#sink.error(errno);
    this.#end();
  }

  #end(): void {
    this.#over = true;
    this.#handover?.finished();
    this.#deps.over();
  }
}
