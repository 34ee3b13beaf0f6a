/**
 * Starts at a store that is away for some seconds: a mount in the background and in the foreground, with the supervisor and
 * without, says what it waits for and mounts when the store is there; a signal ends the wait and leaves nothing; commands that
 * open a bucket by themselves wait as well; doctor reports instead.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { cliPath, isMounted, run, serverEnvironment, whyNoMount } from '../support/mount.js';
import { BrokenWay, type WayState } from '../support/servers/broken-way.js';
import { startBuiltinProcess } from '../support/servers/builtin.js';
import { until } from '../support/until.js';

const noMount = whyNoMount();
if (noMount) {
  t.pass('starts without a store', { skip: noMount });
  process.exit();
}
t.setTimeout(180_000);

const work = mkdtempSync(join(tmpdir(), 'mount-s3x-start-'));
t.teardown(() => rmSync(work, { recursive: true, force: true }));
mkdirSync(join(work, 'data', 'away'), { recursive: true });
writeFileSync(join(work, 'data', 'away', 'file'), 'bytes\n');
const server = await startBuiltinProcess({ dataDir: join(work, 'data') });
t.teardown(() => server.stop());

let places = 0;

async function startAt(t: Test, state: WayState, args: (place: { path: string; flags: string[] }) => string[]) {
  const way = await BrokenWay.open(server);
  t.teardown(() => way.close());
  await way.set(state);
  const root = join(work, `${places++}`);
  const path = join(root, 'mnt');
  mkdirSync(path, { recursive: true });
  const env = {
    ...serverEnvironment(server),
    XDG_RUNTIME_DIR: join(root, 'run'),
    XDG_STATE_HOME: join(root, 'state'),
  };
  const flags = ['--endpoint-url', way.endpoint, '--force-path-style'];
  const child = spawn(process.execPath, [cliPath, ...args({ path, flags })], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let said = '';
  child.stdout.on('data', (piece: Buffer) => (said += piece.toString()));
  child.stderr.on('data', (piece: Buffer) => (said += piece.toString()));
  const ended = once(child, 'close');
  t.teardown(async () => {
    if (isMounted(path)) await run('umount', ['-l', path]);
    if (child.exitCode === null) child.kill('SIGKILL');
  });
  return { way, path, child, said: () => said, ended };
}

const waits = /^mount-s3x: http:\S+ (refuses connections|answers 502).*; waiting for it, (29|30) s at most$/m;

for (const [name, state, flags] of [
  ['in the background', 'gateway', []],
  ['in the background, without a supervisor', 'refused', ['--no-supervisor']],
  ['in the foreground', 'refused', ['-f', '--no-log']],
  ['in the foreground, without a supervisor', 'gateway', ['-f', '--no-log', '--no-supervisor']],
] as const) {
  t.test(`a mount ${name}`, async (t) => {
    const start = await startAt(t, state, (place) => ['away', place.path, ...place.flags, ...flags]);
    await until('it says that it waits', () => waits.test(start.said()));
    t.equal(start.child.exitCode, null);
    await start.way.set('open');
    await until('it is mounted', () => /is mounted at/.test(start.said()));
    const read = await run('cat', [join(start.path, 'file')]);
    t.same(read, { code: 0, stdout: 'bytes\n', stderr: '' });
    t.equal((await run('umount', [start.path])).code, 0);
    await start.ended;
    t.equal(start.child.exitCode, 0);
  });

  t.test(`a mount ${name} is told to end`, async (t) => {
    const start = await startAt(t, state, (place) => ['away', place.path, ...place.flags, ...flags]);
    await until('it says that it waits', () => waits.test(start.said()));
    start.child.kill('SIGINT');
    await start.ended;
    t.equal(start.child.exitCode, 130, start.said());
    t.match(start.said(), /interrupted \(SIGINT\)/);
    t.notOk(isMounted(start.path));
  });
}

t.test('rm of an address', async (t) => {
  const start = await startAt(t, 'gateway', ({ flags }) => ['rm', 's3://away/file', ...flags]);
  await until('it says that it waits', () => waits.test(start.said()));
  await start.way.set('open');
  await start.ended;
  t.equal(start.child.exitCode, 0, start.said());
});

t.test('rm is told to end', async (t) => {
  const start = await startAt(t, 'refused', ({ flags }) => ['rm', 's3://away/file', ...flags]);
  await until('it says that it waits', () => waits.test(start.said()));
  start.child.kill('SIGTERM');
  await start.ended;
  t.not(start.child.exitCode, 0);
});

t.test('doctor reports', async (t) => {
  const start = await startAt(t, 'gateway', ({ flags }) => ['doctor', 'away', ...flags]);
  await start.ended;
  t.match(start.said(), /bucket\.busy/);
  t.match(start.said(), /answers 502: the store behind it is away/);
  t.notMatch(start.said(), /endpoint\.not-s3/);
});
