/**
 * `mount-s3x unmount DIR`: takes one of our mounts away and returns when its daemon has ended, so that a script may go on
 * (uploads done, log closed). A busy mount is left alone and the processes that use it are named.
 * Works on mounts whose daemon died, and never touches the directory itself: only the kernel's tables are read.
 * Refuses mounts that are not ours.
 */
import { realpathSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Argv } from 'yargs';
import { EBUSY } from '../base/errno.js';
import { within } from '../base/waits.js';
import { MountError } from '../fuse/mount-error.js';
import { findMount, FUSE_TYPE, readMounts, type MountRecord } from '../fuse/mountinfo.js';
import { abortConnection, unmountFuse } from '../fuse/unmount.js';
import { describeHolders, findHolders } from '../main/busy.js';
import { CommandError } from '../main/command-error.js';
import { askControl, ControlError } from '../main/control-socket.js';
import { EXIT_BUSY, EXIT_FAILURE, EXIT_NOT_MOUNTED, EXIT_OK, EXIT_USAGE } from '../main/exit-codes.js';
import { findRunFile, isAlive, processesOf, removeDeadRunFiles, type RunFile } from '../main/run-file.js';
import type { SupervisorName } from '../main/supervisor/api.js';
import type { Command } from './command.js';
import type { CliIo } from './io.js';
import { positional, refuseUnknown, type ParsedArguments } from './parse.js';

/** Longest wait for the daemon's end after the mount is gone: it may still have uploads to finish. */
const DAEMON_END_WAIT_MS = 60_000;
const DAEMON_POLL_MS = 25;
/** The same after a lazy unmount: its daemon ends with the last process that uses it, which may be never. */
const LAZY_END_WAIT_MS = 2000;
/** Longest wait for the kernel: with the daemon dead and its descriptor held, an ordinary unmount never returns (KERNEL fact 4). */
const KERNEL_WAIT_MS = 15_000;

type Mode =
  /** Fails while the mount is in use. */
  | 'plain'
  /** The name goes at once, the rest when the last user is gone. */
  | 'lazy'
  /** Requests of its users fail from now on; then as lazy. */
  | 'force';

export const unmountCommand: Command = {
  pattern: ['unmount [directory]', 'umount [directory]'],
  describe: 'Unmount a directory and wait until its daemon has ended',
  declare: (parser: Argv) =>
    parser
      .positional('directory', { type: 'string', describe: 'Directory that mount-s3x is mounted at' })
      .option('lazy', { boolean: true, describe: 'Detach now, end when the last process has closed its files' })
      .option('force', { boolean: true, describe: 'Let pending requests fail and detach; for mounts that hang' }),
  run: unmount,
};

/** The mount at `directory`. Only its parent is resolved first: the directory itself may be a dead mount. */
function locate(directory: string): { readonly path: string; readonly record: MountRecord | undefined } {
  const mounts = readMounts();
  const candidates = [
    () => directory,
    () => join(realpathSync(dirname(directory)), basename(directory)),
    () => realpathSync(directory),
  ];
  for (const candidate of candidates) {
    try {
      const path = candidate();
      const record = findMount(path, mounts);
      if (record !== undefined) return { path, record };
    } catch {
      // no such path, or a dead mount: the others may know
    }
  }
  return { path: directory, record: undefined };
}

