/**
 * Daemons that die of a request, now or in a later turn, and that hang: who is blamed, what is reported, and that everybody else
 * is served. Nothing here depends on how long anything takes, only on what becomes true in the end.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { findRunFile } from '../../src/main/run-file.js';
import { shell } from '../support/mount.js';
import { POISON_LATER, POISON_NOW, POISON_PROMISE } from '../support/poison.js';
import { until } from '../support/until.js';
import {
  SLOW,
  faultsInjected,
  hangReport,
  makeBreakable,
  mounted,
  owner,
  serves,
  successor,
} from './support/supervised.js';

for (const [poison, deaths] of [
  [POISON_NOW, 2],
  [POISON_PROMISE, 2],
  [POISON_LATER, 4],
] as const) {
  await t.test(`${poison}: the request is answered EIO, those that waited beside it are served`, async (t) => {
    const mount = await mounted(t);
    await makeBreakable(t, mount);
    const before = await faultsInjected();
    const innocent = SLOW.map((name) => shell(mount, `cat "$M/${name}"`));
    await until('the store was asked for all', async () => (await faultsInjected()) >= before + SLOW.length);
    const guilty = await shell(mount, `stat "$M/${poison}"`);
    t.match(guilty.stderr, /Input\/output error/);
    for (const [index, result] of (await Promise.all(innocent)).entries()) {
      t.equal(result.stdout, `content of ${SLOW[index]}\n`, result.stderr);
    }
    t.match(mount.log(), /a request that daemons died of is answered EIO from now on/);
    const died = mount.log().match(/made to crash by [^"]*: the daemon ends|"reason":"[^"]*made to crash by/g) ?? [];
    t.ok(died.length <= deaths, `${died.length} deaths`);
    await serves(t, mount, 'afterwards');
  });
}

await t.test('a daemon that hangs is reported and replaced; one that somebody has stopped is not', async (t) => {
  const mount = await mounted(t, '--watchdog', '2');
  const pid = await makeBreakable(t, mount);
  process.kill(pid, 'SIGSTOP');
  // Longer than the watchdog waits: that nothing happens can only be waited for.
  await sleep(4000);
  process.kill(pid, 'SIGCONT');
  await serves(t, mount, 'after it was stopped for longer than the watchdog waits');
  t.equal(findRunFile(mount.path, owner)?.pid, pid, 'it is the same daemon');
  process.kill(pid, 'SIGPWR');
  await serves(t, mount, 'while it hangs');
  const next = await successor(mount, pid);
  t.not(next.pid, pid);
  t.match(mount.log(), /the daemon hangs: it is killed, another takes over/);
  t.match(await hangReport(pid), {
    reason: /silent for 2 s/,
    page: { pid },
    threads: [{ tid: pid, state: 'R' }],
    javascript: { state: 'running', frames: [/^spinForEver \(\S+breakable-daemon\.js:\d+:\d+\)$/] },
  });
});

await t.test('a request past its deadline: the report names it, and says that the main thread is idle', async (t) => {
  const mount = await mounted(t);
  const pid = await makeBreakable(t, mount);
  process.kill(pid, 'SIGXFSZ');
  const reader = spawn('dd', [`if=${join(mount.path, 'silent')}`, 'of=/dev/null', 'bs=64k', 'count=1'], {
    stdio: 'ignore',
  });
  t.teardown(() => reader.kill('SIGKILL'));
  // The watch wants to see it late for half a minute.
  const next = await successor(mount, pid, 90_000);
  t.not(next.pid, pid);
  t.match(await hangReport(pid), {
    reason: /left a request unanswered/,
    javascript: { state: 'idle', frames: [] },
    waiting: {
      requests: [
        { operation: 'READ', key: 'silent', waitsFor: /bytes of the object/, ageMs: Number, wasSentAgain: false },
      ],
      store: { fetches: Number, threads: [{ fetches: { transfer: Number } }] },
    },
  });
});
