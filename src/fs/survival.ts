/**
 * What of the file system's writing state outlives the process, by kind of record (base/journal): numbers that stay the same
 * for ever, since a daemon of another version reads them. Who writes a kind reads it, too; kinds below 32 are those of what is
 * only read (src/fs and src/main).
 */

/** A file that is open for writing, or was not committed: by node id (writing/file-records.ts). */
export const RECORD_WRITTEN_FILE = 32;
/** A handle that may write: by handle. */
export const RECORD_WRITER = 33;
/** A change of names that was begun and whose answer the kernel may not have: by the request's id. */
export const RECORD_CHANGE = 34;
