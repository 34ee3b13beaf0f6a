/**
 * The prefetcher: opens readers over shared blocks, divides the pool between those that stream, and holds the queue of
 * READs that found it full.
 *
 * Thread: main. Owns: the open readers and the queue. Why a full pool is no deadlock: a slot is filling (its fetch ends
 * within the read deadline), pinned (by a READ that is answered when its fetch ends, or for the length of one writev),
 * evictable, or with a writer (write-slots.ts); a queued READ holds nothing. Of those with writers there are never so many
 * that fewer than READ_SLOTS_MIN are left, and none of the others waits for a writer; so some slots become evictable
 * whatever writers do. Nobody overtakes the queue's head for a slot but writers, each time to have one more, until they
 * have their share: then it gets the two it may need. So a writer may wait for READs (the old bytes of a file that is
 * written) with slots in its hands, and a READ never waits for a writer.
 * Bound: the queue holds at most as many READs as the kernel has under way.
 * Refuses to read ahead for a closed handle, and for anybody while the queue is not empty.
 */
import type { Clock, Timer } from '../base/clock.js';
import { LatencyHistogram, type BucketCounts } from '../base/latency-histogram.js';
import type { Log } from '../base/log.js';
import { BlockTable } from '../base/pool/block-table.js';
import { BLOCK_BYTES } from '../base/pool/layout.js';
import type { PoolView } from '../base/pool/pool-view.js';
import type { DataPlane } from '../engine/data-plane.js';
import type { ObjectReader, ObjectVersion, Prefetcher, Speculator } from './api.js';
import { BlockFetcher } from './block-fetcher.js';
import { BlockIndex } from './block-index.js';
import { PooledReader, type ReaderHost } from './object-reader.js';
import type { PendingRead } from './pending-read.js';
import { ReadAround } from './read-around.js';
import { WholeReads } from './whole-reads.js';
import { WindowLimit } from './window-limit.js';
import { PoolWriteSlots } from './write-slots.js';

/** A reader thread's pin ends without a message, so the queue is looked at again after this long. */
const STARVED_RETRY_MS = 2;

/** A stream that nobody read for this long gives its share back until it is read again (guessed: a slow training step). */
const IDLE_STREAM_MS = 2000;

/** Slots that each stream keeps for what it is reading now: a READ touches two blocks. */
const SLOTS_IN_USE = 2;

export interface PoolPrefetcherOptions {
  /** Largest GET of a stream, bytes: asked whenever one is planned. */
  readonly partBytes: () => number;
  /** Fetch the rest of a block around random reads, where that pays; on by default. */
  readonly readAround?: boolean;
  /** Fill freed slots, to show a read after release (tests). */
  readonly checked?: boolean;
}

export interface PoolPrefetcherDeps {
  readonly view: PoolView;
  readonly plane: DataPlane;
  readonly clock: Clock;
  readonly log: Log;
  /** The store no longer has this version: what the file system knows of its name is out of date. */
  readonly versionLost: (nodeId: number, etag: string) => void;
}

export class PoolPrefetcher implements Prefetcher, Speculator, ReaderHost {
  readonly fetcher: BlockFetcher;
  readonly index: BlockIndex;
  readonly wholeReads = new WholeReads();
  readonly around: ReadAround;
  /** The part of the pool that writers may have. */
  readonly writeSlots: PoolWriteSlots;
  readonly #deps: PoolPrefetcherDeps;
  readonly #readers = new Set<PooledReader>();
  readonly #readersByNode = new Map<number, number>();
  /** Versions that the kernel forgot while READs of them were still on their way. */
  readonly #forgotten = new Set<number>();
  /** Nodes that are written, or were until lately: READs of the version before may still be on their way. */
  readonly #secluded = new Map<number, { readonly before: Set<PooledReader>; isOver: boolean }>();
  /** Streams in the order of their last read, with its time. */
  readonly #streams = new Map<PooledReader, number>();
  readonly #queue: PendingRead[] = [];
  /** They need requests for objects that are being renamed. */
  readonly #heldReads: PendingRead[] = [];
  readonly #windowLimit = new WindowLimit();
  readonly #readWaits = new LatencyHistogram();
  #readBytes = 0;
  #waking = false;
  #retry: Timer | undefined;

