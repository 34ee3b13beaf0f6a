/**
 * A mount's life over the deaths of its daemons, for file-system tests: each daemon is a file system of its own over the same
 * memory store and the journal that the last one left. The kernel in miniature stays.
 */
import { ManualClock } from '../../src/base/clock.js';
import { HEADER_BYTES, MappedJournal, type JournalMemory } from '../../src/base/journal/state-journal.js';
import type { RequestContext } from '../../src/fuse/handlers.js';
import { S3FileSystem, type FileSystemOptions } from '../../src/fs/file-system.js';
import { context, defaultOptions, LineLog, MiniKernel } from './memory-store-kernel.js';
import { MemoryStore } from './memory-store.js';
import { MemoryPrefetcher } from './memory-store-reader.js';

const HALF_BYTES = 64 * 1024;
const GENERATION_IDS = 2 ** 40;

function journalMemory(bytes: Uint8Array<ArrayBuffer>): JournalMemory {
  return { bytes, reserve: () => true, clear: (offset, count) => void bytes.fill(0, offset, offset + count) };
}

export class HeirBench {
  readonly store: MemoryStore;
  readonly log = new LineLog();
  readonly #options: Partial<FileSystemOptions>;
  readonly #halfBytes: number;
  generation: number;
  clock = new ManualClock();
  memory: Uint8Array<ArrayBuffer>;
  /** What the kernel answers when it is to drop bytes of a file. */
  dropped: (nodeId: number, offset: number) => Promise<void> = () => Promise.resolve();
  fs: S3FileSystem;
  kernel: MiniKernel;

  constructor(
    options: Partial<FileSystemOptions> = {},
    { store = new MemoryStore(), generation = 0, halfBytes = HALF_BYTES } = {},
  ) {
    this.#options = options;
    this.#halfBytes = halfBytes;
    this.store = store;
    this.generation = generation;
    this.memory = new Uint8Array(HEADER_BYTES + 2 * halfBytes);
    this.fs = this.#daemon();
    this.kernel = new MiniKernel(this.fs);
  }

  /** The daemon is killed, and another takes over. The dead one stays as it was, and has no say any more. */
  kill(): void {
    this.generation++;
    this.memory = this.memory.slice();
    this.clock = new ManualClock();
    this.fs = this.#daemon();
    const { counts } = this.kernel;
    this.kernel = new MiniKernel(this.fs);
    for (const [nodeId, count] of counts) this.kernel.counts.set(nodeId, count);
  }

  #daemon(): S3FileSystem {
    const { store, clock, log } = this;
    const limits = { nameFactsMax: 256, watchedDirectoriesMax: 64, ...this.#options.limits };
    const firstNodeId = this.generation * GENERATION_IDS + 2;
    return new S3FileSystem(
      { ...defaultOptions, firstNodeId, ...this.#options, limits },
      {
        store,
        clock,
        log,
        bytesChanged: (nodeId, offset) => this.dropped(nodeId, offset),
        prefetcher: new MemoryPrefetcher(store),
        journal: new MappedJournal(journalMemory(this.memory), { halfBytes: this.#halfBytes }),
      },
    );
  }
}

let nextId = 2;

/** A request with a number; sent again when `again` gives it. */
export function numbered(again?: RequestContext): RequestContext {
  if (again?.id !== undefined) return { ...context(), id: again.id, isResent: true };
  nextId += 2;
  return { ...context(), id: nextId, isResent: false };
}
