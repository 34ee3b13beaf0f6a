/**
 * Readers of a mount are Python processes: they are what the mount is for, they have every way of reading (O_DIRECT,
 * mmap, preadv), and a process that hangs or dies of SIGBUS can be ended and told from one that read wrong bytes.
 * Every run has a kill deadline. Refuses to touch the mount from the test's own process.
 */
import { spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { projectRoot } from '../../support/mount.js';

export const supportDirectory = join(projectRoot, 'test/e2e/support');

/** Bytes of output kept of a run. */
const OUTPUT_CHARS_MAX = 1_000_000;

/** The interpreter itself, not a shell script that finds it (a reader must be killable by its pid); undefined when there is none. */
export function findPython(): string | undefined {
  const found = spawnSync('python3', ['-c', 'import sys, mmap, ctypes; print(sys.executable)'], { encoding: 'utf8' });
  return found.status === 0 ? found.stdout.trim() : undefined;
}

export interface PythonRun {
  readonly code: number | null;
  /** 'SIGKILL' after the deadline. */
  readonly signal: NodeJS.Signals | null;
  readonly timedOut: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program of test/e2e/support to its end, or kills it after `killMs`. */
export function runPython(
  python: string,
  script: string,
  args: readonly string[],
  options: {
    readonly killMs: number;
    readonly onLine?: (line: string) => void;
    /** As another user, who must be able to read this tree. */
    readonly uid?: number;
  },
): Promise<PythonRun> {
  return new Promise((resolve, reject) => {
    const child = spawn(python, ['-u', join(supportDirectory, script), ...args], {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
      ...(options.uid === undefined ? {} : { uid: options.uid, gid: options.uid, cwd: '/' }),
    });
    let stdout = '';
    let stderr = '';
    let partial = '';
    let timedOut = false;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout = (stdout + text).slice(-OUTPUT_CHARS_MAX);
      if (!options.onLine) return;
      const lines = (partial + text).split('\n');
      partial = lines.pop() ?? '';
      for (const line of lines) options.onLine(line);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr = (stderr + text).slice(-OUTPUT_CHARS_MAX)));
    const timer = setTimeout(() => {
      timedOut = true;
      child.kill('SIGKILL');
    }, options.killMs);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, timedOut, stdout, stderr });
    });
  });
}
