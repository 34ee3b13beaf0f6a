/**
 * What the load generator can be asked to do and what it says afterwards: plain data, so that it travels to a process of its
 * own. A load is a set of lanes that start together; a lane is a thread that does its steps one after the other with
 * blocking system calls, as a program would. Sizes are bytes, times milliseconds; nothing here says what a mount is.
 */

/** A file and how much of it is meant. `contentId` says which bytes it holds (content.ts). */
export interface FileRef {
  readonly path: string;
  readonly bytes: number;
  readonly contentId: number;
}

export type Step =
  /** Each file from its beginning to `bytes`, in calls of `blockBytes`. Latencies are those of whole files. */
  | {
      readonly op: 'read';
      readonly files: readonly FileRef[];
      readonly blockBytes: number;
      readonly isDirect: boolean;
      /** Compares every byte with what the content says. */
      readonly isVerified?: boolean;
    }
  /** `blockBytes` at each offset of one file. Latencies are those of calls. */
  | {
      readonly op: 'read-at';
      readonly file: FileRef;
      readonly offsets: readonly number[];
      readonly blockBytes: number;
      readonly isDirect: boolean;
    }
  /** Opens each file and reads one byte. Latencies are those of both together. */
  | { readonly op: 'first-byte'; readonly files: readonly FileRef[] }
  /** Reads a directory and the attributes of every entry. */
  | { readonly op: 'list'; readonly path: string }
  /** Makes or replaces each file and closes it. Latencies are those of whole files, close(2) included. */
  | {
      readonly op: 'write';
      readonly files: readonly FileRef[];
      readonly blockBytes: number;
      /** fsync(2) before close(2): for local file systems, whose close leaves the bytes in memory. */
      readonly isSynced: boolean;
    }
  /** Deletes files; one that does not exist is no error. */
  | { readonly op: 'remove'; readonly files: readonly string[] };

export interface Lane {
  readonly steps: readonly Step[];
  /** Lanes of one name are summed up together in the result. */
  readonly group: string;
  /** The steps are begun again until every lane without this has ended; reads beside a checkpoint are such. */
  readonly isRepeated?: boolean;
}

export interface Load {
  readonly lanes: readonly Lane[];
  /** After the work, the kernel's cached pages of these files are dropped (page-cache.ts). */
  readonly dropped?: readonly string[];
}

/** A system call that failed, in a lane or a chore. */
export interface StepFailure {
  /** `ENOSPC`; empty when no system call failed. */
  readonly code: string;
  readonly path: string;
  readonly message: string;
}

/** What one lane did. Times are of the monotonic clock, the same for all lanes. */
export interface LaneResult {
  readonly group: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly bytes: number;
  readonly operations: number;
  /** LATENCIES_MAX at most: the first ones. */
  readonly latenciesMs: readonly number[];
  readonly failure?: StepFailure;
}

export interface LoadResult {
  readonly lanes: readonly LaneResult[];
  /** CPU of the generating process while the lanes ran. */
  readonly generatorCpuSeconds: number;
  /** Of `dropped`: bytes that the kernel still keeps, and bytes looked at; undefined where the kernel does not say. */
  readonly cached?: { readonly keptBytes: number; readonly lookedAtBytes: number };
}

export const LATENCIES_MAX = 200_000;
/** Threads of one process: more than anybody measures with, and less than would trouble a machine. */
export const LANES_MAX = 256;

/** What is asked of the file system besides loads; the answers are small. All block, so they are asked in a child. */
export type Chore =
  /** Makes directories, parents first; one that is there is no error. */
  | { readonly chore: 'make-directories'; readonly paths: readonly string[] }
  /** Removes empty directories, in the order given; what is not there is no error. */
  | { readonly chore: 'remove-directories'; readonly paths: readonly string[] }
  /** Regular files below a path (or the path itself), `most` at most. */
  | { readonly chore: 'find'; readonly path: string; readonly most: number }
  /** Where a directory really is; ENOTDIR when it is none. */
  | { readonly chore: 'look'; readonly path: string }
  /** Bytes that may still be written there. */
  | { readonly chore: 'free-space'; readonly path: string }
  /** Takes the cached pages of files out of the kernel. */
  | { readonly chore: 'drop'; readonly paths: readonly string[] };

export interface ChoreResult {
  readonly found?: readonly { readonly path: string; readonly bytes: number }[];
  readonly realPath?: string;
  readonly freeBytes?: number;
  readonly cached?: LoadResult['cached'];
}

/** To the child, once. */
export type ToGenerator = { readonly load: Load } | { readonly chore: Chore };
/** From it, once. */
export type FromGenerator =
  | { readonly type: 'load'; readonly result: LoadResult }
  | { readonly type: 'chore'; readonly result: ChoreResult }
  | { readonly type: 'failed'; readonly failure: StepFailure };
