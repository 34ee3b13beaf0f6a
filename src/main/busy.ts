/**
 * Who keeps a mount busy: every process whose working directory, root, open file or mapping lies on it, found in /proc.
 * Only links and text of /proc are read, and never what they point to, so a mount whose daemon hangs cannot hold us up.
 * Bounded in processes, descriptors and time; what other users' processes hide from us is counted, not guessed.
 */
import { readdir, readFile, readlink } from 'node:fs/promises';
import { join } from 'node:path';
import { codeOf } from '../base/thrown.js';

export interface Holder {
  readonly pid: number;
  /** Command name as the kernel knows it. */
  readonly command: string;
  /** In words, most telling first: `current directory`, `open file a/b`, `mapped file c`. */
  readonly uses: readonly string[];
}

export interface BusyReport {
  readonly holders: readonly Holder[];
  /** Processes that could not be looked into (other users'). */
  readonly hidden: number;
  /** The scan ended at a bound before it saw everything. */
  readonly incomplete: boolean;
}

const PROCESSES_MAX = 32_768;
const DESCRIPTORS_MAX = 65_536;
const USES_MAX = 4;
const MAPS_BYTES_MAX = 8 * 1024 * 1024;
const SCAN_WAIT_MS = 3000;

export interface BusyOptions {
  readonly procRoot?: string;
  /** Own process, left out. */
  readonly selfPid?: number;
  readonly waitMs?: number;
}

/** Looks for users of the mount at `mountPoint` (a real path). Never throws. */
export async function findHolders(mountPoint: string, options: BusyOptions = {}): Promise<BusyReport> {
  const procRoot = options.procRoot ?? '/proc';
  const endMs = performance.now() + (options.waitMs ?? SCAN_WAIT_MS);
  const holders: Holder[] = [];
  let hidden = 0;
  let incomplete = false;
  const pids = (await quiet(readdir(procRoot), []))
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== (options.selfPid ?? process.pid));
  if (pids.length > PROCESSES_MAX) incomplete = true;
  for (const pid of pids.slice(0, PROCESSES_MAX)) {
    if (performance.now() > endMs) {
      incomplete = true;
      break;
    }
    const found = await usesOf(join(procRoot, String(pid)), mountPoint);
    if (found === undefined) hidden++;
    else if (found.length > 0) {
      const command = (await quiet(readFile(join(procRoot, String(pid), 'comm'), 'utf8'), '?')).trim();
      holders.push({ pid, command, uses: found });
    }
  }
  return { holders, hidden, incomplete };
}

async function quiet<T>(promise: Promise<T>, otherwise: T): Promise<T> {
  try {
    return await promise;
  } catch {
    return otherwise;
  }
}

/** The path within the mount, '' for its root, undefined when `path` lies elsewhere. */
function within(path: string | undefined, mountPoint: string): string | undefined {
  if (path === undefined) return undefined;
  if (path === mountPoint) return '';
  return path.startsWith(`${mountPoint}/`) ? path.slice(mountPoint.length + 1) : undefined;
}

/** Undefined when the process may not be looked into; empty when it has ended or uses nothing of the mount. */
async function usesOf(directory: string, mountPoint: string): Promise<string[] | undefined> {
  const uses = new Set<string>();
  let denied = false;
  const link = async (name: string): Promise<string | undefined> => {
    try {
      return within(await readlink(join(directory, name)), mountPoint);
    } catch (error) {
      const code = codeOf(error);
      if (code === 'EACCES' || code === 'EPERM') denied = true;
      return undefined;
    }
  };
  const cwd = await link('cwd');
  if (cwd !== undefined) uses.add(cwd === '' ? 'current directory' : `current directory ${cwd}`);
  if (denied) return undefined;
  if ((await link('root')) !== undefined) uses.add('root directory');
  const program = await link('exe');
  if (program !== undefined) uses.add(`running program ${program}`);
  const descriptors = (await quiet(readdir(join(directory, 'fd')), [])).slice(0, DESCRIPTORS_MAX);
  for (const descriptor of descriptors) {
    const path = await link(`fd/${descriptor}`);
    if (path !== undefined) uses.add(path === '' ? 'open directory' : `open file ${path}`);
    if (uses.size >= USES_MAX) return [...uses];
  }
  for (const path of await mappedFiles(directory, mountPoint)) {
    if (uses.size >= USES_MAX) break;
    if (!uses.has(`running program ${path}`)) uses.add(`mapped file ${path}`);
  }
  return [...uses];
}

async function mappedFiles(directory: string, mountPoint: string): Promise<Set<string>> {
  const text = (await quiet(readFile(join(directory, 'maps'), 'utf8'), '')).slice(0, MAPS_BYTES_MAX);
  const files = new Set<string>();
  if (!text.includes(mountPoint)) return files;
  for (const line of text.split('\n')) {
    // address perms offset dev inode          path
    const path = /^\S+ \S+ \S+ \S+ \S+ +(\/.*)$/.exec(line)?.[1];
    const inside = within(path, mountPoint);
    if (inside !== undefined) files.add(inside);
  }
  return files;
}

/** Processes that a line names before it says "and N more". */
const NAMED_MAX = 5;

/** `bash (pid 12, current directory), python (pid 34, open file a, mapped file b)`, '' when nobody was found. */
export function describeHolders(report: BusyReport): string {
  const named = report.holders
    .slice(0, NAMED_MAX)
    .map(({ pid, command, uses }) => `${command} (pid ${pid}, ${uses.slice(0, 2).join(', ')})`);
  const more = report.holders.length - named.length;
  if (more > 0) named.push(`and ${more} more`);
  return named.join(', ');
}
