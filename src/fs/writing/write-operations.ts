/**
 * The kernel's operations on files that are written, spelled in terms of WrittenFiles: which handle may write, and when what
 * was written becomes the object. docs/SEMANTICS.md, "Writing", says what is promised.
 *
 * When is a file whole? At fsync; at the FLUSH that a close by the process which opened it sends, if bytes were written since
 * the last commit; and when its last writer is released, for what is left: files made and never written, writes of a
 * mapping after the last FLUSH, descriptors that others inherited. A file that was only truncated by its open waits for the
 * last of these too: shells open a file for a command, and close their own copy of it before the command has begun.
 * A FLUSH of a process that a signal killed publishes nothing, then or later (kernel facts 16 to 18, docs/KERNEL.md), if
 * anything came through its handle since the last commit: who only waited for the lock on a file tears nothing of it.
 *
 * Thread: main. Owns: what is known of handles that write. Refuses to know where bytes are.
 */
import { EBADF, EEXIST, EOPNOTSUPP, ErrnoError } from '../../base/errno.js';
import type { MaybePromise, RequestContext, WriteLoan } from '../../fuse/handlers.js';
import type { ReadSink } from '../../prefetch/api.js';
import type { FaultLog } from '../fault-log.js';
import type { UnsavedContent } from '../file-handles.js';
import type { FileNode, InodeTable } from '../inode-table.js';
import type { FileRecords, WriterRecord } from './file-records.js';
import type { FlushWitness, OpenerId } from './flush-witness.js';
import { ANY_HANDLE, type WrittenEntry } from './written-entry.js';
import type { WrittenFiles } from './written-files.js';

const O_ACCMODE = 0o3;
const O_WRONLY = 0o1;
const O_EXCL = 0o200;
const O_TRUNC = 0o1000;

const FALLOC_FL_KEEP_SIZE = 0x01;
const FALLOC_FL_PUNCH_HOLE = 0x02;
const FALLOC_FL_ZERO_RANGE = 0x10;

/** Does such an open want to write? */
export function wantsToWrite(flags: number): boolean {
  return (flags & O_ACCMODE) !== 0 || (flags & O_TRUNC) !== 0;
}

export interface WriteOperationsDeps {
  readonly files: WrittenFiles;
  readonly records: FileRecords;
  readonly witness: FlushWitness;
  readonly table: InodeTable;
  readonly faults: FaultLog;
}

interface Writer {
  readonly entry: WrittenEntry;
  readonly isWriteOnly: boolean;
  readonly opener: OpenerId;
}

export class WriteOperations {
  readonly #deps: WriteOperationsDeps;
  readonly #writers = new Map<number, Writer>();
  /** Inherited handles by the request that opened them. */
  readonly #inherited = new Map<number, number>();

  constructor(deps: WriteOperationsDeps) {
    this.#deps = deps;
  }

  /** Handles that may write. */
  get size(): number {
    return this.#writers.size;
  }

  /** What the node holds while it is another than the bucket's, or while all of it is in memory. */
  unsaved(nodeId: number): UnsavedContent | undefined {
    const file = this.#deps.files.content(nodeId);
    if (!file) return undefined;
    const { faults } = this.#deps;
    return {
      get generation() {
        return file.generation;
      },
      read: (offset, sizeBytes, reply: ReadSink) => {
        try {
          file.read(offset, sizeBytes, reply);
        } catch (error) {
          faults.report('read', file.key, error);
          throw error;
        }
      },
    };
  }

  /** A handle of the node is opened for writing; the node stays as long as the handle (the caller counts it). */
  open(context: RequestContext, handle: number, node: FileNode, flags: number): MaybePromise<void> {
    const isWriteOnly = (flags & O_ACCMODE) === O_WRONLY;
    const entry = this.#deps.files.open(node, { isWriteOnly });
    this.#opened(context, handle, entry, isWriteOnly);
    return this.openAgain(context, handle, flags);
  }

