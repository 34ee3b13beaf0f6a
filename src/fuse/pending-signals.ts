/**
 * Whether a process has been told to end and cannot, because it waits in the kernel. The kernel sends no INTERRUPT for
 * reads that it made asynchronous: the caller of an O_DIRECT read stays in D even after SIGKILL, and one of a buffered
 * read that handles Ctrl-C itself (dd, Python) waits for its read-ahead (kernel facts 7 and 27, docs/KERNEL.md). Their
 * pending signals are in /proc for everybody to see.
 * Only signals by which people and schedulers end a process count: a profiler's timer must not make read(2) fail.
 */
import { readFileSync } from 'node:fs';

const SIGHUP = 1;
const SIGINT = 2;
const SIGQUIT = 3;
const SIGABRT = 6;
const SIGKILL = 9;
const SIGTERM = 15;

/** Bit n-1 is signal n; all of ours are in the low word. */
const ENDING = [SIGHUP, SIGINT, SIGQUIT, SIGABRT, SIGKILL, SIGTERM].reduce(
  (mask, signal) => mask | (1 << (signal - 1)),
  0,
);

/** True when such a signal waits for the thread and is not blocked by it. False when that cannot be told (another pid namespace). */
export function isToldToEnd(pid: number, procRoot = '/proc'): boolean {
  // 0: the caller is not visible from our pid namespace.
  if (pid <= 0) return false;
  try {
    const status = readFileSync(`${procRoot}/${pid}/status`, 'latin1');
    const pending = lowWord(status, 'SigPnd') | lowWord(status, 'ShdPnd');
    return (pending & ~lowWord(status, 'SigBlk') & ENDING) !== 0;
  } catch {
    // It has ended: nobody waits.
    return false;
  }
}

/**
 * True when the thread ends whatever it is answered: SIGKILL waits for it, which the kernel also gives each thread of a
 * process that any other signal ends without a core file.
 */
export function isBeingKilled(pid: number, procRoot = '/proc'): boolean {
  if (pid <= 0) return false;
  try {
    const status = readFileSync(`${procRoot}/${pid}/status`, 'latin1');
    return ((lowWord(status, 'SigPnd') | lowWord(status, 'ShdPnd')) & (1 << (SIGKILL - 1))) !== 0;
  } catch {
    return false;
  }
}

/** The low 32 bits of a signal set: `SigPnd:\t0000000000000100`. */
function lowWord(status: string, name: string): number {
  const digits = new RegExp(`^${name}:\\s*[0-9a-f]*?([0-9a-f]{8})$`, 'm').exec(status)?.[1];
  return digits === undefined ? 0 : Number.parseInt(digits, 16) | 0;
}
