/**
 * The supervisor around a real mount: daemons that are killed, crash and are replaced by another version, while
 * programs use the mount; a supervisor that dies; and what people ask of a mount before and after.
 * Nothing here depends on how long anything takes, only on what becomes true in the end.
 */
import { spawn } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, readdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { processStartTicks } from '../../src/base/process-identity.js';
import { mount } from '../../src/fuse/libc.js';
import { ControlError, askControl } from '../../src/main/control-socket.js';
import { cliPath, daemonOf, isMounted, run, shell } from '../support/mount.js';
import { until } from '../support/until.js';
import {
  faultsInjected,
  ask,
  daemonEntry,
  digest,
  FILE_BYTES,
  env,
  isGone,
  makeBreakable,
  mounted,
  owner,
  runtime,
  server,
  serves,
  successor,
  work,
} from './support/supervised.js';

/** Of mounts; nothing else is kept there that is to go. */
function left(): string[] {
  return readdirSync(join(runtime, 'mount-s3x')).filter((name) => name !== 'mounts');
}

await t.test('kill -9: another daemon takes over, again and again; everything can be asked', async (t) => {
  const mount = await mounted(t);
  await serves(t, mount, 'before');
  let pid = mount.pid;
  for (const signal of ['SIGKILL', 'SIGABRT', 'SIGKILL'] as const) {
    process.kill(pid, signal);
    await serves(t, mount, `during the take-over after ${signal}`);
    const next = await successor(mount, pid);
    t.equal(next.supervisor?.pid, mount.chiefPid, 'the supervisor is the same');
    pid = next.pid;
  }
  t.equal((await ask('stats', mount.path, '--once')).code, 0);
  t.equal((await ask('explain', mount.path)).code, 0);
  t.equal((await ask('log-level', mount.path, 'debug')).code, 0);
  process.kill(pid, 'SIGKILL');
  t.equal((await ask('stats', mount.path, '--once')).code, 0, 'who asks during a take-over waits for it');
  t.match((await ask('log-level', mount.path)).stdout, /debug/, 'the level of the log stays what it was changed to');
  t.equal((await shell(mount, 'mkdir "$M/new" && echo x > "$M/new/y" && cat "$M/new/y"')).stdout, 'x\n');
  const removed = await ask('rm', '-r', join(mount.path, 'new'));
  t.equal(removed.code, 0, removed.stderr);
  const last = await successor(mount, pid);
  const unmounted = await ask('unmount', mount.path);
  t.equal(unmounted.code, 0, unmounted.stderr);
  t.ok(isGone(last.pid) && isGone(mount.chiefPid), 'unmount waits for both');
  t.same(readdirSync(join(runtime, 'mount-s3x')), [], 'nothing is left in the runtime directory');
});

await t.test('told to end, unmounted from outside: both processes end, with exit code 0', async (t) => {
  for (const how of ['SIGTERM', 'SIGINT', 'umount', 'SIGTERM to the daemon'] as const) {
    const mount = await mounted(t);
    process.kill(mount.pid, 'SIGKILL');
    const { pid } = await successor(mount, mount.pid);
    if (how === 'umount') t.equal((await run('umount', [mount.path])).code, 0);
    else if (how === 'SIGTERM to the daemon') process.kill(pid, 'SIGTERM');
    else process.kill(mount.chiefPid, how);
    await until(`${how} ends both`, () => isGone(pid) && isGone(mount.chiefPid));
    t.notOk(isMounted(mount.path), how);
    t.match(mount.log(), /"msg":"ended"/);
  }
});

await t.test('told to end while nobody serves: the next daemon ends it in order', async (t) => {
  const mount = await mounted(t);
  process.kill(mount.pid, 'SIGKILL');
  process.kill(mount.chiefPid, 'SIGTERM');
  await until('the supervisor ends', () => isGone(mount.chiefPid));
  t.notOk(isMounted(mount.path));
});

