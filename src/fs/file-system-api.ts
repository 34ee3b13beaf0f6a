/**
 * What the file system is told when it is made, what it needs, and what it counts: types only.
 */
import type { Clock } from '../base/clock.js';
import type { StateJournal } from '../base/journal/journal-api.js';
import type { Log } from '../base/log.js';
import type { WriteSlots } from '../base/pool/write-slots.js';
import type { ObjectStore } from '../engine/api.js';
import type { ObjectWriter } from '../engine/write-api.js';
import type { Prefetcher, Speculator } from '../prefetch/api.js';
import type { AttributeOptions } from './attributes.js';
import type { FileSystemLimits } from './limits.js';
import type { FlushWitness } from './writing/flush-witness.js';
import type { SpoolDirectory } from './writing/spool.js';
import type { WritingCounts } from './writing/written-entry.js';
import type { WritingOptions } from './writing/writing-options.js';

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
  /** Existing files keep their bytes; nothing is removed or moved away. */
  readonly noOverwrite?: boolean;
  readonly noDelete?: boolean;
  /** Mode, owner, times and symbolic links are kept with the objects. */
  readonly posixMetadata?: boolean;
  /** Most objects below a directory that is renamed; default 100,000. */
  readonly renameDirectoryKeysMax?: number;
  /** New objects get a Content-Type by their name's extension. */
  readonly inferContentType?: boolean;
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
  /** Where what a successor of this process must know is kept; without, the mount ends with it. */
  readonly journal?: StateJournal;
  readonly clock: Clock;
  readonly log: Log;
  /** A name that the kernel may remember is out of date: somebody else replaced or deleted the object. */
  readonly nameChanged?: (parentNodeId: number, name: string) => void;
  /**
   * The kernel drops what it has cached of a file from there on; resolves when it did, rejects when it could not be told. Without,
   * an open file never grows by what others append (growing-files.ts).
   */
  readonly bytesChanged?: (nodeId: number, offset: number) => Promise<void>;
  /** On a mount whose names never expire the kernel uses one that means nothing here: it shall look all of them up again. */
  readonly namesLost?: () => void;
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
  /** New versions that open files went on with, as they begin with all bytes of the old one. */
  readonly grown: number;
  /** Small files fetched before they were opened, and those of them that then were. */
  readonly fetchedAhead: number;
  readonly fetchedAheadUsed: number;
  /** Undefined on a read-only mount. */
  readonly writing: WritingCounts | undefined;
}
