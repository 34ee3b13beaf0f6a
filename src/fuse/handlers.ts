/**
 * What a file system implements to be served: one method an operation, in terms of nodes, handles and attributes.
 * Nothing of the wire format shows here, so the same handlers run behind /dev/fuse, behind fuse-native and in tests.
 * Handlers run on the main thread. They answer with a value or a promise of one, and refuse by throwing ErrnoError;
 * any other throw becomes EIO and one error line in the dispatcher, never a dead mount.
 *
 * Numbers: node ids, handles, offsets and sizes are JavaScript numbers (checked below 2^53 when decoded).
 */

/** A value now, or later. Handlers that can answer at once should: it saves a turn of the event loop. */
export type MaybePromise<T> = T | Promise<T>;

/** The kernel's id of a request, kept as two unsigned halves because it is only echoed (bit 63 marks a resent one). */
export interface RequestTicket {
  readonly lo: number;
  readonly hi: number;
}

/** Who asks. `pid` is 0 for writeback from a shared mapping. */
export interface RequestContext {
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  /**
   * Aborts when the kernel sends INTERRUPT. A handler that waits should pass it on, undo nothing, and throw
   * ErrnoError(EINTR). Made on first use.
   */
  readonly signal: AbortSignal;
  /** The kernel's number of this request, the same when it is sent again to a daemon that takes over; absent elsewhere. */
  readonly id?: number;
  /** An earlier daemon had this request and did not answer it: it may have been done, wholly or in part (kernel fact 20). */
  readonly isResent?: boolean;
}

/** struct fuse_attr in our terms; times in milliseconds since 1970. */
export interface Attributes {
  /** What st_ino shows; stays over versions of an object while the node id changes. */
  readonly ino: number;
  readonly sizeBytes: number;
  /** Type and permission bits (S_IFREG | 0644). */
  readonly mode: number;
  readonly nlink: number;
  readonly uid: number;
  readonly gid: number;
  readonly mtimeMs: number;
  readonly ctimeMs: number;
  readonly atimeMs: number;
  /** Device number; 0 except for device nodes. */
  readonly rdev: number;
  readonly blockSizeBytes: number;
}

/** Answer to LOOKUP and friends: the kernel remembers node and attributes for the two times. Counts as one lookup. */
export interface Entry {
  /** 0 = a negative entry: the name does not exist, and the kernel may remember that for entryTtlMs. */
  readonly nodeId: number;
  readonly generation: number;
  readonly attributes: Attributes;
  readonly entryTtlMs: number;
  readonly attributesTtlMs: number;
}

export interface AttributesReply {
  readonly attributes: Attributes;
  readonly ttlMs: number;
}

/** Answer to OPEN, OPENDIR and CREATE. */
export interface OpenReply {
  readonly handle: number;
  /** Pages of earlier opens stay (FOPEN_KEEP_CACHE). */
  readonly keepCache?: boolean;
  readonly directIo?: boolean;
  /** No FLUSH at close (read handles). */
  readonly noFlush?: boolean;
  /** The kernel may cache this directory's entries (FOPEN_CACHE_DIR). */
  readonly cacheDirectory?: boolean;
  readonly parallelDirectWrites?: boolean;
}

/** What SETATTR asks to change; absent = unchanged. */
export interface AttributeChanges {
  readonly mode?: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly sizeBytes?: number;
  /** 'now' for UTIME_NOW. */
  readonly atimeMs?: number | 'now';
  readonly mtimeMs?: number | 'now';
  readonly ctimeMs?: number;
  readonly handle?: number;
  /** suid/sgid are to be cleared (HANDLE_KILLPRIV_V2). */
  readonly killSuidGid?: boolean;
}

export interface FileSystemStatistics {
  readonly blockSizeBytes: number;
  readonly blocks: number;
  readonly blocksFree: number;
  readonly files: number;
  readonly filesFree: number;
  readonly nameBytesMax: number;
}

/** One directory entry; `nextOffset` is where a later READDIR continues after it (valid for the handle's life). */
export interface DirectoryItem {
  readonly name: string;
  readonly ino: number;
  /** DT_DIR = 4, DT_REG = 8, DT_LNK = 10. */
  readonly type: number;
  readonly nextOffset: number;
}

/** Collects the entries of one READDIR or READDIRPLUS reply. Borrowed: valid until the handler's promise settles. */
export interface DirectorySink {
  /** True for READDIRPLUS: `add` then wants an entry (or undefined for `.`, `..` and names without a node). */
  readonly plus: boolean;
  /** False when the item did not fit: stop, and do not count a lookup for it. */
  add(item: DirectoryItem, entry?: Entry): boolean;
}

/**
 * The answer to one READ, given exactly once. Bytes may be given here (`data`), or another thread may be told to
 * answer the kernel by `ticket` (then call `handedOver`). A binding that needs the bytes on this thread has no ticket.
 */
export interface ReadReply {
  readonly ticket: RequestTicket | undefined;
  /** All bytes asked for, in order, short only at the end of the file (KERNEL fact: a short READ shrinks the file). Borrowed until return. */
  data(parts: readonly Uint8Array[]): void;
  error(errno: number): void;
  /** Another thread answers; `onInterrupt` is called if the kernel interrupts the request before `finished`. */
  handedOver(onInterrupt: () => void): ReadHandover;
}

