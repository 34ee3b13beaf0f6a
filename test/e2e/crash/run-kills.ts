/**
 * Kills the daemon of a mount again and again while programs read, list, hold and change what is in it, and says what they
 * saw. The moments are drawn from a seed, which is printed; CRASH_SEED=n repeats a run's draws.
 * The next kill comes at a random moment after everybody has got on, so that each pause belongs to one kill; kills that
 * fall into a take-over are the business of breaker tests.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import {
  logTail,
  monotonicSeconds,
  startCrashMount,
  type CrashMount,
  type KillKind,
} from '../../support/crash/crash-mount.js';
import { writeCrashData, type CrashDataSize } from '../../support/crash/data.js';
import { allRoles, startLoad, type Load, type Role } from '../../support/crash/load.js';
import { pauseFigures, pausesOf, type Passed, type PauseFigures } from '../../support/crash/pauses.js';
import { descriptorCount, descriptorTargets } from '../../support/crash/processes.js';
import { isMounted } from '../../support/mount.js';
import { startFaultyServer } from '../support/faulty-server.js';

const BUCKET = 'crash';
/** A user that has not got on by then hangs. */
const HANG_MS = 60_000;
/** Longest rest between everybody having got on and the next kill. */
const REST_MS_MAX = 1_500;
/** After the last kill, for what comes late. */
const AFTER_MS = 2_000;
/** Descriptors that a daemon may have more than its first predecessor: sockets to the store come and go. */
const DESCRIPTORS_SLACK = 64;

export interface KillPlan {
  readonly kills: readonly { readonly kind: KillKind; readonly times: number }[];
  readonly data: CrashDataSize;
  readonly flags?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly roles?: readonly Role[];
  readonly tls?: boolean;
  /** Which calls count as pauses; default all. */
  readonly pausesOf?: readonly Role[];
}

