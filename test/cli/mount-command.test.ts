/**
 * The command's good ways, with the real daemon and server: mount in the background, read, refuse to unmount while busy and
 * say who, unmount and be sure that the daemon has ended; the foreground with Ctrl-C; the fstab helper; an ordinary user.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { processStartTicks } from '../../src/base/process-identity.js';
import { ended, isMounted, projectRoot, cliPath, run, whyNoMount } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { until } from '../support/until.js';
import { makePlace, serverFlags } from './command.js';

const noMount = whyNoMount();
if (noMount !== undefined) {
  t.pass('mounting', { skip: noMount });
  process.exit();
}

t.setTimeout(120_000);
const server = await startBuiltinProcess({ buckets: ['data'] });
t.teardown(() => server.stop());
mkdirSync(join(server.dataDir, 'data/train'));
writeFileSync(join(server.dataDir, 'data/train/a.txt'), 'the bytes of a');
writeFileSync(join(server.dataDir, 'data/b.txt'), 'the bytes of b');
const flags = serverFlags(server);
/** Two starts of Node on a machine that runs other tests. */
const START_MS = 20_000;

t.test('background: mount, read, busy, unmount', async (t) => {
  const place = makePlace(t, server);
  const { mountPoint } = place;
  const mounted = await place.command(
    ['s3://data/train/', 'mnt', ...flags, '--cache', '/nonexistent', '-o', 'noatime'],
    {
      timeoutMs: START_MS,
    },
  );
  t.equal(mounted.code, 0, mounted.stderr);
  t.equal(mounted.stderr, 'mount-s3x: accepted, has no effect yet: --cache\n');
  const match = /^s3:\/\/data\/train\/ is mounted at (\S+) \(pid (\d+), log (.+)\)\n$/.exec(mounted.stdout);
  t.equal(match?.[1], mountPoint);
  const pid = Number(match?.[2]);
  if (!existsSync('/dev/log'))
    t.match(match?.[3], join(place.root, 'state/mount-s3x/mount-s3x-'), 'the log file is named');
  t.equal((await run('cat', [join(mountPoint, 'a.txt')])).stdout, 'the bytes of a');
  t.equal((await run('ls', [mountPoint])).stdout, 'a.txt\n');
  const environment = (await run('ps', ['-o', 'args=', '-p', String(pid)])).stdout;
  t.notMatch(environment, server.secretKey, 'no secret in the arguments');

  const user = spawn('sh', ['-c', 'exec 3<a.txt; echo ready; read line'], {
    cwd: mountPoint,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.teardown(() => user.kill('SIGKILL'));
  await new Promise((resolve) => user.stdout.once('data', resolve));
  const busy = await place.command(['unmount', mountPoint]);
  t.equal(busy.code, 11);
  t.equal(
    busy.stderr,
    `mount-s3x: ${mountPoint} is busy: sh (pid ${user.pid}, current directory, open file a.txt); end or leave these, or unmount with --lazy\n`,
  );
  t.ok(isMounted(mountPoint), 'it is left alone');
  user.kill('SIGKILL');
  await ended(user, 10_000);

  const unmounted = await place.command(['unmount', 'mnt']);
  t.equal(unmounted.code, 0, unmounted.stderr);
  t.equal(unmounted.stdout, `s3://data/train/ is unmounted from ${mountPoint}\n`);
  t.notOk(isMounted(mountPoint));
  t.equal(processStartTicks(pid), undefined, 'the daemon has ended before the command returned');
  t.strictSame(readdirSync(join(place.root, 'run/mount-s3x')), [], 'nothing is left in the runtime directory');
  if (!existsSync('/dev/log')) {
    t.match(place.log(), /"msg":"ended"/);
    t.notMatch(place.log(), server.secretKey);
  }
});

t.test('a mount in a mount: busy says so; a link to a mount is a name of it', async (t) => {
  const place = makePlace(t, server);
  const inner = join(place.mountPoint, 'train');
  t.teardown(() => run('umount', ['-l', inner], { timeoutMs: 10_000 }));
  for (const [bucket, directory] of [
    ['data', 'mnt'],
    ['s3://data/train/', 'mnt/train'],
  ] as const) {
    const mounted = await place.command([bucket, directory, ...flags], { timeoutMs: START_MS });
    t.equal(mounted.code, 0, mounted.stderr);
  }
  symlinkSync('mnt', join(place.root, 'link'));
  const asked = await place.command(['config', 'link']);
  t.equal(asked.code, 0, asked.stderr);
  t.match(asked.stdout, /bucket +data/);
  const busy = await place.command(['unmount', 'mnt']);
  t.equal(busy.code, 11);
  t.equal(
    busy.stderr,
    `mount-s3x: ${place.mountPoint} is busy: mounted in it: ${inner}; unmount what is mounted in it first\n`,
  );
  for (const directory of ['mnt/train', 'link']) {
    const unmounted = await place.command(['unmount', directory]);
    t.equal(unmounted.code, 0, unmounted.stderr);
  }
});

t.test('lazy: returns while a process is inside, and the daemon ends with it', async (t) => {
  const place = makePlace(t, server);
  const mounted = await place.command(['data', 'mnt', ...flags], { timeoutMs: START_MS });
  t.equal(mounted.code, 0, mounted.stderr);
  const pid = Number(/\(pid (\d+),/.exec(mounted.stdout)?.[1]);
  const user = spawn('sh', ['-c', 'echo ready; read line'], {
    cwd: place.mountPoint,
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.teardown(() => user.kill('SIGKILL'));
  await new Promise((resolve) => user.stdout.once('data', resolve));
  const lazy = await place.command(['unmount', '--lazy', 'mnt']);
  t.equal(lazy.code, 0, lazy.stderr);
  t.match(lazy.stdout, /is unmounted from .*; its daemon \(pid \d+\) ends with the last process that uses it/);
  t.notOk(isMounted(place.mountPoint));
  t.not(processStartTicks(pid), undefined);
  user.kill('SIGKILL');
  await until('the daemon ends with its last user', () => processStartTicks(pid) === undefined);
});

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  t.test(`foreground: ${signal} unmounts`, async (t) => {
    const place = makePlace(t, server);
    const child = spawn(process.execPath, [cliPath, 'data', 'mnt', '-f', ...flags], {
      cwd: place.root,
      env: place.env,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    t.teardown(() => child.kill('SIGKILL'));
    let said = '';
    child.stderr.on('data', (text: Buffer) => (said += text.toString()));
    const first = await new Promise<string>((resolve) => {
      child.stdout.once('data', (text: Buffer) => resolve(text.toString()));
      child.once('exit', () => resolve('it ended'));
    });
    t.match(first, /^s3:\/\/data\/ is mounted at \S+ \(pid \d+, log standard error\)\n$/, said);
    t.equal((await run('cat', [join(place.mountPoint, 'b.txt')])).stdout, 'the bytes of b');
    child.kill(signal);
    t.ok(await ended(child, 20_000), 'it ends');
    t.equal(child.exitCode, 0);
    t.notOk(isMounted(place.mountPoint));
    for (const line of said.trimEnd().split('\n')) t.doesNotThrow(() => JSON.parse(line) as unknown, line);
    t.match(said, `"reason":"${signal}"`);
  });
}

t.test('the fstab helper', async (t) => {
  const place = makePlace(t, server);
  const helper = join(projectRoot, 'dist/bin/mount.s3x.js');
  const options = `_netdev,nofail,ro,endpoint_url=${server.endpoint},force-path-style,x-systemd.automount`;
  const result = await run(process.execPath, [helper, 'data', place.mountPoint, '-n', '-o', options], {
    env: place.env,
    timeoutMs: START_MS,
  });
  t.equal(result.code, 0, result.stderr);
  t.equal(result.stderr, '');
  t.match((await run('cat', ['/proc/self/mountinfo'])).stdout, new RegExp(` ${place.mountPoint} ro,`));
  t.equal((await place.command(['unmount', place.mountPoint])).code, 0);
});
