/**
 * How much memory this process may use: the machine's, cut down by the limit of any control group above us, and how much
 * of it is free to take now. Everything that is sized in memory starts here, so a wrong number here is an OOM kill there.
 * Refuses to count swap.
 */
import { totalmem } from 'node:os';
import type { CgroupPaths } from './cgroup.js';
import type { Sourced } from './profile.js';
import { readInteger, readText } from './read.js';

export interface MemoryFacts {
  readonly limitBytes: Sourced<number>;
  readonly availableBytes: Sourced<number | undefined>;
}

function kibibytes(meminfo: string, name: string): number | undefined {
  const match = new RegExp(`^${name}:\\s+(\\d+) kB$`, 'm').exec(meminfo);
  return match === null ? undefined : Number(match[1]) * 1024;
}

/** Never throws. */
export async function detectMemory(sysRoot: string, groups: CgroupPaths): Promise<MemoryFacts> {
  const meminfo = (await readText(sysRoot, '/proc/meminfo')) ?? '';
  const total = kibibytes(meminfo, 'MemTotal');
  let limit: Sourced<number> =
    total === undefined
      ? { value: totalmem(), source: 'os.totalmem()' }
      : { value: total, source: '/proc/meminfo MemTotal' };
  const free = kibibytes(meminfo, 'MemAvailable');
  let available: Sourced<number | undefined> = {
    value: free,
    source: free === undefined ? 'unknown: /proc/meminfo has no MemAvailable' : '/proc/meminfo MemAvailable',
  };
  const consider = (bytes: number | undefined, used: number | undefined, file: string): void => {
    if (bytes === undefined || bytes <= 0) return;
    if (bytes < limit.value) limit = { value: bytes, source: file };
    if (used !== undefined && available.value !== undefined && bytes - used < available.value) {
      available = { value: Math.max(0, bytes - used), source: file };
    }
  };
  for (const directory of groups.unified) {
    const used = await readInteger(sysRoot, `${directory}/memory.current`);
    // memory.high throttles long before memory.max kills; both are limits to somebody who wants to run well.
    for (const name of ['memory.max', 'memory.high']) {
      consider(await readInteger(sysRoot, `${directory}/${name}`), used, `${directory}/${name}`);
    }
  }
  for (const directory of groups.legacy.get('memory') ?? []) {
    // "No limit" is a number near 2^63 here, larger than any machine: it never wins.
    const file = `${directory}/memory.limit_in_bytes`;
    consider(await readInteger(sysRoot, file), await readInteger(sysRoot, `${directory}/memory.usage_in_bytes`), file);
  }
  return { limitBytes: limit, availableBytes: available };
}
