/**
 * The file system that the kernel sees: a bucket's prefix as directories and files, read only.
 * A thin composition: what is known of names (KnownNames, ListingCache), who asks the store (Lookup, Lister,
 * BackgroundLister), what the kernel knows (InodeTable) and what is open (FileHandles, DirectoryHandles) are nouns of their
 * own; here each operation of the kernel is spelled in their terms. docs/SEMANTICS.md says what is promised.
 * Answers at once whatever needs no request. Refuses every write with EROFS (RefusedWrites).
 */
import {
  EINVAL,
  EIO,
  ENAMETOOLONG,
  ENODATA,
  ENOENT,
  ENOSYS,
  ENXIO,
  EROFS,
  errnoName,
  ErrnoError,
  ESTALE,
} from '../base/errno.js';
import type { Clock } from '../base/clock.js';
import { invariant } from '../base/invariant.js';
import type { Log } from '../base/log.js';
import type { WriteSlots } from '../base/pool/write-slots.js';
import { MIB } from '../base/units.js';
import type { ObjectStore } from '../engine/api.js';
import type { ObjectWriter } from '../engine/write-api.js';
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
import type { Prefetcher, Speculator } from '../prefetch/api.js';
import { ARCHIVE_CLASSES, AttributeMaker, type AttributeOptions, statistics } from './attributes.js';
import { BackgroundLister } from './background-lister.js';
import { DirectoryHandles } from './directory-handles.js';
import { EntryMaker } from './entry-maker.js';
import { FaultLog } from './fault-log.js';
import { FileHandles, type ReadWatch, type UnsavedContent } from './file-handles.js';
import { Freshness } from './freshness.js';
import { InodeReaders } from './inode-readers.js';
import { inoOfKey } from './ino.js';
import { type DirectoryNode, type FileNode, InodeTable, isVersion } from './inode-table.js';
import { couldBeKey } from './keymap.js';
import { KnownNames, type KnownName } from './known-names.js';
import { defaultLimits, type FileSystemLimits } from './limits.js';
import { Lister } from './lister.js';
import { ListingCache } from './listing-cache.js';
import type { ListingPage } from './listing-page.js';
import { Lookup } from './lookup.js';
import { KeptDirectories } from './namespace/kept-directories.js';
import { OwnChanges } from './namespace/own-changes.js';
import { DirectoryOwnNames } from './namespace/own-names.js';
import { WritePolicy } from './namespace/write-policy.js';
import { noUncommittedFiles } from './namespace/written-files.js';
import { RefusedWrites } from './refused-writes.js';
import { Siblings } from './siblings.js';
import { SingleFlight } from './single-flight.js';
import { flushedByOpener, type FlushWitness } from './writing/flush-witness.js';
import type { SpoolDirectory } from './writing/spool.js';
import { existsError, wantsToWrite, WriteOperations } from './writing/write-operations.js';
import { WrittenFiles, type WritingOptions } from './writing/written-files.js';
import { extendedAttribute } from './xattrs.js';

const O_ACCMODE = 0o3;
const O_WRONLY = 0o1;
const O_EXCL = 0o200;
const O_TRUNC = 0o1000;
const W_OK = 2;
const SEEK_DATA = 3;
const SEEK_HOLE = 4;

/** Without an ObjectWriter. */
const CANNOT_WRITE = 'this version of mount-s3x cannot write yet';

export interface FileSystemOptions extends AttributeOptions {
  /** '' or ends with '/': the part of the bucket that is mounted. */
  readonly prefix: string;
  /** How old names and attributes may be; null = for ever. */
  readonly metadataTtlMs: number | null;
  readonly negativeMetadataTtlMs: number | null;
  /** The user asked for it; without, writes are refused all the same, with another sentence in the log. */
  readonly readOnly: boolean;
  /** Pages of a version stay in the kernel's cache from one open to the next; default true. */
  readonly keepCache?: boolean;
  /**
   * `--immutable`: OPEN and FLUSH are answered with ENOSYS, which the kernel remembers: READs then come without a handle,
   * and neither opens nor closes are heard of. Only on a mount that is read-only and whose names never expire.
   */
  readonly withoutOpens?: boolean;
  /** The store lists in key order and knows start-after; false for directory buckets. Default true. */
  readonly listsInOrder?: boolean;
  /** First node id and handle to give; a daemon that takes over starts above its predecessor's. Default 2. */
  readonly firstNodeId?: number;
  readonly limits?: Partial<FileSystemLimits>;
  /** How files are written, on a mount that writes. */
  readonly writing?: WritingOptions;
}

