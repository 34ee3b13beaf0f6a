/**
 * Where this process keeps what another one must know that takes the mount over when this one dies: records of bytes, each by
 * its kind and a number, in memory that outlives the process (src/main/journal). Types only, so that the file system is
 * tested with a Map.
 * A record is there, whole, when `put` has returned, and then stays until it is replaced or deleted.
 * Refuses to say what a record means: who writes a kind reads it, too.
 */

/** A file that is open for writing, or was not committed: by node id (writing/file-records.ts). */
export const RECORD_WRITTEN_FILE = 'written-file';
/** A handle that may write: by handle. */
export const RECORD_WRITER = 'writer';
/** A change of names that was begun and whose answer the kernel may not have: by the request's id. */
export const RECORD_CHANGE = 'change';
/** A directory that stays although the bucket may hold nothing of it: by a number of its own. */
export const RECORD_KEPT_DIRECTORY = 'kept-directory';

export type RecordKind =
  | typeof RECORD_WRITTEN_FILE
  | typeof RECORD_WRITER
  | typeof RECORD_CHANGE
  | typeof RECORD_KEPT_DIRECTORY;

export interface RecordKeeper {
  /** False where nothing outlives this process: then nothing need be recorded. */
  readonly isKept: boolean;
  /** `bytes` are copied. */
  put(kind: RecordKind, key: number, bytes: Uint8Array): void;
  delete(kind: RecordKind, key: number): void;
  /** What was put before, by this process or the one before it; in no order. Borrowed until the next change. */
  entries(kind: RecordKind): Iterable<readonly [number, Uint8Array]>;
}

/** Of a mount without a supervisor. */
export const noRecords: RecordKeeper = {
  isKept: false,
  put: () => undefined,
  delete: () => undefined,
  entries: () => [],
};
