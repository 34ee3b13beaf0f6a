/**
 * Files of the runtime directories whose daemon has ended: run files, sockets, last words, half-written files, notes of the
 * registry. A file belongs to a mount by its name (state-directory.ts, mountId); a mount is alive when its run file names a process of
 * that number and start, when its socket answers, or when something of ours is mounted at its directory, whose daemon may just
 * be starting again.
 * Only names of our own are looked at, and nothing younger than YOUNG_MS, which a mount that starts may just have made.
 * Refuses to judge what another user, or another PID namespace, has written.
 */
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { pidNamespace, processStartTicks, secondsSince } from '../../base/process-identity.js';
import { FUSE_TYPE, type MountRecord } from '../../fuse/mountinfo.js';
import { decodeAnnouncement } from '../../main/registry/announcement.js';
import { registryCandidates } from '../../main/registry/place.js';
import { chiefOf, isAlive, processesOf, readRunFile, type RunFile } from '../../main/run-file.js';
import { mountId, type Owner } from '../../main/state-directory.js';
import { readText } from '../../hwdetect/read.js';
import { connects } from '../host.js';
import type { FileFacts, Garbage } from './garbage.js';

/** A mount has 30 s to start; before that its files are not to be judged. */
export const YOUNG_MS = 5 * 60_000;
const NAMES_MAX = 4_096;
const CONNECT_MS = 1_000;

export interface RuntimeDeps {
  readonly owner: Owner;
  readonly directories: readonly string[];
  readonly wallMs: () => number;
  readonly mounts: () => Promise<readonly MountRecord[]>;
}

/** A daemon lives, or a supervisor that puts another in its place. */
function isServed(run: RunFile): boolean {
  return processesOf(run).some(isAlive);
}

/** What serves mounts now, by their run files. */
export async function liveRuns(directories: readonly string[]): Promise<RunFile[]> {
  const runs = new Map<string, RunFile>();
  for (const directory of directories) {
    for (const name of await namesIn(directory)) {
      const run = name.endsWith('.json') ? readRunFile(join(directory, name)) : undefined;
      if (run !== undefined && isServed(run)) runs.set(run.mountPoint, run);
    }
  }
  return [...runs.values()];
}

/** Wall time at which the first of the mounts that run began; undefined when none runs. */
export async function usedSinceMs(directories: readonly string[], wallMs: number): Promise<number | undefined> {
  const runs = await liveRuns(directories);
  if (runs.length === 0) return undefined;
  return wallMs - secondsSince(Math.min(...runs.map((run) => chiefOf(run).startTicks))) * 1000;
}

/** All of a daemon's that has ended. `lastWords`: those of a crash, which somebody may want to read first. */
export async function staleRuntimeFiles(deps: RuntimeDeps): Promise<(Garbage & { readonly isLastWords: boolean })[]> {
  const all: (Garbage & { readonly isLastWords: boolean })[] = [];
  for (const directory of deps.directories) {
    const names = await namesIn(directory);
    const used = await usedIds(directory, names, deps);
    for (const name of names) {
      const match = /^(.+?)(?:\.supervisor)?\.(json|sock|stderr)$/.exec(name) ?? /^(.+)\.(json\.\d+)$/.exec(name);
      const [, id, ending] = match ?? [];
      if (id === undefined || ending === undefined || used.has(id) || !isMountId(id)) continue;
      const path = join(directory, name);
      const facts = await factsOf(path, deps.owner);
      if (facts === undefined || !isStale(path, ending, facts, deps)) continue;
      all.push({
        ...{ kind: 'runtime', name: path, why: 'its daemon has ended', ...facts },
        isLastWords: ending === 'stderr' && facts.bytes > 0,
        isStill: async () => {
          const now = await factsOf(path, deps.owner);
          if (now === undefined || now.atMs !== facts.atMs) return false;
          if ((await usedIds(directory, await namesIn(directory), deps)).has(id)) return false;
          return isStale(path, ending, now, deps);
        },
        remove: () => rm(path, { force: true }),
      });
    }
  }
  for (const directory of registryCandidates(deps.owner)) {
    for (const name of await namesIn(directory)) {
      const path = join(directory, name);
      const facts = await factsOf(path, deps.owner);
      if (facts === undefined || !(await isDeadNote(path, name))) continue;
      all.push({
        ...{ kind: 'runtime', name: path, why: 'its daemon has ended', isLastWords: false, ...facts },
        isStill: () => isDeadNote(path, name),
        remove: () => rm(path, { force: true }),
      });
    }
  }
  return all;
}

/** mountId ends with ten digits of a hash. */
function isMountId(id: string): boolean {
  return /(^|-)[0-9a-f]{10}$/.test(id);
}

/**
 * Ids of mounts that have a living daemon, or that are mounted, or whose socket answers: then its process may be one of
 * another PID namespace (a container that shares this directory), whose number says nothing here.
 */
async function usedIds(directory: string, names: readonly string[], deps: RuntimeDeps): Promise<Set<string>> {
  const used = new Set<string>();
  for (const { type, mountPoint } of await deps.mounts()) if (type === FUSE_TYPE) used.add(mountId(mountPoint));
  await Promise.all(
    names.map(async (name) => {
      const [, id = '', ending] = /^(.+?)(?:\.supervisor)?\.(json|sock)$/.exec(name) ?? [];
      const path = join(directory, name);
      const run = ending === 'json' ? readRunFile(path) : undefined;
      if (run !== undefined && isServed(run)) used.add(id);
      if (ending === 'sock' && (await listens(path))) used.add(id);
    }),
  );
  return used;
}

function isStale(path: string, ending: string, { atMs }: FileFacts, deps: RuntimeDeps): boolean {
  if (ending === 'sock' || ending === 'stderr') return deps.wallMs() - atMs > YOUNG_MS;
  if (ending === 'json') return readRunFile(path) !== undefined;
  const pid = Number(/\.(\d+)$/.exec(ending)?.[1]);
  return processStartTicks(pid) === undefined;
}

/** A note of the registry about a process of this PID namespace that has ended. */
async function isDeadNote(path: string, name: string): Promise<boolean> {
  const match = /^\.?(\d{1,10})-(\d{1,16})\.(json|tmp)$/.exec(name);
  if (match === null) return false;
  const isAliveNow = processStartTicks(Number(match[1])) === Number(match[2]);
  if (isAliveNow) return false;
  if (match[3] === 'tmp') return true;
  const note = decodeAnnouncement((await readText('', path)) ?? '');
  return note !== undefined && note.pidNamespace === pidNamespace();
}

/** Does somebody answer at the socket? Whoever does not refuse is there. */
async function listens(path: string): Promise<boolean> {
  const failure = await connects({ path }, CONNECT_MS);
  return failure !== 'ECONNREFUSED' && failure !== 'ENOENT';
}

export async function namesIn(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).slice(0, NAMES_MAX).sort();
  } catch {
    return [];
  }
}

/** Of a file of this user; root looks at everybody's. */
export async function factsOf(path: string, owner: Owner): Promise<FileFacts | undefined> {
  try {
    const { size, mtimeMs, uid } = await stat(path);
    return uid === owner.uid || owner.uid === 0 ? { bytes: size, atMs: mtimeMs } : undefined;
  } catch {
    return undefined;
  }
}
