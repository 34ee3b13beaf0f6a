/**
 * A hold on a file that is being written, for a rename or a removal (UncommittedHold): while it lasts the file's turn is taken,
 * so no commit of it begins. What the holder does to the name is told to the file here.
 * Refuses to outlive the file: its last writer may go at any time under a hold, for the kernel does not wait for RELEASE, and
 * then nothing is to be told.
 */
import type { ObjectHead } from '../../engine/api.js';
import type { UncommittedHold } from '../namespace/written-files.js';
import type { WrittenEntry } from './written-entry.js';

/** What WrittenFiles does for a hold. */
export interface HoldHost {
  /** Its last writer is gone. */
  isClosed(entry: WrittenEntry): boolean;
  /** What of it is on its way under this key does not stay so. */
  leaveKey(entry: WrittenEntry): Promise<void>;
  keepBase(entry: WrittenEntry, signal: AbortSignal): Promise<void>;
  /** It is found under another key from now on. */
  renamed(entry: WrittenEntry, key: string, base: ObjectHead | undefined): void;
  /** It has no name any more. */
  orphaned(entry: WrittenEntry): void;
}

/** `end` gives the turn back; `released` is called when the hold ends. */
export function holdOf(entry: WrittenEntry, host: HoldHost, end: () => void, released: () => void): UncommittedHold {
  const { file } = entry;
  let isPaused = false;
  return {
    get isUncommitted() {
      return file.isDirty;
    },
    get base() {
      return file.base && { ...file.base.version, key: file.key };
    },
    leaveKey: async () => {
      if (host.isClosed(entry) || file.failure || entry.isOrphaned) return;
      isPaused = true;
      await host.leaveKey(entry);
    },
    keepBase: (signal) => (host.isClosed(entry) ? Promise.resolve() : host.keepBase(entry, signal)),
    get covers() {
      return entry.covers;
    },
    moved: (key, base, covers = entry.covers) => {
      if (host.isClosed(entry)) return;
      entry.replaces = true;
      entry.covers = covers && base === undefined;
      entry.isExclusive = false;
      host.renamed(entry, key, base);
    },
    orphaned: () => {
      if (host.isClosed(entry)) return;
      entry.isOrphaned = true;
      host.orphaned(entry);
    },
    get isOpen() {
      return entry.writers > entry.claims;
    },
    get isInUse() {
      return entry.node.opens > entry.claims;
    },
    release: () => {
      if (isPaused && !host.isClosed(entry) && !file.failure) file.upload.resume();
      end();
      released();
    },
  };
}
