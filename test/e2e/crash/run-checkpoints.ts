/**
 * Kills the daemon while programs write checkpoints (to a temporary name and renamed, in place, exclusively), append to logs
 * with fsync and edit in place, and looks into the bucket over S3, never through the mount, after each kill and at the end:
 * every object is whole, every write that was told to have succeeded is there, and a write that did not arrive was told an
 * error. What recover offers is printed, completed, and whole up to where it says.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { startWriter, wholeVersion, type CheckpointWriter, type WriterRole } from '../../support/crash/checkpoints.js';
import { logTail, type KillKind } from '../../support/crash/crash-mount.js';
import { storeView, type StoreView } from '../support/store-view.js';
import { BUCKET, startCrashBench, type CrashBench } from './crash-bench.js';

const MIB = 1024 * 1024;
/** A writer that has not finished what it is at by then hangs. */
const FINISH_MS = 60_000;
const REST_MS_MIN = 300;
const REST_MS_MAX = 1_500;

/** What runs at once: large and small, streams and single PUTs. */
const writers: readonly { readonly role: WriterRole; readonly name: string; readonly bytes: number }[] = [
  { role: 'renamed', name: 'work/renamed-large', bytes: 40 * MIB },
  { role: 'renamed', name: 'work/renamed-small', bytes: 200_000 },
  { role: 'in-place', name: 'work/in-place-large', bytes: 24 * MIB },
  { role: 'in-place', name: 'work/in-place-small', bytes: 20_000 },
  { role: 'exclusive', name: 'work/exclusive', bytes: 3 * MIB },
  { role: 'log', name: 'work/log', bytes: 0 },
  { role: 'edit', name: 'work/edited-small', bytes: MIB },
  { role: 'edit', name: 'work/edited-large', bytes: 12 * MIB },
];

export interface CheckpointFigures {
  readonly kills: number;
  readonly writes: number;
  readonly errors: number;
  readonly recoverable: number;
}

export async function runCheckpoints(
  t: Test,
  python: string,
  plan: {
    readonly kills: readonly { readonly kind: KillKind; readonly times: number }[];
    readonly flags?: readonly string[];
  },
): Promise<CheckpointFigures> {
  const bench = await startCrashBench(t, python, {
    data: { largeFiles: 1, largeBytes: MIB, treeDirectories: 1, treeFilesEach: 1, manyNames: 1 },
    flags: plan.flags ?? [],
  });
  const { mount, random, seed, server } = bench;
  const view = storeView(server, BUCKET);
  t.teardown(() => view.close());
  await view.put('work/', '');
  const running = writers.map(({ role, name, bytes }, index) =>
    startWriter(python, { role, name, bytes, seed: seed + index, mountPath: mount.path }),
  );
  t.teardown(async () => void (await Promise.all(running.map((writer) => writer.finish(0)))));
  const kinds = plan.kills.flatMap(({ kind, times }) => Array.from({ length: times }, () => kind));
  let kills = 0;
  for (const kind of kinds) {
    await sleep(REST_MS_MIN + random() * (REST_MS_MAX - REST_MS_MIN));
    const killed = await mount.kill(kind);
    // While nobody serves: whatever the dead one left half-done is to be seen now.
    await assertWhole(t, view, `after ${kind} number ${++kills}`);
    await mount.nextDaemon(killed.pid);
    // A daemon that never served would count as one that cannot start.
    const stuck = await untilTold(running, killed.atSeconds);
    t.same(stuck, [], `everybody gets on after ${kind} number ${kills}`, { log: logTail(mount.log()) });
    if (stuck.length > 0) break;
  }
  await sleep(REST_MS_MAX);
  for (const writer of running) {
    const isOver = await writer.finish(FINISH_MS);
    t.ok(isOver, `${writer.role} finishes`, { last: writer.told.slice(-3), log: logTail(mount.log()) });
    t.equal(writer.stderr(), '', `${writer.role} has nothing to complain of`);
  }
  await assertWhole(t, view, 'at the end');
  const errors = await assertNoLies(t, view, running);
  const recoverable = await assertRecoverable(t, bench, view);
  const writes = running.reduce((sum, { told }) => sum + told.filter(({ state }) => state === 'ok').length, 0);
  for (const { role, told } of running) {
    const ok = told.filter(({ state }) => state === 'ok').length;
    const failed = told.filter(({ state }) => state === 'error');
    t.ok(
      ok > 0,
      `${role} wrote: ${ok} times, ${failed.length} errors ${[...new Set(failed.map(({ errno }) => errno))].join(' ')}`,
    );
  }
  t.ok(mount.isMounted(), 'it is still mounted');
  return { kills, writes, errors, recoverable };
}

