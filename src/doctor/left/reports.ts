/** Reports of daemons that hung (`hang-MOUNT-TIME.json`, of the supervisor) or crashed (`report.DATE....json`, of Node). */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Garbage } from './garbage.js';
import type { SpoolDeps } from './spool-files.js';
import { factsOf, namesIn } from './runtime-files.js';

const REPORT_NAME = /^(report|hang)[.-].+\.json$/;

/** Newest first. */
export async function diagnosticReports(directories: readonly string[], deps: SpoolDeps): Promise<Garbage[]> {
  const all: Garbage[] = [];
  for (const directory of new Set(directories)) {
    for (const name of await namesIn(directory)) {
      if (!REPORT_NAME.test(name)) continue;
      const path = join(directory, name);
      const facts = await factsOf(path, deps.owner);
      if (facts === undefined) continue;
      all.push({
        ...{ kind: 'report', name: path, why: 'a diagnostic report of a daemon', ...facts },
        isStill: async () => (await factsOf(path, deps.owner))?.atMs === facts.atMs,
        remove: () => rm(path, { force: true }),
      });
    }
  }
  return all.sort((one, other) => other.atMs - one.atMs);
}
