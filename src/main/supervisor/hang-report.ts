/**
 * What a daemon that hangs was doing, in one JSON file in the state directory, written before it is killed: what the page
 * says, its request at hand above all, and for each thread where it waits in the kernel (/proc/PID/task: name, state, wait
 * channel, system call, kernel stack, as far as this user may see them).
 * Bounded: REPORTS_MAX files a mount, the oldest go; THREADS_MAX threads.
 * Refuses to ask the daemon anything (it would not answer), and so has no JavaScript stack of a main thread that runs in
 * circles: Node gives that only to an inspector, whose port would be open to others. No bytes, keys' contents or settings are in it.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MountConfig } from '../config.js';
import { makePrivateDirectory, mountId, runtimeCandidates, stateCandidates, type Owner } from '../state-directory.js';
import type { PageView } from './page.js';

export const REPORTS_MAX = 5;
const THREADS_MAX = 256;
const FILE_BYTES_MAX = 4096;

export interface HangReportInput {
  readonly pid: number;
  readonly reason: string;
  readonly page: PageView | undefined;
  readonly config: Pick<MountConfig, 'mountPoint'>;
  readonly owner: Owner;
}

/** Writes the report; returns its path, or why there is none. Never throws. */
export function reportHang(input: HangReportInput): { readonly report: string } {
  const { pid, reason, page, config, owner } = input;
  try {
    const directory = reportDirectory(owner);
    if (directory === undefined) return { report: 'no directory for it' };
    const time = new Date().toISOString();
    const threads = readThreads(pid);
    const prefix = `hang-${mountId(config.mountPoint)}-`;
    const file = join(directory, `${prefix}${time.replace(/[:.]/g, '-')}.json`);
    const content = { time, mountPoint: config.mountPoint, pid, reason, page, threads };
    writeFileSync(file, `${JSON.stringify(content, undefined, 2)}\n`, { mode: 0o600 });
    forget(directory, prefix);
    return { report: file };
  } catch (error) {
    return { report: `not written: ${error instanceof Error ? error.message : String(error)}` };
  }
}

/** Where reports lie: `reports` in the state directory, or the runtime directory where there is none. */
export function reportDirectory(owner: Owner): string | undefined {
  const parent = makePrivateDirectory([...stateCandidates(owner), ...runtimeCandidates(owner)], owner.uid);
  if (parent === undefined) return undefined;
  const directory = join(parent, 'reports');
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return directory;
}

/** The names hold the time: the last in order are the newest. */
function forget(directory: string, prefix: string): void {
  const reports = readdirSync(directory).filter((name) => name.startsWith(prefix));
  for (const name of reports.sort().slice(0, -REPORTS_MAX)) rmSync(join(directory, name), { force: true });
}

export interface ThreadReport {
  readonly tid: number;
  readonly name: string;
  /** Letter of proc_pid_stat(5). */
  readonly state: string;
  /** Function of the kernel that it waits in; 0 when it runs. */
  readonly waitsIn: string;
  /** Number and arguments, or `running`. */
  readonly systemCall: string;
  /** Lines; only root may read them. */
  readonly stack: readonly string[];
}

/** Where the threads of a process are. Empty when it is gone. */
export function readThreads(pid: number, procRoot = '/proc'): ThreadReport[] {
  const tasks = join(procRoot, String(pid), 'task');
  let names: string[];
  try {
    names = readdirSync(tasks);
  } catch {
    return [];
  }
  return names.slice(0, THREADS_MAX).map((tid) => {
    const read = (file: string): string => readSmall(join(tasks, tid, file));
    const stat = read('stat');
    return {
      tid: Number(tid),
      name: read('comm').trim(),
      state: stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3),
      waitsIn: read('wchan').trim(),
      systemCall: read('syscall').trim(),
      stack: read('stack')
        .split('\n')
        .filter((line) => line !== ''),
    };
  });
}

function readSmall(file: string): string {
  try {
    return readFileSync(file, 'utf8').slice(0, FILE_BYTES_MAX);
  } catch {
    return '';
  }
}
