/**
 * A file system that writes, over a bucket in memory, with small slots and a spool in a directory of its own; and what a
 * program does with one of its files, as promises of plain values.
 */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { ManualClock } from '../../../src/base/clock.js';
import { MappedJournal, type JournalMemory } from '../../../src/base/journal/state-journal.js';
import { MIB } from '../../../src/base/units.js';
import { ErrnoError, ESTALE } from '../../../src/base/errno.js';
import type { RequestContext } from '../../../src/fuse/handlers.js';
import { S3FileSystem, type FileSystemOptions } from '../../../src/fs/file-system.js';
import type { FlushedBy, FlushWitness } from '../../../src/fs/writing/flush-witness.js';
import { SpoolDirectory } from '../../../src/fs/writing/spool.js';
import { defaultWriting, type WritingOptions } from '../../../src/fs/writing/writing-options.js';
import { LineLog, MiniKernel, context, defaultOptions, ROOT } from '../../support/memory-store-kernel.js';
import { MemorySlots } from '../../support/memory-slots.js';
import { MemoryStore } from '../../support/memory-store.js';
import { MemoryPrefetcher } from '../../support/memory-store-reader.js';
import { MemoryWriter } from '../../support/memory-store-writer.js';

export const O_RDONLY = 0;
export const O_WRONLY = 1;
export const O_RDWR = 2;
export const O_CREAT = 0o100;
export const O_EXCL = 0o200;
export const O_TRUNC = 0o1000;

/** Says of each process what the test told it to. */
export class ToldWitness implements FlushWitness {
  readonly told = new Map<number, FlushedBy>();
  openerOf(pid: number): number {
    return pid;
  }
  flushedBy(pid: number, opener: number): FlushedBy {
    return this.told.get(pid) ?? (pid === opener ? 'opener' : 'other');
  }
}

/** A journal's memory, as a kill leaves it: a later bench takes a copy. */
export function journalMemory(of?: Uint8Array): JournalMemory & { readonly bytes: Uint8Array<ArrayBuffer> } {
  const bytes = new Uint8Array(4096 + 4 * MIB);
  if (of) bytes.set(of);
  return { bytes, reserve: () => true, clear: (offset, length) => bytes.fill(0, offset, offset + length) };
}

export interface WriteBenchOptions {
  /** What happens is recorded for a successor. */
  readonly journalled?: boolean;
  /** The process that sees to it that there is a successor. */
  readonly keeper?: { readonly pid: number; readonly pidStart: string };
  /** The bench of a daemon that was killed just now: same bucket, same spool, what it recorded. */
  readonly after?: WriteBench;
  readonly slots?: number;
  readonly store?: MemoryStore;
  readonly writing?: Partial<WritingOptions>;
  readonly fs?: Partial<FileSystemOptions>;
}

export class WriteBench {
  readonly store: MemoryStore;
  readonly memory: ReturnType<typeof journalMemory> | undefined;
  readonly slots: MemorySlots;
  readonly writer: MemoryWriter;
  readonly prefetcher: MemoryPrefetcher;
  readonly clock = new ManualClock();
  readonly log = new LineLog();
  readonly witness = new ToldWitness();
  readonly generation: number;
  /** What the kernel answers when it is to drop bytes of a file. */
  dropped: (nodeId: number, offset: number) => Promise<void> = () => Promise.resolve();
  /** What requests from now on say of themselves beside. */
  asked: { readonly id?: number; readonly isResent?: boolean; readonly signal?: AbortSignal } = {};
  readonly spoolPath: string;
  readonly spool: SpoolDirectory;
  readonly fs: S3FileSystem;
  readonly kernel: MiniKernel;

  constructor(t: Test, options: WriteBenchOptions = {}) {
    const { after } = options;
    this.store = after?.store ?? options.store ?? new MemoryStore();
    this.memory = after || options.journalled === true ? journalMemory(after?.memory?.bytes) : undefined;
    this.slots = new MemorySlots(options.slots ?? 64);
    this.writer = new MemoryWriter(this.store, this.slots);
    this.writer.partBytesMin = options.writing?.partBytesMin ?? this.writer.partBytesMin;
    if (after) this.writer.goOn(after.writer);
    this.prefetcher = new MemoryPrefetcher(this.store);
    this.spoolPath = after?.spoolPath ?? mkdtempSync(join(tmpdir(), 'mount-s3x-spool-'));
    if (!after) t.teardown(() => rmSync(this.spoolPath, { recursive: true, force: true }));
    this.generation = after ? after.generation + 1 : 0;
    const spoolId = after ? `test${this.generation}` : 'test';
    this.spool = new SpoolDirectory(this.spoolPath, spoolId, {
      ...{ bucket: 'bucket', mountPoint: '/mnt' },
      ...(options.keeper && { keeper: options.keeper }),
    });
    this.fs = new S3FileSystem(
      {
        ...defaultOptions,
        readOnly: false,
        limits: { nameFactsMax: 256, watchedDirectoriesMax: 64 },
        writing: { ...defaultWriting, ...options.writing },
        firstNodeId: 2 + this.generation * 2 ** 40,
        ...options.fs,
      },
      {
        store: this.store,
        prefetcher: this.prefetcher,
        clock: this.clock,
        log: this.log,
        writer: this.writer,
        writeSlots: this.slots,
        spool: this.spool,
        witness: this.witness,
        bytesChanged: (nodeId, offset) => this.dropped(nodeId, offset),
        ...(this.memory && { journal: new MappedJournal(this.memory) }),
      },
    );
    this.kernel = new MiniKernel(this.fs);
  }

