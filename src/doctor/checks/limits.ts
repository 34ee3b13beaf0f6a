/** Limits of this process and its container that end a mount from within, against what a mount of this machine takes. */
import { counted } from '../../base/units.js';
import type { Check } from '../check.js';
import { finding, type Finding } from '../finding.js';

/** Beside connections: libraries, spool files, /dev/fuse (guessed; 60 seen), and as many connections of uploads and commands. */
const FILES_BESIDE = 512;
/** Below this a mount cannot use the connections of a fast card; every distribution's hard limit is higher. */
const FILES_LEAST = 4_096;
/** Threads beside those of net and readers: V8, libuv, supervisor (counted: 18 and 11). */
const TASKS_BESIDE = 40;
const FILE_TABLE_SHARE = 0.9;

export const limitsCheck: Check = {
  name: 'limits',
  deadlineMs: 5_000,
  async run({ hardware, sizing }) {
    const [profile, sized] = await Promise.all([hardware(), sizing()]);
    const { limits, kernel, cores } = profile;
    const findings: Finding[] = [];
    const files = limits.openFilesMax.value;
    const filesWanted = Math.max(FILES_LEAST, 2 * sized.connectionsMax + FILES_BESIDE);
    if (files !== undefined && files < filesWanted) {
      const found = `${files} open files are allowed, ${filesWanted} may be needed`;
      findings.push(finding('limits.open-files', found, { wanted: filesWanted }));
    }
    const tasks = limits.tasksLeft.value;
    const tasksWanted = sized.netThreads + sized.readerThreads + TASKS_BESIDE;
    if (tasks !== undefined && tasks < tasksWanted) {
      const found = `${tasks} threads are left (${limits.tasksLeft.source}), ${tasksWanted} are needed`;
      findings.push(finding('limits.tasks', found, { file: limits.tasksLeft.source, wanted: tasksWanted }));
    }
    const [open, most] = [kernel.filesOpen.value, kernel.filesMax.value];
    if (open !== undefined && most !== undefined && open > FILE_TABLE_SHARE * most) {
      findings.push(finding('limits.file-table', `${open} of ${most} files are open`, { wanted: 2 * most }));
    }
    if (cores.value < 1) {
      findings.push(finding('limits.cores', `${cores.value} of a core may be used (${cores.source})`));
    }
    const locked = limits.lockedBytesMax.value;
    const shown = [
      `${files ?? 'unlimited'} open files`,
      `${tasks ?? 'unlimited'} threads`,
      counted(cores.value, 'core'),
      locked === undefined ? 'memory locked without limit' : `${Math.round(locked / 1024)} KiB of locked memory`,
    ];
    return { summary: shown.join(', '), findings };
  },
};
