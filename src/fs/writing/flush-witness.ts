/**
 * Who flushes a written file: kernel facts 17 and 18 (docs/KERNEL.md) as one question. FLUSH comes for every close of a
 * duplicated or inherited descriptor, and also when a process dies, so a FLUSH alone says nothing about a file being whole.
 * Types only: src/fuse/processes.ts answers from /proc, tests fake it. Refuses to decide what is committed.
 *
 * Thread: main. Blocks? Each call reads one small file of /proc (10-20 microseconds): only for handles that write.
 */

/** The process that opened a file, whichever of its threads did; 0 when it cannot be known (see `FlushedBy`). */
export type OpenerId = number;

/**
 * - `opener`: a thread of the process that opened the file closes it, or that process exits normally with the file open.
 * - `other`: another process does (a forked child, a program that inherited the descriptor), alive or dying: the file is
 *   not finished, commit nothing. The last RELEASE commits what is left.
 * - `killed`: the process that opened it dies of a signal, any: what arrived is torn, publish nothing.
 * - `unknown`: the kernel cannot name it (pid 0: it lives in a pid namespace that the mount does not see, as beside a
 *   container), it is gone or hidden from us, or it exits and we may not see why (a process of another user, and we are not
 *   root). Take it as the opener: close(2) must wait for its commit and tell its error, and every ordinary writer looks so.
 */
export type FlushedBy = 'opener' | 'other' | 'killed' | 'unknown';

export interface FlushWitness {
  /** For the `pid` of the CREATE or OPEN, while it is being served. */
  openerOf(pid: number): OpenerId;
  /** For the `pid` of a FLUSH, while it is being served: before it is answered, and before anything is awaited. */
  flushedBy(pid: number, opener: OpenerId): FlushedBy;
}

/** Where nothing is known of processes: every FLUSH counts as the opener's. */
export const flushedByOpener: FlushWitness = { openerOf: () => 0, flushedBy: () => 'unknown' };
