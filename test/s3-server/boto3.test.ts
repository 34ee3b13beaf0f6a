/**
 * The embedded server against boto3, the client that training code uses most.
 *
 * The checks are in Python (boto3/checks.py) and print a line of JSON each; this file makes a virtual environment once, in .cache/venv, runs
 * them and reports each as a test. Where Python, venv or the package cannot be had, it skips and says what failed.
 */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { projectRoot } from '../support/servers/project-root.js';

const run = promisify(execFile);
/** Installing takes 20 s where the network is good. */
const INSTALL_WAIT_MS_MAX = 240_000;
const CHECKS_WAIT_MS_MAX = 120_000;
const SOURCE = join(projectRoot(), 'test', 's3-server', 'boto3');

/** One line of checks.py. */
interface CheckLine {
  readonly name: string;
  /** A Python traceback, or null. */
  readonly error: string | null;
}

/** The interpreter of a virtual environment that has the requirements, or why there is none. */
async function preparePython(): Promise<{ python: string } | { skip: string }> {
  const requirements = join(SOURCE, 'requirements.txt');
  const wanted = createHash('sha256')
    .update(await readFile(requirements))
    .digest('hex');
  const venv = join(projectRoot(), '.cache', 'venv');
  const stamp = join(venv, 'requirements.sha256');
  const python = join(venv, 'bin', 'python');
  try {
    await access(python);
    if ((await readFile(stamp, 'utf8')) === wanted) return { python };
  } catch {
    // Not there, or only half of it: made anew below.
  }
  await rm(venv, { recursive: true, force: true });
  await mkdir(join(projectRoot(), '.cache'), { recursive: true });
  const step = async (what: string, command: string, args: string[]): Promise<string | undefined> => {
    try {
      await run(command, args, { timeout: INSTALL_WAIT_MS_MAX });
      return undefined;
    } catch (error) {
      const said = error instanceof Error ? error.message.trim().split('\n').slice(-3).join(' | ') : String(error);
      return `${what} failed: ${said}`;
    }
  };
  const skip =
    (await step('python3 -m venv (Debian package python3-venv)', 'python3', ['-m', 'venv', venv])) ??
    (await step('pip install of boto3', python, [
      ...['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', requirements],
    ]));
  if (skip !== undefined) return { skip };
  await writeFile(stamp, wanted);
  return { python };
}

t.setTimeout(INSTALL_WAIT_MS_MAX + CHECKS_WAIT_MS_MAX);

const prepared = await preparePython();
if ('skip' in prepared) {
  t.pass('boto3 against the embedded server', { skip: prepared.skip });
} else {
  const server = await startBuiltinProcess();
  t.teardown(() => server.stop());
  const only = (process.env['CASE'] ?? '').split(',').filter((name) => name !== '');
  const { stdout } = await run(prepared.python, [join(SOURCE, 'checks.py'), ...only], {
    timeout: CHECKS_WAIT_MS_MAX,
    env: {
      ...process.env,
      S3_ENDPOINT: server.endpoint,
      S3_REGION: server.region,
      S3_ACCESS_KEY: server.accessKey,
      S3_SECRET_KEY: server.secretKey,
    },
  });
  const lines = stdout.trim().split('\n');
  t.ok(lines.length > 0 && lines[0] !== '', 'checks ran');
  for (const line of lines) {
    const { name, error } = JSON.parse(line) as CheckLine;
    t.equal(error, null, `boto3: ${name.replaceAll('_', ' ')}`);
  }
}
