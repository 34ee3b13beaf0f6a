/**
 * Runs credential_process: a command of the user's that prints keys. The SDK's own way waits for as long as the command likes, with
 * an open standard input: one that asks somebody a question hangs, and each renewal leaves another such process behind. Here
 * it reads end of file, has LIMIT_MS, and is ended with all that it started; what it leaves running in the background with its output
 * open is not waited for. Those under way end with this process.
 *
 * Messages name the program and how it ended, never its arguments or what it printed: both may hold secrets.
 *
 * Source of the format: AWS SDKs and Tools Reference Guide, "Process credential provider".
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { promisify } from 'node:util';
import { externalDataInterceptor } from '@smithy/core/config';
import { codeOf } from '../../base/thrown.js';

/** Less than the chain waits (chain.ts), so that its message is this one. */
export const HELPER_LIMIT_MS = 8_500;
/** From being asked to end until being killed. */
const GRACE_MS = 500;
/** Its output, once it has ended: somebody in the background may hold the pipe. */
const OUTPUT_WAIT_MS = 200;
/** Keys take 2 KiB. */
const OUTPUT_BYTES_MAX = 1 << 20;
/** What a shell answers for a program that it cannot start. */
const NOT_EXECUTABLE = 126;
const NOT_FOUND = 127;

/** The first word of a command that sets no variable. */
const PROGRAM = /^\s*(?:[A-Za-z_]\w*=(?:"[^"]*"|'[^']*'|[^\s"'])*\s+)*("[^"]*"|'[^']*'|[^\s"']+)/;

export interface HelperOutput {
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs `command` in a shell, as the SDKs do. Rejects with a sentence. */
export async function runHelper(command: string, limitMs = HELPER_LIMIT_MS): Promise<HelperOutput> {
  // A group of its own: a shell's children are ended with it.
  const child = spawn('/bin/sh', ['-c', command], { detached: true, stdio: ['ignore', 'pipe', 'ignore'] });
  running.add(child);
  if (running.size === 1) process.on('exit', killRunning);
  let stdout = '';
  let isLate = false;
  let isLong = false;
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text;
    if (stdout.length <= OUTPUT_BYTES_MAX) return;
    isLong = true;
    stdout = '';
    signal(child, 'SIGKILL');
  });
  const timers = [
    setTimeout(() => {
      isLate = true;
      signal(child, 'SIGTERM');
    }, limitMs),
    setTimeout(() => signal(child, 'SIGKILL'), limitMs + GRACE_MS),
  ];
  try {
    const [code, by] = await ended(child, timers);
    if (isLate) throw new Error(`${nameOf(command)} gave no answer within ${limitMs / 1000} s and was ended`);
    if (isLong) throw new Error(`${nameOf(command)} printed more than a MiB`);
    if (code !== 0) throw new Error(`${nameOf(command)} ${howItEnded(code, by)}`);
    return { stdout, stderr: '' };
  } finally {
    for (const timer of timers) clearTimeout(timer);
    child.stdout.destroy();
    running.delete(child);
    if (running.size === 0) process.off('exit', killRunning);
  }
}

/** From now on the SDK's providers run commands this way. Safe to call twice. */
export function boundHelperProcesses(): void {
  const exec = (): never => {
    throw new Error('the SDK promisifies exec');
  };
  Object.defineProperty(exec, promisify.custom, { value: (command: string) => runHelper(command) });
  // The SDK's seam for another exec is its table of tokens.
  externalDataInterceptor.interceptToken('exec', exec);
}

/** Commands under way: one for each profile that is being asked. */
const running = new Set<ChildProcess>();

function killRunning(): void {
  for (const child of running) signal(child, 'SIGKILL');
}

function signal(child: ChildProcess, name: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, name);
  } catch (error) {
    if (codeOf(error) !== 'ESRCH') throw error;
  }
}

/** Exit code and signal, once its output is whole or its time is up. */
function ended(child: ChildProcess, timers: NodeJS.Timeout[]): Promise<[number | null, NodeJS.Signals | null]> {
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, by) => resolve([code, by]));
    child.once('exit', (code, by) => timers.push(setTimeout(() => resolve([code, by]), OUTPUT_WAIT_MS)));
  });
}

function nameOf(command: string): string {
  const program = PROGRAM.exec(command)?.[1] ?? '';
  return `credential_process (${program})`;
}

function howItEnded(code: number | null, by: NodeJS.Signals | null): string {
  if (code === NOT_FOUND) return 'was not found';
  if (code === NOT_EXECUTABLE) return 'cannot be executed';
  return by === null ? `ended with status ${code ?? '?'}` : `was ended by ${by}`;
}