  /** The handle is there, and the rest of its open is to be done. */
  openAgain(context: RequestContext, handle: number, flags: number): MaybePromise<void> {
    const { entry } = this.#writer(handle);
    if ((flags & O_TRUNC) === 0 || entry.file.sizeBytes === 0) return undefined;
    const wasWritten = entry.file.isWritten;
    return this.#orClose(handle, () => {
      const done = this.#change(entry, handle, entry.file.resize(0, context.signal));
      // The truncation alone is committed by the last release.
      if (!(done instanceof Promise)) {
        entry.file.isWritten = wasWritten;
        this.#deps.records.changed(entry);
      }
      return done;
    });
  }

  /** The node was made for this open; it is a file as soon as this returns. */
  created(context: RequestContext, handle: number, node: FileNode, flags: number): void {
    const isWriteOnly = (flags & O_ACCMODE) === O_WRONLY;
    const entry = this.#deps.files.open(node, { isWriteOnly });
    entry.isExclusive = (flags & O_EXCL) !== 0;
    entry.file.touch();
    entry.changedBy.add(handle);
    this.#opened(context, handle, entry, isWriteOnly);
  }

  /** A handle that the process before this one gave; undefined when nothing is known of its file. The caller counts it. */
  inherit(handle: number, { nodeId, isWriteOnly, opener, requestId }: WriterRecord): FileNode | undefined {
    const entry = this.#deps.files.inherited(nodeId, { isWriteOnly });
    if (!entry) return undefined;
    if (entry.file.isDirty) entry.changedBy.add(ANY_HANDLE);
    this.#writers.set(handle, { entry, isWriteOnly, opener });
    if (requestId >= 0) this.#inherited.set(requestId, handle);
    return entry.node;
  }

  /** The handle that the process before this one opened for this very request: the kernel does not know of it. */
  inheritedFor({ id = -1, isResent = false }: RequestContext): { handle: number; node: FileNode } | undefined {
    const handle = isResent ? this.#inherited.get(id) : undefined;
    const writer = handle === undefined ? undefined : this.#writers.get(handle);
    // What another handle lost is of no use to a new one: it opens what the bucket has.
    if (handle === undefined || !writer || writer.entry.file.isPoisoned) return undefined;
    return { handle, node: writer.entry.node };
  }

  /** The file's record is there before the handle's. */
  #opened(context: RequestContext, handle: number, entry: WrittenEntry, isWriteOnly: boolean): void {
    const { witness, records } = this.#deps;
    const opener = witness.openerOf(context.pid);
    this.#writers.set(handle, { entry, isWriteOnly, opener });
    records.opened(handle, { nodeId: entry.node.nodeId, isWriteOnly, opener, requestId: context.id ?? -1 });
  }

  write(
    context: RequestContext,
    handle: number,
    offset: number,
    data: Uint8Array,
    loan: WriteLoan | undefined,
  ): MaybePromise<number> {
    const { entry } = this.#writer(handle);
    // The kernel writes pages of a mapping through any handle, and as nobody (kernel fact 16).
    const by = context.pid === 0 ? ANY_HANDLE : handle;
    return this.#change(entry, by, entry.file.write(offset, data, loan, context));
  }

  /** Sets the size; without a handle of a writer it is committed at once, for no close will come. */
  async resize(context: RequestContext, node: FileNode, handle: number | undefined, sizeBytes: number): Promise<void> {
    const writer = handle === undefined ? undefined : this.#writers.get(handle);
    if (writer && handle !== undefined) {
      const { entry } = writer;
      return this.#change(entry, handle, entry.file.resize(sizeBytes, context.signal));
    }
    const { files, table } = this.#deps;
    const hadWriters = (files.of(node)?.writers ?? 0) > 0;
    const entry = files.open(node, { isWriteOnly: false });
    table.opened(node);
    try {
      if (entry.file.sizeBytes === sizeBytes && !hadWriters) return;
      await entry.file.resize(sizeBytes, context.signal);
      // Those who were there may have gone while it waited for its turn: then nobody else tells the caller what became of it.
      if (entry.writers - entry.claims === 1) await files.commit(entry);
    } finally {
      await files.close(entry, { isWriteOnly: false });
      table.closed(node);
      await files.nodeClosed(node);
    }
  }

  allocate(
    context: RequestContext,
    handle: number,
    offset: number,
    lengthBytes: number,
    mode: number,
  ): MaybePromise<void> {
    const { entry } = this.#writer(handle);
    const { file } = entry;
    const end = offset + lengthBytes;
    const keepsSize = (mode & FALLOC_FL_KEEP_SIZE) !== 0;
    const kind = mode & ~FALLOC_FL_KEEP_SIZE;
    if (kind === FALLOC_FL_ZERO_RANGE || (kind === FALLOC_FL_PUNCH_HOLE && keepsSize)) {
      return this.#change(entry, handle, file.zero(offset, end, !keepsSize, context.signal));
    }
    if (kind !== 0) throw new ErrnoError(EOPNOTSUPP, `fallocate mode ${mode}`);
    // Nothing is reserved in a bucket: only the size counts.
    if (keepsSize || end <= file.sizeBytes) return undefined;
    return this.#change(entry, handle, file.resize(end, context.signal));
  }

  flush(context: RequestContext, handle: number): MaybePromise<void> {
    const writer = this.#writers.get(handle);
    if (!writer) return undefined;
    const { entry, opener } = writer;
    const by = this.#deps.witness.flushedBy(context.pid, opener);
    if (by === 'killed') {
      const { changedBy } = entry;
      if (changedBy.has(handle) || changedBy.has(ANY_HANDLE)) this.#deps.files.abandon(entry);
      return undefined;
    }
    entry.isFlushed = true;
    if (by === 'other') return undefined;
    if (entry.file.failure) throw entry.file.failure;
    if (!entry.file.isDirty || !entry.file.isWritten) return undefined;
    return this.#deps.files.commit(entry);
  }

  fsync(handle: number): MaybePromise<void> {
    const writer = this.#writers.get(handle);
    if (!writer) return undefined;
    const { entry } = writer;
    if (entry.file.failure) throw entry.file.failure;
    return entry.file.isDirty ? this.#deps.files.commit(entry) : undefined;
  }

  /** The handle is closed; the last one of a file commits what is left. Never rejects: nobody waits for its answer. */
  async release(handle: number): Promise<void> {
    const writer = this.#writers.get(handle);
    if (!writer) return;
    this.#writers.delete(handle);
    await this.#deps.files.close(writer.entry, writer);
    // Not before: a successor would not know that there is something to commit.
    this.#deps.records.closed(handle);
  }

  isWriter(handle: number): boolean {
    return this.#writers.has(handle);
  }

  /** Such a change waits for a commit that is under way, and is none of it. */
  #change<T>(entry: WrittenEntry, by: number, change: MaybePromise<T>): MaybePromise<T> {
    const { changedBy } = entry;
    changedBy.add(by);
    if (!(change instanceof Promise)) return change;
    return change.then((result) => {
      changedBy.add(by);
      return result;
    });
  }

  #writer(handle: number): Writer {
    const writer = this.#writers.get(handle);
    if (!writer) throw new ErrnoError(EBADF, `file handle ${handle} is not open for writing`);
    return writer;
  }

  #orClose(handle: number, work: () => MaybePromise<void>): MaybePromise<void> {
    const failed = async (error: unknown): Promise<never> => {
      const writer = this.#writers.get(handle);
      this.#writers.delete(handle);
      if (writer) await this.#deps.files.close(writer.entry, writer);
      this.#deps.records.closed(handle);
      throw error;
    };
    try {
      const done = work();
      return done instanceof Promise ? done.catch(failed) : undefined;
    } catch (error) {
      return failed(error);
    }
  }
}

/** What open(2) says of a name that somebody made meanwhile. */
export function existsError(key: string): ErrnoError {
  return new ErrnoError(EEXIST, `'${key}' exists`);
}
