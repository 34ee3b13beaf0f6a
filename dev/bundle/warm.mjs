// What V8 compiles of the bundle's code is written beside it (src/base/run-code.ts reads it): by one mount of a bucket of
// the built-in server, where a mount can be made, so that all is in it that a start runs. Elsewhere without running: what is
// compiled anyway when a file is loaded. Either is of the version of Node that builds.
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs';
import Module from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Script } from 'node:vm';
import { writeCache } from './cache-file.cjs';

const PROGRAM_MS = 30_000;
const READY_MS = 10_000;
/** Longer than record.cjs waits. */
const RECORDED_MS = 2_500;

const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Makes the caches of `bundle`/code, which tsc's output in `from` was bundled to. `inDaemon`: names that run with its V8 flags. */
export async function warm(bundle, from, inDaemon) {
  const code = join(bundle, 'code');
  const trouble = await warmByMount(bundle, code, from).catch((error) => error.message);
  const files = readdirSync(code);
  const missing = files
    .filter((name) => /-[0-9a-f]{16}\.js$/.test(name))
    .filter((name) => !files.includes(name.replace(/\.js$/, '.cache')))
    .map((name) => name.slice(0, -3));
  if (trouble !== undefined) console.log(`no mount for the code cache (${trouble}): it holds what loading compiles`);
  // The flags of a process hold for all that it compiles later, so the daemon's come last.
  for (const name of missing.filter((each) => !inDaemon(each))) compile(code, name);
  const { settleV8 } = await import(pathToFileURL(join(from, 'src/main/v8-settings.js')).href);
  settleV8();
  for (const name of missing.filter(inDaemon)) compile(code, name);
}

function compile(code, name) {
  const filename = join(code, `${name}.js`);
  const script = new Script(Module.wrap(readFileSync(filename, 'latin1')), { filename });
  writeCache(filename, script);
}

/** Undefined when it was made, else why not. */
async function warmByMount(bundle, code, from) {
  const folder = mkdtempSync(join(tmpdir(), 'mount-s3x-build-'));
  const [buckets, mountPoint] = [join(folder, 'buckets'), join(folder, 'mnt')];
  mkdirSync(join(buckets, 'warm'), { recursive: true });
  mkdirSync(mountPoint);
  const keys = ['--access-key', 'warm', '--secret-key', 'warm'];
  const server = spawn(
    process.execPath,
    [join(from, 'dev/s3-server/main.js'), '--dir', buckets, '--port', '0', ...keys],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const program = join(bundle, 'bin/mount-s3x.js');
  const env = {
    PATH: process.env.PATH,
    HOME: folder,
    XDG_RUNTIME_DIR: folder,
    XDG_STATE_HOME: folder,
    AWS_ACCESS_KEY_ID: 'warm',
    AWS_SECRET_ACCESS_KEY: 'warm',
    AWS_REGION: 'us-east-1',
    AWS_EC2_METADATA_DISABLED: 'true',
    MOUNT_S3X_REGISTRY: 'off',
  };
  const run = (args, more = {}) =>
    spawnSync(process.execPath, [program, ...args], {
      env: { ...env, ...more },
      encoding: 'utf8',
      timeout: PROGRAM_MS,
      killSignal: 'SIGKILL',
    });
  try {
    const endpoint = await untilReady(server);
    const recorded = {
      NODE_OPTIONS: `--require ${fileURLToPath(new URL('record.cjs', import.meta.url))}`,
      MOUNT_S3X_BUILD_CODE: code,
    };
    const options = ['--endpoint-url', endpoint, '--force-path-style', '--log-directory', folder];
    const mounted = run(['warm', mountPoint, ...options], recorded);
    if (mounted.status !== 0) return (mounted.stderr ?? '').trim().split('\n').at(-1) || 'it did not come up';
    // In a program of its own: this one must never wait for the mount.
    spawnSync('ls', ['-l', mountPoint], { stdio: 'ignore', timeout: READY_MS, killSignal: 'SIGKILL' });
    await sleep(RECORDED_MS);
    const ended = run(['unmount', mountPoint]);
    return ended.status === 0 ? undefined : 'it could not be unmounted';
  } finally {
    server.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
    for (const name of readdirSync(code)) {
      if (/\.cache\./.test(name)) rmSync(join(code, name), { force: true });
    }
  }
}

/** The server's address. */
function untilReady(server) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('the built-in server did not start')), READY_MS);
    let text = '';
    server.stdout.on('data', (chunk) => {
      text += chunk;
      const [address] = /http:\/\/[\w.:]+/.exec(text) ?? [];
      if (address === undefined || !text.includes('\n')) return;
      clearTimeout(timer);
      resolve(address);
    });
    server.once('exit', () => {
      clearTimeout(timer);
      reject(new Error('the built-in server ended'));
    });
  });
}
