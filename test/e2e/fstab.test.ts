/**
 * /etc/fstab lines of type s3x through mount(8) itself, with a file of the test's own (`mount -T`): mount -a, twice; mount and
 * umount by directory; remount read-only and back; options for others (_netdev, nofail, x-systemd, user, noauto); mount(8)'s
 * exit codes. The helper is linked as /sbin/mount.s3x for as long as the test runs.
 */
import { existsSync, lstatSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { tmpdir } from 'node:os';
import t from 'tap';
import { cliPath, isMounted, run, serverEnvironment, whyNoMount, type Result } from '../support/mount.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { until } from '../support/until.js';

t.setTimeout(240_000);
const HELPER = '/sbin/mount.s3x';
const why =
  whyNoMount() ??
  (process.getuid?.() === 0 ? undefined : 'needs root: mount(8) takes helpers from /sbin only') ??
  (lstatSync(HELPER, { throwIfNoEntry: false }) ? `${HELPER} is there already` : undefined);
if (why !== undefined) {
  t.pass('fstab', { skip: why });
  process.exit();
}

const work = mkdtempSync(join(tmpdir(), 'mount-s3x-fstab-'));
const program = join(dirname(cliPath), 'mount.s3x.js');
// What npm and the Debian package make: a link to a program that begins with `#!/usr/bin/env node`.
const script = join(work, 'mount.s3x');
writeFileSync(script, `#!/bin/sh\nexec ${process.execPath} ${program} "$@"\n`, { mode: 0o755 });
symlinkSync(script, HELPER);
t.teardown(() => rmSync(HELPER));
for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(1));
process.on('exit', () => rmSync(HELPER, { force: true }));

const dataDir = join(work, 'buckets');
mkdirSync(join(dataDir, 'bucket', 'train'), { recursive: true });
writeFileSync(join(dataDir, 'bucket', 'train', 'a.txt'), 'bytes');
const server = await startBuiltinProcess({ dataDir });
t.teardown(() => server.stop());
const points = ['data', 'later', 'missing'].map((name) => join(work, name));
const [data = '', later = '', missing = ''] = points;
for (const point of points) mkdirSync(point);
t.teardown(async () => {
  for (const point of points) if (isMounted(point)) await run('umount', ['-l', point]);
  rmSync(work, { recursive: true, force: true });
});

const store = `endpoint-url=${server.endpoint},force-path-style,log-directory=${work}`;
const fstab = join(work, 'fstab');
writeFileSync(
  fstab,
  [
    `s3://bucket/train/ ${data} s3x _netdev,nofail,x-systemd.automount,x-systemd.mount-timeout=30,noatime,${store} 0 0`,
    `bucket ${later} s3x noauto,user,ro,${store} 0 0`,
    `no-such-bucket ${missing} s3x noauto,${store} 0 0`,
    '',
  ].join('\n'),
);
const env = { ...serverEnvironment(server), XDG_RUNTIME_DIR: join(work, 'run'), XDG_STATE_HOME: join(work, 'state') };
mkdirSync(env.XDG_RUNTIME_DIR, { mode: 0o700 });
const shell = (line: string): Promise<Result> => run('bash', ['-c', line], { timeoutMs: 60_000 });
const mount = (...words: string[]): Promise<Result> =>
  run('mount', ['-T', fstab, ...words], { env, timeoutMs: 60_000 });

t.test('mount -a mounts what is not noauto, and does it once', async (t) => {
  const first = await mount('-a');
  t.equal(first.code, 0, first.stderr);
  t.ok(isMounted(data));
  t.notOk(isMounted(later), 'noauto');
  t.equal((await run('cat', [join(data, 'a.txt')])).stdout, 'bytes');
  const again = await mount('-a');
  t.equal(again.code, 0, again.stderr);
  t.equal((await shell(`grep -c ' ${data} ' /proc/mounts`)).stdout, '1\n', 'not twice over one another');
});

t.test('remount read-only and back', async (t) => {
  t.equal((await shell(`echo one >${data}/one`)).code, 0);
  const held = shell(`exec 3>${data}/held; touch ${work}/holds; while [ ! -e ${work}/let-go ]; do sleep .1; done`);
  await until('the file is open', () => existsSync(join(work, 'holds')));
  const busy = await mount('-o', 'remount,ro', data);
  t.equal(busy.code, 32);
  t.match(busy.stderr, /files are open for writing/);
  writeFileSync(join(work, 'let-go'), '');
  await held;
  const readOnly = await mount('-o', 'remount,ro', data);
  t.equal(readOnly.code, 0, readOnly.stderr);
  const refused = await shell(`echo two >${data}/two`);
  t.not(refused.code, 0);
  t.match(refused.stderr, /[Rr]ead-only file system/);
  t.equal((await run('cat', [join(data, 'one')])).stdout, 'one\n', 'reading goes on');
  t.match((await shell(`grep ' ${data} ' /proc/mounts`)).stdout, /\bro,.*noatime/, 'other flags stay');
  t.equal((await mount('-o', 'remount,rw', data)).code, 0);
  t.equal((await shell(`echo two >${data}/two`)).code, 0);
  t.equal((await run('cat', [join(data, 'two')])).stdout, 'two\n');
});

t.test('umount, and mount by the directory alone', async (t) => {
  const gone = await run('umount', [data], { timeoutMs: 60_000 });
  t.equal(gone.code, 0, gone.stderr);
  t.notOk(isMounted(data));
  const back = await mount(later);
  t.equal(back.code, 0, back.stderr);
  t.equal((await run('cat', [join(later, 'train/a.txt')])).stdout, 'bytes');
  const writable = await mount('-o', 'remount,rw', later);
  t.equal(writable.code, 32, 'its daemon was told --read-only');
  t.match(writable.stderr, /--read-only/);
  const refused = await shell(`echo x >${later}/x`);
  t.match(refused.stderr, /[Rr]ead-only file system/, 'the daemon refuses, whatever the kernel lets through');
  t.equal((await run('umount', [later], { timeoutMs: 60_000 })).code, 0);
});

t.test('failures: mount(8) says 32 and the line of mount-s3x', async (t) => {
  const none = await mount(missing);
  t.equal(none.code, 32);
  t.match(none.stderr, /mount-s3x: .*no-such-bucket/);
  t.notOk(isMounted(missing));
  const wrong = await mount('-o', 'reed_only', later);
  t.equal(wrong.code, 1, 'a word that nobody knows');
  t.match(wrong.stderr, /reed_only: unknown option; did you mean read-only/);
  const remount = await mount('-o', 'remount,ro', later);
  t.not(remount.code, 0, 'nothing is mounted there');
  const fake = await mount('-f', later);
  t.equal(fake.code, 0, fake.stderr);
  t.notOk(isMounted(later), '--fake mounts nothing');
});
