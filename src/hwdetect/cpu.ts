/**
 * How many cores this process may use: the affinity mask, cut down by the CPU quota of any control group above us.
 * os.cpus() counts the machine and os.availableParallelism() knows no quotas; a container with 2 of 96 cores must not
 * start 16 threads. Refuses to round: a quota of 1.5 cores is 1.5.
 */
import { availableParallelism } from 'node:os';
import type { CgroupPaths } from './cgroup.js';
import { countCpuList, parseCpuList } from './cpu-list.js';
import type { CpuProfile, Sourced } from './profile.js';
import { readInteger, readText, readWord } from './read.js';

export interface CpuFacts {
  readonly cores: Sourced<number>;
  readonly cpu: CpuProfile;
}

const CPU_FOLDER = '/sys/devices/system/cpu';

/** Never throws. */
export async function detectCores(sysRoot: string, groups: CgroupPaths): Promise<CpuFacts> {
  const [status, online, quotaCores] = await Promise.all([
    readText(sysRoot, '/proc/self/status'),
    readWord(sysRoot, `${CPU_FOLDER}/online`),
    detectQuota(sysRoot, groups),
  ]);
  const list = /^Cpus_allowed_list:\s*(\S+)/m.exec(status ?? '')?.[1];
  const allowed = list === undefined ? undefined : countCpuList(list);
  let cores: Sourced<number> =
    allowed === undefined
      ? { value: availableParallelism(), source: 'os.availableParallelism()' }
      : { value: allowed, source: '/proc/self/status Cpus_allowed_list' };
  if (quotaCores.value !== undefined && quotaCores.value < cores.value) {
    cores = { value: quotaCores.value, source: quotaCores.source };
  }
  return {
    cores,
    cpu: {
      online: {
        value: online === undefined ? undefined : countCpuList(online),
        source: online === undefined ? `unknown: no ${CPU_FOLDER}/online` : `${CPU_FOLDER}/online`,
      },
      allowed:
        allowed === undefined
          ? { value: undefined, source: 'unknown: /proc/self/status has no Cpus_allowed_list' }
          : { value: list, source: '/proc/self/status Cpus_allowed_list' },
      quotaCores,
      threadsPerCore: await detectThreadsPerCore(sysRoot, list),
    },
  };
}

/** Of the first CPU that we may use: EC2 and GCE have one kind of core a machine; hybrid laptops have two. */
async function detectThreadsPerCore(
  sysRoot: string,
  allowed: string | undefined,
): Promise<Sourced<number | undefined>> {
  const first = (allowed === undefined ? undefined : parseCpuList(allowed)?.[0]) ?? 0;
  const file = `${CPU_FOLDER}/cpu${first}/topology/thread_siblings_list`;
  const siblings = await readWord(sysRoot, file);
  const count = siblings === undefined ? undefined : countCpuList(siblings);
  return { value: count, source: count === undefined ? `unknown: no ${file}` : file };
}

/** The tightest quota of our group and those above it. */
async function detectQuota(sysRoot: string, groups: CgroupPaths): Promise<Sourced<number | undefined>> {
  let best: Sourced<number | undefined> = { value: undefined, source: 'no control group has a CPU quota' };
  const consider = (quotaUs: number | undefined, periodUs: number | undefined, source: string): void => {
    if (quotaUs === undefined || periodUs === undefined || quotaUs <= 0 || periodUs <= 0) return;
    const cores = quotaUs / periodUs;
    if (best.value === undefined || cores < best.value) best = { value: cores, source };
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
