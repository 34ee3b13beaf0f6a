/**
 * The parts that a file system is made of, joined in one place: what is known of names, who asks the store, what the kernel
 * knows, what is open, and, where something may be written, what is being written and what changes names.
 * The operations of the kernel are spelled in their terms in file-system.ts. Refuses to do anything itself.
 */
import { errnoName, ErrnoError } from '../base/errno.js';
import type { Clock } from '../base/clock.js';
import { noJournal, type StateJournal } from '../base/journal/journal-api.js';
import { invariant } from '../base/invariant.js';
import type { ObjectWriter } from '../engine/write-api.js';
import { AttributeMaker } from './attributes.js';
import { BackgroundLister } from './background-lister.js';
import { contentTypeOf } from './content-type.js';
import { DirectoryHandles } from './directory-handles.js';
import { EntryMaker } from './entry-maker.js';
import { FaultLog } from './fault-log.js';
import { FileHandles, lostReader, type ReadWatch } from './file-handles.js';
import type { FileSystemDeps, FileSystemOptions } from './file-system-api.js';
import { Freshness } from './freshness.js';
import { InodeReaders } from './inode-readers.js';
import { InodeTable, type FileNode } from './inode-table.js';
import { NodeReads } from './node-reads.js';
import { KnownNames } from './known-names.js';
import { defaultLimits, type FileSystemLimits } from './limits.js';
import { Lister } from './lister.js';
import { ListingCache } from './listing-cache.js';
import { Lookup } from './lookup.js';
import { KeptDirectories } from './namespace/kept-directories.js';
import { Namespace } from './namespace/namespace.js';
import { Orphans } from './namespace/orphans.js';
import { OwnChanges } from './namespace/own-changes.js';
import { DirectoryOwnNames } from './namespace/own-names.js';
import { PosixMetadata } from './namespace/posix-metadata.js';
import { RememberedAttributes } from './namespace/remembered-attributes.js';
import { RepeatedChanges } from './namespace/repeated-changes.js';
import { WritePolicy } from './namespace/write-policy.js';
import { noUncommittedFiles } from './namespace/written-files.js';
import { mountedAtMs } from './restore/mount-record.js';
import { KnownFiles } from './restore/known-files.js';
import { buildRecords, type Records } from './restore/records.js';
import { Siblings } from './siblings.js';
import { GrowingFiles } from './growing-files.js';
import { Versions } from './versions.js';
import { BaseReader } from './writing/base-reader.js';
import { FileRecords } from './writing/file-records.js';
import { flushedByOpener } from './writing/flush-witness.js';
import { SpoolFile, type SpoolDirectory } from './writing/spool.js';
import { takeOverFiles, type TakenOver } from './writing/take-over.js';
import { WriteOperations } from './writing/write-operations.js';
import { defaultWriting } from './writing/writing-options.js';
import { WrittenFiles } from './writing/written-files.js';
import type { WriteSlots } from '../base/pool/write-slots.js';

/** --rename-dir-max where nobody says otherwise. */
const RENAME_KEYS_MAX = 100_000;

/** Without an ObjectWriter. */
const CANNOT_WRITE = 'this version of mount-s3x cannot write yet';

export interface FileSystemParts {
  readonly clock: Clock;
  readonly freshness: Freshness;
  readonly faults: FaultLog;
  readonly table: InodeTable;
  readonly attributes: AttributeMaker;
  readonly entries: EntryMaker;
  readonly listings: ListingCache;
  readonly names: KnownNames;
  readonly changes: OwnChanges;
  readonly lister: Lister;
  readonly background: BackgroundLister;
  readonly lookup: Lookup;
  readonly versions: Versions;
  /** Where the kernel can be told of it. */
  readonly growing: GrowingFiles | undefined;
  readonly files: FileHandles;
  /** Only where the kernel was told that it need not open. */
  readonly inodeReaders: InodeReaders | undefined;
  readonly nodeReads: NodeReads | undefined;
  readonly known: KnownFiles | undefined;
  /** What was removed while it was open, by an earlier daemon. After the handles. */
  readonly inheritOrphans: () => void;
  readonly directories: DirectoryHandles;
  readonly siblings: Siblings | undefined;
  readonly remembered: RememberedAttributes;
  readonly policy: WritePolicy;
  /** These three are undefined where nothing is written. */
  readonly written: WrittenFiles | undefined;
  readonly writing: WriteOperations | undefined;
  readonly namespace: Namespace | undefined;
  /** --posix-metadata */
  readonly posix: PosixMetadata | undefined;
  /** What the process before this one was writing goes on. */
  readonly takeOverFiles: () => Promise<TakenOver>;
  /** What a successor of this process must know. */
  readonly records: Records;
  readonly journal: StateJournal;
}

