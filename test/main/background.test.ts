/**
 * The background start against a fake daemon in a real process: every way a start can go, and what is left of it after.
 * Waits are bounds of the code under test (a short one is given), never a speed claim.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { processStartTicks } from '../../src/base/process-identity.js';
import t, { type Test } from 'tap';
import { mountInBackground, type BackgroundMount } from '../../src/main/background.js';
import { daemonEnvironment } from '../../src/main/prestart.js';
import { CommandError } from '../../src/main/command-error.js';
import { findRunFile, isAlive } from '../../src/main/run-file.js';
import { until } from '../support/until.js';
import { sampleConfig } from './sample-config.js';

const entry = fileURLToPath(new URL('./fake-daemon.js', import.meta.url));

function place(t: Test, behaviour: string) {
  const root = mkdtempSync(join(tmpdir(), 'mount-s3x-test-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const env = {
    ...process.env,
    XDG_RUNTIME_DIR: join(root, 'run'),
    XDG_STATE_HOME: join(root, 'state'),
    FAKE_DAEMON: behaviour,
  };
  const owner = { env, uid: process.getuid?.() ?? 0 };
  const config = sampleConfig({
    mountPoint: join(root, 'mnt'),
    log: { directory: join(root, 'log'), metrics: false, level: 'debug', engineDebug: false },
  });
  return {
    root,
    owner,
    config,
    start: (readyWaitMs = 20_000) => mountInBackground(config, { entry, owner, cwd: '/', readyWaitMs }),
  };
}

function ended(pid: number): Promise<boolean> {
  return until(`process ${pid} ends`, () => processStartTicks(pid) === undefined);
}

async function failure(promise: Promise<BackgroundMount>): Promise<CommandError> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof CommandError) return error;
    throw error;
  }
  throw new Error('it should have failed');
}

function readLog(root: string): string {
  return readdirSync(join(root, 'log'))
    .map((name) => readFileSync(join(root, 'log', name), 'utf8'))
    .join('');
}

t.test('ready: the command returns, the daemon lives on and leaves a run file until it is told to end', async (t) => {
  const { root, owner, config, start } = place(t, 'ready');
  const { pid, log } = await start();
  t.match(log, join(root, 'log'));
  const run = findRunFile(config.mountPoint, owner);
  t.equal(run?.pid, pid);
  t.ok(run && isAlive(run));
  t.equal(readFileSync(`/proc/${pid}/comm`, 'utf8').trim(), 'mount-s3x');
  process.kill(pid, 'SIGTERM');
  t.ok(await ended(pid), 'SIGTERM ends it');
  t.equal(findRunFile(config.mountPoint, owner), undefined);
  t.strictSame(readdirSync(join(root, 'run', 'mount-s3x')), [], 'nothing is left in the runtime directory');
  const text = readLog(root);
  t.match(text, /"msg":"fake mount"/);
  t.notMatch(text, /EXAMPLETOKEN/);
  t.match(text, /a library speaks up/, 'console of libraries goes to the log');
  t.match(text, /"msg":"ended"/);
});

t.test('fails: the reason, its remedy and its exit code arrive', async (t) => {
  const { start } = place(t, 'fails');
  const error = await failure(start());
  t.equal(error.exitCode, 7);
  t.equal(error.message, 'bucket nope does not exist');
  t.equal(error.remedy, 'check its name');
});

t.test('dies: the signal is named', async (t) => {
  const { start } = place(t, 'dies');
  const error = await failure(start());
  t.equal(error.exitCode, 10);
  t.match(error.message, /died before the mount was ready \(signal SIGKILL\)/);
});

t.test('crashes: the telling line of its standard error is shown', async (t) => {
  const { start } = place(t, 'crashes');
  const error = await failure(start());
  t.equal(error.exitCode, 10);
  t.match(error.message, /exit code 3\): Error: the sky fell$/);
});

for (const behaviour of ['silent', 'deaf']) {
  t.test(`${behaviour}: given up after the bound, and no process is left`, async (t) => {
    const { root, start } = place(t, behaviour);
    const error = await failure(start(1500));
    t.equal(error.exitCode, 10);
    t.match(error.message, /not ready within 1.5 seconds/);
    const pid = Number(/"pid":(\d+)/.exec(readLog(root))?.[1]);
    t.ok(await ended(pid));
  });
}

t.test('an entry that cannot be run', async (t) => {
  const { owner, config } = place(t, 'ready');
  const error = await failure(mountInBackground(config, { entry: '/nonexistent/x.js', owner, cwd: '/' }));
  t.equal(error.exitCode, 10);
  t.match(error.message, /Cannot find module/);
});

t.test('environment: relative files become absolute, nothing else changes', (t) => {
  const env = daemonEnvironment(
    { AWS_CONFIG_FILE: 'c', AWS_CA_BUNDLE: '/ca.pem', AWS_PROFILE: 'p', SSL_CERT_FILE: '' },
    '/home/u',
  );
  t.strictSame(env, {
    AWS_CONFIG_FILE: '/home/u/c',
    AWS_CA_BUNDLE: '/ca.pem',
    AWS_PROFILE: 'p',
    SSL_CERT_FILE: '',
    NODE_NO_WARNINGS: '1',
  });
  t.end();
});
