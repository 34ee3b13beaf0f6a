/**
 * A kernel in miniature for file-system tests: it calls the handlers as the dispatcher does, keeps the lookup counts that
 * it owes, and never caches, so that every question reaches the file system.
 */
import { ENOENT, ErrnoError } from '../../src/base/errno.js';
import type { DirectoryItem, Entry, FuseHandlers, RequestContext } from '../../src/fuse/handlers.js';
import { S3FileSystem, type FileSystemOptions } from '../../src/fs/file-system.js';
import { ManualClock } from '../../src/base/clock.js';
import type { Log, LogFields } from '../../src/base/log.js';
import { MemoryStore } from './memory-store.js';
import { MemoryPrefetcher } from './memory-store-reader.js';

export const ROOT = 1;

export interface Listed {
  readonly item: DirectoryItem;
  readonly entry: Entry | undefined;
}

/** Lines that were logged, for tests that want to see them. */
export class LineLog implements Log {
  readonly lines: { readonly level: string; readonly fields: LogFields; readonly message: string }[] = [];
  #keep(level: string): (fields: LogFields, message: string) => void {
    return (fields, message) => void this.lines.push({ level, fields, message });
  }
  trace = this.#keep('trace');
  debug = this.#keep('debug');
  info = this.#keep('info');
  warn = this.#keep('warn');
  error = this.#keep('error');
}

export const defaultOptions: FileSystemOptions = {
  prefix: '',
  uid: 1000,
  gid: 100,
  dirMode: 0o755,
  fileMode: 0o644,
  metadataTtlMs: 1000,
  negativeMetadataTtlMs: 1000,
  readOnly: true,
};

export function context(abort = new AbortController()): RequestContext {
  return { uid: 1000, gid: 100, pid: 42, signal: abort.signal };
}

export class MiniKernel {
  readonly fs: FuseHandlers;
  /** Lookups that the kernel holds of each node. */
  readonly counts = new Map<number, number>();

  constructor(fs: FuseHandlers) {
    this.fs = fs;
  }

  /** LOOKUP; undefined for a name that does not exist. */
  async lookup(parent: number, name: string, ctx = context()): Promise<Entry | undefined> {
    try {
      const entry = await this.fs.lookup(ctx, parent, name);
      if (entry.nodeId === 0) return undefined;
      this.#count(entry.nodeId);
      return entry;
    } catch (error) {
      if (error instanceof ErrnoError && error.errno === ENOENT) return undefined;
      throw error;
    }
  }

  /** Walks a path from the root. */
  async walk(path: string): Promise<Entry | undefined> {
    let parent = ROOT;
    let entry: Entry | undefined;
    for (const name of path.split('/')) {
      entry = await this.lookup(parent, name);
      if (!entry) return undefined;
      parent = entry.nodeId;
    }
    return entry;
  }

  /** One READDIR(PLUS) reply that takes at most `room` entries. */
  async readdirOnce(nodeId: number, handle: number, offset: number, plus: boolean, room = Infinity): Promise<Listed[]> {
    const listed: Listed[] = [];
    await this.fs.readdir(context(), nodeId, handle, offset, {
      plus,
      add: (item, entry) => {
        if (listed.length >= room) return false;
        listed.push({ item, entry });
        if (entry) this.#count(entry.nodeId);
        return true;
      },
    });
    return listed;
  }

  async opendir(nodeId: number): Promise<number> {
    return (await this.fs.opendir(context(), nodeId, 0)).handle;
  }

  /** Reads a whole directory, `room` entries a reply, without `.` and `..`. */
  async readdir(nodeId: number, plus = false, room = Infinity): Promise<Listed[]> {
    const handle = await this.opendir(nodeId);
    const all: Listed[] = [];
    let offset = 0;
    for (;;) {
      const some = await this.readdirOnce(nodeId, handle, offset, plus, room);
      const last = some.at(-1);
      if (!last) break;
      offset = last.item.nextOffset;
      all.push(...some);
    }
    await this.fs.releasedir(context(), nodeId, handle);
    return all.filter(({ item }) => item.name !== '.' && item.name !== '..');
  }

  async names(nodeId: number): Promise<string[]> {
    return (await this.readdir(nodeId)).map(({ item }) => item.name);
  }

  /** One READ; a negative number is the errno. Undefined: another thread answered. */
  read(nodeId: number, handle: number, offset: number, sizeBytes: number): string | number | undefined {
    let answer: string | number | undefined;
    this.fs.read(context(), nodeId, handle, offset, sizeBytes, {
      ticket: undefined,
      data: (parts) => {
        answer = Buffer.concat(parts).toString();
      },
      error: (errno) => {
        answer = -errno;
      },
      handedOver: () => ({ finished: () => undefined }),
    });
    return answer;
  }

  forget(nodeId: number, count = 1): void {
    const held = this.counts.get(nodeId) ?? 0;
    if (held < count) throw new Error(`the mini kernel forgets node ${nodeId} too often`);
    if (held === count) this.counts.delete(nodeId);
    else this.counts.set(nodeId, held - count);
    this.fs.forget(nodeId, count);
  }

  forgetAll(): void {
    for (const [nodeId, count] of [...this.counts]) this.forget(nodeId, count);
  }

  #count(nodeId: number): void {
    this.counts.set(nodeId, (this.counts.get(nodeId) ?? 0) + 1);
  }
}

export interface Bench {
  readonly store: MemoryStore;
  readonly prefetcher: MemoryPrefetcher;
  readonly clock: ManualClock;
  readonly log: LineLog;
  readonly fs: S3FileSystem;
  readonly kernel: MiniKernel;
}

/** A file system over a memory store, with the clock in the test's hands; `ahead`: it fetches small files ahead. */
export function makeBench(options: Partial<FileSystemOptions> = {}, store = new MemoryStore(), ahead = false): Bench {
  const prefetcher = new MemoryPrefetcher(store);
  const clock = new ManualClock();
  const log = new LineLog();
  // lru-cache allocates its tables at once: small ones, for tests that make hundreds of file systems.
  const limits = { nameFactsMax: 256, watchedDirectoriesMax: 64, ...options.limits };
  const fs = new S3FileSystem(
    { ...defaultOptions, ...options, limits },
    { store, prefetcher, clock, log, ...(ahead ? { speculator: prefetcher } : {}) },
  );
  return { store, prefetcher, clock, log, fs, kernel: new MiniKernel(fs) };
}

/** Lets everything run that needs no clock. */
export async function settle(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

/** Resolves to the errno that `work` throws, 0 when it does not throw. */
export async function errnoOf(work: () => unknown): Promise<number> {
  try {
    await work();
    return 0;
  } catch (error) {
    if (error instanceof ErrnoError) return error.errno;
    throw error;
  }
}
