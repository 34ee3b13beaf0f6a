/**
 * Deaths at the worst moments: two at once, during a take-over, while the mount ends, while the store is silent, stopped
 * instead of dead. Either the mount goes on and nobody sees anything, or it is gone: nothing hangs, nothing is left.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { logTail, monotonicSeconds } from '../../support/crash/crash-mount.js';
import { isMounted, run, whyNoMount } from '../../support/mount.js';
import { until } from '../../support/until.js';
import { findPython } from '../support/python.js';
import { isGone, startUser } from '../support/users.js';
import { endsClean, getsOn, startCrashBench } from './crash-bench.js';

const MIB = 1024 * 1024;
/** Everything that ends must have ended by then; what hangs, hangs for ever. */
const END_MS = 60_000;
const readers = ['buffered', 'direct', 'mmap', 'vectors', 'handles', 'list', 'slow-list', 'churn'] as const;

t.setTimeout(1_200_000);

const noMount = whyNoMount();
const python = findPython() ?? '';
if (noMount !== undefined || python === '') {
  t.pass('deaths at bad moments', { skip: noMount ?? 'no python3' });
  process.exit();
}

for (const gapMs of [0, 10, 100, 300, 600, 1000]) {
  t.test(`the next daemon dies ${gapMs} ms after it was started`, async (t) => {
    const bench = await startCrashBench(t, python);
    const { mount } = bench;
    const load = bench.load(readers);
    if (!(await getsOn(t, bench, load, 'everybody works'))) return;
    for (let round = 0; round < 3; round++) {
      const first = await mount.kill('SIGKILL');
      const second = await mount.nextDaemon(first.pid);
      await sleep(gapMs);
      process.kill(second.pid, 'SIGKILL');
      await mount.nextDaemon(second.pid);
      if (!(await getsOn(t, bench, load, `everybody gets on, round ${round}`))) return;
    }
    await load.stop();
    t.same(load.faults, [], 'nobody saw anything', { log: logTail(mount.log()) });
    await endsClean(t, mount);
  });
}

t.test('stopped and continued, daemon and supervisor', async (t) => {
  const bench = await startCrashBench(t, python);
  const { mount } = bench;
  const load = bench.load(readers);
  if (!(await getsOn(t, bench, load, 'everybody works'))) return;
  const daemon = mount.daemon()?.pid ?? 0;
  const supervisor = mount.supervisor()?.pid ?? 0;
  t.ok(daemon > 1 && supervisor > 1);
  process.kill(daemon, 'SIGSTOP');
  await sleep(1_500);
  process.kill(daemon, 'SIGCONT');
  if (!(await getsOn(t, bench, load, 'after a short stop'))) return;
  t.equal(mount.daemon()?.pid, daemon, 'a short stop is no death');
  process.kill(supervisor, 'SIGSTOP');
  process.kill(daemon, 'SIGKILL');
  await sleep(1_000);
  process.kill(supervisor, 'SIGCONT');
  await mount.nextDaemon(daemon);
  if (!(await getsOn(t, bench, load, 'a supervisor that was stopped takes note'))) return;
  await load.stop();
  t.same(load.faults, [], 'nobody saw anything', { log: logTail(mount.log()) });
  await endsClean(t, mount);
});

t.test('a daemon that somebody has stopped is waited for', async (t) => {
  const bench = await startCrashBench(t, python, { flags: ['--watchdog', '2'] });
  const { mount } = bench;
  const load = bench.load(['direct', 'list']);
  if (!(await getsOn(t, bench, load, 'everybody works'))) return;
  const daemon = mount.daemon()?.pid ?? 0;
  process.kill(daemon, 'SIGSTOP');
  await sleep(8_000);
  t.equal(mount.daemon()?.pid, daemon, 'the watchdog leaves it alone');
  process.kill(daemon, 'SIGCONT');
  if (!(await getsOn(t, bench, load, 'it goes on'))) return;
  t.equal(mount.daemon()?.pid, daemon);
  await load.stop();
  t.same(load.faults, [], 'nobody saw anything', { log: logTail(mount.log()) });
  await endsClean(t, mount);
});

for (const what of ['supervisor', 'supervisor and daemon', 'supervisor, then daemon'] as const) {
  t.test(`killed: ${what}`, async (t) => {
    const bench = await startCrashBench(t, python);
    const { mount } = bench;
    const env = { ...process.env, M: mount.path, LC_ALL: 'C' };
    const reader = startUser(t, 'while cat "$M"/large/* >/dev/null; do :; done; echo "ended with $?"', { env });
    const inside = startUser(t, 'exec 3<large/0.bin; echo open; read line; cat <&3 >/dev/null; echo "ended with $?"', {
      ...{ cwd: mount.path, env },
    });
    t.equal(await inside.hear(), 'open');
    const daemon = mount.daemon()?.pid ?? 0;
    const supervisor = mount.supervisor()?.pid ?? 0;
    t.ok(daemon > 1 && supervisor > 1 && daemon !== supervisor);
    process.kill(supervisor, 'SIGKILL');
    if (what === 'supervisor, then daemon') await sleep(20);
    if (what !== 'supervisor') process.kill(daemon, 'SIGKILL');
    t.ok(await isGone(daemon, END_MS), 'the daemon ends too');
    if (what === 'supervisor') {
      await until('it takes the mount along', () => !isMounted(mount.path), { waitMs: END_MS });
      t.match(mount.log(), /supervisor/, 'and says so');
    }
    inside.say('go on');
    let line = await inside.hear();
    while (line !== '(nothing)' && !line.startsWith('ended')) line = await inside.hear();
    t.match(line, /^ended with/, 'who had a file open does not hang');
    line = await reader.hear();
    for (let lines = 0; line !== '(nothing)' && !line.startsWith('ended') && lines < 100; lines++)
      line = await reader.hear();
    t.match(line, /^ended with/, 'nor who reads');
    const list = await run('ls', [mount.path], { timeoutMs: END_MS });
    t.not(list.code, null, 'nor who comes');
    const left = await mount.stop();
    t.same(left.processes, [], 'no process is left', { log: logTail(mount.log()) });
    t.same(left.sharedMemoryFiles, []);
  });
}

