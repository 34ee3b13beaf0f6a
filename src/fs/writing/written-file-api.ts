/**
 * What a written file needs, what it tells its owner, and what it may have been left with: types only.
 */
import type { ErrnoError } from '../../base/errno.js';
import type { ObjectHead } from '../../engine/api.js';
import type { ObjectProperties, ObjectWriter } from '../../engine/write-api.js';
import type { BaseReader, BaseVersion } from './base-reader.js';
import type { CommitIntent, FileShape, Survival } from './file-records.js';
import type { StreamedPart } from './file-upload.js';
import type { JournalKept } from './journal.js';
import type { PartRules } from './part-plan.js';
import type { SpoolFile } from './spool.js';
import type { WriteMemory } from './write-memory.js';
import type { WrittenFile } from './written-file.js';

export interface WrittenFileDeps {
  readonly memory: WriteMemory;
  readonly writer: ObjectWriter;
  readonly rules: () => PartRules;
  readonly properties: () => ObjectProperties;
  /** A reader of a version that is in the bucket. */
  readonly openBase: (version: BaseVersion) => BaseReader;
  /** A spool file of its own, not made yet; `name`: that of the process before this one, which is there perhaps. */
  readonly newSpool: (file: WrittenFile, was?: FoundSpool) => SpoolFile;
  /** What becomes of the file when this process dies is written down: the watch hears of it. */
  readonly survives: boolean;
  readonly watch: WrittenFileWatch;
}

/** What the process before this one left in the spool of a file. */
export interface FoundSpool {
  readonly name: string;
  readonly data: boolean;
  readonly journal: boolean;
}

/** A file that the process before this one had open. */
export interface InheritedFile {
  readonly spool: FoundSpool;
  /** Where all bytes are; undefined for a file that is as its base. */
  readonly kept: Omit<JournalKept, 'type'> | undefined;
  readonly isWritten: boolean;
  readonly state: Survival;
  readonly shape: FileShape | undefined;
  readonly intent: CommitIntent | undefined;
}

/** What the owner hears of its file. */
export interface WrittenFileWatch {
  /** The first change since it was opened or committed: before anything else can look at it. */
  readonly becameDirty: (file: WrittenFile) => void;
  /** Its size or its time changed. */
  readonly changed: (file: WrittenFile) => void;
  readonly partSent: (file: WrittenFile, part: StreamedPart) => void;
  /** All bytes are those of this object now; in the same turn as `isDirty` says so. */
  readonly committed: (file: WrittenFile, head: ObjectHead) => void;
  /** A READ is answered with this. */
  readonly unreadable: (file: WrittenFile, error: ErrnoError) => void;
  /** `failure` was set, for the first time. */
  readonly failed: (file: WrittenFile, error: unknown) => void;
  /** How much more the file may hold before it waits for its own parts. */
  readonly slotsMax: () => number;
  /** What becomes of it when this process dies is another thing from now on. */
  readonly survivalChanged: (file: WrittenFile) => void;
}