await t.test('the supervisor dies: its daemon unmounts and says so', async (t) => {
  const mount = await mounted(t);
  process.kill(mount.chiefPid, 'SIGKILL');
  await until('the daemon ends', () => isGone(mount.pid));
  t.notOk(isMounted(mount.path));
  t.match(mount.log(), /the supervisor has died: detaching the mount and ending/);
  t.same(left(), [], 'nothing is left in the runtime directory');
});

await t.test('daemon and supervisor die: unmount takes away what they left', async (t) => {
  const mount = await mounted(t);
  process.kill(mount.chiefPid, 'SIGSTOP');
  process.kill(mount.pid, 'SIGKILL');
  process.kill(mount.chiefPid, 'SIGKILL');
  await until('both end', () => isGone(mount.chiefPid) && isGone(mount.pid));
  t.ok(isMounted(mount.path));
  const { code, stderr } = await run(process.execPath, [cliPath, 'unmount', mount.path], { env, timeoutMs: 30_000 });
  t.equal(code, 0, stderr);
  t.notOk(isMounted(mount.path));
  t.same(left(), [], 'nothing is left in the runtime directory');
});

await t.test('the same crash again and again ends the mount with the reason', async (t) => {
  const mount = await mounted(t);
  let pid = await makeBreakable(t, mount);
  for (let crashes = 1; crashes <= 5; crashes++) {
    process.kill(pid, 'SIGXCPU');
    if (crashes < 5) ({ pid } = await successor(mount, pid));
  }
  await until('the supervisor ends', () => isGone(mount.chiefPid));
  t.notOk(isMounted(mount.path));
  t.match(mount.log(), /the mount at \S+ ends: 5 daemons died within a minute for the same reason .*made to crash/);
  // A zombie counts as gone; its code comes when it is reaped.
  await until('its exit code is known', () => mount.exitCode() !== null);
  t.equal(mount.exitCode(), 13);
});

await t.test('a descriptor that somebody else has mounted', async (t) => {
  if (owner.uid !== 0) {
    t.pass('adopted', { skip: 'only root can mount it' });
    return;
  }
  const path = mkdtempSync(join(tmpdir(), 'mount-s3x-adopted-'));
  const fd = openSync('/dev/fuse', 'r+');
  const options = `fd=${fd},rootmode=40000,user_id=0,group_id=0,default_permissions`;
  t.equal(await mount('adopted', path, 'fuse.mount-s3x', 0, options), 0);
  const flags = ['--endpoint-url', server.endpoint, '--force-path-style', '-f'];
  const child = spawn(process.execPath, [cliPath, 'bucket', '/dev/fd/3', ...flags], {
    env,
    stdio: ['ignore', 'pipe', 'inherit', fd],
  });
  closeSync(fd);
  t.teardown(async () => {
    child.kill('SIGKILL');
    await run('umount', ['-l', path]);
    rmdirSync(path);
  });
  const first = await new Promise<string>((resolve) =>
    child.stdout?.once('data', (text: Buffer) => resolve(String(text))),
  );
  t.match(first, /^s3:\/\/bucket\/ is mounted at \/dev\/fd\/3 /);
  const adopted = { path, pid: daemonOf(child.pid ?? 0) };
  const read = async (): Promise<string> => (await run('sha256sum', [join(path, 'file')])).stdout.slice(0, 64);
  t.equal(await read(), digest);
  const asked = await ask('stats', '/dev/fd/3', '--once');
  t.equal(asked.code, 0, asked.stderr);
  process.kill(adopted.pid, 'SIGKILL');
  t.equal(await read(), digest, 'another daemon has taken it over');
  child.kill('SIGTERM');
  await until('both end', () => child.exitCode !== null);
  t.match((await run('ls', [path])).stderr, /not connected/, 'the connection has ended with them');
});

