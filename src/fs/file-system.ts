/**
 * The file system that the kernel sees: a bucket's prefix as directories and files.
 * Thin: the parts (parts.ts) are nouns of their own; here each operation of the kernel is spelled in their terms, files that
 * are written in those of src/fs/writing, changes of names in those of src/fs/namespace. docs/SEMANTICS.md says what is
 * promised. Answers at once whatever needs no request. Refuses what the mount may not write (WritePolicy).
 */
import type { DeleteProgress, DeleteTreeResult } from '../engine/writing/delete-tree.js';
import { EINVAL, EIO, ENAMETOOLONG, ENODATA, ENOSYS, ENXIO, EPERM, EROFS, ErrnoError } from '../base/errno.js';
import type {
  AttributeChanges,
  AttributesReply,
  DirectorySink,
  Entry,
  FileSystemStatistics,
  FuseHandlers,
  MaybePromise,
  OpenReply,
  ReadReply,
  RequestContext,
  WriteLoan,
} from '../fuse/handlers.js';
import { statistics, type Owner } from './attributes.js';
import type { FileSystemDeps, FileSystemOptions, FileSystemStats } from './file-system-api.js';
import type { DirectoryNode, FileNode } from './inode-table.js';
import { couldBeKey } from './keymap.js';
import type { ListingCache } from './listing-cache.js';
import type { ListingPage } from './listing-page.js';
import { NameReplies } from './name-replies.js';
import { buildParts, type FileSystemParts } from './parts.js';
import { handleOfBefore, inherit } from './restore/inherit.js';
import { RefusedWrites } from './refused-writes.js';
import type { TakenOver } from './writing/take-over.js';
import { existsError, wantsToWrite } from './writing/write-operations.js';
import { extendedAttribute } from './xattrs.js';

const O_ACCMODE = 0o3;
const O_WRONLY = 0o1;
const O_EXCL = 0o200;
const O_TRUNC = 0o1000;
const W_OK = 2;
const S_IFMT = 0o170000;
const S_IFREG = 0o100000;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;

export type { FileSystemDeps, FileSystemOptions, FileSystemStats } from './file-system-api.js';

export class S3FileSystem extends RefusedWrites implements FuseHandlers {
  readonly #options: FileSystemOptions;
  readonly #parts: FileSystemParts;
  readonly #replies: NameReplies;
  readonly #firstHandle: number;
  #nextHandle: number;

