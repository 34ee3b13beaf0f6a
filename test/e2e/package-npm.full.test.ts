/**
 * `npm install --global` from the packed tarball and from a clone: both commands work, in an environment with no variables and
 * with a compiler that fails (nothing may need one). Takes packages from the registry; skipped, with npm's words, without one.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { projectRoot, run } from '../support/mount.js';

t.setTimeout(600_000);
const work = mkdtempSync(join(tmpdir(), 'mount-s3x-npm-'));
t.teardown(() => rmSync(work, { recursive: true, force: true }));

/** What a person without a tool chain has: Node, npm, a shell; every compiler says no. */
async function cleanEnvironment(): Promise<NodeJS.ProcessEnv> {
  const bin = join(work, 'bin');
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, 'no'), '#!/bin/sh\necho "a compiler was asked for: $0 $*" >&2\nexit 1\n', { mode: 0o755 });
  for (const name of ['cc', 'gcc', 'g++', 'c++', 'clang', 'make', 'cmake', 'python', 'python3', 'node-gyp']) {
    if (!existsSync(join(bin, name))) symlinkSync('no', join(bin, name));
  }
  // npm's own settings, certificates among them, stand in its global file, which --prefix would move.
  const globalConfig = (await run('npm', ['config', 'get', 'globalconfig'])).stdout.trim();
  return {
    PATH: `${bin}:${process.env['PATH'] ?? ''}`,
    HOME: join(work, 'home'),
    npm_config_globalconfig: globalConfig,
    npm_config_update_notifier: 'false',
  };
}

const env = await cleanEnvironment();
mkdirSync(join(work, 'home'));

async function installs(t: Test, what: string, cwd: string): Promise<void> {
  const prefix = mkdtempSync(join(work, 'prefix-'));
  const words = ['install', '--global', '--prefix', prefix, '--no-audit', '--no-fund', '--foreground-scripts', what];
  const installed = await run('npm', words, { env, cwd, timeoutMs: 400_000 });
  if (/ENOTFOUND|EAI_AGAIN|ECONNREFUSED|ETIMEDOUT/.test(installed.stderr)) {
    t.comment(`skipped: no package registry: ${installed.stderr.split('\n')[0] ?? ''}`);
    return;
  }
  t.equal(installed.code, 0, installed.stderr);
  t.same(readdirSync(join(prefix, 'bin')).sort(), ['mount-s3x', 'mount.s3x']);
  const bare = { PATH: `${join(prefix, 'bin')}:${process.env['PATH'] ?? ''}`, HOME: join(work, 'home') };
  t.match((await run('mount-s3x', ['--version'], { env: bare })).stdout, /^\d+\.\d+\.\d+\n$/);
  // Loads the native part.
  const hardware = await run('mount-s3x', ['hwinfo', '--json'], { env: bare });
  t.equal(hardware.code, 0, hardware.stderr);
  t.equal((await run('mount.s3x', ['nothing'], { env: bare })).code, 1, "mount(8)'s code for wrong arguments");
  const units = await run('mount-s3x', ['systemd', 'install', 'x', 'bucket', '/mnt/x', '--dry-run', '--user'], {
    env: bare,
  });
  t.match(units.stdout, /ExecStart=.*mount-s3x\.js --config/, units.stderr);
}

t.test('from the packed tarball', async (t) => {
  const packed = await run('npm', ['pack', '--ignore-scripts', '--pack-destination', work, '--json'], {
    cwd: projectRoot,
    env,
    timeoutMs: 120_000,
  });
  t.equal(packed.code, 0, packed.stderr);
  const tarball = readdirSync(work).find((name) => name.endsWith('.tgz')) ?? '';
  const { stdout } = await run('tar', ['tzf', join(work, tarball)]);
  t.same(
    stdout.split('\n').filter((path) => /^package\/(src|test|dev|node_modules|dist\/(test|src|dev))\//.test(path)),
    [],
    'no sources, no tests',
  );
  await installs(t, join(work, tarball), work);
});

t.test('from a clone', async (t) => {
  const clone = join(work, 'clone');
  const cloned = await run('git', ['clone', '--quiet', '--depth', '1', `file://${projectRoot}`, clone], {
    timeoutMs: 60_000,
  });
  if (cloned.code !== 0) {
    t.comment(`skipped: this is no clone itself: ${cloned.stderr.split('\n')[0] ?? ''}`);
    return;
  }
  // `npm ci` is what CI begins with; its packages are these.
  symlinkSync(join(projectRoot, 'node_modules'), join(clone, 'node_modules'));
  await installs(t, '.', clone);
});
