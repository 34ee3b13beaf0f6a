/**
 * What every crash test stands on: data from a seed, the embedded server over it, a mount whose daemon may be killed, and
 * programs that use it. Everything is taken down with the test, and what the mount leaves behind is asserted to be nothing.
 */
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { logTail, monotonicSeconds, startCrashMount, type CrashMount } from '../../support/crash/crash-mount.js';
import { writeCrashData, type CrashDataSize } from '../../support/crash/data.js';
import { startLoad, type Load, type Role } from '../../support/crash/load.js';
import { descriptorCount, descriptorTargets } from '../../support/crash/processes.js';
import { startFaultyServer, type FaultyServer } from '../support/faulty-server.js';

export const BUCKET = 'crash';
const MIB = 1024 * 1024;
/** A user that has not got on by then hangs. */
export const HANG_MS = 60_000;
/** Descriptors that a daemon may have more than its first predecessor: sockets to the store come and go. */
const DESCRIPTORS_SLACK = 64;

/** Enough for every way of using a mount, little enough for a test that kills once. */
export const smallData: CrashDataSize = {
  ...{ largeFiles: 3, largeBytes: 16 * MIB, treeDirectories: 15, treeFilesEach: 15, manyNames: 1_500 },
};

export interface CrashBenchOptions {
  readonly data?: CrashDataSize;
  readonly flags?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly inNamespace?: string;
  readonly uid?: number;
  readonly tls?: boolean;
}

export interface CrashBench {
  readonly seed: number;
  readonly random: () => number;
  readonly python: string;
  readonly server: FaultyServer;
  /** The directory that the server serves as the bucket. */
  readonly origin: string;
  readonly mount: CrashMount;
  /** Starts programs; they end with the test. */
  load(roles: readonly Role[]): Load;
}

/** Data, server and mount. */
export async function startCrashBench(t: Test, python: string, options: CrashBenchOptions = {}): Promise<CrashBench> {
  const seed = crashSeed();
  t.comment(`seed ${seed} (CRASH_SEED=${seed} repeats it)`);
  const dataDir = mkdtempSync(join(tmpdir(), 's3x-crash-'));
  // Programs of other users compare with what lies here.
  chmodSync(dataDir, 0o755);
  t.teardown(() => rmSync(dataDir, { recursive: true, force: true }));
  const origin = join(dataDir, BUCKET);
  mkdirSync(origin);
  writeCrashData(origin, options.data ?? smallData, seed);
  const server = await startFaultyServer(dataDir, options.tls === undefined ? {} : { tls: options.tls });
  t.teardown(() => server.stop());
  const mount = await startCrashMount(server, {
    bucket: BUCKET,
    flags: options.flags ?? [],
    ...(options.env && { env: options.env }),
    ...(options.uid === undefined ? {} : { uid: options.uid }),
    ...(options.inNamespace === undefined ? {} : { inNamespace: options.inNamespace }),
  });
  t.teardown(async () => void (await mount.stop()));
  return {
    ...{ seed, random: seeded(seed), python, server, origin, mount },
    load: (roles) => {
      const load = startLoad({ python, mountPath: mount.path, origin, seed, roles, enter: mount.enter() });
      t.teardown(async () => void (await load.stop()));
      return load;
    },
  };
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

/** For a test that failed because somebody hangs. */
export function hangReport(mount: CrashMount, load: Load, sinceSeconds: number): Record<string, unknown> {
  return {
    stuck: load.stuck(sinceSeconds),
    faults: load.faults.slice(0, 10),
    processes: mount
      .processes()
      .map((fact) => `${fact.pid} ${fact.parentPid} ${fact.state} ${fact.command.slice(0, 120)}`),
    log: logTail(mount.log()),
  };
}

/** Asserts that everybody gets on within the time that no pause takes. */
export async function getsOn(t: Test, bench: CrashBench, load: Load, what: string): Promise<boolean> {
  const now = monotonicSeconds();
  const went = await load.passed(now, HANG_MS);
  t.ok(went, what, went ? {} : hangReport(bench.mount, load, now));
  return went;
}
