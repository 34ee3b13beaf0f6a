/**
 * Open files: each handle belongs to one version of an object and reads through the prefetcher.
 * An empty object has no reader, so it costs no request. A READ that finds its version replaced or gone answers ESTALE and
 * tells the owner, so that the next open sees what is there now.
 * Refuses to know how bytes come: it clamps, delegates and watches the answers.
 */
import { EBADF, ENOENT, ErrnoError, ESTALE } from '../base/errno.js';
import type { ReadReply } from '../fuse/handlers.js';
import type { ObjectReader, Prefetcher, ReadSink } from '../prefetch/api.js';
import type { FileNode, InodeTable } from './inode-table.js';

/** Who hears of reads that were answered with an error. */
export interface ReadWatch {
  /** A read was answered here with what says that the version is no longer in the bucket. */
  readonly stale: (node: FileNode) => void;
  /** A read failed otherwise. */
  readonly failed: (node: FileNode, errno: number) => void;
}

export interface FileHandlesDeps extends ReadWatch {
  readonly table: InodeTable;
  readonly prefetcher: Prefetcher;
}

interface FileHandle {
  readonly node: FileNode;
  /** Undefined for an empty object. */
  readonly reader: ObjectReader | undefined;
}

export class FileHandles {
  readonly #deps: FileHandlesDeps;
  readonly #handles = new Map<number, FileHandle>();

  constructor(deps: FileHandlesDeps) {
    this.#deps = deps;
  }

  get size(): number {
    return this.#handles.size;
  }

  open(handle: number, node: FileNode): void {
    const { table, prefetcher } = this.#deps;
    // The node itself: when a rename of ours gives it another key, its readers go on there.
    const reader = node.sizeBytes > 0 ? prefetcher.open(node) : undefined;
    this.#handles.set(handle, { node, reader });
    table.opened(node);
  }

  /** The version that a handle is pinned to. */
  node(handle: number): FileNode {
    return this.#get(handle).node;
  }

  read(handle: number, offset: number, sizeBytes: number, reply: ReadReply): void {
    const { node, reader } = this.#get(handle);
    const clampedBytes = Math.min(sizeBytes, node.sizeBytes - offset);
    if (!reader || clampedBytes <= 0) {
      reply.data([]);
      return;
    }
    reader.read(offset, clampedBytes, new WatchedSink(reply, node, this.#deps));
  }

  /** A reader thread answered this range by itself. The handle may be closed by now. */
  accessed(handle: number, offset: number, sizeBytes: number): void {
    this.#handles.get(handle)?.reader?.accessed(offset, sizeBytes);
  }

  release(handle: number): void {
    const { node, reader } = this.#get(handle);
    this.#handles.delete(handle);
    reader?.close();
    this.#deps.table.closed(node);
  }

  closeAll(): void {
    for (const handle of [...this.#handles.keys()]) this.release(handle);
  }

  #get(handle: number): FileHandle {
    const known = this.#handles.get(handle);
    if (!known) throw new ErrnoError(EBADF, `file handle ${handle} is not open`);
    return known;
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
