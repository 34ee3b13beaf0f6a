/**
 * Kinds of records in the journal (src/base/journal) for what is not being written: numbers that stay the same for ever, since a
 * daemon of another version reads them. Kinds from 32 on are those of what is written. docs/SUPERVISOR.md says what survives, what
 * need not, and why.
 */

/** The mount's first moment, by the number 0: what directories show as their time. */
export const RECORD_MOUNT = 1;
/** A directory that the kernel knows, by node id (directory-records.ts). */
export const RECORD_DIRECTORY = 2;
/** A file that is open for reading only, by handle (handle-records.ts). */
export const RECORD_READ_HANDLE = 3;
/** A directory that is open, and how far it was read, by handle (listing-records.ts). */
export const RECORD_DIRECTORY_HANDLE = 4;
/** Names of our own making that a directory handle gives first, by handle. */
export const RECORD_DIRECTORY_OWN = 5;
/** Attributes that are remembered while the mount lives, by key. */
export const RECORD_REMEMBERED = 6;
/** A directory that stays although the bucket may hold nothing of it, by key. */
export const RECORD_KEPT_DIRECTORY = 7;
/** Files that the kernel knows by a listing's rows, by the first row's node id; only with --immutable (known-files.ts). */
export const RECORD_LISTED_FILES = 8;
/** A file that the kernel knows otherwise, by node id; only with --immutable. */
export const RECORD_KNOWN_FILE = 9;
/** Bytes kept of a file that was removed while it was open, by node id. */
export const RECORD_ORPHAN = 10;