/** Tells the dispatcher that the other thread has answered (so that it forgets the request). */
export interface ReadHandover {
  finished(): void;
}

/**
 * The bytes of one WRITE where they came in, if that is a whole slot of the pool: the handler may keep the slot instead
 * of copying. Valid until the handler's promise settles.
 */
export interface WriteLoan {
  /** The WRITE's bytes are [0, data.length) of this slot. */
  readonly slot: number;
  /** The handler owns the slot from now on and gives it back to the pool's WriteSlots. At most once. */
  adopt(): number;
}

/**
 * One method for each operation. Methods left out answer ENOSYS, which the kernel remembers for most operations.
 * Names are file names within the parent (valid UTF-8, no slash, 1 to 255 bytes); names that are not UTF-8 never get here.
 */
export interface FuseHandlers {
  lookup(context: RequestContext, parent: number, name: string): MaybePromise<Entry>;
  /** The kernel drops `count` lookups of the node. Never answered. */
  forget(nodeId: number, count: number): void;
  getattr(context: RequestContext, nodeId: number, handle: number | undefined): MaybePromise<AttributesReply>;
  setattr?(context: RequestContext, nodeId: number, changes: AttributeChanges): MaybePromise<AttributesReply>;
  readlink?(context: RequestContext, nodeId: number): MaybePromise<string>;
  symlink?(context: RequestContext, parent: number, name: string, target: string): MaybePromise<Entry>;
  mknod?(context: RequestContext, parent: number, name: string, mode: number, rdev: number): MaybePromise<Entry>;
  mkdir?(context: RequestContext, parent: number, name: string, mode: number): MaybePromise<Entry>;
  unlink?(context: RequestContext, parent: number, name: string): MaybePromise<void>;
  rmdir?(context: RequestContext, parent: number, name: string): MaybePromise<void>;
  /** `flags`: RENAME_NOREPLACE = 1, RENAME_EXCHANGE = 2, RENAME_WHITEOUT = 4. */
  rename?(
    context: RequestContext,
    parent: number,
    name: string,
    newParent: number,
    newName: string,
    flags: number,
  ): MaybePromise<void>;
  link?(context: RequestContext, nodeId: number, newParent: number, newName: string): MaybePromise<Entry>;
  /** `flags`: the open(2) flags. */
  open(context: RequestContext, nodeId: number, flags: number): MaybePromise<OpenReply>;
  create?(
    context: RequestContext,
    parent: number,
    name: string,
    mode: number,
    flags: number,
  ): MaybePromise<{ entry: Entry; open: OpenReply }>;
  read(
    context: RequestContext,
    nodeId: number,
    handle: number,
    offset: number,
    sizeBytes: number,
    reply: ReadReply,
  ): void;
  /**
   * `data` is borrowed until the returned promise settles. Answers the bytes taken. `flags`: FUSE_WRITE_... (1 = from the
   * page cache). `loan`: where `data` lies in the pool, when it does.
   */
  write?(
    context: RequestContext,
    nodeId: number,
    handle: number,
    offset: number,
    data: Uint8Array,
    flags: number,
    loan?: WriteLoan,
  ): MaybePromise<number>;
  flush?(context: RequestContext, nodeId: number, handle: number): MaybePromise<void>;
  release(context: RequestContext, nodeId: number, handle: number, flags: number): MaybePromise<void>;
  fsync?(context: RequestContext, nodeId: number, handle: number, dataOnly: boolean): MaybePromise<void>;
  fallocate?(
    context: RequestContext,
    nodeId: number,
    handle: number,
    offset: number,
    lengthBytes: number,
    mode: number,
  ): MaybePromise<void>;
  /** Answers the offset found (SEEK_DATA = 3, SEEK_HOLE = 4). */
  lseek?(context: RequestContext, nodeId: number, handle: number, offset: number, whence: number): MaybePromise<number>;
  opendir(context: RequestContext, nodeId: number, flags: number): MaybePromise<OpenReply>;
  readdir(
    context: RequestContext,
    nodeId: number,
    handle: number,
    offset: number,
    sink: DirectorySink,
  ): MaybePromise<void>;
  releasedir(context: RequestContext, nodeId: number, handle: number): MaybePromise<void>;
  fsyncdir?(context: RequestContext, nodeId: number, handle: number): MaybePromise<void>;
  statfs(context: RequestContext, nodeId: number): MaybePromise<FileSystemStatistics>;
  getxattr?(context: RequestContext, nodeId: number, name: string): MaybePromise<Uint8Array>;
  setxattr?(
    context: RequestContext,
    nodeId: number,
    name: string,
    value: Uint8Array,
    flags: number,
  ): MaybePromise<void>;
  listxattr?(context: RequestContext, nodeId: number): MaybePromise<readonly string[]>;
  removexattr?(context: RequestContext, nodeId: number, name: string): MaybePromise<void>;
  access?(context: RequestContext, nodeId: number, mask: number): MaybePromise<void>;
  /** Unmounted: nothing comes after this; RELEASEs and FORGETs of what was open may never have come (kernel facts 28 and 30). */
  destroy?(): void;
}
