/**
 * Which process is meant by a number that was written down: numbers are used again, the time of the start tells two of them
 * apart (clock ticks since the machine's, and, for what outlives the machine's run, which of its runs). Blocks? Reads small
 * files of /proc. Refuses to throw: of a process that is gone nothing is known.
 */
import { readFileSync, readlinkSync } from 'node:fs';

/** PF_EXITING of include/linux/sched.h, in the flags of proc_pid_stat(5). */
export const PF_EXITING = 0x4;

/** Number of the first field behind the name, in proc_pid_stat(5): the first that `statFields` gives. */
export const FIRST_FIELD = 3;
const START_FIELD = 22;

/** USER_HZ of every Linux that runs Node (sysconf(_SC_CLK_TCK)). */
export const TICKS_PER_SECOND = 100;

/** What stands behind the name in /proc/PID/stat. The name, in parentheses, may hold anything: fields count from the last one. */
export function statFields(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/** The process' start as text, of a zombie, too; undefined when there is no such process (any more). */
export function processStart(pid: number): string | undefined {
  try {
    const ticks = statFields(readFileSync(`/proc/${pid}/stat`, 'utf8'))[START_FIELD - FIRST_FIELD];
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return ticks === undefined ? undefined : `${boot}/${ticks}`;
  } catch {
    return undefined;
  }
}

/** Start time of a living process in clock ticks since boot; undefined when there is none (zombies count as ended). */
export function processStartTicks(pid: number, procRoot = '/proc'): number | undefined {
  try {
    const fields = statFields(readFileSync(`${procRoot}/${pid}/stat`, 'utf8'));
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    const ticks = Number.parseInt(fields[START_FIELD - FIRST_FIELD] ?? '', 10);
    return Number.isSafeInteger(ticks) ? ticks : undefined;
  } catch {
    return undefined;
  }
}

/** Seconds since the moment that `startTicks` names. Throws without /proc. */
export function secondsSince(startTicks: number): number {
  return Number.parseFloat(readFileSync('/proc/uptime', 'utf8')) - startTicks / TICKS_PER_SECOND;
}

/** Which namespace the numbers of this process are of; '' when unknown. */
export function pidNamespace(): string {
  try {
    return readlinkSync('/proc/self/ns/pid');
  } catch {
    return '';
  }
}
