/**
 * Limits of this process and its container that end a mount from within: open files, locked memory, threads.
 * A connection is a file and a net thread several tasks; meeting the limit is an error in the middle of a job.
 * Refuses to raise a limit (Node raises the soft limit of open files to the hard one itself).
 */
import type { CgroupPaths } from './cgroup.js';
import type { LimitsProfile, Sourced } from './profile.js';
import { readInteger, readText } from './read.js';

/** Never throws. */
export async function detectLimits(sysRoot: string, groups: CgroupPaths): Promise<LimitsProfile> {
  const limits = (await readText(sysRoot, '/proc/self/limits')) ?? '';
  return {
    openFilesMax: hardLimit(limits, 'Max open files'),
    lockedBytesMax: hardLimit(limits, 'Max locked memory'),
    tasksLeft: await tasksLeft(sysRoot, groups),
  };
}

/** `Max open files            1024                 1048576              files` */
function hardLimit(limits: string, name: string): Sourced<number | undefined> {
  const match = new RegExp(`^${name}\\s+(\\S+)\\s+(\\S+)`, 'm').exec(limits);
  if (match === null) return { value: undefined, source: 'unknown: no /proc/self/limits' };
  const hard = match[2] ?? '';
  return /^\d+$/.test(hard)
    ? { value: Number(hard), source: '/proc/self/limits' }
    : { value: undefined, source: '/proc/self/limits says unlimited' };
}

async function tasksLeft(sysRoot: string, groups: CgroupPaths): Promise<Sourced<number | undefined>> {
  let best: Sourced<number | undefined> = { value: undefined, source: 'no control group limits threads' };
  for (const directory of [...groups.unified, ...(groups.legacy.get('pids') ?? [])]) {
    const most = await readInteger(sysRoot, `${directory}/pids.max`);
    if (most === undefined) continue;
    const left = Math.max(0, most - ((await readInteger(sysRoot, `${directory}/pids.current`)) ?? 0));
    if (best.value === undefined || left < best.value) best = { value: left, source: `${directory}/pids.max` };
  }
  return best;
}
