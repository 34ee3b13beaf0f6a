/**
 * How many cores this process may use: the affinity mask, cut down by the CPU quota of any control group above us.
 * os.cpus() counts the machine and os.availableParallelism() knows no quotas; a container with 2 of 96 cores must not
 * start 16 threads. Refuses to round: a quota of 1.5 cores is 1.5.
 */
import { availableParallelism } from 'node:os';
import type { CgroupPaths } from './cgroup.js';
import type { Sourced } from './profile.js';
import { readInteger, readText } from './read.js';

/** Count of a kernel CPU list (`0-3,8,10-11`); undefined when it is none. */
export function countCpuList(list: string): number | undefined {
  let count = 0;
  for (const range of list.trim().split(',')) {
    const match = /^(\d+)(?:-(\d+))?$/.exec(range.trim());
    if (match === null) return undefined;
    const first = Number(match[1]);
    const last = match[2] === undefined ? first : Number(match[2]);
    if (last < first) return undefined;
    count += last - first + 1;
  }
  return count;
}

/** Never throws. */
export async function detectCores(sysRoot: string, groups: CgroupPaths): Promise<Sourced<number>> {
  const status = (await readText(sysRoot, '/proc/self/status')) ?? '';
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(status)?.[1];
  const allowed = list === undefined ? undefined : countCpuList(list);
  let best: Sourced<number> =
    allowed === undefined || allowed === 0
      ? { value: availableParallelism(), source: 'os.availableParallelism()' }
      : { value: allowed, source: '/proc/self/status Cpus_allowed_list' };
  const consider = (quotaUs: number | undefined, periodUs: number | undefined, source: string): void => {
    if (quotaUs === undefined || periodUs === undefined || quotaUs <= 0 || periodUs <= 0) return;
    const cores = quotaUs / periodUs;
    if (cores < best.value) best = { value: cores, source };
  };
  for (const directory of groups.unified) {
    const file = `${directory}/cpu.max`;
    const match = /^(\d+) (\d+)/.exec((await readText(sysRoot, file)) ?? '');
    if (match !== null) consider(Number(match[1]), Number(match[2]), file);
  }
  for (const directory of groups.legacy.get('cpu') ?? []) {
    const file = `${directory}/cpu.cfs_quota_us`;
    consider(await readInteger(sysRoot, file), await readInteger(sysRoot, `${directory}/cpu.cfs_period_us`), file);
  }
  return best;
}