for (const how of ['umount', 'umount -l', 'SIGTERM'] as const) {
  t.test(`killed while it ends (${how})`, async (t) => {
    for (const delayMs of [0, 5, 20, 60, 150]) {
      const bench = await startCrashBench(t, python);
      const { mount } = bench;
      const daemon = mount.daemon()?.pid ?? 0;
      const supervisor = mount.supervisor()?.pid ?? 0;
      if (how === 'SIGTERM') process.kill(supervisor, 'SIGTERM');
      else startUser(t, `${how} "$M"; echo $?`, { env: { ...process.env, M: mount.path } });
      await sleep(delayMs);
      try {
        process.kill(daemon, 'SIGKILL');
      } catch {
        // it has ended already: the later delays may be too late
      }
      t.ok(await isGone(supervisor, END_MS), `${delayMs} ms: the supervisor ends`, { log: logTail(mount.log()) });
      t.notOk(isMounted(mount.path), `${delayMs} ms: nothing is mounted`);
      await endsClean(t, mount);
    }
  });
}

for (const how of ['umount', 'umount -l', 'mount-s3x unmount'] as const) {
  t.test(`${how} while nobody serves`, async (t) => {
    const bench = await startCrashBench(t, python);
    const { mount } = bench;
    const supervisor = mount.supervisor()?.pid ?? 0;
    await mount.kill('SIGKILL');
    const result =
      how === 'mount-s3x unmount'
        ? await mount.command(['unmount', mount.path], END_MS)
        : await run('sh', ['-c', `${how} "$0"`, mount.path], { timeoutMs: END_MS });
    t.equal(result.code, 0, `${how} succeeds`, { ...result, log: logTail(mount.log()) });
    t.ok(await isGone(supervisor, END_MS), 'the supervisor ends', { log: logTail(mount.log()) });
    t.notOk(isMounted(mount.path));
    await endsClean(t, mount);
  });
}

t.test('SIGTERM while nobody serves', async (t) => {
  const bench = await startCrashBench(t, python);
  const { mount } = bench;
  const supervisor = mount.supervisor()?.pid ?? 0;
  await mount.kill('SIGKILL');
  process.kill(supervisor, 'SIGTERM');
  t.ok(await isGone(supervisor, END_MS), 'the supervisor ends', { log: logTail(mount.log()) });
  t.notOk(isMounted(mount.path));
  await endsClean(t, mount);
});

t.test('killed while readers wait for a slow store', async (t) => {
  const bench = await startCrashBench(t, python);
  const { mount, server, origin } = bench;
  await server.setFaults([{ operation: 'GetObject', key: '^large/', firstByteMs: 4_000 }]);
  const compares = [0, 1, 2].map((number) => {
    const name = `large/${number}.bin`;
    const words = ['-n', String(2 * MIB), `${mount.path}/${name}`, `${origin}/${name}`];
    return run('cmp', words, { timeoutMs: END_MS });
  });
  const direct = run('dd', [`if=${mount.path}/large/0.bin`, 'of=/dev/null', 'iflag=direct', 'bs=1M', 'count=3'], {
    timeoutMs: END_MS,
  });
  await until('the store was asked', async () => (await server.faultsInjected()) > 0);
  const killed = await mount.kill('SIGKILL');
  await mount.nextDaemon(killed.pid);
  for (const result of await Promise.all([...compares, direct])) t.equal(result.code, 0, 'right', { ...result });
  await endsClean(t, mount);
});

t.test('a hundred readers that are killed during the take-over hang nowhere', async (t) => {
  const bench = await startCrashBench(t, python);
  const { mount } = bench;
  const users = Array.from({ length: 40 }, (_, at) =>
    startUser(t, `exec cat "$M/large/${at % 3}.bin" "$M"/tree/*/*/* >/dev/null`, {
      env: { ...process.env, M: mount.path },
    }),
  );
  await sleep(300);
  const killed = await mount.kill('SIGKILL');
  await sleep(50);
  for (const user of users) user.child.kill(user.pid % 2 === 0 ? 'SIGKILL' : 'SIGINT');
  await mount.nextDaemon(killed.pid);
  for (const user of users) t.ok(await isGone(user.pid, END_MS), 'gone');
  const load = bench.load(['direct', 'list']);
  await getsOn(t, bench, load, 'it serves on');
  await load.stop();
  t.same(load.faults, []);
  t.ok(monotonicSeconds() > killed.atSeconds);
  await endsClean(t, mount);
});
