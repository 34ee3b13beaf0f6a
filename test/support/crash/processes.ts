/**
 * The processes of one mount, as /proc shows them: what the command started, whatever it calls itself. They are known by a
 * mark in their environment, by the mount point in their arguments, or by being children of those, so that a crash test
 * neither depends on how the supervisor names its daemon nor overlooks a process that lost its parent.
 * Refuses to guess from anything a process says of itself; reads only.
 */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

/** The environment variable that marks the processes of a mount. */
export const MARK_VARIABLE = 'MOUNT_S3X_TEST_MARK';

export interface ProcessFact {
  readonly pid: number;
  readonly parentPid: number;
  /** One letter of proc(5): R, S, D, T, Z ... */
  readonly state: string;
  readonly startTicks: number;
  readonly threads: number;
  readonly residentBytes: number;
  readonly isNode: boolean;
  readonly command: string;
}

const PAGE_BYTES = 4096;

/** What /proc says of one process; undefined when it has gone. A zombie has neither command nor memory. */
export function processFact(pid: number): ProcessFact | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return {
      pid,
      parentPid: Number(fields[1]),
      state: fields[0] ?? '?',
      startTicks: Number(fields[19]),
      threads: Number(fields[17]),
      residentBytes: Number(fields[21]) * PAGE_BYTES,
      isNode: link(`/proc/${pid}/exe`) === process.execPath,
      command: readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ').trim(),
    };
  } catch {
    return undefined;
  }
}

function link(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

/** Every process with this mark, every node process with `mountPoint` among its arguments, and all below them; not this one. */
export function processesOf(mark: string, mountPoint: string): ProcessFact[] {
  const all = new Map<number, ProcessFact>();
  for (const name of readdirSync('/proc')) {
    const fact = /^\d+$/.test(name) ? processFact(Number(name)) : undefined;
    if (fact !== undefined) all.set(fact.pid, fact);
  }
  const ours = new Set<number>();
  for (const fact of all.values()) {
    const isMarked = text(`/proc/${fact.pid}/environ`).includes(`${MARK_VARIABLE}=${mark}\0`);
    const isNamed = fact.isNode && fact.command.split(' ').includes(mountPoint);
    if (isMarked || isNamed) ours.add(fact.pid);
  }
  for (let before = -1; before !== ours.size;) {
    before = ours.size;
    for (const fact of all.values()) if (ours.has(fact.parentPid)) ours.add(fact.pid);
  }
  ours.delete(process.pid);
  return [...all.values()].filter((fact) => ours.has(fact.pid)).sort((a, b) => a.startTicks - b.startTicks);
}

/** How many descriptors a process has open; 0 when it has gone. */
export function descriptorCount(pid: number): number {
  try {
    return readdirSync(`/proc/${pid}/fd`).length;
  } catch {
    return 0;
  }
}

/** What each descriptor of a process points at, for the report of a leak. */
export function descriptorTargets(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => `${fd} ${link(`/proc/${pid}/fd/${fd}`) ?? '(gone)'}`);
  } catch {
    return [];
  }
}

/** Where each thread of a process waits in the kernel, for the report of a hang. */
export function kernelStacks(pid: number): string {
  try {
    return readdirSync(`/proc/${pid}/task`)
      .map(
        (tid) => `${tid} ${text(`/proc/${pid}/task/${tid}/wchan`)} ${text(`/proc/${pid}/task/${tid}/syscall`).trim()}`,
      )
      .join('\n');
  } catch {
    return '(gone)';
  }
}
