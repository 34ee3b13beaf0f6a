/** Memory that a mount may use, has, and would take; and what of the kernel's memory settings stands in its way. */
import { formatBytes, MIB } from '../../base/units.js';
import { readInteger, readWord } from '../../hwdetect/read.js';
import type { Check } from '../check.js';
import { finding, type Finding } from '../finding.js';

/** The journal of a mount takes a few MiB; several mounts, and others' files, are there too (guessed). */
const SHM_BYTES_LEAST = 16 * MIB;
/** Of the limit, what a target below it leaves for programs in the same control group. */
const SUGGESTED_SHARE = 0.5;
/** --memory-target takes no less. */
const TARGET_MIB_LEAST = 256;

export const memoryCheck: Check = {
  name: 'memory',
  deadlineMs: 5_000,
  async run({ host, hardware, sizing }) {
    const [profile, sized, overcommit, hugePages, shm] = await Promise.all([
      hardware(),
      sizing(),
      readInteger(host.sysRoot, '/proc/sys/vm/overcommit_memory'),
      readWord(host.sysRoot, '/sys/kernel/mm/transparent_hugepage/enabled'),
      host.space('/dev/shm'),
    ]);
    const target = sized.memoryTargetBytes;
    const limit = profile.memoryLimitBytes;
    const available = profile.memoryAvailableBytes.value;
    const findings: Finding[] = [];
    const suggest = (bytes: number): number =>
      Math.max(TARGET_MIB_LEAST, Math.floor((SUGGESTED_SHARE * bytes) / MIB / 64) * 64);
    if (target > limit.value) {
      const found = `the target is ${formatBytes(target)}, and ${formatBytes(limit.value)} may be used (${limit.source})`;
      findings.push(finding('memory.target-over-limit', found, { mib: suggest(limit.value) }));
    } else if (available !== undefined && available < target) {
      const found = `${formatBytes(available)} are free, and a mount takes up to ${formatBytes(target)}`;
      findings.push(finding('memory.little-available', found, { mib: suggest(available) }));
    }
    if (overcommit === 2) findings.push(finding('memory.no-overcommit', 'vm.overcommit_memory is 2'));
    if (hugePages?.includes('[always]') === true) {
      findings.push(finding('memory.huge-pages-always', 'transparent_hugepage/enabled is always'));
    }
    if (shm === undefined || !shm.isMemory || shm.freeBytes < SHM_BYTES_LEAST) {
      const found =
        shm?.isMemory === true
          ? `${formatBytes(shm.freeBytes)} are free in /dev/shm`
          : '/dev/shm is no memory file system';
      findings.push(finding('memory.shm-small', found));
    }
    const free = available === undefined ? '' : `, ${formatBytes(available)} free`;
    return {
      summary: `${formatBytes(limit.value)} may be used${free}; a mount takes up to ${formatBytes(target)}`,
      findings,
    };
  },
};
