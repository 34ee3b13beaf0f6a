/**
 * What is measured: a directory as it is, whatever serves it, or a bucket that is mounted for the purpose and mounted anew before
 * each measurement, so that no cache of the daemon answers for the store.
 * A daemon's costs are told when it is ours (its run file names it) or when --pid says which process it is.
 * Refuses to unmount what it did not mount.
 */
import { isFuse, FUSE_TYPE, readMounts, type MountRecord } from '../../fuse/mountinfo.js';
import { findRunFile } from '../../main/run-file.js';
import type { Owner } from '../../main/state-directory.js';
import { doChoreInChild, type GeneratorOptions } from '../../workload/generator.js';
import { StepError } from '../../workload/lane.js';
import { commandErrorOf } from './failures.js';

export interface Daemon {
  readonly pid: number;
  /** Its control socket, when it is ours. */
  readonly socket?: string;
  /** Its mount point, when it is ours. */
  readonly mountPoint?: string;
}

export interface Target {
  /** As the person said it. */
  readonly name: string;
  /** One line: what serves it. */
  readonly describe: string;
  /** Where files are made and read. */
  readonly directory: string;
  /** What is written is not durable when close(2) has returned: fsync(2) first. */
  readonly isSynced: boolean;
  /** Who serves it now. */
  readonly daemon: Daemon | undefined;
  /** Makes it as nobody had used it yet, where that is possible; true then. */
  refresh(): Promise<boolean>;
  /** Leaves everything as it was. Never throws. */
  close(): Promise<void>;
}

/** The mount that `path` lies on; the longest mount point, the topmost of several. */
function mountOf(path: string): MountRecord | undefined {
  return readMounts()
    .filter(({ mountPoint }) => mountPoint === '/' || path === mountPoint || path.startsWith(`${mountPoint}/`))
    .reduce<MountRecord | undefined>(
      (best, one) => (best === undefined || one.mountPoint.length >= best.mountPoint.length ? one : best),
      undefined,
    );
}

/** A directory as it is. Throws CommandError when it is none. */
export async function openDirectory(
  name: string,
  path: string,
  pid: number | undefined,
  owner: Owner,
  options: GeneratorOptions,
): Promise<Target> {
  const looked = await doChoreInChild({ chore: 'look', path }, options).catch((error: unknown) => {
    throw error instanceof StepError ? commandErrorOf(error.failure, `${name} cannot be measured`) : error;
  });
  const directory = looked.realPath ?? path;
  const mount = mountOf(directory);
  const run = mount?.type === FUSE_TYPE ? findRunFile(mount.mountPoint, owner) : undefined;
  const served = mount === undefined ? 'unknown file system' : `${mount.type} of ${mount.source}`;
  const found: Daemon | undefined = run && {
    pid: run.pid,
    mountPoint: run.mountPoint,
    ...(run.socket !== undefined && { socket: run.socket }),
  };
  const daemon = pid === undefined ? found : { ...found, pid };
  return {
    name,
    describe: `${name}: ${served}${daemon ? `, process ${daemon.pid}` : ', its CPU and memory not measured'}`,
    directory,
    isSynced: mount === undefined || !isFuse(mount),
    daemon,
    refresh: () => Promise.resolve(false),
    close: () => Promise.resolve(),
  };
}