  constructor(options: PoolPrefetcherOptions, deps: PoolPrefetcherDeps) {
    this.#deps = deps;
    const nowMs = (): number => deps.clock.nowMs();
    this.index = new BlockIndex(new BlockTable(deps.view, { checked: options.checked ?? false }), nowMs, {
      isShared: (nodeId) => (this.#readersByNode.get(nodeId) ?? 0) > 1,
    });
    this.fetcher = new BlockFetcher(
      { partBytes: options.partBytes },
      {
        index: this.index,
        view: deps.view,
        plane: deps.plane,
        log: deps.log,
        nowMs,
        versionLost: deps.versionLost,
        roomMayBe: () => this.#wake(),
      },
    );
    this.writeSlots = new PoolWriteSlots({ index: this.index, clock: deps.clock, roomMayBe: () => this.#wake() });
    this.around = new ReadAround(
      { isOn: options.readAround ?? true },
      { fetcher: this.fetcher, isQuiet: () => !this.crowded && this.#liveStreams() === 0 },
    );
  }

  /** Streams that were read lately. */
  #liveStreams(): number {
    const idleMs = this.#deps.clock.nowMs() - IDLE_STREAM_MS;
    for (const [stream, usedMs] of this.#streams) {
      if (usedMs > idleMs) break;
      this.#streams.delete(stream);
    }
    return this.#streams.size;
  }

  get counts(): { readers: number; streams: number; starved: number } {
    return { readers: this.#readers.size, streams: this.#streams.size, starved: this.#queue.length };
  }

  nowMs(): number {
    return this.#deps.clock.nowMs();
  }

  answered(waitMs: number, bytes: number): void {
    this.#readWaits.add(waitMs);
    this.#readBytes += bytes;
  }

  /** READs that came to this thread: how long each waited until this thread knew of its answer, and what they asked for. */
  get reads(): { readonly waits: BucketCounts; readonly bytes: number } {
    return { waits: this.#readWaits.counts, bytes: this.#readBytes };
  }

  get crowded(): boolean {
    return this.#queue.length > 0;
  }

  open(version: ObjectVersion): ObjectReader {
    const reader = new PooledReader(version, this);
    this.#readers.add(reader);
    this.#readersByNode.set(version.nodeId, (this.#readersByNode.get(version.nodeId) ?? 0) + 1);
    return reader;
  }

  /** Share of the pool that nothing could be put into now, whatever is evicted: on its way, or with writers. */
  get pressure(): number {
    const { usableSlots, lentSlots } = this.index.table;
    return usableSlots === 0 ? 1 : Math.min(1, (this.index.counts.filling + lentSlots) / usableSlots);
  }

  get poolBytes(): number {
    return this.index.table.usableSlots * BLOCK_BYTES;
  }

  speculate(version: ObjectVersion): boolean {
    return !this.crowded && this.fetcher.speculate(version);
  }

  holds(nodeId: number): boolean {
    return this.index.blocksOf(nodeId) !== undefined;
  }

  seclude(nodeId: number): void {
    const secluded = this.#secluded.get(nodeId) ?? { before: new Set(), isOver: false };
    secluded.isOver = false;
    if (this.#readersByNode.has(nodeId)) {
      for (const reader of this.#readers) if (reader.version.nodeId === nodeId) secluded.before.add(reader);
    }
    this.#secluded.set(nodeId, secluded);
    this.around.forget(nodeId);
    this.index.seclude(nodeId);
  }

  share(nodeId: number): void {
    const secluded = this.#secluded.get(nodeId);
    if (!secluded) return;
    secluded.isOver = true;
    this.#shareAgain(nodeId);
  }

  /** READs of the version before, which may be queued or placed again, would fetch its bytes: they come to their end first. */
  #shareAgain(nodeId: number): void {
    const secluded = this.#secluded.get(nodeId);
    if (!secluded?.isOver || secluded.before.size > 0) return;
    this.#secluded.delete(nodeId);
    this.index.share(nodeId);
  }

  forgetVersion(nodeId: number): void {
    this.around.forget(nodeId);
    this.share(nodeId);
    if (this.#readersByNode.has(nodeId)) {
      this.#forgotten.add(nodeId);
      return;
    }
    this.fetcher.release(nodeId);
    this.index.dropVersion(nodeId);
  }

  async hold(key: string): Promise<() => void> {
    await this.fetcher.hold(key);
    return () => {
      this.fetcher.unhold(key);
      for (const read of this.#heldReads.splice(0)) this.place(read);
    };
  }

  settled(nodeId: number): Promise<void> {
    return this.fetcher.settled(nodeId);
  }

  /**
   * Half of the pool is divided between the streams, less when many streams need slots for what they are reading; the
   * rest absorbs random reads and consumed blocks that others may want.
   */
  shareBytes(reader: PooledReader): number {
    const streams = this.#liveStreams() + (this.#streams.has(reader) ? 0 : 1);
    const { usableSlots, lentSlots } = this.index.table;
    const readSlots = usableSlots - lentSlots;
    const slots = Math.max(0, Math.min(readSlots / 2, readSlots - SLOTS_IN_USE * streams));
    return Math.min(this.#windowLimit.bytes(this.nowMs()), Math.floor(slots / streams) * BLOCK_BYTES);
  }

  heldUp(windowBytes: number): void {
    this.#windowLimit.heldUp(windowBytes, this.nowMs());
  }

  streams(reader: PooledReader): void {
    this.#streams.delete(reader);
    this.#streams.set(reader, this.#deps.clock.nowMs());
  }

  place(read: PendingRead): void {
    // Who needs no new slot may pass those that wait for one.
    if (read.tryPlace(this.#queue.length === 0 ? 'any' : 'none')) return;
    if (this.fetcher.isHeld(read.key)) {
      this.#heldReads.push(read);
      read.queued();
      return;
    }
    this.#queue.push(read);
    read.queued();
    this.#scheduleRetry();
  }

  gone(reader: PooledReader): void {
    this.#readers.delete(reader);
    this.#streams.delete(reader);
    const { nodeId } = reader.version;
    if (this.#secluded.get(nodeId)?.before.delete(reader) === true) this.#shareAgain(nodeId);
    const left = (this.#readersByNode.get(nodeId) ?? 1) - 1;
    if (left > 0) {
      this.#readersByNode.set(nodeId, left);
      return;
    }
    this.#readersByNode.delete(nodeId);
    this.fetcher.release(nodeId);
    if (this.#forgotten.delete(nodeId)) this.index.dropVersion(nodeId);
  }

  #scheduleRetry(): void {
    if (this.#retry) return;
    this.#retry = this.#deps.clock.after(STARVED_RETRY_MS, () => {
      this.#retry = undefined;
      this.#wake();
      if (this.#queue.length > 0) this.#scheduleRetry();
    });
  }

  /** Gives writers their share, then places queued READs in order, until one finds no room. */
  #wake(): void {
    // Placing may end other READs, which calls this again: the loop that runs sees to them.
    if (this.#waking) return;
    this.#waking = true;
    try {
      this.writeSlots.serve();
      for (let head = this.#queue[0]; head !== undefined; head = this.#queue[0]) {
        if (this.fetcher.isHeld(head.key)) this.#heldReads.push(head);
        else if (!head.tryPlace('any')) break;
        this.#queue.shift();
      }
    } finally {
      this.#waking = false;
    }
  }
}
