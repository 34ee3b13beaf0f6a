/**
 * Takes up what an earlier daemon of the mount left in the journal, before the first request is served: directories that the
 * kernel knows, files and directories that are open. Nothing is asked of the store: what is inherited is asked for when somebody
 * uses it, by the rules for what is known and old.
 * Refuses what belongs to files that are written: writing/.
 */
import type { DirectoryHandles } from '../directory-handles.js';
import type { FileHandles } from '../file-handles.js';
import type { InodeTable } from '../inode-table.js';
import type { Records } from './records.js';

export interface Heirs {
  readonly records: Records;
  readonly table: InodeTable;
  readonly files: FileHandles;
  readonly directories: DirectoryHandles;
}

export function inherit({ records, table, files, directories }: Heirs): void {
  for (const directory of records.directories.all()) table.inheritDirectory(directory);
  for (const handle of records.handles.all()) files.inherit(handle);
  for (const handle of records.listings.all()) {
    const node = table.find(handle.nodeId);
    if (node?.kind === 'directory') directories.inherit(handle, node);
    else records.listings.closed(handle.handle);
  }
}
