/**
 * A background process that was started before the mount was known (src/main/prestart.ts): used when it suits, ended without
 * a trace when it does not or when nothing comes of the mount.
 */
import { mkdirSync, mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { processStartTicks } from '../../src/base/process-identity.js';
import t, { type Test } from 'tap';
import { mountInBackground } from '../../src/main/background.js';
import { discardPrestarted, prestart, type Prestarted } from '../../src/main/prestart.js';
import { until } from '../support/until.js';
import { sampleConfig } from './sample-config.js';

const entry = fileURLToPath(new URL('./fake-daemon.js', import.meta.url));

function place(t: Test) {
  const root = mkdtempSync(join(tmpdir(), 'mount-s3x-test-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const env = { ...process.env, XDG_RUNTIME_DIR: join(root, 'run'), XDG_STATE_HOME: join(root, 'state') };
  const owner = { env, uid: process.getuid?.() ?? 0 };
  const config = sampleConfig({
    mountPoint: join(root, 'mnt'),
    log: { directory: join(root, 'log'), metrics: false, level: 'debug', engineDebug: false },
  });
  const files = (): string[] => readdirSync(join(root, 'run/mount-s3x')).filter((name) => name.endsWith('.stderr'));
  const ahead = prestart(entry, owner, () => '/');
  if (ahead === undefined) throw new Error('it could not be started');
  return { owner, config, files, ahead };
}

function gone({ child }: Prestarted): Promise<boolean> {
  return until('it ends', () => child.exitCode !== null || child.signalCode !== null);
}

void t.test('it becomes the mount', async (t) => {
  const { owner, config, files, ahead } = place(t);
  t.match(files(), [/^\.start-/], 'its standard error has a place already');
  const { pid } = await mountInBackground(config, { entry, owner, cwd: '/', prestarted: ahead });
  t.equal(pid, ahead.child.pid, 'no other process was started');
  t.notMatch(files().join(' '), /\.start-/, 'and its standard error has the name of the mount');
  process.kill(pid, 'SIGTERM');
  t.ok(await gone(ahead));
});

void t.test('the place of its standard error is taken from it: another process', async (t) => {
  const { owner, config, ahead } = place(t);
  rmSync(ahead.words ?? '');
  const { pid } = await mountInBackground(config, { entry, owner, cwd: '/', prestarted: ahead });
  t.not(pid, ahead.child.pid);
  t.ok(await gone(ahead), 'the first one ends');
  process.kill(pid, 'SIGTERM');
  await until('the mount ends', () => processStartTicks(pid) === undefined);
});

void t.test('another program, another environment: another process', async (t) => {
  const { owner, config, files, ahead } = place(t);
  const other = { ...owner, env: { ...owner.env, SOMETHING: 'else' } };
  const { pid } = await mountInBackground(config, { entry, owner: other, cwd: '/', prestarted: ahead });
  t.not(pid, ahead.child.pid);
  t.ok(await gone(ahead), 'the first one ends');
  t.notMatch(files().join(' '), /\.start-/);
  process.kill(pid, 'SIGTERM');
  await until('the mount ends', () => processStartTicks(pid) === undefined);
});

void t.test('one that has died is not used', async (t) => {
  const { owner, config, ahead } = place(t);
  ahead.child.kill('SIGKILL');
  t.ok(await gone(ahead));
  const { pid } = await mountInBackground(config, { entry, owner, cwd: '/', prestarted: ahead });
  t.not(pid, ahead.child.pid);
  process.kill(pid, 'SIGTERM');
  await until('the mount ends', () => processStartTicks(pid) === undefined);
});

void t.test('nothing comes of the mount', async (t) => {
  const { files, ahead } = place(t);
  discardPrestarted(ahead);
  t.ok(await gone(ahead), 'it ends by itself');
  t.strictSame(files(), []);
});

t.test('what a killed command left is swept by a later one, and not what may be in use', async (t) => {
  const root = mkdtempSync(join(tmpdir(), 'mount-s3x-test-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const runtime = join(root, 'mount-s3x');
  mkdirSync(runtime, { mode: 0o700 });
  const hourAgo = Date.now() / 1000 - 3600;
  for (const name of ['.start-1.stderr', '.start-2.stderr', 'mnt-0123456789.stderr']) {
    writeFileSync(join(runtime, name), '');
    if (name !== '.start-2.stderr') utimesSync(join(runtime, name), hourAgo, hourAgo);
  }
  const owner = { env: { ...process.env, XDG_RUNTIME_DIR: root }, uid: process.getuid?.() ?? 0 };
  const ahead = prestart(entry, owner, () => '/');
  if (ahead === undefined) throw new Error('it could not be started');
  discardPrestarted(ahead);
  t.ok(await gone(ahead));
  t.same(readdirSync(runtime).sort(), ['.start-2.stderr', 'mnt-0123456789.stderr']);
});