/** Everybody was told of something that ended after so long ago; answers who was not. */
async function untilTold(running: readonly CheckpointWriter[], sinceSeconds: number): Promise<string[]> {
  const stuck = (): string[] =>
    running
      .filter(({ told }) => !told.some(({ state, at }) => at > sinceSeconds && (state === 'ok' || state === 'error')))
      .map(({ role }) => role);
  for (const endMs = Date.now() + FINISH_MS; stuck().length > 0 && Date.now() < endMs;) await sleep(20);
  return stuck();
}

/** No object of ours is anything but a whole version of its file. */
async function assertWhole(t: Test, view: StoreView, when: string): Promise<void> {
  const torn: string[] = [];
  let objects = 0;
  for (const [key, sizeBytes] of await view.keys('work/')) {
    const role = roleOf(key);
    if (role === undefined) continue;
    const body = await view.get(key);
    // Renamed or replaced since it was listed.
    if (!body) continue;
    objects++;
    // A file that was made or truncated by its open and closed by nobody is an empty object only after its last close.
    const isEmpty =
      body.length === 0 && (role === 'in-place' || role === 'renamed' || role === 'exclusive' || role === 'edit');
    if (!isEmpty && wholeVersion(role, body) === undefined) torn.push(`${key} (${sizeBytes} bytes)`);
    if (isEmpty) torn.push(`${key} is empty`);
  }
  t.same(torn, [], `${when}: ${objects} objects, all whole`);
}

function roleOf(key: string): WriterRole | undefined {
  const name = key.replace(/\.tmp$/, '');
  return writers.find((writer) => name === writer.name || name.startsWith(`${writer.name}-`))?.role;
}

/** What was told to have succeeded is in the bucket, or something later is; answers how many errors were told. */
async function assertNoLies(t: Test, view: StoreView, running: readonly CheckpointWriter[]): Promise<number> {
  let errors = 0;
  for (const { role, told } of running) {
    const best = new Map<string, number>();
    for (const { name, state, version } of told) {
      if (state === 'ok') best.set(name, Math.max(version, best.get(name) ?? 0));
      if (state === 'error') errors++;
    }
    const missing: string[] = [];
    for (const [name, version] of best) {
      const body = await view.get(name);
      const found = body && wholeVersion(role, body);
      if (found === undefined || found < version)
        missing.push(`${name}: told version ${version}, found ${found ?? 'none'}`);
    }
    t.same(missing, [], `${role}: ${best.size} files that were told to be written are`);
  }
  return errors;
}

/** Nothing that lives is offered; what is offered can be completed to what it says, under another name. */
async function assertRecoverable(t: Test, { mount }: CrashBench, view: StoreView): Promise<number> {
  const spool = ['--spool-dir', `${mount.root}/spool`];
  const listed = await mount.command(['recover', '--json', ...spool]);
  t.equal(listed.code, 0, listed.stderr);
  const { leftOvers = [] } = JSON.parse(listed.stdout) as {
    leftOvers?: { id: string; key: string; isInUse: boolean }[];
  };
  t.same(
    leftOvers.filter(({ isInUse }) => isInUse),
    [],
    'all writers have closed, so nothing is in use',
  );
  const dropped = await mount.command(['recover', '--drop', 'all', ...spool], 60_000);
  t.equal(dropped.code, 0, dropped.stderr);
  // Uploads that were begun and whose id no daemon had yet are all that may be left, and no lifecycle rule misses them.
  t.comment(`left over: ${leftOvers.length}, dropped; uploads that nobody knows: ${(await view.uploads()).length}`);
  await assertWhole(t, view, 'after recover');
  return leftOvers.length;
}
