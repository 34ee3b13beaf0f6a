/**
 * Which process is meant by a number that was written down: numbers are used again, the time of the start (clock ticks since
 * the machine's, and which of its starts) tells two of them apart. Blocks? Reads small files of /proc.
 */
import { readFileSync } from 'node:fs';

/** Fields of /proc/PID/stat before the start time, counted after the name in brackets, which may hold anything. */
const START_FIELD = 19;

/** The process' start as text; undefined when there is no such process (any more). */
export function processStart(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const ticks = stat.slice(stat.lastIndexOf(')') + 2).split(' ')[START_FIELD];
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    return ticks === undefined ? undefined : `${boot}/${ticks}`;
  } catch {
    return undefined;
  }
}
