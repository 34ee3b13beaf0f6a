/**
 * Open files: each handle belongs to one node, whose version it reads through the prefetcher, or whose content it reads as it
 * is being written.
 * An empty object has no reader, so it costs no request. A READ that finds its version replaced or gone answers ESTALE and
 * tells the owner, so that the next open sees what is there now. When a node is written its readers are closed, and opened
 * again by the first READ after it became a version of the bucket (`versionChanged`).
 * Refuses to know how bytes come: it clamps, delegates and watches the answers.
 */
import { EBADF, EIO, ENOENT, ErrnoError, ESTALE } from '../base/errno.js';
import type { ReadReply } from '../fuse/handlers.js';
import type { ObjectReader, ObjectVersion, Prefetcher, ReadSink } from '../prefetch/api.js';
import type { FileNode, InodeTable } from './inode-table.js';
import type { HandleRecords, ReadHandleRecord } from './restore/handle-records.js';

/** So many commits and renames of one file may come in between before a READ of it fails. */
const UNSAVED_ATTEMPTS_MAX = 8;

/** Who hears of reads that were answered with an error. */
export interface ReadWatch {
  /** A read was answered here with what says that the version is no longer in the bucket. */
  readonly stale: (node: FileNode) => void;
  /** A read failed otherwise. */
  readonly failed: (node: FileNode, errno: number) => void;
}

/** Content that the bucket does not have. */
export interface UnsavedContent {
  /** Goes up when what it is read from is replaced (a commit, a rename): a read that failed meanwhile says nothing. */
  readonly generation: number;
  /** Answers all bytes asked for up to its end, or an errno, from this thread; may throw ErrnoError. */
  read(offset: number, sizeBytes: number, reply: ReadSink): void;
}

export interface FileHandlesDeps extends ReadWatch {
  readonly table: InodeTable;
  readonly prefetcher: Prefetcher;
  /** What the node holds while it is written. */
  readonly unsaved?: (nodeId: number) => UnsavedContent | undefined;
  /** What a successor must know of handles that only read. */
  readonly records?: HandleRecords;
}

interface FileHandle {
  readonly handle: number;
  readonly node: FileNode;
  /** The request that opened it for reading; undefined for a handle that may write, which has a record of its own. */
  readonly readOpener: number | undefined;
  /** Undefined for an empty object, or before the first READ. */
  reader: ObjectReader | undefined;
  /** What the reader reads. */
  version: NodeVersion | undefined;
}

/**
 * What a node is now, for its readers: when a rename of ours gives it another key they go on there. A node that is written is
 * another version afterwards, with another size: then what the readers still have under way belongs to this one.
 */
class NodeVersion implements ObjectVersion {
  readonly nodeId: number;
  readonly sizeBytes: number;
  #at: { readonly key: string; readonly etag: string };

  constructor(node: FileNode) {
    this.nodeId = node.nodeId;
    this.sizeBytes = node.sizeBytes;
    this.#at = node;
  }

  get key(): string {
    return this.#at.key;
  }

  get etag(): string {
    return this.#at.etag;
  }

  /** From now on it is what it was until now. */
  leave(): void {
    const { key, etag } = this.#at;
    this.#at = { key, etag };
  }
}

/** What is left of content that was written and did not become an object. */
export const lostReader: ObjectReader = {
  read: (_offset, _sizeBytes, sink) => sink.error(ESTALE),
  accessed: () => undefined,
  close: () => undefined,
};

export class FileHandles {
  readonly #deps: FileHandlesDeps;
  readonly #handles = new Map<number, FileHandle>();
  readonly #byNode = new Map<number, Set<FileHandle>>();
  /** Inherited handles by the request that opened them: should it come again, the kernel does not know its handle. */
  readonly #inherited = new Map<number, number>();

  constructor(deps: FileHandlesDeps) {
    this.#deps = deps;
  }

  get size(): number {
    return this.#handles.size;
  }

  /** `willRead`: its reader is made at once, so that a fetch may begin before the first READ. */
  open(handle: number, node: FileNode, willRead = true): void {
    this.#add(handle, node, willRead, undefined);
  }

  /** Opens it for reading only, because of request `openerId` (-1 when it has no number). */
  openForReading(handle: number, node: FileNode, openerId: number): void {
    this.#add(handle, node, true, openerId);
    this.#deps.records?.opened(handle, openerId, node);
  }

  /** Takes over what is open for reading from an earlier daemon. */
  inherit({ handle, openerId, version }: ReadHandleRecord): void {
    this.#add(handle, this.#deps.table.inheritFile(version), false, openerId);
    if (openerId >= 0) this.#inherited.set(openerId, handle);
  }

  /** The handle that an earlier daemon opened for this very request, and perhaps never told the kernel of. */
  inheritedFor(openerId: number): number | undefined {
    const handle = this.#inherited.get(openerId);
    return handle !== undefined && this.#handles.has(handle) ? handle : undefined;
  }

  has(handle: number): boolean {
    return this.#handles.has(handle);
  }

  /** The node has another key, or is another version. */
  nodeChanged(node: FileNode): void {
    for (const { handle, readOpener } of this.#byNode.get(node.nodeId) ?? []) {
      if (readOpener !== undefined) this.#deps.records?.opened(handle, readOpener, node);
    }
  }

