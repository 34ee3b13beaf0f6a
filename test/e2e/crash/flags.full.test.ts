/**
 * The kills again, on mounts of other kinds: names that are kept for ever, no OPENs at all, an ordinary user, TLS, another
 * mount namespace, several threads of each kind, thousands of open handles.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { Role } from '../../support/crash/load.js';
import { logTail } from '../../support/crash/crash-mount.js';
import { whyNoMount } from '../../support/mount.js';
import { findPython, runPython } from '../support/python.js';
import { endsClean, smallData, startCrashBench } from './crash-bench.js';
import { runKills } from './run-kills.js';

const reading: readonly Role[] = ['buffered', 'direct', 'mmap', 'vectors', 'handles', 'list', 'find', 'slow-list'];
const kills = [
  { kind: 'SIGKILL', times: 4 },
  { kind: 'SIGABRT', times: 1 },
] as const;
const HANDLES = 5_000;

t.setTimeout(1_200_000);

const noMount = whyNoMount();
const python = findPython() ?? '';
if (noMount !== undefined || python === '') {
  t.pass('kills of mounts of other kinds', { skip: noMount ?? 'no python3' });
  process.exit();
}

for (const [name, flags, roles] of [
  ['--immutable', ['--immutable'], reading],
  ['--metadata-ttl indefinite', ['--metadata-ttl', 'indefinite'], undefined],
  ['--metadata-ttl 2', ['--metadata-ttl', '2'], undefined],
  ['--read-only', ['--read-only'], reading],
  ['several threads', ['--max-threads', '4', '--net-threads', '2'], undefined],
  ['little memory', ['--memory-target', '256'], undefined],
] as const) {
  t.test(name, async (t) => {
    await runKills(t, python, { kills, data: smallData, flags, ...(roles && { roles }) });
  });
}

t.test('TLS', async (t) => void (await runKills(t, python, { kills, data: smallData, tls: true })));

t.test(`${HANDLES} open handles`, async (t) => {
  const data = { ...smallData, treeDirectories: 60, treeFilesEach: 100 };
  const bench = await startCrashBench(t, python, { data });
  const { mount } = bench;
  let open = false;
  let killed = 0;
  const done = runPython(python, 'held-handles.py', [mount.path, bench.origin, String(HANDLES)], {
    killMs: 240_000,
    onLine: (line) => (open ||= line === 'open'),
  });
  for (const endMs = Date.now() + 120_000; !open && Date.now() < endMs;) await sleep(20);
  t.ok(open, 'they are open');
  for (; killed < 3; killed++) {
    const dead = await mount.kill('SIGKILL');
    await mount.nextDaemon(dead.pid);
    await sleep(1_500);
  }
  const result = await done;
  t.equal(result.stdout.trim().split('\n').at(-1), 'same', 'all of them read right', {
    ...{ stdout: result.stdout.slice(-2000), stderr: result.stderr.slice(-2000), log: logTail(mount.log()) },
  });
  await endsClean(t, mount);
});
