/**
 * Takes up what an earlier daemon of the mount left in the journal, before the first request is served: directories that the
 * kernel knows, files and directories that are open. Nothing is asked of the store: what is inherited is asked for when somebody
 * uses it, by the rules for what is known and old.
 * Refuses what belongs to files that are written: writing/.
 */
import type { RequestContext } from '../../fuse/handlers.js';
import type { DirectoryHandles } from '../directory-handles.js';
import type { FileHandles } from '../file-handles.js';
import type { InodeTable } from '../inode-table.js';
import type { KnownFiles } from './known-files.js';
import type { Records } from './records.js';

export interface Heirs {
  readonly records: Records;
  readonly table: InodeTable;
  readonly files: FileHandles;
  readonly directories: DirectoryHandles;
  /** On a mount without opens. */
  readonly known: KnownFiles | undefined;
  readonly inheritOrphans: () => void;
}

export function inherit({ records, table, files, directories, known, inheritOrphans }: Heirs): void {
  for (const directory of records.directories.all()) table.inheritDirectory(directory);
  for (const file of known?.all() ?? []) table.inheritFile({ ...file, lookups: Math.max(1, file.lookups) });
  for (const handle of records.handles.all()) files.inherit(handle);
  inheritOrphans();
  for (const handle of records.listings.all()) {
    const node = table.find(handle.nodeId);
    if (node?.kind === 'directory') directories.inherit(handle, node);
    else records.listings.closed(handle.handle);
  }
}

/** The handle that an earlier daemon opened for a request that is sent again (kernel fact 20). */
export function handleOfBefore(
  { isResent, id }: RequestContext,
  handles: { inheritedFor(id: number): number | undefined },
): number | undefined {
  return isResent === true && id !== undefined ? handles.inheritedFor(id) : undefined;
}
