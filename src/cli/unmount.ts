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
import { describeHolders, findHolders } from '../main/busy.js';
import { CommandError } from '../main/command-error.js';
import { detach, type DetachMode } from '../main/detach.js';
import { EXIT_BUSY, EXIT_FAILURE, EXIT_NOT_MOUNTED, EXIT_OK, EXIT_USAGE } from '../main/exit-codes.js';
import { findMountAt, OUR_FS_TYPE, readMounts, type MountEntry } from '../main/mountinfo.js';
import { findRunFile, isAlive, type RunFile } from '../main/run-file.js';
import type { Command } from './command.js';
import type { CliIo } from './io.js';
import { positional, refuseUnknown, type ParsedArguments } from './parse.js';

/** Longest wait for the daemon's end after the mount is gone: it may still have uploads to finish. */
const DAEMON_END_WAIT_MS = 60_000;
const DAEMON_POLL_MS = 25;

export const unmountCommand: Command = {
  pattern: ['unmount [directory]', 'umount [directory]'],
  describe: 'Unmount a directory and wait until its daemon has ended',
  declare: (parser: Argv) =>
    parser
      .positional('directory', { type: 'string', describe: 'Directory that mount-s3x is mounted at' })
      .option('lazy', {
        boolean: true,
        describe: 'Detach now, end when the last process has closed its files',
      })
      .option('force', {
        boolean: true,
        describe: 'Let pending requests fail and detach; for mounts that hang',
      })
      .example('$0 unmount /mnt/data', 'unmount'),
  run: unmount,
};

/** The directory's name in the mount table. Only its parent is resolved: the directory itself may be a dead mount. */
function locate(directory: string, mounts: readonly MountEntry[]): { path: string; entry: MountEntry | undefined } {
  const candidates = [directory];
  try {
    candidates.push(join(realpathSync(dirname(directory)), basename(directory)));
    candidates.push(realpathSync(directory));
  } catch {
    // no such parent, or a dead mount: what was found so far has to do
  }
  for (const path of candidates) {
    const entry = findMountAt(mounts, path);
    if (entry !== undefined) return { path, entry };
  }
  return { path: directory, entry: undefined };
}

async function unmount(parsed: ParsedArguments, io: CliIo): Promise<number> {
  refuseUnknown(parsed, ['lazy', 'force'], ['directory'], 1);
  const given = positional(parsed, 'directory');
  if (given === undefined || given === '') {
    throw new CommandError(EXIT_USAGE, 'the directory to unmount is missing', 'e.g. `mount-s3x unmount /mnt/data`');
  }
  const mode: DetachMode = parsed['force'] === true ? 'force' : parsed['lazy'] === true ? 'lazy' : 'plain';
  const { path, entry } = locate(resolve(io.cwd, given), readMounts());
  if (entry === undefined) {
    throw new CommandError(EXIT_NOT_MOUNTED, `${path} is not a mount point`, otherMounts());
  }
  if (entry.fsType !== OUR_FS_TYPE) {
    throw new CommandError(
      EXIT_NOT_MOUNTED,
      `${path} is a mount of ${entry.fsType} (${entry.source}), not of mount-s3x`,
      `use \`umount ${path}\``,
    );
  }
  const run = findRunFile(path, io.owner);
  const result = await detach(path, mode, io.owner.uid);
  if (!result.ok) {
    if (result.busy) throw await busyError(path);
    throw new CommandError(
      EXIT_FAILURE,
      `${path} could not be unmounted: ${result.detail === '' ? 'no reason given' : result.detail}`,
      mode === 'plain' ? 'try it with --lazy' : 'try it as root',
    );
  }
  if (run !== undefined) await waitForEnd(run, path, mode);
  io.print(`${entry.source} is unmounted from ${path}`);
  return EXIT_OK;
}

function otherMounts(): string {
  const ours = readMounts().filter((mount) => mount.fsType === OUR_FS_TYPE);
  return ours.length === 0
    ? 'nothing is mounted by mount-s3x'
    : `mounted by mount-s3x: ${ours.map((mount) => mount.mountPoint).join(', ')}`;
}

async function busyError(path: string): Promise<CommandError> {
  const report = await findHolders(path);
  const names = describeHolders(report);
  if (names === '') {
    const hidden = report.hidden > 0 ? `; ${report.hidden} processes of other users could not be looked at` : '';
    return new CommandError(EXIT_BUSY, `${path} is busy${hidden}`, 'end what uses it, or unmount with --lazy');
  }
  return new CommandError(EXIT_BUSY, `${path} is busy: ${names}`, 'end or leave these, or unmount with --lazy');
}

async function waitForEnd(run: RunFile, path: string, mode: DetachMode): Promise<void> {
  const endMs = performance.now() + DAEMON_END_WAIT_MS;
  while (isAlive(run)) {
    // A lazy unmount ends the daemon only when the last user is gone: that may be never.
    if (mode === 'lazy' && (await findHolders(path)).holders.length > 0) return;
    if (performance.now() > endMs) {
      throw new CommandError(
        EXIT_FAILURE,
        `${path} is unmounted, but its daemon (pid ${run.pid}) has not ended after ${DAEMON_END_WAIT_MS / 1000} seconds`,
        `look into its log (${run.log})`,
      );
    }
    await sleep(DAEMON_POLL_MS);
  }
}