await t.test('a kernel that sends nothing again: who waits gets an error, the mount lives', async (t) => {
  const mount = await mounted(t, '--no-resend');
  await serves(t, mount, 'before');
  let pid = mount.pid;
  for (let round = 0; round < 2; round++) {
    const before = await faultsInjected();
    const waiting = shell(mount, 'dd if="$M/silent" of=/dev/null bs=1M iflag=direct');
    await until('the store was asked', async () => (await faultsInjected()) > before);
    process.kill(pid, 'SIGKILL');
    const ended = await waiting;
    t.equal(ended.code, 1);
    t.match(ended.stderr, /Software caused connection abort/);
    ({ pid } = await successor(mount, pid));
    await serves(t, mount, 'afterwards');
  }
});

interface Counted {
  readonly network: { readonly bytesIn: number };
  readonly requests: { readonly LOOKUP?: number };
  readonly store: { readonly requests: { readonly get?: { readonly ok?: number } } };
}

await t.test('upgrade: this version, and one that cannot start', async (t) => {
  const mount = await mounted(t);
  const one = shell(mount, 'for i in $(seq 8); do sha256sum < "$M/file"; sleep 0.3; done | sort -u');
  const many = shell(mount, 'for i in $(seq 300); do cat "$M/many/f$((i % 50))"; done | sort -u | wc -l');
  const written = shell(
    mount,
    'for i in $(seq 40); do echo "line $i"; sleep 0.05; done > "$M/written"; cat "$M/written" | wc -l',
  );
  const done = await ask('upgrade', mount.path);
  t.equal(done.code, 0, done.stderr);
  t.match(done.stdout, /: version \S+, a new daemon \(pid \d+\)\n$/);
  const [reads, opens, writes] = await Promise.all([one, many, written]);
  t.equal(reads.stdout, `${digest}  -\n`, reads.stderr);
  t.equal(opens.stdout, '50\n', opens.stderr);
  t.equal(writes.stdout, '40\n', writes.stderr);
  const { pid, supervisor } = await successor(mount, mount.pid);
  const broken = join(work, 'broken.mjs');
  writeFileSync(broken, 'throw new Error("this version is broken");\n');
  for (const [entry, why] of [
    [broken, /the new version could not take over \(exit code 1\); the old one serves on/],
    [join(work, 'none.mjs'), /there is no \S+none\.mjs/],
    ['relative.js', /absolute path/],
  ] as const) {
    await t.rejects(askControl(supervisor?.socket ?? '', { command: 'upgrade', daemonEntry: entry }), {
      constructor: ControlError,
      message: why,
    });
    await serves(t, mount, `after ${entry}`);
  }
  await successor(mount, pid);
  t.equal(processStartTicks(mount.chiefPid), supervisor?.startTicks, 'the supervisor is the same');
  const counted = async (): Promise<Counted> =>
    JSON.parse((await ask('stats', mount.path, '--json', '--once')).stdout) as never;
  // Nobody reads now: what the next daemon says is what those before it have counted.
  const before = await counted();
  const again = await askControl(supervisor?.socket ?? '', { command: 'upgrade', daemonEntry });
  t.match(again, { pid: Number }, 'and it can be done again');
  const after = await counted();
  t.ok(before.network.bytesIn >= FILE_BYTES && after.network.bytesIn >= before.network.bytesIn, 'bytes are counted on');
  t.ok(
    (before.requests.LOOKUP ?? 0) > 0 && (after.requests.LOOKUP ?? 0) >= (before.requests.LOOKUP ?? 0),
    'requests, too',
  );
  t.ok((after.store.requests.get?.ok ?? 0) >= (before.store.requests.get?.ok ?? 1), 'and those to the store');
  const alone = await mounted(t, '--no-supervisor');
  const refused = await ask('upgrade', alone.path);
  t.equal(refused.code, 1);
  t.match(refused.stderr, /has no supervisor that could hold it meanwhile; `mount-s3x unmount /);
});
