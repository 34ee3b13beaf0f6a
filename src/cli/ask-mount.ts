/**
 * Finds the daemon behind a path and asks it over its control socket. Never touches the mount itself: a mount that hangs
 * is one more reason to ask. Refuses mounts that are not ours, and those of other users (their socket is theirs).
 */
import { readlinkSync, realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { FUSE_TYPE, readMounts, type MountRecord } from '../fuse/mountinfo.js';
import { CommandError } from '../main/command-error.js';
import { askControl, ControlError, type ControlRequest } from '../main/control-socket.js';
import { EXIT_FAILURE, EXIT_NOT_MOUNTED, EXIT_USAGE } from '../main/exit-codes.js';
import { findRunFile, hasRunFile, isAlive } from '../main/run-file.js';
import type { Owner } from '../main/state-directory.js';
import { adoptedDescriptor } from '../main/supervisor/api.js';
import type { CliIo } from './io.js';

/** A daemon answers within its net threads' time to describe themselves, a second; more on a machine that is starved. */
const ANSWER_WAIT_MS = 10_000;
/** Longest that a daemon which died is waited for to be replaced. */
const TAKE_OVER_WAIT_MS = 8_000;
const TAKE_OVER_POLL_MS = 50;

/** A daemon that can be asked. */
export interface AskedMount {
  readonly mountPoint: string;
  /** `fields` go along with the question. Throws CommandError, MountGone for one that ended meanwhile. */
  ask(command: string, fields?: Readonly<Record<string, unknown>>): Promise<unknown>;
}

/** The daemon has ended: for who asks again and again. */
export class MountGone extends CommandError {}

/** The mount that `given`, of the command line, is or lies in. Throws CommandError. */
export function findAsked(given: string | undefined, command: string, io: Pick<CliIo, 'cwd' | 'owner'>): AskedMount {
  if (given === undefined || given === '') {
    throw new CommandError(
      EXIT_USAGE,
      'the directory of a mount is missing',
      `e.g. \`mount-s3x ${command} /mnt/data\``,
    );
  }
  const path = resolve(io.cwd, given);
  const ours = readMounts().filter(({ type }) => type === FUSE_TYPE);
  const holds = (name: string): Pick<MountRecord, 'mountPoint'> | undefined =>
    ours
      .filter(({ mountPoint }) => name === mountPoint || name.startsWith(`${mountPoint}/`))
      .sort((a, b) => b.mountPoint.length - a.mountPoint.length)[0];
  // As it was given first: what is behind the mount is not looked at then.
  const found = holds(path) ?? holds(realName(path)) ?? adopted(path, io.owner) ?? holds(linkedName(path));
  if (found === undefined) {
    const others = ours.map(({ mountPoint }) => mountPoint).join(', ');
    throw new CommandError(
      EXIT_NOT_MOUNTED,
      `${path} is not a mount of mount-s3x`,
      ours.length === 0 ? 'nothing is mounted by mount-s3x' : `mounted by mount-s3x: ${others}`,
    );
  }
  const { mountPoint } = found;
  const run = findRunFile(mountPoint, io.owner);
  if (run === undefined && hasRunFile(mountPoint, io.owner)) {
    throw new CommandError(
      EXIT_FAILURE,
      `the daemon of ${mountPoint} has ended, and nobody serves the mount any more`,
      `\`mount-s3x unmount ${mountPoint}\`, then mount it again; its log says why it ended`,
    );
  }
  const { socket } = run ?? {};
  if (socket === undefined) {
    throw new CommandError(
      EXIT_FAILURE,
      `the mount at ${mountPoint} cannot be asked: only its owner and root can, through its control socket`,
      run === undefined ? 'ask as the user who mounted it, with the same XDG_RUNTIME_DIR' : 'mount it again',
    );
  }
  return { mountPoint, ask: (command, fields = {}) => ask(mountPoint, io.owner, { ...fields, command }) };
}

/** A connection that somebody else has mounted goes by its number, and only its run file knows of it. */
function adopted(path: string, owner: Owner): Pick<MountRecord, 'mountPoint'> | undefined {
  return adoptedDescriptor(path) !== undefined && hasRunFile(path, owner) ? { mountPoint: path } : undefined;
}

/** The path as the system knows it, as far as that can be said. The last component is not looked at: it may be a dead mount. */
function realName(path: string): string {
  try {
    return join(realpathSync(dirname(path)), basename(path));
  } catch {
    return path;
  }
}

/** What a link stands for, which is no mount itself; not looked at either. */
function linkedName(path: string): string {
  try {
    return realName(resolve(realpathSync(dirname(path)), readlinkSync(path)));
  } catch {
    return path;
  }
}

/**
 * Asks the daemon of a mount; when it has just died, and its supervisor has not, the one that takes over. `request` may so be
 * asked twice. Throws ControlError with what it answered, MountGone when there is nobody to ask.
 */
export async function askPatiently(
  mountPoint: string,
  owner: Owner,
  request: ControlRequest,
  progress?: (state: unknown) => void,
): Promise<unknown> {
  for (const endMs = performance.now() + TAKE_OVER_WAIT_MS; ;) {
    const run = findRunFile(mountPoint, owner);
    try {
      if (run?.socket !== undefined) return await askControl(run.socket, request, progress);
    } catch (error) {
      if (error instanceof ControlError) throw error;
    }
    const mayComeBack = run?.supervisor !== undefined && isAlive(run.supervisor);
    if (!mayComeBack || performance.now() > endMs) {
      throw new MountGone(EXIT_FAILURE, `the daemon of ${mountPoint} does not answer`, 'look into its log');
    }
    await sleep(TAKE_OVER_POLL_MS);
  }
}

async function ask(mountPoint: string, owner: Owner, request: ControlRequest): Promise<unknown> {
  const late = sleep(ANSWER_WAIT_MS, undefined, { ref: false }).then(() => {
    throw new Error('no answer');
  });
  try {
    return await Promise.race([askPatiently(mountPoint, owner, request), late]);
  } catch (error) {
    if (error instanceof ControlError) {
      throw new CommandError(EXIT_FAILURE, `${mountPoint}: ${error.message}`, error.remedy ?? 'mount it again');
    }
    throw new MountGone(EXIT_FAILURE, `the daemon of ${mountPoint} does not answer`, 'look into its log');
  }
}
