/**
 * Virtual environments of Python for tests: made once from a requirements file into .cache/venv-NAME, made anew when the
 * file changes. Where Python, venv or a package cannot be had, the answer is a reason to skip, in one line.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { processStartTicks } from '../../src/base/process-identity.js';
import { projectRoot } from './servers/project-root.js';

const run = promisify(execFile);
const LOCK_POLL_MS = 200;

export type Venv = { readonly python: string } | { readonly skip: string };

/** The interpreter of an environment that has the requirements, or why there is none. Test files that run at once wait for each other. */
export async function prepareVenv(name: string, requirements: string, installMsMax: number): Promise<Venv> {
  const lock = join(projectRoot(), '.cache', `venv-${name}.lock`);
  await mkdir(join(projectRoot(), '.cache'), { recursive: true });
  for (const endMs = Date.now() + installMsMax; !(await takeLock(lock));) {
    if (Date.now() > endMs) return { skip: `${lock} is held by another process` };
    await sleep(LOCK_POLL_MS);
  }
  try {
    return await prepareAlone(name, requirements, installMsMax);
  } finally {
    await rm(lock, { force: true });
  }
}

/** A lock whose holder is dead is nobody's. */
async function takeLock(lock: string): Promise<boolean> {
  try {
    await writeFile(lock, String(process.pid), { flag: 'wx' });
    return true;
  } catch {
    const pid = Number(await readFile(lock, 'utf8').catch(() => '0'));
    if (pid > 0 && processStartTicks(pid) === undefined) await rm(lock, { force: true });
    return false;
  }
}

async function prepareAlone(name: string, requirements: string, installMsMax: number): Promise<Venv> {
  const wanted = createHash('sha256')
    .update(await readFile(requirements))
    .digest('hex');
  const venv = join(projectRoot(), '.cache', `venv-${name}`);
  const stamp = join(venv, 'requirements.sha256');
  const python = join(venv, 'bin', 'python');
  try {
    await access(python);
    if ((await readFile(stamp, 'utf8')) === wanted) return { python };
  } catch {
    // Not there, or only half of it: made anew below.
  }
  await rm(venv, { recursive: true, force: true });
  const step = async (what: string, command: string, args: string[]): Promise<string | undefined> => {
    try {
      await run(command, args, { timeout: installMsMax });
      return undefined;
    } catch (error) {
      const said = error instanceof Error ? error.message.trim().split('\n').slice(-3).join(' | ') : String(error);
      return `${what} failed: ${said}`;
    }
  };
  const skip =
    (await step('python3 -m venv (Debian package python3-venv)', 'python3', ['-m', 'venv', venv])) ??
    (await step(`pip install of ${requirements}`, python, [
      ...['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements],
    ]));
  if (skip !== undefined) return { skip };
  await writeFile(stamp, wanted);
  return { python };
}
