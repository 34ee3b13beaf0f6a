/**
 * Which process is behind the pid of a request, and whether it is being killed: kernel facts 17, 18 and 31 to 33
 * (docs/KERNEL.md). FUSE tells the id of the thread that asks, in the pid namespace of whoever mounted.
 * While a thread waits for its answer it cannot go away, so what /proc says of it during a request holds.
 * Only files are read that take no lock which the asker may hold meanwhile. /proc/PID/stat waits for the end of an
 * execve(2), which itself may wait for our answer to the FLUSH of a close-on-exec descriptor: that would be a deadlock (kernel
 * fact 31). So it is read only of a thread that has no memory any more, which is past all that.
 * Refuses to throw: what cannot be told is 'unknown'.
 *
 * Thread: main. Blocks? One read of /proc a call (20 microseconds, measured), two for a thread that exits.
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';
import { FIRST_FIELD, PF_EXITING, statFields } from '../base/process-identity.js';

/** Low bits of an exit code (as wait(2) has it): the signal that ended the process. 0x80 says that it dumped core. */
const SIGNAL_MASK = 0x7f;

/** Fields of /proc/PID/stat, numbered as in proc(5). */
const FLAGS_FIELD = 9;
const EXIT_CODE_FIELD = 52;

/** Room for a usual /proc/PID/status, which has 1.4 KiB. */
const STATUS_BYTES = 4096;

/** Structurally src/fs/writing's FlushWitness. */
export class Processes {
  readonly #root: string;
  readonly #euid: number;
  readonly #buffer = Buffer.alloc(STATUS_BYTES);

  /** `procRoot`: another /proc, `euid`: another user than this process's (tests). */
  constructor(options: { readonly procRoot?: string; readonly euid?: number } = {}) {
    this.#root = options.procRoot ?? '/proc';
    this.#euid = options.euid ?? process.geteuid?.() ?? 0;
  }

  /** The process (thread group) of the thread `pid`; 0 when it is not to be seen from here. */
  openerOf(pid: number): number {
    return pid > 0 ? tgidOf(this.#read(`${pid}/status`)) : 0;
  }

  /**
   * Who flushes, see FlushWitness. A process id that was used again is not worth a second read: its owner would have to
   * hold a descriptor that it inherited from the first one.
   */
  flushedBy(pid: number, opener: number): 'opener' | 'other' | 'killed' | 'unknown' {
    if (pid <= 0 || opener <= 0) return 'unknown';
    const status = this.#read(`${pid}/status`);
    const tgid = tgidOf(status);
    if (tgid === 0) return 'unknown';
    if (tgid !== opener) return 'other';
    // An exiting thread gives up its memory before its files.
    if (status.includes('\nVmPeak:')) return 'opener';
    const stat = this.#read(`${tgid}/task/${pid}/stat`);
    const fields = statFields(stat);
    const flags = Number(fields[FLAGS_FIELD - FIRST_FIELD]);
    const exitCode = Number(fields[EXIT_CODE_FIELD - FIRST_FIELD]);
    if ((flags & PF_EXITING) === 0) return 'opener';
    if ((exitCode & SIGNAL_MASK) !== 0) return 'killed';
    // To users who may not trace the process the exit code shows as 0 (kernel fact 32).
    return exitCode === 0 && this.#euid !== 0 && euidOf(status) !== this.#euid ? 'unknown' : 'opener';
  }

  #read(name: string): string {
    const path = `${this.#root}/${name}`;
    try {
      // Half of what readFileSync costs; /proc has no size to ask for.
      const fd = openSync(path, 'r');
      let bytes: number;
      try {
        bytes = readSync(fd, this.#buffer, 0, STATUS_BYTES, null);
      } finally {
        closeSync(fd);
      }
      // Thousands of supplementary groups stand in it.
      if (bytes === STATUS_BYTES) return readFileSync(path, 'latin1');
      return this.#buffer.toString('latin1', 0, bytes);
    } catch {
      return '';
    }
  }
}

function tgidOf(status: string): number {
  return Number(/^Tgid:\t(\d+)$/m.exec(status)?.[1] ?? 0);
}

/** `Uid:` real, effective, saved, file system. */
function euidOf(status: string): number {
  return Number(/^Uid:\t\d+\t(\d+)/m.exec(status)?.[1] ?? -1);
}
