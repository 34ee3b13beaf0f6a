/**
 * `mount-s3x rm [-r] PATH|s3://BUCKET/KEY`: deletes a file, or with -r a tree in batches of 1,000, with progress.
 *
 * A path inside a mount: the running mount is asked over its control socket (run file), because it then shows nothing of
 * the deleted names from the moment it is done, whatever its time to live, and files open below end as with unlink(2). A
 * single file is an unlink(2) like any other.
 * s3://: this process does it, by the same code, with the options of a mount that say where and as whom.
 * Refuses the root of a mount or a whole bucket without --force, and directories without -r.
 */
import { lstatSync, realpathSync, unlinkSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Argv } from 'yargs';
import { codeOf } from '../base/thrown.js';
import { counted } from '../base/units.js';
import type { DeleteProgress, DeleteTreeResult } from '../engine/writing/delete-tree.js';
import { FUSE_TYPE, readMounts } from '../fuse/mountinfo.js';
import { CommandError } from '../main/command-error.js';
import { ControlError } from '../main/control-socket.js';
import { EXIT_FAILURE, EXIT_NOT_MOUNTED, EXIT_OK, EXIT_USAGE } from '../main/exit-codes.js';
import { findRunFile } from '../main/run-file.js';
import { storeOptionsOf } from './build-config.js';
import { askPatiently } from './ask-mount.js';
import type { Command } from './command.js';
import { storeDeps, type CliIo } from './io.js';
import { declareOptions, givenOptions, positional, refuseUnknown, type ParsedArguments } from './parse.js';
import { showProgress } from './progress.js';
import { storeOptionNames } from './options.js';
import { placed } from './settings/origins.js';
import { aboveEnvironment } from './settings/settle.js';

/** For the kernel to forget a directory; somebody may also have made it anew. */
const GONE_WAIT_MS = 1000;
const GONE_POLL_MS = 5;

/** Failures that are printed one by one. */
const FAILURES_SHOWN = 20;

export const rmCommand: Command = {
  pattern: 'rm [path]',
  describe: 'Delete a file, or with -r a directory tree in batches',
  declare: (parser: Argv) =>
    declareOptions(
      parser
        .positional('path', { type: 'string', describe: 'Inside a mount, or s3://BUCKET/KEY' })
        .option('recursive', { boolean: true, alias: ['r', 'R'], describe: 'Delete a directory and all below it' })
        .option('force', { boolean: true, describe: 'Also the root of a mount, or a whole bucket' }),
      storeOptionNames,
    ),
  run: rm,
};

interface Wish {
  readonly isRecursive: boolean;
  readonly isForced: boolean;
}

async function rm(parsed: ParsedArguments, io: CliIo): Promise<number> {
  refuseUnknown(parsed, ['recursive', 'r', 'R', 'force', ...storeOptionNames], ['path'], 1);
  const path = positional(parsed, 'path');
  if (path === undefined || path === '') {
    throw new CommandError(EXIT_USAGE, 'what to delete is missing', 'e.g. `mount-s3x rm -r /mnt/data/old`');
  }
  const wish: Wish = { isRecursive: parsed['recursive'] === true, isForced: parsed['force'] === true };
  return /^s3:\/\//i.test(path) ? removeStored(path, wish, parsed, io) : removeMounted(resolve(io.cwd, path), wish, io);
}

/** A path of the file system. */
async function removeMounted(given: string, wish: Wish, io: CliIo): Promise<number> {
  // The last component stays as it is: a symbolic link is deleted, not what it points to.
  const path = given === '/' ? given : join(realDirectory(dirname(given)), basename(given));
  const mounts = readMounts().filter((mount) => mount.type === FUSE_TYPE);
  const mount = mounts
    .filter(({ mountPoint }) => path === mountPoint || path.startsWith(`${mountPoint}/`))
    .sort((a, b) => b.mountPoint.length - a.mountPoint.length)[0];
  if (!mount) {
    throw new CommandError(EXIT_NOT_MOUNTED, `${path} is not inside a mount of mount-s3x`, `use rm for other files`);
  }
  const isRoot = path === mount.mountPoint;
  const place: Place = { path, address: mount.source + relative(mount.mountPoint, path), mountPoint: mount.mountPoint };
  if (!asked(() => lstatSync(path), place, 'nothing was deleted').isDirectory()) {
    asked(() => unlinkSync(path), place, 'it may be deleted, or not');
    return EXIT_OK;
  }
  refuseDirectory(path, isRoot ? `the root of the mount (${mount.source})` : undefined, wish);
  const run = findRunFile(mount.mountPoint, io.owner);
  if (run?.socket === undefined) {
    throw new CommandError(
      EXIT_FAILURE,
      `the mount at ${mount.mountPoint} cannot be asked: only its owner and root can, through its control socket`,
      `delete as that user, or give ${mount.source}${relative(mount.mountPoint, path)}`,
    );
  }
  const progress = showProgress(io);
  const request = { command: 'remove-tree', path: relative(mount.mountPoint, path) };
  try {
    const answer = await askPatiently(mount.mountPoint, io.owner, request, (state) =>
      progress.show(state as DeleteProgress),
    );
    const result = answer as DeleteTreeResult;
    progress.end();
    if (!isRoot && result.failed === 0) await untilGone(path);
    return report(path, result, io);
  } catch (error) {
    progress.end();
    if (!(error instanceof ControlError)) throw error;
    throw new CommandError(EXIT_FAILURE, error.message, error.remedy ?? `what was deleted so far is gone`);
  }
}

