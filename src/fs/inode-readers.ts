/**
 * Reading without opens (`--immutable`): the kernel was told once that OPEN and FLUSH are not needed (ENOSYS, kernel fact
 * 24), so READs come with handle 0, nobody says when a file is closed, and the pinned ETag and the cursors belong to the
 * node. A reader is made by the first READ of a node, or by the first note that a reader thread answered one.
 * It ends when the kernel forgets the node, when nobody used it for IDLE_MS, or as the least recently used of READERS_MAX;
 * the next READ makes another, and what was read stays in the kernel's page cache all the while.
 * Refuses to count opens: there are none.
 */
import { LRUCache } from 'lru-cache';
import type { Clock, Timer } from '../base/clock.js';
import type { ReadReply } from '../fuse/handlers.js';
import type { ObjectReader, Prefetcher } from '../prefetch/api.js';
import { WatchedSink, type ReadWatch } from './file-handles.js';
import type { FileNode, InodeTable } from './inode-table.js';

/** Nodes that are being read, or were lately (about 1 KiB each): more than a machine's DataLoader workers have open. */
export const READERS_MAX = 1024;

/**
 * A node that nobody read for this long gives its window back (guessed: longer than a training step, shorter than
 * somebody waits for the memory of a reader that was killed).
 */
export const IDLE_MS = 30_000;

export interface InodeReadersDeps extends ReadWatch {
  readonly table: InodeTable;
  readonly prefetcher: Prefetcher;
  readonly clock: Clock;
  /** The node is read again after a pause; `first` when it never was before. Stands for the OPEN that does not come. */
  readonly began: (node: FileNode, first: boolean) => void;
}

interface InodeReader {
  readonly reader: ObjectReader;
  usedMs: number;
}

export class InodeReaders {
  readonly #deps: InodeReadersDeps;
  readonly #readers: LRUCache<number, InodeReader>;
  #sweep: Timer | undefined;

  constructor(deps: InodeReadersDeps, readersMax = READERS_MAX) {
    this.#deps = deps;
    this.#readers = new LRUCache<number, InodeReader>({ max: readersMax, dispose: ({ reader }) => reader.close() });
  }

  get size(): number {
    return this.#readers.size;
  }

  /** Is the node being read, so that nothing about it needs to be asked? */
  has(node: FileNode): boolean {
    return this.#readers.has(node.nodeId);
  }

  read(node: FileNode, offset: number, sizeBytes: number, reply: ReadReply): void {
    const clampedBytes = Math.min(sizeBytes, node.sizeBytes - offset);
    if (clampedBytes <= 0) reply.data([]);
    else this.#reader(node).read(offset, clampedBytes, new WatchedSink(reply, node, this.#deps));
  }

  /** A reader thread answered this range by itself. */
  accessed(node: FileNode, offset: number, sizeBytes: number): void {
    if (node.sizeBytes > 0) this.#reader(node).accessed(offset, sizeBytes);
  }

  /** The kernel forgot the node. */
  forgotten(nodeId: number): void {
    this.#readers.delete(nodeId);
  }

  closeAll(): void {
    this.#sweep?.cancel();
    this.#sweep = undefined;
    this.#readers.clear();
  }

  #reader(node: FileNode): ObjectReader {
    const nowMs = this.#deps.clock.nowMs();
    const known = this.#readers.get(node.nodeId);
    if (known) {
      known.usedMs = nowMs;
      return known.reader;
    }
    const { nodeId, key, etag, sizeBytes } = node;
    const reader = this.#deps.prefetcher.open({ nodeId, key, etag, sizeBytes });
    const first = !node.wasOpened;
    this.#deps.table.noteRead(node);
    this.#readers.set(nodeId, { reader, usedMs: nowMs });
    this.#deps.began(node, first);
    this.#scheduleSweep(IDLE_MS);
    return reader;
  }

  #scheduleSweep(waitMs: number): void {
    this.#sweep ??= this.#deps.clock.after(waitMs, () => {
      this.#sweep = undefined;
      this.#closeIdle();
    });
  }

  /** Oldest first, until one that is still in use; comes again when that one's time may be over. */
  #closeIdle(): void {
    const nowMs = this.#deps.clock.nowMs();
    for (const nodeId of [...this.#readers.rkeys()]) {
      const leftMs = (this.#readers.peek(nodeId)?.usedMs ?? 0) + IDLE_MS - nowMs;
      if (leftMs > 0) {
        this.#scheduleSweep(leftMs);
        return;
      }
      this.#readers.delete(nodeId);
    }
  }
}
