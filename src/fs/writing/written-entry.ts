/**
 * What is known of a file that is being written beside its content: who writes it, what its name is worth, and what its
 * commit may replace. Plain data; written-files.ts decides. Refuses to know bytes.
 */
import type { FileNode } from '../inode-table.js';
import type { WrittenFile } from './written-file.js';

/** In `changedBy`: which handle it was cannot be told (memory maps, what a daemon before this one took). */
export const ANY_HANDLE = -1;

/** A file that is being written, and what is known of its writers. */
export interface WrittenEntry {
  readonly node: FileNode;
  readonly file: WrittenFile;
  /** Handles that may write, and claims. */
  writers: number;
  /** Those of a rename or a removal that is under way. */
  claims: number;
  /** Handles that only write. */
  writeOnly: number;
  /** Made here with O_EXCL, and not in the bucket yet. */
  isExclusive: boolean;
  /** Its name is gone: never committed. */
  isOrphaned: boolean;
  /** Whatever is at its key is replaced: it was renamed to there. */
  replaces: boolean;
  /** It was renamed over an object, which the bucket holds until the commit. */
  covers: boolean;
  /** Its writer was killed, or the mount ended, or the daemon that had its bytes died: not published. */
  isAbandoned: boolean;
  /** Handles that changed it since the last commit, or ANY_HANDLE: those whose death would tear it. */
  readonly changedBy: Set<number>;
  /** Somebody closed a descriptor of it and nothing was written since. */
  isFlushed: boolean;
  /** What is done about a failure: settles when its bytes are kept somewhere. */
  keeping: Promise<void> | undefined;
}

export function newEntry(node: FileNode, file: WrittenFile): WrittenEntry {
  return {
    node,
    file,
    writers: 0,
    claims: 0,
    writeOnly: 0,
    isExclusive: false,
    isOrphaned: false,
    replaces: false,
    covers: false,
    isAbandoned: false,
    changedBy: new Set(),
    isFlushed: false,
    keeping: undefined,
  };
}

/** What is being written now. */
export interface WritingCounts {
  /** Open for writing, or not in the bucket as they are. */
  readonly files: number;
  readonly dirtyFiles: number;
  /** Multipart uploads that are open in the store, and parts of them on their way. */
  readonly uploads: number;
  readonly partsSending: number;
  /** WRITEs that wait for memory. */
  readonly waiting: number;
}
