/**
 * `mount-s3x BUCKET DIR`: arguments → configuration → checks → a mount in the background, or here with --foreground.
 * The order is by cost: what can be refused without asking anybody is refused first.
 * Refuses to return success before the mount answers.
 */
import { resolve } from 'node:path';
import type { Argv } from 'yargs';
import { mountInBackground } from '../main/background.js';
import { CommandError } from '../main/command-error.js';
import type { MountConfig } from '../main/config.js';
import { EXIT_OK, EXIT_USAGE } from '../main/exit-codes.js';
import { loadStartDaemon } from '../main/load-daemon.js';
import { openLogging } from '../main/logging.js';
import { preflight, preflightDeps } from '../main/preflight.js';
import { mountSource, runDaemon } from '../main/run-daemon.js';
import { buildConfig, contradict, type BuiltConfig } from './build-config.js';
import type { Command } from './command.js';
import { parseFstabOptions } from './fstab-options.js';
import type { CliIo } from './io.js';
import { mountOptionNames, type GivenOptions } from './options.js';
import {
  createParser,
  declareMountOptions,
  givenOptions,
  plainWords,
  positional,
  refuseUnknown,
  type ParsedArguments,
} from './parse.js';
import { loadProfile, underFlags } from './profile/profile-file.js';

export const mountCommand: Command = {
  pattern: ['$0 [bucket] [directory]', 'mount [bucket] [directory]'],
  describe: 'Mount a bucket, or a prefix of one, at a directory',
  declare: declareMount,
  run: (parsed, io) => mount(parsed, io),
};

export function declareMount(parser: Argv): Argv {
  return declareMountOptions(
    parser
      .positional('bucket', { type: 'string', describe: 'Bucket, access point, or s3://BUCKET/PREFIX/' })
      .positional('directory', { type: 'string', describe: 'Existing directory to mount at' }),
  );
}

/** Reads a command line's mount. Throws CommandError. */
export function readMount(parsed: ParsedArguments, io: Pick<CliIo, 'owner' | 'gid' | 'cwd'>): BuiltConfig {
  refuseUnknown(parsed, mountOptionNames, ['bucket', 'directory'], plainWords(parsed)[0] === 'mount' ? 1 : 0);
  const bucket = positional(parsed, 'bucket');
  const directory = positional(parsed, 'directory');
  if (bucket === undefined || directory === undefined) {
    const missing = bucket === undefined ? 'bucket and directory are' : 'the directory is';
    throw new CommandError(
      EXIT_USAGE,
      `${missing} missing`,
      'e.g. `mount-s3x my-bucket /mnt/data`; `mount-s3x --help` shows all',
    );
  }
  const given = givenOptions(parsed);
  const fstab = parseFstabOptions(given.lists.get('options') ?? []);
  const typed = fstab.args.length === 0 ? given : givenOptions(withMore(parsed, fstab.args));
  const { given: all, notes } = withProfile(typed, io.cwd);
  const built = buildConfig(bucket, directory, all, fstab.mountOptions, {
    env: io.owner.env,
    uid: io.owner.uid,
    gid: io.gid,
    cwd: io.cwd,
  });
  return { config: built.config, notes: [...notes, ...built.notes] };
}

/** What was typed, above what --profile-file says. Throws CommandError. */
export function withProfile(typed: GivenOptions, cwd: string): ReturnType<typeof underFlags> {
  const file = typed.values.get('profile-file');
  const name = typed.values.get('profile-name');
  if (file === undefined) {
    if (name === undefined) return { given: typed, notes: [] };
    throw new CommandError(EXIT_USAGE, '--profile-name needs --profile-file', 'give both or none');
  }
  return underFlags(typed, loadProfile(resolve(cwd, file), name), contradict);
}

/** `parsed` with the arguments that -o stood for added, as if they had been typed: giving one in both places is giving it twice. */
function withMore(parsed: ParsedArguments, args: readonly string[]): ParsedArguments {
  const more = declareMountOptions(createParser(args)).parseSync() as ParsedArguments;
  const merged: Record<string, unknown> = { ...parsed };
  for (const name of mountOptionNames) {
    const added = more[name];
    if (added === undefined) continue;
    const before = merged[name];
    merged[name] = before === undefined ? added : [before, added].flat();
  }
  return merged;
}

async function mount(parsed: ParsedArguments, io: CliIo): Promise<number> {
  const built = readMount(parsed, io);
  return mountConfig(built.config, built.notes, io);
}

/** Mounts what `config` says. Resolves with the exit code; throws for failures. */
export async function mountConfig(built: MountConfig, builtNotes: readonly string[], io: CliIo): Promise<number> {
  const checked = preflight(built, preflightDeps(io.owner.uid, io.owner.env));
  const config: MountConfig = { ...built, mountPoint: checked.mountPoint };
  for (const note of [...builtNotes, ...checked.notes]) io.complain(`mount-s3x: ${note}`);
  const done = `${mountSource(config)} is mounted at ${config.mountPoint}`;

  if (!config.foreground) {
    const { pid, log } = await mountInBackground(config, { entry: io.daemonEntry, owner: io.owner, cwd: io.cwd });
    io.print(`${done} (pid ${pid}, log ${log})`);
    return EXIT_OK;
  }
  const logging = openLogging(config, { owner: io.owner, isTerminal: io.stderrIsTerminal });
  try {
    return await runDaemon(config, {
      logging,
      startDaemon: async (started, deps) => (await loadStartDaemon())(started, deps),
      owner: io.owner,
      onReady: () => io.print(`${done} (pid ${process.pid}, log ${logging.description})`),
    });
  } catch (error) {
    // The one line that the person gets comes from main.ts; this one has the stack.
    logging.log.debug({ err: error }, 'the mount failed');
    throw error;
  } finally {
    logging.close();
  }
}
