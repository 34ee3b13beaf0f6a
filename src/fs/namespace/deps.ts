/**
 * What the operations on names share: one record, so that each of them names what it uses and nothing is passed on by hand.
 * Types only.
 */
import type { ObjectStore } from '../../engine/api.js';
import type { ObjectWriter } from '../../engine/write-api.js';
import type { Prefetcher } from '../../prefetch/api.js';
import type { AttributeMaker } from '../attributes.js';
import type { EntryMaker } from '../entry-maker.js';
import type { FaultLog } from '../fault-log.js';
import type { Freshness } from '../freshness.js';
import type { InodeTable } from '../inode-table.js';
import type { KnownNames } from '../known-names.js';
import type { ListingCache } from '../listing-cache.js';
import type { Lookup } from '../lookup.js';
import type { KeptDirectories } from './kept-directories.js';
import type { Orphans } from './orphans.js';
import type { OwnChanges } from './own-changes.js';
import type { DirectoryOwnNames } from './own-names.js';
import type { RememberedAttributes } from './remembered-attributes.js';
import type { RepeatedChanges } from './repeated-changes.js';
import type { WritePolicy } from './write-policy.js';
import type { UncommittedFiles } from './written-files.js';

export interface NamespaceDeps {
  readonly store: ObjectStore;
  readonly writer: ObjectWriter;
  readonly table: InodeTable;
  readonly lookup: Lookup;
  readonly names: KnownNames;
  readonly listings: ListingCache;
  readonly changes: OwnChanges;
  readonly kept: KeptDirectories;
  readonly ownNames: DirectoryOwnNames;
  readonly uncommitted: UncommittedFiles;
  readonly orphans: Orphans;
  readonly remembered: RememberedAttributes;
  readonly attributes: AttributeMaker;
  readonly entries: EntryMaker;
  readonly prefetcher: Pick<Prefetcher, 'settled' | 'hold'>;
  readonly freshness: Freshness;
  readonly faults: FaultLog;
  readonly policy: WritePolicy;
  /** The kernel looks the name up again. */
  readonly nameChanged: (directoryKey: string, name: string) => void;
  /** Changes that the kernel asks for again after a take-over. */
  readonly repeated: RepeatedChanges;
  readonly wallMs: () => number;
}
