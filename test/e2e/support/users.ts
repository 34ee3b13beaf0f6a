/**
 * Programs that use a mount in ways that stand in the way of its end: a shell that stands in it with a file open, a
 * reader that waits for bytes that do not come. Each is a process of its own, ended by its pid when the test ends.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import type { Test } from 'tap';
import { processStartTicks } from '../../../src/base/process-identity.js';
import { ended } from '../../support/mount.js';

/** Ends of processes that are due at once; far above, because the machine may be busy. */
export const END_WAIT_MS = 20_000;

export interface MountUser {
  readonly child: ChildProcess;
  readonly pid: number;
  /** Says a line to it. */
  say(line: string): void;
  /** Its next line. */
  hear(): Promise<string>;
}

/** Starts a shell line. Its standard input and output are `say` and `hear`. */
export function startUser(
  t: Test,
  line: string,
  options: { readonly cwd?: string; readonly env?: NodeJS.ProcessEnv } = {},
): MountUser {
  const child = spawn('bash', ['-c', line], { ...options, stdio: ['pipe', 'pipe', 'pipe'] });
  t.teardown(() => child.kill('SIGKILL'));
  const lines: string[] = [];
  const waiting: ((line: string) => void)[] = [];
  let partial = '';
  const take = (text: string): void => {
    const pieces = (partial + text).split('\n');
    partial = pieces.pop() ?? '';
    for (const piece of pieces) {
      const next = waiting.shift();
      if (next) next(piece);
      else lines.push(piece);
    }
  };
  child.stdout.setEncoding('utf8').on('data', take);
  child.stderr.setEncoding('utf8').on('data', take);
  child.on('close', () => {
    for (const next of waiting.splice(0)) next('(it ended)');
  });
  child.stdin.on('error', () => undefined);
  return {
    child,
    pid: child.pid ?? 0,
    say: (text) => void child.stdin.write(`${text}\n`),
    hear: () => {
      const first = lines.shift();
      if (first !== undefined) return Promise.resolve(first);
      if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve('(it ended)');
      return new Promise((resolve) => {
        const timer = setTimeout(() => {
          const at = waiting.indexOf(heard);
          if (at >= 0) waiting.splice(at, 1);
          resolve('(nothing)');
        }, END_WAIT_MS);
        const heard = (text: string): void => {
          clearTimeout(timer);
          resolve(text);
        };
        waiting.push(heard);
      });
    },
  };
}

/** Ends a user and waits until it is gone. */
export async function endUser(user: MountUser): Promise<void> {
  user.child.kill('SIGKILL');
  await ended(user.child, END_WAIT_MS);
}

/** Waits until no process has this pid (a zombie counts as gone); false when one still has after `waitMs`. */
export async function isGone(pid: number, waitMs = END_WAIT_MS): Promise<boolean> {
  for (const endMs = Date.now() + waitMs; processStartTicks(pid) !== undefined;) {
    if (Date.now() > endMs) return false;
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
  return true;
}