/** A small generator of numbers in [0, 1): mulberry32. */
export function seeded(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

export function crashSeed(): number {
  const given = Number(process.env['CRASH_SEED']);
  return Number.isSafeInteger(given) && given > 0 ? given : Date.now() % 1_000_000;
}

/** Runs the plan; asserts that nobody saw anything, and returns what each kind of kill cost. */
export async function runKills(t: Test, python: string, plan: KillPlan): Promise<PauseFigures[]> {
  const seed = crashSeed();
  t.comment(`seed ${seed} (CRASH_SEED=${seed} repeats it)`);
  const random = seeded(seed);
  const dataDir = mkdtempSync(join(tmpdir(), 's3x-crash-'));
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  const origin = join(dataDir, BUCKET);
  mkdirSync(origin);
  writeCrashData(origin, plan.data, seed);
  const server = await startFaultyServer(dataDir, plan.tls === undefined ? {} : { tls: plan.tls });
  t.teardown(() => server.stop());
  const mount = await startCrashMount(server, {
    bucket: BUCKET,
    flags: plan.flags ?? [],
    ...(plan.env && { env: plan.env }),
  });
  t.teardown(async () => void (await mount.stop()));
  const roles = plan.roles ?? allRoles;
  const load = startLoad({ python, mountPath: mount.path, origin, seed, roles });
  t.teardown(async () => void (await load.stop()));

  const kills: Passed[] = [];
  const kinds = shuffled(
    plan.kills.flatMap(({ kind, times }) => Array.from({ length: times }, () => kind)),
    random,
  );
  let before: Footprint | undefined;
  let went = await load.passed(monotonicSeconds(), HANG_MS);
  t.ok(went, 'everybody works before the first kill', { stuck: load.stuck(0), faults: load.faults.slice(0, 5) });
  if (went) {
    before = footprint(mount);
    for (const kind of kinds) {
      await sleep(random() * REST_MS_MAX);
      const killed = await mount.kill(kind);
      await mount.nextDaemon(killed.pid);
      went = await load.passed(monotonicSeconds(), HANG_MS);
      kills.push({ ...killed, overAtSeconds: monotonicSeconds() });
      if (!went) {
        t.fail(`everybody gets on after ${kind} number ${kills.length}`, hangReport(mount, load, killed.atSeconds));
        break;
      }
      if (load.faults.length > 0) break;
    }
    await sleep(AFTER_MS);
  }
  const after = went ? footprint(mount) : undefined;
  const counts = await load.stop();
  const pauses = pausesOf(
    kills,
    load.waits.filter((wait) => plan.pausesOf?.includes(wait.role) ?? true),
  );
  t.same(load.faults, [], `nobody saw anything of ${kills.length} kills`, { log: logTail(mount.log()) });
  t.equal(kills.length, kinds.length, 'all kills took place');
  t.ok(isMounted(mount.path), 'it is still mounted');
  for (const role of roles) t.ok((counts[role]?.done ?? 0) > 0, `${role} worked: ${JSON.stringify(counts[role])}`);
  t.comment(`writes that ended with EIO: ${load.lost.length}`);
  if (before && after) compareFootprints(t, before, after, mount);
  await endsClean(t, mount);
  const figures = pauseFigures(pauses);
  for (const { kind, kills: times, medianSeconds, slowestSeconds } of figures) {
    t.comment(`${kind} x ${times}: pause median ${medianSeconds.toFixed(2)} s, slowest ${slowestSeconds.toFixed(2)} s`);
  }
  for (const pause of [...pauses].sort((a, b) => b.seconds - a.seconds).slice(0, 5)) {
    t.comment(`  ${pause.seconds.toFixed(2)} s after ${pause.kind}: ${pause.what}`);
  }
  return figures;
}

/** Unmounts and asserts that nothing is left. */
export async function endsClean(t: Test, mount: CrashMount): Promise<void> {
  const left = await mount.stop();
  const nothing = { processes: [], runtimeFiles: [], sharedMemoryFiles: [], stillMounted: false };
  t.strictSame(left, nothing, 'nothing is left after the unmount', { log: logTail(mount.log()) });
}

export interface Footprint {
  readonly supervisorPid: number | undefined;
  readonly supervisorDescriptors: number;
  readonly supervisorThreads: number;
  readonly daemonDescriptors: number;
  readonly daemonThreads: number;
  readonly processes: number;
  readonly zombies: number;
}

/** What the mount's processes hold just now. */
export function footprint(mount: CrashMount): Footprint {
  const supervisor = mount.supervisor();
  const daemon = mount.daemon();
  const all = mount.processes();
  return {
    supervisorPid: supervisor?.pid,
    supervisorDescriptors: supervisor ? descriptorCount(supervisor.pid) : 0,
    supervisorThreads: supervisor?.threads ?? 0,
    daemonDescriptors: daemon ? descriptorCount(daemon.pid) : 0,
    daemonThreads: daemon?.threads ?? 0,
    processes: all.filter((fact) => fact.state !== 'Z').length,
    zombies: all.filter((fact) => fact.state === 'Z').length,
  };
}

export function compareFootprints(t: Test, before: Footprint, after: Footprint, mount: CrashMount): void {
  t.comment(`before ${JSON.stringify(before)}`);
  t.comment(`after ${JSON.stringify(after)}`);
  const supervisor = after.supervisorPid;
  t.ok(after.supervisorDescriptors <= before.supervisorDescriptors + 2, 'the supervisor leaks no descriptors', {
    targets: supervisor === undefined ? [] : descriptorTargets(supervisor),
  });
  t.ok(after.supervisorThreads <= before.supervisorThreads + 1, 'nor threads');
  t.ok(after.daemonDescriptors <= before.daemonDescriptors + DESCRIPTORS_SLACK, 'the daemon inherits no descriptors', {
    targets: descriptorTargets(mount.daemon()?.pid ?? 0),
  });
  t.ok(after.daemonThreads <= before.daemonThreads + 4, 'it has as many threads as the first');
  t.equal(after.zombies, 0, 'no dead process stays');
  t.ok(after.processes <= before.processes, 'no process is left over', { processes: mount.processes() });
}

function hangReport(mount: CrashMount, load: Load, sinceSeconds: number): Record<string, unknown> {
  return {
    stuck: load.stuck(sinceSeconds),
    faults: load.faults.slice(0, 10),
    processes: mount
      .processes()
      .map((fact) => `${fact.pid} ${fact.parentPid} ${fact.state} ${fact.command.slice(0, 120)}`),
    log: logTail(mount.log()),
  };
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const result = [...items];
  for (let at = result.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1));
    [result[at], result[other]] = [result[other]!, result[at]!];
  }
  return result;
}
