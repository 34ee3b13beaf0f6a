/**
 * What /proc says about a process: whether it runs, is stopped by somebody, or is on its way out. Refuses to guess: a process
 * that cannot be looked at is `unknown`.
 */
import { readFileSync } from 'node:fs';
import { PF_EXITING, statFields } from '../../base/process-identity.js';
import { codeOf } from '../../base/thrown.js';

/**
 * `stopped`: by SIGSTOP, a debugger or a frozen terminal; it goes on where it was. `exiting`: killed, but a thread of it still
 * waits in the kernel, so that nobody can reap it (kernel fact 3, docs/KERNEL.md). `gone`: no such process, or a zombie.
 */
export type ProcessState = 'running' | 'stopped' | 'exiting' | 'gone' | 'unknown';

export function processState(pid: number, procRoot = '/proc'): ProcessState {
  let stat: string;
  try {
    stat = readFileSync(`${procRoot}/${pid}/stat`, 'utf8');
  } catch (error) {
    const code = codeOf(error);
    return code === 'ENOENT' || code === 'ESRCH' ? 'gone' : 'unknown';
  }
  const [letter, , , , , , flags] = statFields(stat);
  if (letter === 'Z' || letter === 'X') return othersLive(pid, procRoot) ? 'exiting' : 'gone';
  if (letter === 'T' || letter === 't') return 'stopped';
  return (Number(flags) & PF_EXITING) === 0 ? 'running' : 'exiting';
}

/** A main thread that is a zombie while others are not: the process is no zombie yet. */
function othersLive(pid: number, procRoot: string): boolean {
  try {
    return /^Threads:\s+([2-9]|\d\d)/m.test(readFileSync(`${procRoot}/${pid}/status`, 'utf8'));
  } catch {
    return false;
  }
}