export interface FileSystemDeps {
  readonly store: ObjectStore;
  readonly prefetcher: Prefetcher;
  /** Fetches small files ahead of their open; without, nothing is fetched that nobody opened. */
  readonly speculator?: Speculator;
  /** What a mount that writes needs beside: all of them or none. */
  readonly writer?: ObjectWriter;
  /** Pool memory for what is written. */
  readonly writeSlots?: WriteSlots;
  readonly spool?: SpoolDirectory;
  /** Who flushes; without, every FLUSH is the opener's. */
  readonly witness?: FlushWitness;
  readonly clock: Clock;
  readonly log: Log;
  /** A name that the kernel may remember is out of date: somebody else replaced or deleted the object. */
  readonly nameChanged?: (parentNodeId: number, name: string) => void;
}

/** Counters and gauges for `stats`. */
export interface FileSystemStats {
  readonly nodes: number;
  /** Open handles; without opens, the nodes that are being read. */
  readonly openFiles: number;
  readonly openDirectories: number;
  readonly lookupHits: number;
  readonly lookupMisses: number;
  readonly listPages: number;
  readonly listingBytes: number;
  readonly openListingBytes: number;
  /** What the nodes cost in memory, about. */
  readonly nodeBytes: number;
  /** Keys seen in listings that cannot be names; counted each time they are listed. */
  readonly hiddenKeys: number;
  /** Files seen in listings that a directory of the same name hides. */
  readonly shadowedFiles: number;
  /** Opens and reads that found their version replaced. */
  readonly stale: number;
  /** Small files fetched before they were opened, and those of them that then were. */
  readonly fetchedAhead: number;
  readonly fetchedAheadUsed: number;
}

export class S3FileSystem extends RefusedWrites implements FuseHandlers {
  readonly #options: FileSystemOptions;
  readonly #store: ObjectStore;
  readonly #clock: Clock;
  readonly #nameChanged: (parentNodeId: number, name: string) => void;
  readonly #freshness: Freshness;
  readonly #faults: FaultLog;
  readonly #table: InodeTable;
  readonly #attributes: AttributeMaker;
  readonly #entries: EntryMaker;
  readonly #listings: ListingCache;
  readonly #names: KnownNames;
  readonly #lister: Lister;
  readonly #background: BackgroundLister;
  readonly #lookup: Lookup;
  readonly #files: FileHandles;
  readonly #inodeReaders: InodeReaders | undefined;
  readonly #directories: DirectoryHandles;
  readonly #siblings: Siblings | undefined;
  readonly #policy: WritePolicy;
  /** Undefined where nothing is written. */
  readonly #written: WrittenFiles | undefined;
  readonly #writing: WriteOperations | undefined;
  readonly #changes: OwnChanges;
  readonly #revalidations = new SingleFlight<void>();
  #nextHandle: number;
  #stale = 0;