/** An address of the store. */
async function removeStored(address: string, wish: Wish, parsed: ParsedArguments, io: CliIo): Promise<number> {
  const match = /^s3:\/\/([^/]*)\/?(.*)$/is.exec(address);
  const [bucket = '', key = ''] = [match?.[1], match?.[2]];
  const { env } = io.owner;
  const given = aboveEnvironment(givenOptions(parsed), env, storeOptionNames);
  const options = placed(given, () => storeOptionsOf(bucket, given, { env, cwd: io.cwd }));
  if (options.prefix !== '') {
    throw new CommandError(EXIT_USAGE, '--prefix and an s3:// address name two places', 'leave --prefix out');
  }
  const isTree = key === '' || key.endsWith('/');
  if (isTree) refuseDirectory(address, key === '' ? 'a whole bucket' : undefined, wish);
  const { openStandaloneStore } = await import('../main/standalone-store.js');
  const { deleteTree } = await import('../engine/writing/delete-tree.js');
  const store = await openStandaloneStore(options, storeDeps(io));
  const progress = showProgress(io);
  try {
    const isFile = !isTree && (await store.store.head(key)) !== undefined;
    if (isFile) await store.writer.delete(key);
    if (!wish.isRecursive) {
      if (isFile) return EXIT_OK;
      throw new CommandError(EXIT_FAILURE, `${address} does not exist`, 'with -r everything below it is deleted');
    }
    const prefix = isTree ? key : `${key}/`;
    const result = await deleteTree(prefix, { ...store, progress: (state) => progress.show(state) });
    progress.end();
    const file = isFile ? 1 : 0;
    if (result.found + file === 0) throw new CommandError(EXIT_FAILURE, `${address} does not exist`, 'look with `ls`');
    return report(address, { ...result, deleted: result.deleted + file }, io);
  } finally {
    progress.end();
    await store.close();
  }
}

function refuseDirectory(what: string, special: string | undefined, wish: Wish): void {
  if (!wish.isRecursive) throw new CommandError(EXIT_USAGE, `${what} is a directory`, 'give -r to delete all below it');
  if (special !== undefined && !wish.isForced) {
    throw new CommandError(EXIT_USAGE, `${what} is ${special}`, 'give --force, too, if all of it shall go');
  }
}

function report(what: string, result: DeleteTreeResult, io: CliIo): number {
  const objects = (count: number): string => counted(count, 'object');
  for (const { key, code, message } of result.failures.slice(0, FAILURES_SHOWN)) {
    io.complain(`mount-s3x: ${key} could not be deleted: ${code}${message === '' ? '' : ` (${message})`}`);
  }
  if (result.failed === 0) {
    io.print(`${what} is deleted (${objects(result.deleted)})`);
    return EXIT_OK;
  }
  const more = result.failed - FAILURES_SHOWN;
  if (more > 0) io.complain(`mount-s3x: and ${more} more`);
  throw new CommandError(
    EXIT_FAILURE,
    `${objects(result.failed)} of ${what} could not be deleted; ${objects(result.deleted)} are gone`,
    'a second run takes up where this one stopped',
  );
}

/** The daemon's word to the kernel travels by itself (KERNEL fact 8): until it is there the kernel shows what it knew. */
async function untilGone(path: string): Promise<void> {
  for (const endMs = performance.now() + GONE_WAIT_MS; performance.now() < endMs;) {
    if (lstatSync(path, { throwIfNoEntry: false }) === undefined) return;
    await sleep(GONE_POLL_MS);
  }
}

function realDirectory(path: string): string {
  return asked(() => realpathSync(path), { path, address: '', mountPoint: path }, 'nothing was deleted');
}

/** What is asked of a mount about one of its names. */
interface Place {
  readonly path: string;
  /** In the store; '' when that is not known yet. */
  readonly address: string;
  readonly mountPoint: string;
}

/**
 * A call on a mount, whose errno in words. `otherwise`: what is true when nobody knows how it ended. EIO says no more than that
 * the store was no help: the mount's log has its words.
 */
function asked<T>(call: () => T, { path, address, mountPoint }: Place, otherwise: string): T {
  try {
    return call();
  } catch (error) {
    const errno = codeOf(error);
    const what = address === '' ? path : `${path} (${address})`;
    switch (errno) {
      case 'ENOENT':
      case 'ENOTDIR':
        throw new CommandError(EXIT_FAILURE, `${path} does not exist`, 'check the path');
      case 'EACCES':
      case 'EPERM':
      case 'EROFS':
        throw new CommandError(
          EXIT_FAILURE,
          `${what} may not be deleted (${errno})`,
          `\`mount-s3x config ${mountPoint}\` says what the mount allows, its log what the store refused`,
        );
      case 'ENOTCONN':
        throw new CommandError(
          EXIT_FAILURE,
          `${what}: the mount has ended (${errno}); ${otherwise}`,
          'mount it again, then run this again',
        );
      case 'EIO':
        throw new CommandError(
          EXIT_FAILURE,
          `${what}: the store did not answer, or not with what was asked for (${errno}); ${otherwise}`,
          `\`mount-s3x doctor ${mountPoint}\` and the mount's log say what is wrong; run this again when the store answers`,
        );
      default:
        throw error;
    }
  }
}