  #add(handle: number, node: FileNode, willRead: boolean, readOpener: number | undefined): void {
    const opened: FileHandle = { handle, node, readOpener, reader: undefined, version: undefined };
    if (willRead && !this.#deps.unsaved?.(node.nodeId)) this.#reader(opened);
    this.#handles.set(handle, opened);
    const ofNode = this.#byNode.get(node.nodeId);
    if (ofNode) ofNode.add(opened);
    else this.#byNode.set(node.nodeId, new Set([opened]));
    this.#deps.table.opened(node);
  }

  /** The version that a handle is pinned to. */
  node(handle: number): FileNode {
    return this.#get(handle).node;
  }

  read(handle: number, offset: number, sizeBytes: number, reply: ReadReply): void {
    this.#read(handle, offset, sizeBytes, reply, 1);
  }

  #read(handle: number, offset: number, sizeBytes: number, reply: ReadReply, attempt: number): void {
    const opened = this.#get(handle);
    const { node } = opened;
    const unsaved = this.#deps.unsaved?.(node.nodeId);
    if (unsaved) {
      const sink = new WatchedSink(reply, node, this.#deps);
      const { generation } = unsaved;
      unsaved.read(offset, sizeBytes, {
        ticket: undefined,
        data: (parts) => sink.data(parts),
        error: (errno) => {
          if (unsaved.generation === generation || attempt >= UNSAVED_ATTEMPTS_MAX) sink.error(errno);
          else this.#again(handle, offset, sizeBytes, reply, attempt + 1);
        },
        handedOver: () => ({ finished: () => undefined }),
      });
      return;
    }
    if (node.lost) {
      reply.error(node.lost.errno);
      return;
    }
    const clampedBytes = Math.min(sizeBytes, node.sizeBytes - offset);
    const reader = clampedBytes > 0 ? this.#reader(opened) : undefined;
    if (!reader) {
      reply.data([]);
      return;
    }
    reader.read(offset, clampedBytes, new WatchedSink(reply, node, this.#deps));
  }

  /** A reader thread answered this range by itself. The handle may be closed by now. */
  accessed(handle: number, offset: number, sizeBytes: number): void {
    this.#handles.get(handle)?.reader?.accessed(offset, sizeBytes);
  }

  /** The node is written, or is another version from now on. */
  versionChanged(node: FileNode): void {
    for (const opened of this.#byNode.get(node.nodeId) ?? []) {
      opened.version?.leave();
      opened.reader?.close();
      opened.version = undefined;
      opened.reader = undefined;
    }
  }

  /** All handles of the node that are open now read from what `readerOf` gives from now on. */
  redirect(node: FileNode, readerOf: () => ObjectReader): void {
    for (const opened of this.#byNode.get(node.nodeId) ?? []) {
      opened.version?.leave();
      opened.reader?.close();
      opened.version = undefined;
      opened.reader = readerOf();
    }
  }

  release(handle: number): void {
    const opened = this.#get(handle);
    const { node, reader, readOpener } = opened;
    this.#handles.delete(handle);
    if (readOpener !== undefined) {
      this.#deps.records?.closed(handle);
      if (this.#inherited.size > 0) this.#inherited.delete(readOpener);
    }
    const ofNode = this.#byNode.get(node.nodeId);
    ofNode?.delete(opened);
    if (ofNode?.size === 0) this.#byNode.delete(node.nodeId);
    reader?.close();
    this.#deps.table.closed(node);
  }

  closeAll(): void {
    for (const handle of [...this.#handles.keys()]) this.release(handle);
  }

  /** Our own commit or rename came in between: what was asked is somewhere else now. */
  #again(handle: number, offset: number, sizeBytes: number, reply: ReadReply, attempt: number): void {
    try {
      this.#read(handle, offset, sizeBytes, reply, attempt);
    } catch (error) {
      reply.error(error instanceof ErrnoError ? error.errno : EIO);
    }
  }

  #get(handle: number): FileHandle {
    const known = this.#handles.get(handle);
    if (!known) throw new ErrnoError(EBADF, `file handle ${handle} is not open`);
    return known;
  }

  #reader(opened: FileHandle): ObjectReader | undefined {
    if (opened.reader || opened.node.sizeBytes === 0) return opened.reader;
    opened.version = new NodeVersion(opened.node);
    opened.reader = this.#deps.prefetcher.open(opened.version);
    return opened.reader;
  }
}

/** Passes an answer on and notes a bad one. What net threads answer by themselves comes as S3FileSystem.versionLost. */
export class WatchedSink implements ReadSink {
  readonly #reply: ReadReply;
  readonly #node: FileNode;
  readonly #watch: ReadWatch;

  constructor(reply: ReadReply, node: FileNode, watch: ReadWatch) {
    this.#reply = reply;
    this.#node = node;
    this.#watch = watch;
  }

  get ticket(): ReadReply['ticket'] {
    return this.#reply.ticket;
  }

  data(parts: readonly Uint8Array[]): void {
    this.#reply.data(parts);
  }

  error(errno: number): void {
    // A file that was open and is now gone is a stale one: read(2) knows no "no such file".
    const gone = errno === ESTALE || errno === ENOENT;
    this.#reply.error(gone ? ESTALE : errno);
    if (gone) this.#watch.stale(this.#node);
    else this.#watch.failed(this.#node, errno);
  }

  handedOver(onInterrupt: () => void): { finished(): void } {
    return this.#reply.handedOver(onInterrupt);
  }
}
