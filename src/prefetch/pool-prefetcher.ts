/**
 * The prefetcher: opens readers over shared blocks, divides the pool between those that stream, and holds the queue of
 * READs that found it full.
 *
 * Thread: main. Owns: the open readers and the queue. Why a full pool is no deadlock: a slot is filling (its fetch ends
 * within the read deadline), pinned (by a READ that is answered when its fetch ends, or for the length of one writev),
 * or evictable; so some slot becomes evictable, and the queue's head gets it. Bound: the queue holds at most as many
 * READs as the kernel has under way. Refuses to read ahead for a closed handle.
 */
import type { Clock, Timer } from '../base/clock.js';
import type { Log } from '../base/log.js';
import { BlockTable } from '../base/pool/block-table.js';
import { BLOCK_BYTES } from '../base/pool/layout.js';
import type { PoolView } from '../base/pool/pool-view.js';
import { MIB } from '../base/units.js';
import type { DataPlane } from '../engine/data-plane.js';
import type { ObjectReader, ObjectVersion, Prefetcher } from './api.js';
import { BlockFetcher } from './block-fetcher.js';
import { BlockIndex } from './block-index.js';
import { PooledReader, type ReaderHost } from './object-reader.js';

/** One stream reads at most this far ahead: 64 MiB keep 8 parts of 8 MiB under way (measured need at 20 ms: 6). */
const WINDOW_BYTES_MAX = 64 * MIB;

/** A reader thread's pin ends without a message, so the queue is looked at again after this long. */
const STARVED_RETRY_MS = 2;

export interface PoolPrefetcherOptions {
  readonly partBytes: number;
  /** Fill freed slots, to show a read after release (tests). */
  readonly checked?: boolean;
}

export interface PoolPrefetcherDeps {
  readonly view: PoolView;
  readonly plane: DataPlane;
  readonly clock: Clock;
  readonly log: Log;
  /** The store no longer has this version: what the file system knows of its name is out of date. */
  readonly versionLost: (nodeId: number) => void;
}

export class PoolPrefetcher implements Prefetcher, ReaderHost {
  readonly fetcher: BlockFetcher;
  readonly index: BlockIndex;
  readonly #deps: PoolPrefetcherDeps;
  readonly #readers = new Set<PooledReader>();
  readonly #readersByNode = new Map<number, number>();
  #starved: (() => void)[] = [];
  #retry: Timer | undefined;

  constructor(options: PoolPrefetcherOptions, deps: PoolPrefetcherDeps) {
    this.#deps = deps;
    this.index = new BlockIndex(new BlockTable(deps.view, { checked: options.checked ?? false }));
    this.fetcher = new BlockFetcher(
      { partBytes: options.partBytes },
      {
        index: this.index,
        view: deps.view,
        plane: deps.plane,
        log: deps.log,
        versionLost: deps.versionLost,
        roomMayBe: () => this.#wakeStarved(),
      },
    );
  }

  get counts(): { readers: number; starved: number } {
    return { readers: this.#readers.size, starved: this.#starved.length };
  }

  open(version: ObjectVersion): ObjectReader {
    const reader = new PooledReader(version, this);
    this.#readers.add(reader);
    this.#readersByNode.set(version.nodeId, (this.#readersByNode.get(version.nodeId) ?? 0) + 1);
    return reader;
  }

  forgetVersion(nodeId: number): void {
    if (this.#readersByNode.has(nodeId)) return;
    this.fetcher.cancelVersion(nodeId);
    this.index.dropVersion(nodeId);
  }

  /** Half of the pool is divided between the streams; the rest absorbs random reads and blocks not yet consumed. */
  windowBytesMax(reader: PooledReader): number {
    let streams = reader.streaming ? 0 : 1;
    for (const other of this.#readers) if (other.streaming) streams++;
    const poolBytes = this.#deps.view.memory.slotCount * BLOCK_BYTES;
    const share = poolBytes / 2 / Math.max(1, streams);
    return Math.max(BLOCK_BYTES, Math.floor(Math.min(WINDOW_BYTES_MAX, share) / BLOCK_BYTES) * BLOCK_BYTES);
  }

  starved(again: () => void): void {
    this.#starved.push(again);
    this.#scheduleRetry();
  }

  closed(reader: PooledReader): void {
    this.#readers.delete(reader);
    const { nodeId } = reader.version;
    const left = (this.#readersByNode.get(nodeId) ?? 1) - 1;
    if (left > 0) {
      this.#readersByNode.set(nodeId, left);
      return;
    }
    this.#readersByNode.delete(nodeId);
    this.fetcher.cancelVersion(nodeId);
  }

  #scheduleRetry(): void {
    if (this.#retry) return;
    this.#retry = this.#deps.clock.after(STARVED_RETRY_MS, () => {
      this.#retry = undefined;
      this.#wakeStarved();
      if (this.#starved.length > 0) this.#scheduleRetry();
    });
  }

  /** Every queued READ tries once, in order; who still finds no room queues again, behind nobody that waits longer. */
  #wakeStarved(): void {
    if (this.#starved.length === 0) return;
    const waiting = this.#starved;
    this.#starved = [];
    for (const [at, again] of waiting.entries()) {
      again();
      if (this.#starved.length > 0) {
        this.#starved.push(...waiting.slice(at + 1));
        return;
      }
    }
  }
}
