/**
 * Kills the daemon of a mount again and again while programs read, list, hold and change what is in it, and says what they
 * saw. The moments are drawn from a seed, which is printed; CRASH_SEED=n repeats a run's draws.
 * The next kill comes at a random moment after everybody has got on, so that each pause belongs to one kill; kills that
 * fall into a take-over are the business of breaker tests.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { logTail, monotonicSeconds, type KillKind } from '../../support/crash/crash-mount.js';
import { allRoles, type Role } from '../../support/crash/load.js';
import { pauseFigures, pausesOf, type Passed, type PauseFigures } from '../../support/crash/pauses.js';
import {
  compareFootprints,
  endsClean,
  footprint,
  HANG_MS,
  hangReport,
  startCrashBench,
  type CrashBenchOptions,
  type Footprint,
} from './crash-bench.js';

/** Longest rest between everybody having got on and the next kill. */
const REST_MS_MAX = 1_500;
/** After the last kill, for what comes late. */
const AFTER_MS = 2_000;

export interface KillPlan extends CrashBenchOptions {
  readonly kills: readonly { readonly kind: KillKind; readonly times: number }[];
  readonly roles?: readonly Role[];
}

/** Runs the plan; asserts that nobody saw anything, and returns what each kind of kill cost. */
export async function runKills(t: Test, python: string, plan: KillPlan): Promise<PauseFigures[]> {
  const bench = await startCrashBench(t, python, plan);
  const { mount, random } = bench;
  const roles = plan.roles ?? allRoles;
  const load = bench.load(roles);

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
  const pauses = pausesOf(kills, load.waits);
  t.same(load.faults, [], `nobody saw anything of ${kills.length} kills`, { log: logTail(mount.log()) });
  t.equal(kills.length, kinds.length, 'all kills took place');
  t.ok(mount.isMounted(), 'it is still mounted');
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

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const result = [...items];
  for (let at = result.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1));
    [result[at], result[other]] = [result[other]!, result[at]!];
  }
  return result;
}
