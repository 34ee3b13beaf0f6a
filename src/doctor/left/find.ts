/**
 * Everything that `gc` may take away, of all kinds, in the order in which it goes: left-overs first, because their journals say
 * which uploads are theirs.
 *
 * Ages: without --older-than, what somebody may still want (unfinished files, uploads, reports) has to be as old as --recover-age,
 * and what a daemon that has ended left goes at once; with it everything has to be so old.
 */
import { thisHost } from '../host.js';
import type { StoreOptions } from '../../engine/api.js';
import { listLeftOvers, type LeftOver } from '../../fs/writing/recovery.js';
import type { StandaloneStore } from '../../main/standalone-store.js';
import type { Owner } from '../../main/state-directory.js';
import { reportPlaces } from '../examine.js';
import { askMountAt } from '../mount/ask-mount.js';
import type { Garbage } from './garbage.js';
import { oldLeftOvers } from './old-left-overs.js';
import { diagnosticReports } from './reports.js';
import { liveRuns, staleRuntimeFiles, usedSinceMs } from './runtime-files.js';
import { uselessSpoolFiles } from './spool-files.js';
import { oldUploads } from './uploads.js';

export interface GarbageWish {
  readonly spoolDirectory: string;
  readonly recoverAgeMs: number;
  readonly olderThanMs: number | undefined;
  /** Whose open uploads are looked at, too. */
  readonly store?: StoreOptions;
}

export interface GarbageDeps {
  readonly owner: Owner;
  /** Runtime directories; the machine's when absent. */
  readonly directories?: readonly string[];
  readonly open: (options: StoreOptions) => Promise<StandaloneStore>;
  readonly of: (leftOver: LeftOver) => Promise<StandaloneStore>;
}

/** Throws StoreError when the bucket cannot be asked. */
export async function findGarbage(wish: GarbageWish, deps: GarbageDeps): Promise<readonly Garbage[]> {
  const { owner } = deps;
  const host = thisHost(owner);
  const wallMs = (): number => host.wallMs();
  const directories = deps.directories ?? host.runtimeDirectories();
  const olderThanMs = wish.olderThanMs ?? wish.recoverAgeMs;
  const isOld = ({ atMs }: Garbage): boolean => wallMs() - atMs > olderThanMs;
  const spools = new Set([wish.spoolDirectory, ...(await spoolsOfMounts(directories, owner))]);
  const found: Garbage[] = [
    ...(await oldLeftOvers({
      ...{ directory: wish.spoolDirectory, wallMs, olderThanMs },
      writerOf: async (leftOver) => (await deps.of(leftOver)).writer,
    })),
  ];
  if (wish.store !== undefined) {
    const { uploads, writer } = await deps.open(wish.store);
    const { bucket, prefix } = wish.store;
    const leftOvers = async (): Promise<LeftOver[]> => (await Promise.all([...spools].map(listLeftOvers))).flat();
    found.push(...(await oldUploads({ bucket, prefix, uploads, writer, leftOvers, wallMs, olderThanMs })));
  }
  const used = await usedSinceMs(directories, wallMs());
  const ended = [
    ...(await uselessSpoolFiles(wish.spoolDirectory, {
      owner,
      wallMs,
      ...(used === undefined ? {} : { usedSinceMs: used }),
    })),
    ...(await staleRuntimeFiles({ owner, directories, wallMs, mounts: () => host.mounts() })),
  ];
  found.push(...(wish.olderThanMs === undefined ? ended : ended.filter(isOld)));
  found.push(...(await diagnosticReports(reportPlaces(owner), { owner, wallMs })).filter(isOld));
  return found;
}

/** Other spools of this machine, whose journals name uploads that are in use. */
async function spoolsOfMounts(directories: readonly string[], owner: Owner): Promise<string[]> {
  const runs = await liveRuns(directories);
  const asked = await Promise.all(runs.map(({ mountPoint }) => askMountAt(mountPoint, [], owner)));
  return asked.flatMap(({ config }) => (config === undefined ? [] : [config.write.spoolDirectory]));
}