  /** Spool files: what is left of journals counts as well. */
  get spooled(): string[] {
    return readdirSync(this.spoolPath).sort();
  }

  /** An object's bytes, as the command line would get them from the store. */
  readonly readObject = (key: string, etag: string, from: number, to: number): Promise<Uint8Array> => {
    const object = this.store.objects.get(key);
    if (object?.etag !== etag) throw new ErrnoError(ESTALE);
    return Promise.resolve(object.body.subarray(from, to));
  };

  context(pid = 42): RequestContext {
    return { ...context(), pid, ...this.asked };
  }

  /** Makes a file in the root. */
  async create(name: string, flags = O_WRONLY | O_CREAT, pid = 42): Promise<TestFile> {
    const { entry, open } = await this.fs.create(this.context(pid), ROOT, name, 0o644, flags);
    return new TestFile(this, entry.nodeId, open.handle, pid);
  }

  async open(name: string, flags: number, pid = 42): Promise<TestFile> {
    const entry = await this.kernel.lookup(ROOT, name);
    if (!entry) throw new Error(`no ${name}`);
    const { handle } = await this.fs.open(this.context(pid), entry.nodeId, flags);
    return new TestFile(this, entry.nodeId, handle, pid);
  }

  /** The program's end of a handle that another daemon gave. */
  same(file: TestFile): TestFile {
    return new TestFile(this, file.nodeId, file.handle, file.pid);
  }

  /** The object's bytes; undefined when there is none. */
  object(key: string): string | undefined {
    return this.store.text(key);
  }
}

/** An open file, as a program has it. */
export class TestFile {
  readonly bench: WriteBench;
  readonly nodeId: number;
  readonly handle: number;
  readonly pid: number;

  constructor(bench: WriteBench, nodeId: number, handle: number, pid: number) {
    this.bench = bench;
    this.nodeId = nodeId;
    this.handle = handle;
    this.pid = pid;
  }

  /** `loaned`: the bytes come in a slot, if one is to be had. */
  async write(offset: number, data: string | Uint8Array, loaned = false): Promise<number> {
    const bytes = typeof data === 'string' ? Buffer.from(data) : data;
    const { fs, slots } = this.bench;
    const slot = loaned ? slots.take() : undefined;
    if (slot === undefined) {
      // What comes through the ring is gone when the answer is there.
      const borrowed = Buffer.from(bytes);
      const written = await fs.write(this.#context(), this.nodeId, this.handle, offset, borrowed, 0);
      borrowed.fill(0xdd);
      return written;
    }
    const place = slots.bytes(slot, 0, bytes.length);
    place.set(bytes);
    let isAdopted = false;
    const adopt = (): number => {
      isAdopted = true;
      return slot;
    };
    try {
      return await fs.write(this.#context(), this.nodeId, this.handle, offset, place, 0, { slot, adopt });
    } finally {
      if (!isAdopted) slots.give(slot);
    }
  }

  read(offset: number, sizeBytes: number): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      this.bench.fs.read(this.#context(), this.nodeId, this.handle, offset, sizeBytes, {
        ticket: undefined,
        data: (parts) => resolve(Buffer.concat(parts)),
        error: (errno) => reject(new ErrnoError(errno)),
        handedOver: () => ({ finished: () => undefined }),
      });
    });
  }

  async flush(pid = this.pid): Promise<void> {
    await this.bench.fs.flush(this.bench.context(pid), this.nodeId, this.handle);
  }

  async fsync(): Promise<void> {
    await this.bench.fs.fsync(this.#context(), this.nodeId, this.handle);
  }

  async truncate(sizeBytes: number): Promise<void> {
    await this.bench.fs.setattr(this.#context(), this.nodeId, { sizeBytes, handle: this.handle });
  }

  async release(): Promise<void> {
    await this.bench.fs.release(this.#context(), this.nodeId, this.handle);
  }

  /** close(2) of the only descriptor. */
  async close(): Promise<void> {
    try {
      await this.flush();
    } finally {
      await this.release();
    }
  }

  size(): number {
    return this.bench.fs.getattr(this.#context(), this.nodeId).attributes.sizeBytes;
  }

  #context(): RequestContext {
    return this.bench.context(this.pid);
  }
}
