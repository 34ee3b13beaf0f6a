/**
 * What a daemon that hangs was doing, in one JSON file in the state directory, written before it is killed: what the page
 * says, its request at hand above all; where its main thread is in JavaScript, which another thread of it tells; the requests
 * that wait, which its main thread tells if it lives; and for each thread where it waits in the kernel (/proc/PID/task: name,
 * state, wait channel, system call, kernel stack, as far as this user may see them).
 * Bounded: REPORTS_MAX files a mount, the oldest go; THREADS_MAX threads; WAITING_MS and TELL_MS for the daemon's own words.
 * Refuses to need an answer of the daemon. No bytes, values of variables or settings are in it.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../../base/thrown.js';
import { within } from '../../base/waits.js';
import type { MountConfig } from '../config.js';
import { makePrivateDirectory, mountId, runtimeCandidates, stateCandidates, type Owner } from '../state-directory.js';
import type { Waiting } from './api.js';
import type { PageView } from './page.js';
import type { StackAnswer } from './stack-question.js';

export const REPORTS_MAX = 5;
const THREADS_MAX = 256;
const FILE_BYTES_MAX = 4096;

/** For the main thread's own words: it takes a second where a net thread does not answer it. */
const WAITING_MS = 2000;

export interface HangReportInput {
  readonly pid: number;
  readonly reason: string;
  readonly page: PageView | undefined;
  readonly config: Pick<MountConfig, 'mountPoint'>;
  readonly owner: Owner;
  /** What the daemon says of itself; each may take its time. */
  readonly ask: { readonly stack: () => Promise<StackAnswer>; readonly waiting: () => Promise<Waiting | undefined> };
}

/**
 * Writes the report; resolves with its path, or why there is none. Never rejects; ends within WAITING_MS and TELL_MS. `asOwner`
 * runs what touches the owner's directory.
 */
export async function reportHang(
  input: HangReportInput,
  asOwner: <T>(write: () => T) => T = (write) => write(),
): Promise<{ readonly report: string; readonly stack?: string }> {
  const { pid, reason, page, config, owner, ask } = input;
  try {
    const time = new Date().toISOString();
    // In this order: who is asked for its stack stands still for a moment, and its threads are then elsewhere.
    const threads = readThreads(pid);
    const waiting = (await within(ask.waiting(), WAITING_MS, undefined)) ?? 'the main thread did not say';
    const javascript = await ask.stack();
    const atHand = page?.atHand && { operation: await operationOf(page.atHand.opcode), ...page.atHand };
    const content = {
      ...{ time, mountPoint: config.mountPoint, pid, reason, page: page && { ...page, atHand } },
      ...{ javascript, waiting, threads },
    };
    const [innermost] = 'frames' in javascript ? javascript.frames : [];
    const report = asOwner(() => write(`${JSON.stringify(content, undefined, 2)}\n`, time, config, owner));
    return { report, ...(innermost === undefined ? {} : { stack: innermost }) };
  } catch (error) {
    return { report: `not written: ${messageOf(error)}` };
  }
}

/** The path. */
function write(text: string, time: string, { mountPoint }: Pick<MountConfig, 'mountPoint'>, owner: Owner): string {
  const directory = reportDirectory(owner);
  if (directory === undefined) return 'no directory for it';
  const prefix = `hang-${mountId(mountPoint)}-`;
  const file = join(directory, `${prefix}${time.replace(/[:.]/g, '-')}.json`);
  writeFileSync(file, text, { mode: 0o600 });
  forget(directory, prefix);
  return file;
}

/** Brings the table of operations into this process, so only now. */
async function operationOf(opcode: number): Promise<string> {
  const { opcodeRow } = await import('../../fuse/opcodes.js');
  return opcodeRow(opcode)?.name ?? 'unknown';
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