  constructor(options: FileSystemOptions, deps: FileSystemDeps) {
    super();
    this.#options = options;
    this.#store = deps.store;
    this.#clock = deps.clock;
    this.#nameChanged = deps.nameChanged ?? (() => undefined);
    const limits: FileSystemLimits = { ...defaultLimits, ...options.limits };
    const firstNodeId = options.firstNodeId ?? 2;
    this.#nextHandle = firstNodeId;
    const freshness = (this.#freshness = new Freshness(options, deps));
    const faults = (this.#faults = new FaultLog(deps));
    const table = (this.#table = new InodeTable(
      { rootKey: options.prefix, firstNodeId },
      {
        forgotten: (nodeId) => {
          this.#inodeReaders?.forgotten(nodeId);
          deps.prefetcher.forgetVersion(nodeId);
        },
      },
    ));
    this.#attributes = new AttributeMaker(options, deps.clock.wallMs());
    const entries = (this.#entries = new EntryMaker({ attributes: this.#attributes, freshness }));
    const inOrder = options.listsInOrder ?? true;
    const bytesMax = limits.listingCacheBytesMax;
    const { writer, writeSlots, spool } = deps;
    const canWrite = writer && writeSlots && spool;
    const readOnlyBecause = options.readOnly
      ? 'the bucket is mounted with --read-only'
      : canWrite
        ? undefined
        : CANNOT_WRITE;
    this.#policy = new WritePolicy({ readOnlyBecause }, { faults });
    const changes: OwnChanges = (this.#changes = new OwnChanges({
      freshness,
      floorRaised: (extent, key, floorMs) => cache.dropOlder(extent, key, floorMs),
    }));
    const floorMs = (directoryKey: string): number => changes.floorMs(directoryKey);
    const cache: ListingCache = (this.#listings = new ListingCache({ bytesMax, inOrder }, { freshness, floorMs }));
    const names = (this.#names = new KnownNames(
      { factsMax: limits.nameFactsMax },
      { listings: cache, freshness, changes },
    ));
    const kept = new KeptDirectories(options.prefix);
    if (canWrite && !options.readOnly) {
      this.#written = new WrittenFiles(options.writing ?? { conflict: 'fail', partBytes: 8 * MIB }, {
        writer,
        slots: writeSlots,
        spool,
        table,
        prefetcher: deps.prefetcher,
        clock: deps.clock,
        log: deps.log,
        propertiesOf: () => ({}),
        wrote: (head) => changes.wrote(head),
        versionChanged: (node, isWritten) => {
          this.#files.versionChanged(node);
          if (isWritten) deps.prefetcher.seclude(node.nodeId);
          else deps.prefetcher.share(node.nodeId);
        },
        discarded: (node) => this.#discarded(node),
      });
      const witness = deps.witness ?? flushedByOpener;
      this.#writing = new WriteOperations({ files: this.#written, witness, table, faults });
    }
    const uncommitted = this.#written ?? noUncommittedFiles;
    const ownNames = new DirectoryOwnNames({ changes, kept, uncommitted, freshness });
    const lister = (this.#lister = new Lister({ store: deps.store, cache, freshness, limits, faults, changes }));
    const background = (this.#background = new BackgroundLister({ lister, cache, freshness, limits }));
    this.#lookup = new Lookup({
      store: deps.store,
      names,
      lister,
      listings: cache,
      background,
      freshness,
      limits,
      faults,
      kept,
    });
    this.#directories = new DirectoryHandles({ table, lister, names, entries, freshness, limits, ownNames });
    const { speculator } = deps;
    this.#siblings = speculator && new Siblings({ table, listings: cache, names, freshness, speculator });
    const watch: ReadWatch = {
      stale: (node) => this.#foundStale(node, 'read'),
      failed: (node, errno) => {
        const error = new ErrnoError(
          errno,
          `reading fails with ${errnoName(errno)}; see the engine's line before this one`,
        );
        this.#faults.report('read', node.key, error);
      },
    };
    const { prefetcher } = deps;
    const unsaved = (nodeId: number): UnsavedContent | undefined => this.#writing?.unsaved(nodeId);
    this.#files = new FileHandles({ table, prefetcher, unsaved, ...watch });
    if (options.withoutOpens) {
      invariant(options.readOnly && freshness.endless, 'without opens nothing is written and no name expires');
      const began = (node: FileNode, first: boolean): void => this.#siblings?.opened(node, first);
      this.#inodeReaders = new InodeReaders({ table, prefetcher, clock: deps.clock, began, ...watch });
    }
  }

  /** The cache of listing pages, whose bound the memory governor moves. */
  get listings(): Pick<ListingCache, 'bytes' | 'bytesMax' | 'setBytesMax'> {
    return this.#listings;
  }

  stats(): FileSystemStats {
    return {
      nodes: this.#table.size,
      openFiles: this.#files.size + (this.#inodeReaders?.size ?? 0),
      openDirectories: this.#directories.size,
      lookupHits: this.#lookup.hits,
      lookupMisses: this.#lookup.misses,
      listPages: this.#lister.pages,
      listingBytes: this.#listings.bytes,
      openListingBytes: this.#directories.bytes,
      nodeBytes: this.#table.bytes,
      hiddenKeys: this.#lister.hiddenKeys,
      shadowedFiles: this.#lister.shadowedFiles,
      stale: this.#stale,
      fetchedAhead: this.#siblings?.started ?? 0,
      fetchedAheadUsed: this.#siblings?.used ?? 0,
    };
  }

  lookup(context: RequestContext, parent: number, name: string): MaybePromise<Entry> {
    const { key } = this.#table.directory(parent);
    const unsaved = this.#written?.find(key + name);
    if (unsaved?.isUncommitted === true) return this.#entryOf(unsaved.node);
    const known = this.#lookup.known(key, name);
    if (known) return this.#answer(key, name, known);
    return this.#lookup.ask(key, name, context.signal).then((fact) => this.#answer(key, name, fact));
  }

  forget(nodeId: number, count: number): void {
    if (this.#table.forget(nodeId, count)) return;
    this.#faults.problem('forget', { nodeId, count }, [
      `the kernel forgot node ${nodeId} more often than it was told of it`,
      'please report this line: lookup counts have gone wrong',
    ]);
  }

  /** Attributes are a version's own, so no request is made: that a path still means this version is for lookups to say. */
  getattr(_context: RequestContext, nodeId: number): AttributesReply {
    return { attributes: this.#attributes.of(this.#table.view(nodeId)), ttlMs: this.#freshness.wholeMs };
  }

  open(context: RequestContext, nodeId: number, flags: number): MaybePromise<OpenReply> {
    const node = this.#table.file(nodeId);
    if (wantsToWrite(flags)) {
      if (!this.#writing) return this.refuse('open for writing');
      this.#policy.mayOverwrite('open for writing', node.key);
    }
    // Remembered as "no OPEN needed", by this kernel's every open from now on.
    if (this.#inodeReaders) throw new ErrnoError(ENOSYS);
    // Of a name that is gone nobody opens the file again, except through a descriptor (/proc/self/fd).
    if (!node.current) throw this.#staleError(node);
    // A restore may have come or run out since the listing: only a HEAD tells.
    const maybeArchived = ARCHIVE_CLASSES.has(node.storageClass);
    if (this.#freshness.isFresh(node.validatedAtMs) && !maybeArchived) return this.#opened(context, node, flags);
    return this.#revalidate(node, context.signal).then(() => this.#opened(context, node, flags));
  }

  override create(
    context: RequestContext,
    parent: number,
    name: string,
    _mode: number,
    flags: number,
  ): MaybePromise<{ entry: Entry; open: OpenReply }> {
    if (!this.#writing) return this.refuse('create');
    const directory = this.#table.directory(parent);
    if (!couldBeKey(directory.key, name)) {
      throw new ErrnoError(ENAMETOOLONG, `'${directory.key}${name}' is no key that S3 can have`);
    }
    const key = directory.key + name;
    const known = this.#written?.find(key)?.node ?? this.#knownFile(directory.key, name);
    if (known) {
      // Somebody was faster than the kernel's question.
      if ((flags & O_EXCL) !== 0) throw existsError(key);
      this.#table.remember(known);
      const entry = this.#entries.entry(known, this.#freshness.nowMs());
      const opened = this.open(context, known.nodeId, flags);
      return opened instanceof Promise ? opened.then((open) => ({ entry, open })) : { entry, open: opened };
    }
    this.#policy.mayWrite('create');
    const node = this.#table.createLocal(key, this.#clock.wallMs());
    const handle = this.#nextHandle++;
    this.#writing.created(context, handle, node, flags);
    this.#files.open(handle, node, false);
    return { entry: this.#entryOf(node), open: { handle, keepCache: true } };
  }

  override write(
    context: RequestContext,
    _nodeId: number,
    handle: number,
    offset: number,
    data: Uint8Array,
    _flags: number,
    loan?: WriteLoan,
  ): MaybePromise<number> {
    if (!this.#writing) return this.refuse('write');
    return this.#writing.write(context, handle, offset, data, loan);
  }

  override fallocate(
    context: RequestContext,
    _nodeId: number,
    handle: number,
    offset: number,
    lengthBytes: number,
    mode: number,
  ): MaybePromise<void> {
    if (!this.#writing) return this.refuse('fallocate');
    return this.#writing.allocate(context, handle, offset, lengthBytes, mode);
  }

  override setattr(context: RequestContext, nodeId: number, changes: AttributeChanges): MaybePromise<AttributesReply> {
    if (!this.#writing) return this.refuse('setattr');
    const { sizeBytes, handle } = changes;
    if (sizeBytes === undefined) return this.getattr(context, nodeId);
    const node = this.#table.file(nodeId);
    this.#policy.mayOverwrite('truncate', node.key);
    return this.#writing.resize(context, node, handle, sizeBytes).then(() => this.getattr(context, nodeId));
  }

  read(
    context: RequestContext,
    nodeId: number,
    handle: number,
    offset: number,
    sizeBytes: number,
    reply: ReadReply,
  ): void {
    if (this.#inodeReaders)
      this.#readNode(this.#inodeReaders, context, this.#table.file(nodeId), offset, sizeBytes, reply);
    else this.#files.read(handle, offset, sizeBytes, reply);
  }

  /** A reader thread answered this READ by itself from resident blocks. */
  accessed(nodeId: number, handle: number, offset: number, sizeBytes: number): void {
    if (!this.#inodeReaders) {
      this.#files.accessed(handle, offset, sizeBytes);
      return;
    }
    const node = this.#table.find(nodeId);
    if (node?.kind === 'file') this.#inodeReaders.accessed(node, offset, sizeBytes);
  }

  /**
   * The store said (to whichever thread) that this version is no longer there: the next open of the path asks again. For
   * the prefetcher's `versionLost`; ids that are not known any more are ignored.
   */
  versionLost(nodeId: number): void {
    const node = this.#table.find(nodeId);
    if (node?.kind === 'file') this.#foundStale(node, node.opens > 0 || this.#inodeReaders ? 'read' : 'open');
  }

  /** Where nothing was written there is nothing to say; the kernel is told not to ask (noFlush, or ENOSYS once). */
  flush(context: RequestContext, _nodeId: number, handle: number): MaybePromise<void> {
    if (this.#inodeReaders) throw new ErrnoError(ENOSYS);
    return this.#writing?.flush(context, handle);
  }

  fsync(_context: RequestContext, _nodeId: number, handle: number): MaybePromise<void> {
    return this.#writing?.fsync(handle);
  }

  release(_context: RequestContext, _nodeId: number, handle: number): MaybePromise<void> {
    // The node stays until its last bytes are in the bucket.
    if (this.#writing?.isWriter(handle)) return this.#writing.release(handle).then(() => this.#files.release(handle));
    this.#files.release(handle);
  }

  /** An object has no holes: data from start to end. */
  lseek(_context: RequestContext, nodeId: number, handle: number, offset: number, whence: number): number {
    const { sizeBytes } = this.#inodeReaders ? this.#table.file(nodeId) : this.#files.node(handle);
    if (offset >= sizeBytes) throw new ErrnoError(ENXIO, 'beyond the end');
    if (whence === SEEK_DATA) return offset;
    if (whence === SEEK_HOLE) return sizeBytes;
    throw new ErrnoError(EINVAL, `whence ${whence}`);
  }

  opendir(_context: RequestContext, nodeId: number): OpenReply {
    const node = this.#table.directory(nodeId);
    const handle = this.#nextHandle++;
    const pages = this.#listings.whole(node.key);
    this.#directories.open(handle, node, pages);
    return { handle, ...this.#kernelCopy(node, pages) };
  }

  readdir(
    context: RequestContext,
    _nodeId: number,
    handle: number,
    offset: number,
    sink: DirectorySink,
  ): Promise<void> {
    return this.#directories.read(context, handle, offset, sink);
  }

  releasedir(_context: RequestContext, _nodeId: number, handle: number): void {
    this.#directories.release(handle);
  }

  fsyncdir(): void {}

  statfs(): FileSystemStatistics {
    return statistics;
  }

  getxattr(_context: RequestContext, nodeId: number, name: string): Uint8Array {
    // `ls -l` asks for others of every file: no reason to make an object of each.
    if (!name.startsWith('user.s3.')) {
      this.#table.view(nodeId);
      throw new ErrnoError(ENODATA, `no attribute ${name}`);
    }
    return extendedAttribute(this.#table.node(nodeId), name);
  }

  listxattr(_context: RequestContext, nodeId: number): readonly string[] {
    this.#table.view(nodeId);
    return [];
  }

  /** With default_permissions the kernel checks by itself; this is for bindings that ask. */
  access(_context: RequestContext, nodeId: number, mask: number): void {
    this.#table.view(nodeId);
    if ((mask & W_OK) !== 0 && !this.#policy.canWrite) throw new ErrnoError(EROFS, 'the mount cannot write');
  }

  destroy(): void {
    this.#siblings?.clear();
    this.#background.stop();
    this.#lookup.abortAll();
    this.#lister.abortAll();
    this.#revalidations.abortAll();
    this.#files.closeAll();
    this.#inodeReaders?.closeAll();
    this.#directories.closeAll();
    this.#names.clear();
    this.#changes.clear();
    this.#listings.clear();
  }

  protected override mayWrite(operation: string): void {
    this.#policy.mayWrite(operation);
  }

  /** The entry of a node that holds what the bucket does not; one lookup counted. */
  #entryOf(node: FileNode): Entry {
    this.#table.remember(node);
    return this.#entries.entry(node, this.#freshness.nowMs());
  }

  /** The file that a fresh fact says the name is. */
  #knownFile(directoryKey: string, name: string): FileNode | undefined {
    const fact = this.#names.find(directoryKey, name);
    return fact?.kind === 'file' ? this.#table.fileOf(fact.head, fact.sentAtMs) : undefined;
  }

  /** What was written is not in the bucket and will not be: the name means again what the bucket says. */
  #discarded(node: FileNode): void {
    if (node.current) this.#table.retire(node);
    this.#names.distrust(node.key);
    const nameAt = node.key.lastIndexOf('/') + 1;
    const parent = this.#table.knownDirectory(node.key.slice(0, nameAt));
    if (parent) this.#nameChanged(parent.nodeId, node.key.slice(nameAt));
  }

  /** One entry to the kernel, one lookup counted. */
  #answer(directoryKey: string, name: string, fact: KnownName): Entry {
    if (fact.kind === 'none') {
      const ttlMs = this.#freshness.negativeRemainingMs(fact.sentAtMs);
      if (ttlMs === 0) throw new ErrnoError(ENOENT, `no '${directoryKey}${name}'`);
      return this.#entries.nothing(ttlMs);
    }
    if (fact.kind === 'file' && fact.page && fact.row !== undefined) {
      const ino = inoOfKey(directoryKey + name);
      const nodeId = this.#table.listed(fact.page, fact.row, ino);
      this.#table.rememberListed(nodeId);
      return this.#entries.entry(this.#table.view(nodeId, ino), fact.sentAtMs);
    }
    const node =
      fact.kind === 'directory'
        ? this.#table.directoryOf(`${directoryKey}${name}/`)
        : this.#table.fileOf(fact.head, fact.sentAtMs);
    this.#table.remember(node);
    return this.#entries.entry(node, fact.sentAtMs);
  }

  /**
   * May the kernel keep its own copy of the listing (KERNEL fact 12)? It never asks again how old the copy is, not even
   * on rewinddir, so only where listings do not age; and it keeps an earlier copy only of the very same pages.
   */
  #kernelCopy(node: DirectoryNode, pages: readonly ListingPage[] | undefined): Partial<OpenReply> {
    if (!this.#freshness.endless || !pages) return {};
    // The kernel drops its copy when it changes the directory itself; what it then reads is another listing to us as well.
    const serials = pages.map((page) => page.serial).join(' ') + `+${this.#changes.serial(node.key)}`;
    const keepCache = node.kernelCopy === serials;
    node.kernelCopy = serials;
    return { cacheDirectory: true, keepCache };
  }

  #refuseArchived(node: FileNode, operation: string): void {
    if (!ARCHIVE_CLASSES.has(node.storageClass) || node.restored) return;
    this.#faults.problem('archived', { key: node.key, storageClass: node.storageClass }, [
      `${operation} of '${node.key}' is refused with EIO: the object is archived (${node.storageClass})`,
      'restore it first (aws s3api restore-object) and wait until the restored copy is there',
    ]);
    throw new ErrnoError(EIO, `${node.key} is archived in ${node.storageClass}`);
  }

  /** Without opens the first READ of a node that is perhaps archived asks what an OPEN would have asked. */
  #readNode(
    readers: InodeReaders,
    { signal }: RequestContext,
    node: FileNode,
    offset: number,
    sizeBytes: number,
    reply: ReadReply,
  ): void {
    if (!ARCHIVE_CLASSES.has(node.storageClass) || readers.has(node)) {
      readers.read(node, offset, sizeBytes, reply);
      return;
    }
    void this.#revalidate(node, signal)
      .then(() => this.#refuseArchived(node, 'read'))
      .then(
        () => readers.read(node, offset, sizeBytes, reply),
        (error: unknown) => reply.error(error instanceof ErrnoError ? error.errno : EIO),
      );
  }

  #opened(context: RequestContext, node: FileNode, flags: number): MaybePromise<OpenReply> {
    if ((flags & O_TRUNC) === 0) this.#refuseArchived(node, 'open');
    const handle = this.#nextHandle++;
    if (wantsToWrite(flags) && this.#writing) {
      this.#files.open(handle, node, (flags & O_ACCMODE) !== O_WRONLY);
      const reply: OpenReply = { handle, keepCache: this.#options.keepCache ?? true };
      const failed = (error: unknown): never => {
        this.#files.release(handle);
        throw error;
      };
      try {
        const opened = this.#writing.open(context, handle, node, flags);
        return opened instanceof Promise ? opened.then(() => reply, failed) : reply;
      } catch (error) {
        return failed(error);
      }
    }
    const first = !node.wasOpened;
    this.#files.open(handle, node);
    this.#siblings?.opened(node, first);
    // Pages belong to the node and the node to one version: they can stay, whatever was opened before (KERNEL facts 10, 11).
    return { handle, keepCache: this.#options.keepCache ?? true, noFlush: true };
  }

  /** Asks whether the node's version is still what the bucket holds. Throws ESTALE when it is not: the kernel looks up again. */
  async #revalidate(node: FileNode, signal: AbortSignal): Promise<void> {
    const flightKey = `${node.nodeId}`;
    const startedAtMs = this.#revalidations.startedAtMs(flightKey);
    const joinable = startedAtMs !== undefined && this.#freshness.isFresh(startedAtMs);
    const check = async (abort: AbortSignal): Promise<void> => {
      const sentAtMs = this.#freshness.nowMs();
      try {
        const head = await this.#store.head(node.key, abort);
        if (head && isVersion(node, head)) this.#table.confirm(node, head, sentAtMs);
        else this.#foundStale(node, 'open');
      } catch (error) {
        this.#faults.report('open', node.key, error);
        throw error;
      }
    };
    await this.#revalidations.join(flightKey, this.#freshness.nowMs(), signal, check, joinable);
    if (!node.current) throw this.#staleError(node);
  }

  #foundStale(node: FileNode, operation: string): void {
    if (!node.current) return;
    this.#stale++;
    this.#table.retire(node);
    this.#names.distrust(node.key);
    // With a long time to live the kernel would answer stat(2) with the old version until the name expires.
    const nameAt = node.key.lastIndexOf('/') + 1;
    const parent = this.#table.knownDirectory(node.key.slice(0, nameAt));
    if (parent) this.#nameChanged(parent.nodeId, node.key.slice(nameAt));
    // A name that was replaced between lookup and open is an everyday thing; a reader that loses its file is not.
    if (operation !== 'read') return;
    this.#faults.problem('stale', { key: node.key, etag: node.etag }, [
      this.#inodeReaders
        ? `'${node.key}' was replaced or deleted although the mount is --immutable; its readers get ESTALE`
        : `'${node.key}' was replaced or deleted while it was open; its readers get ESTALE`,
      this.#inodeReaders
        ? 'open it again to read what is there now; mount without --immutable where objects change'
        : 'open it again to read what is there now',
    ]);
  }

  #staleError(node: FileNode): ErrnoError {
    return new ErrnoError(ESTALE, `'${node.key}' is not this version any more`);
  }
}
