/**
 * `mount.s3x BUCKET DIR [-sfnv] [-N namespace] [-o opts] [-t type]`: the calling convention of mount(8) helpers. -s (be
 * sloppy), -n (no mtab) and -v have nothing to change here; -f asks to do everything but the mount. `-o remount` changes the
 * flags of a mount that is there (remount.ts). mount(8) joins what fstab and what the person says: of ro and rw the last one
 * counts. `mount -a` asks for mounts that are there already, because the kernel shows another source than fstab has: one of
 * the same source is what was asked for.
 * Exit codes are mount(8)'s: 1 for wrong arguments, 32 for a mount that failed. Refuses the foreground.
 */
import { findMount, FUSE_TYPE } from '../fuse/mountinfo.js';
import { CommandError } from '../main/command-error.js';
import type { MountConfig } from '../main/config.js';
import { EXIT_OK, EXIT_USAGE } from '../main/exit-codes.js';
import { describeFailure, failureLine } from '../main/failure.js';
import { mountSource } from '../main/mount-source.js';
import { preflight, preflightDeps } from '../main/preflight.js';
import { splitWords } from './fstab-options.js';
import type { CliIo } from './io.js';
import { mountConfig, readMount, declareMount } from './mount.js';
import { createParser, type ParsedArguments } from './parse.js';
import { remount } from './remount.js';
import { prepareYaml } from './settings/yaml-file.js';

/** mount(8), EXIT STATUS. */
const MOUNT_USAGE = 1;
const MOUNT_FAILURE = 32;

export interface HelperArguments {
  readonly bucket: string;
  readonly directory: string;
  readonly options: readonly string[];
  /** -f: check only. */
  readonly fake: boolean;
}

/** Reads what mount(8) passes. Throws CommandError. */
export function parseHelperArguments(argv: readonly string[]): HelperArguments {
  const words: string[] = [];
  const options: string[] = [];
  let fake = false;
  for (let at = 0; at < argv.length; at++) {
    const argument = argv[at] ?? '';
    if (!argument.startsWith('-') || argument === '-') {
      words.push(argument);
      continue;
    }
    if (argument === '-o' || argument === '-t' || argument === '-N') {
      const value = argv[++at];
      if (value === undefined) throw new CommandError(EXIT_USAGE, `${argument} needs a value`);
      if (argument === '-o') options.push(value);
      continue;
    }
    if (argument.startsWith('-o')) options.push(argument.slice(2));
    else if (/^-[sfnv]+$/.test(argument)) fake ||= argument.includes('f');
    else if (!/^-[tN]/.test(argument)) {
      throw new CommandError(EXIT_USAGE, `unknown option ${argument}`, 'give options of mount-s3x as -o NAME=VALUE');
    }
  }
  const [bucket, directory, surplus] = words;
  if (bucket === undefined || directory === undefined || surplus !== undefined) {
    throw new CommandError(
      EXIT_USAGE,
      'a bucket and a directory are needed',
      'mount.s3x BUCKET DIRECTORY [-o OPTIONS]',
    );
  }
  return { bucket, directory, options, fake };
}

/** `ro` and `rw` contradict each other: what stands later counts, as for every file system. */
function lastOfTwo(words: readonly string[]): string[] {
  const last = words.findLast((word) => word === 'ro' || word === 'rw');
  return words.filter((word) => word !== 'ro' && word !== 'rw').concat(last ?? []);
}

/** A word as it is written within -o. */
function joinWord(word: string): string {
  return word.replace(/[\\,"]/g, (character) => `\\${character}`);
}

/** True when a living mount of the same source is at its place. */
function isThere(config: MountConfig): boolean {
  const record = findMount(config.mountPoint);
  return record?.type === FUSE_TYPE && record.source === mountSource(config);
}

/** Runs the helper and ends the process with mount(8)'s exit code. */
export async function runMountHelper(argv: readonly string[], io: CliIo): Promise<void> {
  process.removeAllListeners('warning');
  io.end(await executeMountHelper(argv, io));
}

/** Resolves with mount(8)'s exit code. Never throws. */
export async function executeMountHelper(argv: readonly string[], io: CliIo): Promise<number> {
  try {
    const { bucket, directory, options, fake } = parseHelperArguments(argv);
    const words = lastOfTwo(options.flatMap(splitWords));
    if (words.includes('remount')) {
      await remount(directory, words, io);
      return EXIT_OK;
    }
    const args = words.flatMap((word) => ['-o', joinWord(word)]);
    const parsed = declareMount(createParser([...args])).parseSync() as ParsedArguments;
    await prepareYaml(Object.entries(parsed), io.owner.env);
    const read = readMount({ ...parsed, _: [], bucket, directory }, io);
    const { notes } = read;
    // MOUNT_S3X_FOREGROUND: mount(8) waits for this process.
    const config = { ...read.config, settings: read.record, foreground: false };
    if (isThere(config)) {
      io.complain(`mount-s3x: ${mountSource(config)} is mounted at ${config.mountPoint} already; left as it is`);
      return EXIT_OK;
    }
    if (fake) {
      preflight(config, preflightDeps(io.owner.uid, io.owner.env));
      return EXIT_OK;
    }
    return await mountConfig(config, notes, io);
  } catch (error) {
    const failure = describeFailure(error);
    io.complain(failureLine(failure));
    return failure.exitCode === EXIT_USAGE ? MOUNT_USAGE : MOUNT_FAILURE;
  }
}