/** What a mount that writes has beside. */
interface WritingDeps {
  readonly writer: ObjectWriter;
  readonly writeSlots: WriteSlots;
  readonly spool: SpoolDirectory;
}

export function buildParts(options: FileSystemOptions, deps: FileSystemDeps): FileSystemParts {
  const { store, prefetcher, speculator, clock } = deps;
  const limits: FileSystemLimits = { ...defaultLimits, ...options.limits };
  const rootKey = options.prefix;
  const wallMs = (): number => clock.wallMs();
  const freshness = new Freshness(options, deps);
  const faults = new FaultLog(deps);
  const journal = deps.journal ?? noJournal;
  const recorded = buildRecords(journal);
  const remembered = new RememberedAttributes(
    { rootKey, isKept: options.posixMetadata === true },
    { wallMs, records: recorded.attributes },
  );
  const known = options.withoutOpens === true && journal !== noJournal ? new KnownFiles(journal) : undefined;
  const table = new InodeTable(
    { rootKey, firstNodeId: options.firstNodeId ?? 2 },
    {
      isRemembered: (ino) => remembered.mayHave(ino),
      records: recorded.directories,
      known,
      changed: (node) => files.nodeChanged(node),
      forgotten: (nodeId) => {
        inodeReaders?.forgotten(nodeId);
        prefetcher.forgetVersion(nodeId);
      },
    },
  );
  const attributes = new AttributeMaker(options, mountedAtMs(journal, wallMs()), remembered);
  const entries = new EntryMaker({ attributes, freshness });

  const changes: OwnChanges = new OwnChanges(
    {
      freshness,
      floorRaised: (extent, key, floorMs) => listings.dropOlder(extent, key, floorMs),
    },
    limits,
  );
  const listings = new ListingCache(
    { bytesMax: limits.listingCacheBytesMax, inOrder: options.listsInOrder ?? true },
    { freshness, floorMs: (directoryKey) => changes.floorMs(directoryKey) },
  );
  const names = new KnownNames({ factsMax: limits.nameFactsMax }, { listings, freshness, changes });
  const lister = new Lister({ store, cache: listings, freshness, limits, faults, changes });
  const background = new BackgroundLister({ lister, cache: listings, freshness, limits });
  const kept = new KeptDirectories(rootKey, undefined, recorded.attributes);
  const lookup = new Lookup({ store, names, lister, listings, background, freshness, limits, faults, kept });
  const nameChanged = deps.nameChanged ?? ((): void => undefined);
  const isImmutable = options.withoutOpens === true;
  const versions = new Versions({ isImmutable }, { store, table, names, freshness, faults, nameChanged });
  const siblings = speculator && new Siblings({ table, listings, names, freshness, speculator });

  const watch: ReadWatch = {
    stale: (node) => versions.found(node, 'read'),
    failed: (node, errno) => {
      const sentence = `reading fails with ${errnoName(errno)}; see the engine's line before this one`;
      faults.report('read', node.key, new ErrnoError(errno, sentence));
    },
  };
  const files: FileHandles = new FileHandles({
    table,
    prefetcher,
    unsaved: (nodeId) => writing?.unsaved(nodeId),
    records: recorded.handles,
    ...watch,
  });
  const { bytesChanged } = deps;
  const growing =
    bytesChanged &&
    new GrowingFiles({
      ...{ store, table, prefetcher, freshness, bytesChanged },
      log: deps.log,
      isWritten: (node) => written?.of(node) !== undefined,
      versionChanged: (node) => {
        files.versionChanged(node);
        prefetcher.seclude(node.nodeId);
        prefetcher.share(node.nodeId);
      },
    });
  const inodeReaders = isImmutable
    ? new InodeReaders({
        table,
        prefetcher,
        clock,
        began: (node, first) => siblings?.opened(node, first),
        ...watch,
      })
    : undefined;
  const nodeReads =
    inodeReaders &&
    new NodeReads({
      readers: inodeReaders,
      table,
      versions,
      lister,
      known: known ?? new KnownFiles(noJournal),
      namesLost: deps.namesLost ?? ((): void => undefined),
    });
  invariant(
    !isImmutable || (options.readOnly && freshness.endless),
    'without opens nothing is written, no name expires',
  );

  const can = writingDeps(deps);
  const records = new FileRecords(journal);
  const repeated = new RepeatedChanges(journal);
  const { noOverwrite, noDelete } = options;
  const readOnlyBecause = options.readOnly ? 'the bucket is mounted with --read-only' : can ? undefined : CANNOT_WRITE;
  const policy = new WritePolicy({ readOnlyBecause, noOverwrite, noDelete }, { faults });
  // What was written under the name never became its object, or nobody knows: listings that say otherwise are void, too.
  const nameFreed = (node: FileNode): void => {
    versions.forget(node);
    changes.doubted(node.key);
  };
  const written =
    can && policy.canWrite
      ? new WrittenFiles(options.writing ?? defaultWriting, {
          writer: can.writer,
          slots: can.writeSlots,
          spool: can.spool,
          table,
          prefetcher,
          clock,
          log: deps.log,
          faults,
          propertiesOf: (node) => {
            const contentType = options.inferContentType === true ? contentTypeOf(node.key) : undefined;
            const userMetadata = posix?.metadataOf(node);
            return { ...(contentType === undefined ? {} : { contentType }), ...(userMetadata && { userMetadata }) };
          },
          wrote: (head) => {
            const node = posix && table.currentFile(head.key);
            remembered.committed(head, node && attributes.of(node).mtimeMs);
            return changes.wrote(head);
          },
          versionChanged: (node, isWritten) => {
            files.versionChanged(node);
            if (isWritten) prefetcher.seclude(node.nodeId);
            else prefetcher.share(node.nodeId);
          },
          discarded: (node) => {
            // What it held is not to be had any more, and what the bucket holds is another content.
            files.redirect(node, () => lostReader);
            nameFreed(node);
          },
          unnamed: nameFreed,
          records,
        })
      : undefined;
  const witness = deps.witness ?? flushedByOpener;
  const writing = written && new WriteOperations({ files: written, records, witness, table, faults });
  const nothing: TakenOver = { files: 0, handles: 0, lost: 0 };
  const takeOver = async (): Promise<TakenOver> => {
    if (!can || !written || !writing) return nothing;
    return await takeOverFiles({
      ...{ records, files: written, operations: writing, handles: files, table, spool: can.spool, writer: can.writer },
      head: (key) => store.head(key),
      openBase: (version) => new BaseReader(version, { prefetcher, privateId: () => table.privateId() }),
      nowMs: () => freshness.nowMs(),
      wallMs,
      log: deps.log,
    });
  };
  const uncommitted = written ?? noUncommittedFiles;
  const ownNames = new DirectoryOwnNames({ changes, kept, uncommitted, freshness });
  const posix: PosixMetadata | undefined = options.posixMetadata
    ? new PosixMetadata({
        store,
        writer: can?.writer,
        names,
        changes,
        table,
        entries,
        attributes,
        remembered,
        freshness,
        faults,
        policy,
        uncommitted,
        repeated,
        prefetcher,
        wallMs,
      })
    : undefined;
  const directories = new DirectoryHandles({
    table,
    lister,
    names,
    entries,
    freshness,
    limits,
    ownNames,
    posix,
    head: (key, signal) => store.head(key, signal),
    records: recorded.listings,
  });
  let namespace: Namespace | undefined;
  let orphans: Orphans | undefined;
  if (can && policy.canWrite) {
    const newFile = (): SpoolFile => new SpoolFile(can.spool, can.spool.nextName(), undefined);
    orphans = new Orphans({ prefetcher, readers: files, newFile, faults, journal });
    namespace = new Namespace(
      { renameDirectoryKeysMax: options.renameDirectoryKeysMax ?? RENAME_KEYS_MAX },
      {
        store,
        writer: can.writer,
        table,
        lookup,
        names,
        listings,
        changes,
        kept,
        ownNames,
        uncommitted,
        orphans,
        remembered,
        attributes,
        entries,
        prefetcher,
        freshness,
        faults,
        policy,
        repeated,
        wallMs,
        nameChanged: (directoryKey, name) => versions.tellKernel(directoryKey, name),
      },
    );
  }
  return {
    clock,
    freshness,
    faults,
    table,
    attributes,
    entries,
    listings,
    names,
    changes,
    lister,
    background,
    lookup,
    versions,
    growing,
    files,
    inodeReaders,
    nodeReads,
    known,
    inheritOrphans: () => {
      if (!can) return;
      const nodeOf = (nodeId: number): FileNode | undefined => {
        const node = table.find(nodeId);
        return node?.kind === 'file' ? node : undefined;
      };
      orphans?.inherit(nodeOf, (name) => new SpoolFile(can.spool, name, undefined, { data: true, journal: false }));
    },
    directories,
    siblings,
    remembered,
    policy,
    written,
    writing,
    namespace,
    posix,
    takeOverFiles: takeOver,
    records: recorded,
    journal,
  };
}

function writingDeps({ writer, writeSlots, spool }: FileSystemDeps): WritingDeps | undefined {
  return writer && writeSlots && spool && { writer, writeSlots, spool };
}
