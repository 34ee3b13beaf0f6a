/**
 * One small JSON file a mount in the runtime directory: which process serves it and where its log goes. `unmount` reads it
 * to wait for the daemon's end. It is a note, not a lock: the kernel's mount table decides what is mounted.
 * A pid alone can be somebody else's by now, so the process's start time stands beside it (proc(5), field 22 of stat).
 * Refuses to trust a stale or foreign file: what does not match a living process is treated as absent.
 */
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makePrivateDirectory, mountId, runtimeCandidates, runtimeSearchPath, type Owner } from './state-directory.js';

export interface RunFile {
  readonly pid: number;
  /** Clock ticks since boot at which the process started. */
  readonly startTicks: number;
  readonly mountPoint: string;
  /** `s3://bucket/prefix/` */
  readonly source: string;
  /** Where the log goes, in words. */
  readonly log: string;
  readonly version: string;
  /** Unix socket that takes questions; see control-socket.ts. */
  readonly socket?: string;
}

/** Start time of a living process in clock ticks since boot; undefined when there is none (zombies count as ended). */
export function processStartTicks(pid: number, procRoot = '/proc'): number | undefined {
  try {
    const stat = readFileSync(join(procRoot, String(pid), 'stat'), 'utf8');
    // The command name, in parentheses, may itself hold spaces and parentheses: fields count from the last one.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    if (fields[0] === 'Z' || fields[0] === 'X') return undefined;
    const ticks = Number.parseInt(fields[19] ?? '', 10);
    return Number.isSafeInteger(ticks) ? ticks : undefined;
  } catch {
    return undefined;
  }
}

/** True while the very process that wrote the file lives. */
export function isAlive(run: Pick<RunFile, 'pid' | 'startTicks'>): boolean {
  return processStartTicks(run.pid) === run.startTicks;
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
    const temporary = `${file}.${process.pid}`;
    writeFileSync(temporary, `${JSON.stringify(written)}\n`, { mode: 0o600 });
    renameSync(temporary, file);
  } catch {
    return () => undefined;
  }
  return () => {
    // A later mount at the same place may have replaced it already.
    if (readRunFile(file)?.pid === process.pid) rmSync(file, { force: true });
  };
}

function readRunFile(file: string): RunFile | undefined {
  try {
    const parsed: unknown = JSON.parse(readFileSync(file, 'utf8'));
    if (typeof parsed !== 'object' || parsed === null) return undefined;
    const { pid, startTicks, mountPoint, source, log, version, socket } = parsed as Record<string, unknown>;
    if (typeof pid !== 'number' || typeof startTicks !== 'number' || typeof mountPoint !== 'string') return undefined;
    if (typeof source !== 'string' || typeof log !== 'string' || typeof version !== 'string') return undefined;
    return {
      ...{ pid, startTicks, mountPoint, source, log, version },
      ...(typeof socket === 'string' && { socket }),
    };
  } catch {
    return undefined;
  }
}

/** The living daemon that serves `mountPoint`, when a run file names it. */
export function findRunFile(mountPoint: string, owner: Owner): RunFile | undefined {
  for (const directory of runtimeSearchPath(owner)) {
    const run = readRunFile(join(directory, fileName(mountPoint)));
    if (run !== undefined && run.mountPoint === mountPoint && isAlive(run)) return run;
  }
  return undefined;
}

/** Whether a run file names `mountPoint`, whatever has become of its daemon. */
export function hasRunFile(mountPoint: string, owner: Owner): boolean {
  return runtimeSearchPath(owner).some(
    (directory) => readRunFile(join(directory, fileName(mountPoint)))?.mountPoint === mountPoint,
  );
}