async function unmount(parsed: ParsedArguments, io: CliIo): Promise<number> {
  refuseUnknown(parsed, ['lazy', 'force'], ['directory'], 1);
  const given = positional(parsed, 'directory');
  if (given === undefined || given === '') {
    throw new CommandError(EXIT_USAGE, 'the directory to unmount is missing', 'e.g. `mount-s3x unmount /mnt/data`');
  }
  const mode: Mode = parsed['force'] === true ? 'force' : parsed['lazy'] === true ? 'lazy' : 'plain';
  const { path, record } = locate(resolve(io.cwd, given));
  if (record === undefined) throw new CommandError(EXIT_NOT_MOUNTED, `${path} is not a mount point`, otherMounts());
  if (record.type !== FUSE_TYPE) {
    throw new CommandError(
      EXIT_NOT_MOUNTED,
      `${path} is a mount of ${record.type} (${record.source}), not of mount-s3x`,
      `use \`umount ${path}\``,
    );
  }
  const run = findRunFile(path, io.owner);
  await takeAway(path, record, mode, io.owner.uid === 0 ? undefined : run?.supervisor);
  const stays = run !== undefined && !(await hasEnded(run, path, mode));
  if (!stays) removeDeadRunFiles(path, io.owner);
  const daemon = stays ? `; its daemon (pid ${run.pid}) ends with the last process that uses it` : '';
  io.print(`${record.source} is unmounted from ${path}${daemon}`);
  return EXIT_OK;
}

function otherMounts(): string {
  const ours = readMounts().filter((mount) => mount.type === FUSE_TYPE);
  return ours.length === 0
    ? 'nothing is mounted by mount-s3x'
    : `mounted by mount-s3x: ${ours.map((mount) => mount.mountPoint).join(', ')}`;
}

/** Takes the mount away, or has its supervisor do it, which root runs (--user). */
async function takeAway(
  path: string,
  record: MountRecord,
  mode: Mode,
  supervisor: SupervisorName | undefined,
): Promise<void> {
  if (mode === 'force') abortConnection(record);
  const lazy = mode !== 'plain';
  const { socket } = supervisor?.unmounts === true ? supervisor : {};
  const work = socket === undefined ? unmountFuse(path, { lazy }) : askControl(socket, { command: 'unmount', lazy });
  try {
    if ((await within(work, KERNEL_WAIT_MS, 'late')) === 'late') {
      throw new CommandError(
        EXIT_FAILURE,
        `${path} could not be unmounted: the kernel did not answer within ${KERNEL_WAIT_MS / 1000} seconds`,
        'try it with --force',
      );
    }
  } catch (error) {
    if (error instanceof MountError && error.kind === 'busy') throw await busyError(path);
    if (error instanceof ControlError && error.errno === EBUSY) throw await busyError(path);
    // The supervisor ended before it could say so, or somebody else was quicker.
    if (socket !== undefined && findMount(path, readMounts()) === undefined) return;
    throw error;
  }
}

async function busyError(path: string): Promise<CommandError> {
  const inside = readMounts().filter(({ mountPoint }) => mountPoint.startsWith(`${path}/`));
  if (inside.length > 0) {
    const names = inside.map(({ mountPoint }) => mountPoint).join(', ');
    return new CommandError(
      EXIT_BUSY,
      `${path} is busy: mounted in it: ${names}`,
      'unmount what is mounted in it first',
    );
  }
  const report = await findHolders(path);
  const names = describeHolders(report);
  if (names === '') {
    const hidden = report.hidden > 0 ? `; ${report.hidden} processes of other users could not be looked at` : '';
    return new CommandError(EXIT_BUSY, `${path} is busy${hidden}`, 'end what uses it, or unmount with --lazy');
  }
  return new CommandError(EXIT_BUSY, `${path} is busy: ${names}`, 'end or leave these, or unmount with --lazy');
}

/** Waits for the daemon's end. False when it stays because a lazily unmounted file system is still in use. */
async function hasEnded(run: RunFile, path: string, mode: Mode): Promise<boolean> {
  // Who uses a detached mount cannot be found out: the paths in /proc no longer name it.
  const waitMs = mode === 'lazy' ? LAZY_END_WAIT_MS : DAEMON_END_WAIT_MS;
  const endMs = performance.now() + waitMs;
  while (processesOf(run).some(isAlive)) {
    if (performance.now() > endMs) {
      if (mode === 'lazy') return false;
      throw new CommandError(
        EXIT_FAILURE,
        `${path} is unmounted, but its daemon (pid ${run.pid}) has not ended after ${waitMs / 1000} seconds`,
        `look into its log (${run.log})`,
      );
    }
    await sleep(DAEMON_POLL_MS);
  }
  return true;
}