  constructor(options: FileSystemOptions, deps: FileSystemDeps) {
    super();
    this.#options = options;
    this.#parts = buildParts(options, deps);
    this.#replies = new NameReplies(this.#parts);
    this.#firstHandle = options.firstNodeId ?? 2;
    this.#nextHandle = this.#firstHandle;
    inherit(this.#parts);
  }

  /** The cache of listing pages, whose bound the memory governor moves. */
  get listings(): Pick<ListingCache, 'bytes' | 'bytesMax' | 'setBytesMax'> {
    return this.#parts.listings;
  }

  /** Other times to live from now on; returns why not, undefined when it is done. */
  setTtl(ttlMs: number | null, negativeTtlMs: number | null): string | undefined {
    return this.#parts.freshness.setTtl(ttlMs, negativeTtlMs);
  }

  /**
   * A request names this node: finds out what it is where only an earlier daemon knew. Undefined when there is nothing to wait
   * for; the request is then served as it is, with ESTALE for what is not known. Never rejects.
   */
  revived(nodeId: number): Promise<void> | undefined {
    return this.#parts.nodeReads?.revived(nodeId);
  }

  /** An earlier daemon could not write down all that the kernel was told. */
  get isIncomplete(): boolean {
    return this.#parts.journal.isIncomplete;
  }

  stats(): FileSystemStats {
    return {
      nodes: this.#parts.table.size,
      openFiles: this.#parts.files.size + (this.#parts.inodeReaders?.size ?? 0),
      openDirectories: this.#parts.directories.size,
      lookupHits: this.#parts.lookup.hits,
      lookupMisses: this.#parts.lookup.misses,
      listPages: this.#parts.lister.pages,
      listingBytes: this.#parts.listings.bytes,
      openListingBytes: this.#parts.directories.bytes,
      nodeBytes: this.#parts.table.bytes,
      hiddenKeys: this.#parts.lister.hiddenKeys,
      shadowedFiles: this.#parts.lister.shadowedFiles,
      stale: this.#parts.versions.stale,
      grown: this.#parts.growing?.grown ?? 0,
      fetchedAhead: this.#parts.siblings?.started ?? 0,
      fetchedAheadUsed: this.#parts.siblings?.used ?? 0,
      writing: this.#parts.written?.counts,
    };
  }

  /** Path of a file or directory, relative to the mount, for people; undefined when the node is not known any more. */
  pathOf(nodeId: number): string | undefined {
    return this.#parts.table.find(nodeId)?.key.slice(this.#options.prefix.length);
  }

  lookup(context: RequestContext, parent: number, name: string): MaybePromise<Entry> {
    const { key } = this.#parts.table.directory(parent);
    const unsaved = this.#parts.written?.find(key + name);
    if (unsaved?.isUncommitted === true) return this.#replies.held(unsaved.node);
    const known = this.#parts.lookup.known(key, name);
    if (known) return this.#replies.found(context, key, name, known);
    return this.#parts.lookup
      .ask(key, name, context.signal)
      .then((fact) => this.#replies.found(context, key, name, fact));
  }

  forget(nodeId: number, count: number): void {
    if (this.#parts.table.forget(nodeId, count)) return;
    this.#parts.faults.problem('forget', { nodeId, count }, [
      `the kernel forgot node ${nodeId} more often than it was told of it`,
      'please report this line: lookup counts have gone wrong',
    ]);
  }

  /** Attributes are a version's own, so no request is waited for: that a path still means this version is for lookups to say. */
  getattr(_context: RequestContext, nodeId: number): AttributesReply {
    const view = this.#parts.table.view(nodeId);
    // A size that is too small would end its readers as if they had read it all.
    if (view.kind === 'file' && view.lost) throw view.lost;
    const open = this.#parts.growing && this.#parts.table.openFile(nodeId);
    if (open) this.#parts.growing?.polled(open);
    return { attributes: this.#parts.attributes.of(view), ttlMs: this.#parts.freshness.wholeMs };
  }

  open(context: RequestContext, nodeId: number, flags: number): MaybePromise<OpenReply> {
    const before = this.#parts.writing?.inheritedFor(context);
    if (before) {
      const reply: OpenReply = { handle: before.handle, keepCache: this.#options.keepCache ?? true };
      const truncated = this.#parts.writing?.openAgain(context, before.handle, flags);
      return truncated instanceof Promise ? truncated.then(() => reply) : reply;
    }
    const inherited = handleOfBefore(context, this.#parts.files);
    if (inherited !== undefined) return this.#readReply(inherited);
    const node = this.#parts.table.file(nodeId);
    if (wantsToWrite(flags)) {
      if (!this.#parts.writing) return this.refuse('open for writing');
      // What was made here and is not in the bucket yet is no existing file.
      if (this.#parts.table.isLocal(node)) this.#parts.policy.mayWrite('open for writing');
      else this.#parts.policy.mayOverwrite('open for writing', node.key);
      this.#parts.versions.refuseOldEnd(node);
    }
    // Remembered as "no OPEN needed", by this kernel's every open from now on.
    if (this.#parts.inodeReaders) throw new ErrnoError(ENOSYS);
    // Of a name that is gone nobody opens the file again, except through a descriptor (/proc/self/fd).
    if (!node.current) throw this.#parts.versions.error(node);
    const { freshness, versions } = this.#parts;
    if (freshness.isFresh(node.validatedAtMs) && !versions.mustAsk(node)) return this.#opened(context, node, flags);
    return versions.revalidate(node, context.signal).then(() => this.#opened(context, node, flags));
  }

  override create(
    context: RequestContext,
    parent: number,
    name: string,
    mode: number,
    flags: number,
  ): MaybePromise<{ entry: Entry; open: OpenReply }> {
    if (!this.#parts.writing) return this.refuse('create');
    const made = this.#madeBefore(context);
    if (made) return made;
    const directory = this.#parts.table.directory(parent);
    if (!couldBeKey(directory.key, name)) {
      throw new ErrnoError(ENAMETOOLONG, `'${directory.key}${name}' is no key that S3 can have`);
    }
    const key = directory.key + name;
    const known = this.#parts.written?.find(key)?.node ?? this.#knownFile(directory.key, name);
    if (known) {
      // Somebody was faster than the kernel's question.
      if ((flags & O_EXCL) !== 0) throw existsError(key);
      this.#parts.table.remember(known);
      const entry = this.#parts.entries.entry(known, this.#parts.freshness.nowMs());
      const failed = (error: unknown): never => {
        this.#parts.table.forget(known.nodeId, 1);
        throw error;
      };
      try {
        const opened = this.open(context, known.nodeId, flags);
        if (opened instanceof Promise) return opened.then((open) => ({ entry, open }), failed);
        return { entry, open: opened };
      } catch (error) {
        return failed(error);
      }
    }
    this.#parts.policy.mayWrite('create');
    const node = this.#parts.table.createLocal(key, this.#parts.clock.wallMs());
    const handle = this.#nextHandle++;
    const owner = this.#owner(context);
    this.#parts.remembered.made(node, { mode, usual: this.#parts.attributes.fileMode, owner });
    this.#parts.remembered.namesChanged(directory);
    this.#parts.writing.created(context, handle, node, flags);
    this.#parts.files.open(handle, node, false);
    return { entry: this.#replies.held(node), open: { handle, keepCache: true } };
  }

  /** What an earlier daemon made for this very request, and perhaps never told the kernel of. */
  #madeBefore(context: RequestContext): { entry: Entry; open: OpenReply } | undefined {
    const inherited = this.#parts.writing?.inheritedFor(context);
    if (!inherited) return undefined;
    return { entry: this.#replies.held(inherited.node), open: { handle: inherited.handle, keepCache: true } };
  }

  override write(
    context: RequestContext,
    nodeId: number,
    handle: number,
    offset: number,
    data: Uint8Array,
    _flags: number,
    loan?: WriteLoan,
  ): MaybePromise<number> {
    if (!this.#parts.writing) return this.refuse('write');
    this.#noteWrite(nodeId);
    return this.#parts.writing.write(context, handle, offset, data, loan);
  }

  override fallocate(
    context: RequestContext,
    nodeId: number,
    handle: number,
    offset: number,
    lengthBytes: number,
    mode: number,
  ): MaybePromise<void> {
    if (!this.#parts.writing) return this.refuse('fallocate');
    this.#noteWrite(nodeId);
    return this.#parts.writing.allocate(context, handle, offset, lengthBytes, mode);
  }

  override setattr(context: RequestContext, nodeId: number, changes: AttributeChanges): MaybePromise<AttributesReply> {
    if (!this.#parts.writing) return this.refuse('setattr');
    const { sizeBytes, handle } = changes;
    if (sizeBytes === undefined) {
      this.#parts.remembered.change(this.#parts.table.node(nodeId), changes, this.getattr(context, nodeId).attributes);
      const { posix } = this.#parts;
      if (!posix) return this.getattr(context, nodeId);
      const changed = this.#parts.table.node(nodeId);
      return posix.persist(changed, context.signal).then(() => this.getattr(context, nodeId));
    }
    const node = this.#parts.table.file(nodeId);
    if (!this.#parts.table.isLocal(node)) this.#parts.policy.mayOverwrite('truncate', node.key);
    this.#parts.versions.refuseOldEnd(node);
    this.#parts.remembered.written(node);
    const { writing } = this.#parts;
    const resize = (): Promise<void> => writing.resize(context, node, handle, sizeBytes);
    const pinning = this.#parts.versions.pin(node, context.signal);
    return (pinning ? pinning.then(resize) : resize()).then(() => {
      const { attributes } = this.getattr(context, nodeId);
      // The time of the truncation is the node's own.
      const { atimeMs: _atimeMs, mtimeMs: _mtimeMs, ...others } = changes;
      this.#parts.remembered.change(node, others, attributes);
      return this.getattr(context, nodeId);
    });
  }

  override mkdir(context: RequestContext, parent: number, name: string, mode: number): MaybePromise<Entry> {
    if (!this.#parts.namespace) return this.refuse('mkdir');
    const made = { mode, owner: this.#owner(context) };
    const directory = this.#parts.table.directory(parent);
    return this.#changing([directory], this.#parts.namespace.mkdir(directory, name, made, context));
  }

  override rmdir(context: RequestContext, parent: number, name: string): MaybePromise<void> {
    if (!this.#parts.namespace) return this.refuse('rmdir');
    const directory = this.#parts.table.directory(parent);
    return this.#changing([directory], this.#parts.namespace.rmdir(directory, name, context));
  }

  override unlink(context: RequestContext, parent: number, name: string): MaybePromise<void> {
    if (!this.#parts.namespace) return this.refuse('unlink');
    const directory = this.#parts.table.directory(parent);
    return this.#changing([directory], this.#parts.namespace.unlink(directory, name, context));
  }

  /** `work` changes names in these directories; their times follow once it has. */
  async #changing<T>(directories: readonly DirectoryNode[], work: Promise<T>): Promise<T> {
    const done = await work;
    for (const directory of directories) this.#parts.remembered.namesChanged(directory);
    return done;
  }

  /** `mount-s3x rm -r`: no operation of the kernel's. `path` is relative to the mount, without slashes at its ends. */
  async removeTree(
    path: string,
    progress: (state: DeleteProgress) => void,
    signal: AbortSignal,
  ): Promise<DeleteTreeResult> {
    if (!this.#parts.namespace) return this.refuse('rm -r');
    return await this.#parts.namespace.removeTree(path, progress, signal);
  }

  override rename(
    context: RequestContext,
    parent: number,
    name: string,
    newParent: number,
    newName: string,
    flags: number,
  ): MaybePromise<void> {
    if (!this.#parts.namespace) return this.refuse('rename');
    const { table, namespace } = this.#parts;
    const from = table.directory(parent);
    const to = table.directory(newParent);
    return this.#changing([from, to], namespace.rename(from, name, to, newName, flags, context));
  }

  read(
    context: RequestContext,
    nodeId: number,
    handle: number,
    offset: number,
    sizeBytes: number,
    reply: ReadReply,
  ): void {
    if (this.#parts.nodeReads) this.#parts.nodeReads.read(context, nodeId, offset, sizeBytes, reply);
    else this.#parts.files.read(handle, offset, sizeBytes, reply);
  }

  /** A reader thread answered this READ by itself from resident blocks. */
  accessed(nodeId: number, handle: number, offset: number, sizeBytes: number): void {
    if (!this.#parts.inodeReaders) {
      this.#parts.files.accessed(handle, offset, sizeBytes);
      return;
    }
    const node = this.#parts.table.find(nodeId);
    if (node?.kind === 'file') this.#parts.inodeReaders.accessed(node, offset, sizeBytes);
  }

  /**
   * The store said (to whichever thread) that this version is no longer there: the next open of the path asks again. For
   * the prefetcher's `versionLost`; ids that are not known any more are ignored, and so is a version that we replaced
   * ourselves: a fetch of it that was still under way says nothing about what is there now.
   */
  versionLost(nodeId: number, etag: string): void {
    const node = this.#parts.table.find(nodeId);
    if (node?.kind === 'file' && node.etag === etag && !this.#parts.table.isHeld(node))
      this.#parts.versions.found(node, node.opens > 0 || this.#parts.inodeReaders ? 'read' : 'open');
  }

  /** Where nothing was written there is nothing to say; the kernel is told not to ask (noFlush, or ENOSYS once). */
  flush(context: RequestContext, _nodeId: number, handle: number): MaybePromise<void> {
    if (this.#parts.inodeReaders) throw new ErrnoError(ENOSYS);
    this.#refuseLost(handle);
    return this.#parts.writing?.flush(context, handle);
  }

  fsync(_context: RequestContext, _nodeId: number, handle: number): MaybePromise<void> {
    if (!this.#parts.inodeReaders) this.#refuseLost(handle);
    return this.#parts.writing?.fsync(handle);
  }

  release(_context: RequestContext, _nodeId: number, handle: number): MaybePromise<void> {
    // The node stays until its last bytes are in the bucket.
    if (this.#parts.writing?.isWriter(handle))
      return this.#parts.writing.release(handle).then(() => this.#released(handle));
    return this.#released(handle);
  }

  /** A handle of an earlier daemon: that one may have released it, and died before the kernel heard. */
  #isOfBefore(handle: number): boolean {
    return handle < this.#firstHandle;
  }

  #released(handle: number): MaybePromise<void> {
    const { files, written } = this.#parts;
    if (this.#isOfBefore(handle) && !files.has(handle)) return;
    const node = files.node(handle);
    files.release(handle);
    return written?.nodeClosed(node);
  }

  /** An object has no holes: data from start to end. */
  lseek(_context: RequestContext, nodeId: number, handle: number, offset: number, whence: number): number {
    const { sizeBytes } = this.#parts.inodeReaders ? this.#parts.table.file(nodeId) : this.#parts.files.node(handle);
    if (offset >= sizeBytes) throw new ErrnoError(ENXIO, 'beyond the end');
    if (whence === SEEK_DATA) return offset;
    if (whence === SEEK_HOLE) return sizeBytes;
    throw new ErrnoError(EINVAL, `whence ${whence}`);
  }

  opendir(context: RequestContext, nodeId: number): OpenReply {
    const inherited = handleOfBefore(context, this.#parts.directories);
    if (inherited !== undefined) return { handle: inherited };
    const node = this.#parts.table.directory(nodeId);
    const handle = this.#nextHandle++;
    const pages = this.#parts.listings.whole(node.key);
    this.#parts.directories.open(handle, node, pages, context.id ?? -1);
    return { handle, ...this.#kernelCopy(node, pages) };
  }

  readdir(
    context: RequestContext,
    _nodeId: number,
    handle: number,
    offset: number,
    sink: DirectorySink,
  ): Promise<void> {
    return this.#parts.directories.read(context, handle, offset, sink);
  }

  releasedir(_context: RequestContext, _nodeId: number, handle: number): void {
    if (this.#isOfBefore(handle) && !this.#parts.directories.has(handle)) return;
    this.#parts.directories.release(handle);
  }

  fsyncdir(): void {}

  statfs(): FileSystemStatistics {
    return statistics;
  }

  getxattr(_context: RequestContext, nodeId: number, name: string): Uint8Array {
    if (name.startsWith('user.s3.')) return extendedAttribute(this.#parts.table.node(nodeId), name);
    // `ls -l` asks for others of every file: no reason to make an object of each.
    if (this.#parts.remembered.mayHave(this.#parts.table.view(nodeId).ino))
      return this.#parts.remembered.xattr(this.#parts.table.node(nodeId), name);
    throw new ErrnoError(ENODATA, `no attribute ${name}`);
  }

  listxattr(_context: RequestContext, nodeId: number): readonly string[] {
    if (!this.#parts.remembered.mayHave(this.#parts.table.view(nodeId).ino)) return [];
    return this.#parts.remembered.xattrNames(this.#parts.table.node(nodeId));
  }

  override setxattr(
    _context: RequestContext,
    nodeId: number,
    name: string,
    value: Uint8Array,
    flags: number,
  ): MaybePromise<void> {
    this.#parts.policy.mayWrite('setxattr');
    this.#parts.remembered.setXattr(this.#parts.table.node(nodeId), name, value, flags);
  }

  override removexattr(_context: RequestContext, nodeId: number, name: string): MaybePromise<void> {
    this.#parts.policy.mayWrite('removexattr');
    this.#parts.remembered.removeXattr(this.#parts.table.node(nodeId), name);
  }

  /** What is not refused by the mount is what no bucket can hold: links, and files that are no regular ones. */
  override symlink(context: RequestContext, parent: number, name: string, target: string): MaybePromise<Entry> {
    const { policy, posix, table } = this.#parts;
    policy.mayWrite('symlink');
    if (posix) {
      const directory = table.directory(parent);
      return this.#changing([directory], posix.symlink(context, directory.key, name, target));
    }
    throw new ErrnoError(EPERM, 'the bucket keeps no symbolic links (--posix-metadata does)');
  }

  readlink(context: RequestContext, nodeId: number): MaybePromise<string> {
    const node = this.#parts.table.file(nodeId);
    if (!this.#parts.posix) throw new ErrnoError(EINVAL, `'${node.key}' is no symbolic link`);
    return this.#parts.posix.readlink(node, context.signal);
  }

  override link(..._request: unknown[]): MaybePromise<Entry> {
    this.#parts.policy.mayWrite('link');
    throw new ErrnoError(EPERM, 'an object has one name');
  }

  /** Regular files come by CREATE. */
  override mknod(_context: RequestContext, _parent: number, _name: string, mode: number): MaybePromise<Entry> {
    this.#parts.policy.mayWrite('mknod');
    throw new ErrnoError((mode & S_IFMT) === S_IFREG ? ENOSYS : EPERM, `mknod of mode ${mode.toString(8)}`);
  }

  /** With default_permissions the kernel checks by itself; this is for bindings that ask. */
  access(_context: RequestContext, nodeId: number, mask: number): void {
    this.#parts.table.view(nodeId);
    if ((mask & W_OK) !== 0 && !this.#parts.policy.canWrite) throw new ErrnoError(EROFS, 'the mount cannot write');
  }

  /**
   * The mount is about to end, or has: commits what is whole and waits for what is under way, at most so long; what is then not
   * in the bucket is left for `recover` and named in the log. Twice does no harm. Never rejects.
   */
  async drain(timeoutMs: number, writersAreGone: boolean): Promise<void> {
    await this.#parts.written?.drain(timeoutMs, writersAreGone);
  }

  /**
   * A daemon before this one died: what it was writing goes on, or is an error for good (writing/take-over.ts). After what is open
   * for reading was restored, before the first request is served. Never rejects.
   */
  takeOverWriting(): Promise<TakenOver> {
    return this.#parts.takeOverFiles();
  }

  /** Another daemon takes over, and this one is killed when this has settled: what is written is put away, at most so long. */
  async handOver(timeoutMs: number): Promise<void> {
    await this.#parts.written?.handOver(timeoutMs);
  }

  destroy(): void {
    // Whoever takes over needs all of it.
    this.#parts.journal.freeze();
    this.#parts.siblings?.clear();
    this.#parts.background.stop();
    this.#parts.lookup.abortAll();
    this.#parts.lister.abortAll();
    this.#parts.versions.abortAll();
    this.#parts.growing?.abortAll();
    this.#parts.files.closeAll();
    this.#parts.inodeReaders?.closeAll();
    this.#parts.directories.closeAll();
    this.#parts.names.clear();
    this.#parts.changes.clear();
    this.#parts.remembered.clear();
    this.#parts.listings.clear();
  }

  protected override mayWrite(operation: string): void {
    this.#parts.policy.mayWrite(operation);
  }

  /** A handle of which an earlier daemon could not tell us: what was written through it is lost, and nobody may be told otherwise. */
  #refuseLost(handle: number): void {
    if (this.#parts.files.has(handle)) return;
    throw new ErrnoError(EIO, `file handle ${handle} is not known: the daemon that had it is gone`);
  }

  /** Who makes something, where that counts. */
  #owner({ uid, gid }: RequestContext): Partial<Owner> | undefined {
    return this.#parts.posix ? { uid, gid } : this.#parts.attributes.ownerOfNew({ uid, gid });
  }

  /** Times that were set are void once the file is written. */
  #noteWrite(nodeId: number): void {
    if (this.#parts.remembered.size > 0) this.#parts.remembered.written(this.#parts.table.node(nodeId));
  }

  /** The file that a fresh fact says the name is. */
  #knownFile(directoryKey: string, name: string): FileNode | undefined {
    const fact = this.#parts.names.find(directoryKey, name);
    return fact?.kind === 'file' ? this.#parts.table.fileOf(fact.head, fact.sentAtMs) : undefined;
  }

  /**
   * May the kernel keep its own copy of the listing (KERNEL fact 12)? It never asks again how old the copy is, not even
   * on rewinddir, so only where listings do not age; and it keeps an earlier copy only of the very same pages.
   */
  #kernelCopy(node: DirectoryNode, pages: readonly ListingPage[] | undefined): Partial<OpenReply> {
    if (!this.#parts.freshness.endless || !pages) return {};
    // The kernel drops its copy when it changes the directory itself; what it then reads is another listing to us as well.
    const serials = pages.map((page) => page.serial).join(' ') + `+${this.#parts.changes.serial(node.key)}`;
    const keepCache = node.kernelCopy === serials;
    node.kernelCopy = serials;
    return { cacheDirectory: true, keepCache };
  }

  #opened(context: RequestContext, node: FileNode, flags: number): MaybePromise<OpenReply> {
    const does = (flags & O_TRUNC) !== 0 ? 'truncate' : wantsToWrite(flags) ? 'write' : 'read';
    this.#parts.versions.refuse(node, 'open', does);
    const handle = this.#nextHandle++;
    if (wantsToWrite(flags) && this.#parts.writing) {
      this.#parts.files.open(handle, node, (flags & O_ACCMODE) !== O_WRONLY);
      const reply: OpenReply = { handle, keepCache: this.#options.keepCache ?? true };
      const failed = (error: unknown): never => {
        this.#parts.files.release(handle);
        throw error;
      };
      try {
        const opened = this.#parts.writing.open(context, handle, node, flags);
        return opened instanceof Promise ? opened.then(() => reply, failed) : reply;
      } catch (error) {
        return failed(error);
      }
    }
    const first = !node.wasOpened;
    this.#parts.files.openForReading(handle, node, context.id ?? -1);
    this.#parts.siblings?.opened(node, first);
    return this.#readReply(handle);
  }

  /** Pages belong to the node and the node to one version: they can stay, whatever was opened before (KERNEL facts 10, 11). */
  #readReply(handle: number): OpenReply {
    return { handle, keepCache: this.#options.keepCache ?? true, noFlush: true };
  }
}
