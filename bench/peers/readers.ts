/**
 * Runs the programs that read: bench/mount-bench.py and epoch-bench.py on a mount, bench/bare-get.py without one. They are
 * processes of their own, because a reader that waits in the kernel stops its whole process. Each prints JSON lines.
 * Refuses to wait for ever: a reader that hangs is killed and is a failed sample.
 */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { Sample } from './figures.js';

/** The slowest row takes under a minute; s3fs through 20 ms may take two. */
const READER_WAIT_MS = 180_000;

const bench = fileURLToPath(new URL('../../../bench', import.meta.url));

/** Samples of one run; a program that fails or hangs gives one with an error. */
export function runReader(python: string, program: string, args: readonly string[]): Promise<Sample[]> {
  return new Promise((resolve, reject) => {
    const child = spawn(python, [`${bench}/${program}.py`, ...args], {
      env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let text = '';
    child.stdout.setEncoding('utf8').on('data', (piece: string) => (text += piece));
    let hung = false;
    const timer = setTimeout(() => {
      hung = true;
      child.kill('SIGKILL');
    }, READER_WAIT_MS);
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      const samples = text
        .split('\n')
        .filter((line) => line.startsWith('{'))
        .map((line) => JSON.parse(line) as Sample)
        // Notes about the set-up are no samples.
        .filter((sample) => sample.test !== undefined);
      if (code !== 0) {
        const error = hung ? `nothing within ${READER_WAIT_MS / 1000} s` : `exit code ${code}`;
        samples.push({ test: program, error });
      }
      resolve(samples);
    });
  });
}
