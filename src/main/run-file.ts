/**
 * One small JSON file a mount in the runtime directory: which process serves it and where its log goes. `unmount` reads it
 * to wait for the daemon's end. It is a note, not a lock: the kernel's mount table decides what is mounted.
 * A pid alone can be somebody else's by now, so the process's start time stands beside it (proc(5), field 22 of stat).
 * Refuses to trust a stale or foreign file: what does not match a living process is treated as absent.
 */
import { readFileSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { processStartTicks } from '../base/process-identity.js';
import { replaceFileNow } from '../base/replace-file.js';
import {
  listDirectory,
  makePrivateDirectory,
  mountId,
  runtimeCandidates,
  runtimeSearchPath,
  type Owner,
} from './state-directory.js';
import type { SupervisorName } from './supervisor/api.js';

/** A process, for as long as the machine runs. */
export interface ProcessName {
  readonly pid: number;
  /** Clock ticks since boot at which it started. */
  readonly startTicks: number;
}

export interface RunFile {
  /** The daemon: the process that serves the mount. */
  readonly pid: number;
  /** Clock ticks since boot at which the process started. */
  readonly startTicks: number;
  /** The supervisor, which lives as long as the mount does; absent where there is none. */
  readonly supervisor?: SupervisorName;
  readonly mountPoint: string;
  /** `s3://bucket/prefix/` */
  readonly source: string;
  /** Where the log goes, in words. */
  readonly log: string;
  readonly version: string;
  /** Unix socket that takes questions; see control-socket.ts. */
  readonly socket?: string;
}

/** True while that very process lives. */
export function isAlive(run: ProcessName): boolean {
  return processStartTicks(run.pid) === run.startTicks;
}

/** The processes that stand for a mount: all have ended when it is over. */
export function processesOf(run: RunFile): readonly ProcessName[] {
  return run.supervisor ? [run, run.supervisor] : [run];
}

/** The one to send a signal to, and to name: the supervisor where there is one. */
export function chiefOf(run: RunFile): ProcessName {
  return run.supervisor ?? run;
}

function fileName(mountPoint: string): string {
  return `${mountId(mountPoint)}.json`;
}

/**
 * Notes that this process serves `mountPoint`. Returns what removes the note again; without a usable runtime directory
 * nothing is written (unmount then works, but cannot wait for us).
 */
export function writeRunFile(run: Omit<RunFile, 'pid' | 'startTicks'>, owner: Owner): () => void {
  const directory = makePrivateDirectory(runtimeCandidates(owner), owner.uid);
  const startTicks = processStartTicks(process.pid);
  if (directory === undefined || startTicks === undefined) return () => undefined;
  const file = join(directory, fileName(run.mountPoint));
  const written: RunFile = { pid: process.pid, startTicks, ...run };
  try {
    replaceFileNow(file, `${JSON.stringify(written)}\n`, { mode: 0o600 });
  } catch {
    return () => undefined;
  }
  // A later mount at the same place may have replaced it already.
  return () => {
    if (readRunFile(file)?.pid === process.pid) rmSync(file, { force: true });
  };
}

/** For a supervisor whose daemon died: takes away what the daemon left, its socket as well. */
export function removeRunFileOf(mountPoint: string, owner: Owner): void {
  for (const directory of runtimeCandidates(owner)) {
    const file = join(directory, fileName(mountPoint));
    const run = readRunFile(file);
    if (run?.supervisor?.pid !== process.pid) continue;
    if (run.socket !== undefined) rmSync(run.socket, { force: true });
    rmSync(file, { force: true });
  }
}

/**
 * For who has unmounted `mountPoint`: takes away what its dead daemon and supervisor left, but for last words. By name, for what
 * a run file says of sockets may be made up.
 */
export function removeDeadRunFiles(mountPoint: string, owner: Owner): void {
  const id = mountId(mountPoint);
  for (const directory of runtimeSearchPath(owner)) {
    const run = readRunFile(join(directory, `${id}.json`));
    if (run?.mountPoint !== mountPoint || processesOf(run).some(isAlive)) continue;
    const words = join(directory, `${id}.stderr`);
    const isSilent = statSync(words, { throwIfNoEntry: false })?.size === 0;
    for (const ending of ['sock', 'supervisor.sock', ...(isSilent ? ['stderr'] : []), 'json']) {
      try {
        rmSync(join(directory, `${id}.${ending}`), { force: true });
      } catch {
        // In a directory of somebody else's, who has to do it.
      }
    }
  }
}

/** What a run file says, whoever lives; undefined for what is none. */
export function readRunFile(file: string): RunFile | undefined {
  try {
    const parsed: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof parsed !== 'object' || parsed === null) return undefined;
    const { pid, startTicks, mountPoint, source, log, version, socket, supervisor } = parsed as Record<string, unknown>;
    if (typeof pid !== 'number' || typeof startTicks !== 'number' || typeof mountPoint !== 'string') return undefined;
    if (typeof source !== 'string' || typeof log !== 'string' || typeof version !== 'string') return undefined;
    return {
      ...{ pid, startTicks, mountPoint, source, log, version },
      ...(typeof socket === 'string' && { socket }),
      ...(isSupervisorName(supervisor) && { supervisor }),
    };
  } catch {
    return undefined;
  }
}

function isSupervisorName(value: unknown): value is SupervisorName {
  if (typeof value !== 'object' || value === null) return false;
  const { pid, startTicks, socket } = value as Record<string, unknown>;
  if (socket !== undefined && typeof socket !== 'string') return false;
  return typeof pid === 'number' && typeof startTicks === 'number';
}

/** What serves `mountPoint`, when a run file names it: a daemon that lives, or one whose supervisor puts another in its place. */
export function findRunFile(mountPoint: string, owner: Owner): RunFile | undefined {
  for (const directory of runtimeSearchPath(owner)) {
    const run = readRunFile(join(directory, fileName(mountPoint)));
    if (run !== undefined && run.mountPoint === mountPoint && processesOf(run).some(isAlive)) return run;
  }
  return undefined;
}

/** Whether a run file names `mountPoint`, whatever has become of its daemon. */
export function hasRunFile(mountPoint: string, owner: Owner): boolean {
  return runtimeSearchPath(owner).some(
    (directory) => readRunFile(join(directory, fileName(mountPoint)))?.mountPoint === mountPoint,
  );
}

/** Every run file that this user may read: of living mounts, of some whose processes have ended, and of other namespaces. */
export function allRunFiles(owner: Owner): RunFile[] {
  const found = new Map<string, RunFile>();
  for (const directory of runtimeSearchPath(owner)) {
    for (const name of listDirectory(directory)) {
      if (!name.endsWith('.json')) continue;
      const run = readRunFile(join(directory, name));
      if (run === undefined || name !== fileName(run.mountPoint)) continue;
      const before = found.get(run.mountPoint);
      if (before === undefined || !processesOf(before).some(isAlive)) found.set(run.mountPoint, run);
    }
  }
  return [...found.values()];
}
