/**
 * The embedded server against boto3, the client that training code uses most.
 *
 * The checks are in Python (boto3/checks.py) and print a line of JSON each; this file makes a virtual environment once, runs
 * them and reports each as a test. Where Python, venv or the package cannot be had, it skips and says what failed.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t from 'tap';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { projectRoot } from '../support/servers/project-root.js';
import { prepareVenv } from '../support/venv.js';

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

t.setTimeout(INSTALL_WAIT_MS_MAX + CHECKS_WAIT_MS_MAX);

const prepared = await prepareVenv('boto3', join(SOURCE, 'requirements.txt'), INSTALL_WAIT_MS_MAX);
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
