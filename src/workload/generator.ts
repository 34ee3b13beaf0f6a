/**
 * Where loads and chores are asked for: each in a fresh child process (40 ms to start, outside of what is timed), which is
 * killed when it takes too long or the caller gives up, so that nobody here ever waits for a file system. A child blocked in
 * FUSE dies of SIGKILL as long as its requests were not yet answered by half.
 * Bounds: one child a call, `waitMs` at most. Refuses to interpret results.
 */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { programFile } from '../base/program-file.js';
import { StepError } from './lane.js';
import type { Chore, ChoreResult, FromGenerator, Load, LoadResult, ToGenerator } from './steps.js';

export interface GeneratorOptions {
  /** A child that has not answered by then is killed. */
  readonly waitMs: number;
  readonly signal: AbortSignal;
}

const entry = fileURLToPath(programFile('src/workload/generator-process.js'));

/** Runs a load. Throws StepError when a lane failed, the signal's reason when it was given up. */
export async function generate(load: Load, options: GeneratorOptions): Promise<LoadResult> {
  const said = await ask({ load }, options);
  if (said.type !== 'load') throw new StepError({ code: '', path: '', message: 'the load generator gave no result' });
  const failure = said.result.lanes.find((lane) => lane.failure !== undefined)?.failure;
  if (failure) throw new StepError(failure);
  return said.result;
}

/** Has a chore done. Throws as `generate`. */
export async function doChoreInChild(chore: Chore, options: GeneratorOptions): Promise<ChoreResult> {
  const said = await ask({ chore }, options);
  return said.type === 'chore' ? said.result : {};
}

function ask(
  message: ToGenerator,
  { waitMs, signal }: GeneratorOptions,
): Promise<Exclude<FromGenerator, { type: 'failed' }>> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    // A process group of its own: Ctrl-C on the terminal is ours to handle.
    const child = fork(entry, {
      detached: true,
      serialization: 'advanced',
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    });
    let complaint = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (complaint = (complaint + text).slice(-2000)));
    const kill = (): void => void child.kill('SIGKILL');
    const timer = setTimeout(() => {
      kill();
      reject(failed(`nothing came back within ${Math.round(waitMs / 1000)} s: the file system hangs or is very slow`));
    }, waitMs);
    const onAbort = (): void => {
      kill();
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', onAbort, { once: true });
    let said: FromGenerator | undefined;
    child.on('message', (answer: FromGenerator) => (said = answer));
    child.on('error', reject);
    child.on('close', (code) => {
      clearTimeout(timer);
      signal.removeEventListener('abort', onAbort);
      if (said?.type === 'failed') reject(new StepError(said.failure));
      else if (said) resolve(said);
      else reject(failed(`the load generator ended early (exit code ${code ?? 'none'}) ${complaint}`.trim()));
    });
    child.send(message);
  });
}

function failed(message: string): StepError {
  return new StepError({ code: '', path: '', message });
}
