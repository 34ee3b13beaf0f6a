/** Directories that a mount writes to: spool, log, runtime. Looked at as they are; nothing is made. */
import { constants, statSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { formatBytes, GIB, MIB } from '../../base/units.js';
import { runtimeCandidates, stateCandidates, type Owner, userRuntimeDirectory } from '../../main/state-directory.js';
import type { Check } from '../check.js';
import { finding, type Finding } from '../finding.js';
import { may } from '../host.js';

const SPOOL_BYTES_LEAST = GIB;
/** Four log files of 16 MiB. */
const LOG_BYTES_LEAST = 64 * MIB;

export const diskCheck: Check = {
  name: 'disk',
  deadlineMs: 5_000,
  async run({ host, wish }) {
    const spool = wish.spoolDirectory;
    const findings: Finding[] = [...spoolFindings(spool, host.owner)];
    const spoolSpace = await host.space(spool);
    if (spoolSpace !== undefined) {
      const free = formatBytes(spoolSpace.freeBytes);
      if (spoolSpace.freeBytes < SPOOL_BYTES_LEAST) {
        findings.push(finding('disk.spool-full', `${free} are free for ${spool}`, { directory: spool }));
      }
      if (spoolSpace.isMemory) findings.push(finding('disk.spool-in-memory', `${spool} is in memory (tmpfs)`));
    }
    const log = wish.logDirectory ?? stateCandidates(host.owner)[0];
    const logSpace = log === undefined ? undefined : await host.space(log);
    if (log !== undefined && logSpace !== undefined && logSpace.freeBytes < LOG_BYTES_LEAST) {
      const found = `${formatBytes(logSpace.freeBytes)} are free for ${log}`;
      findings.push(finding('disk.log-full', found, { directory: log }));
    }
    const runtime = runtimeCandidates(host.owner);
    // Where only root can make it, it is there or of no use.
    const canMake = (directory: string): boolean => directory !== userRuntimeDirectory(host.owner.uid);
    if (!runtime.some((one) => (canMake(one) || statOf(one) !== undefined) && isUsable(one, host.owner))) {
      const [directory = ''] = runtime;
      findings.push(finding('disk.no-runtime-directory', `none of ${runtime.join(', ')} can be used`, { directory }));
    }
    const shown = spoolSpace === undefined ? '' : ` (${formatBytes(spoolSpace.freeBytes)} free)`;
    return { summary: `spool ${spool}${shown}`, findings };
  },
};

function spoolFindings(spool: string, owner: Owner): Finding[] {
  const stat = statOf(spool);
  if (stat === undefined) {
    return canBeMade(spool)
      ? []
      : [finding('disk.spool-unusable', `${spool} is not there and cannot be made`, { directory: spool })];
  }
  if (!stat.isDirectory() || !may(spool, constants.W_OK | constants.X_OK)) {
    const what = stat.isDirectory() ? 'may not be written by this user' : 'is not a directory';
    return [finding('disk.spool-unusable', `${spool} ${what}`, { directory: spool })];
  }
  const isOpen = (stat.mode & 0o077) !== 0 || (stat.uid !== owner.uid && owner.uid !== 0);
  if (!isOpen) return [];
  const mode = (stat.mode & 0o777).toString(8);
  return [finding('disk.spool-open', `${spool} has mode ${mode}, owner ${stat.uid}`, { directory: spool })];
}

/** Is it ours alone to write to, or can it be made so? */
function isUsable(directory: string, owner: Owner): boolean {
  const stat = statOf(directory);
  if (stat === undefined) return canBeMade(directory);
  return stat.isDirectory() && stat.uid === owner.uid && (stat.mode & 0o022) === 0;
}

/** The nearest parent that is there may be written to. */
function canBeMade(path: string): boolean {
  for (let at = dirname(path); ; at = dirname(at)) {
    const stat = statOf(at);
    if (stat !== undefined) return stat.isDirectory() && may(at, constants.W_OK | constants.X_OK);
    if (at === '/') return false;
  }
}

function statOf(path: string): Stats | undefined {
  try {
    return statSync(path);
  } catch {
    return undefined;
  }
}
