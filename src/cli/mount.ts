/**
 * `mount-s3x BUCKET DIR`: arguments → configuration → checks → a mount in the background, or here with --foreground.
 * The order is by cost: what can be refused without asking anybody is refused first.
 * Refuses to return success before the mount answers.
 */
import type { Argv } from 'yargs';
import { mountInBackground } from '../main/background.js';
import type { MountConfig } from '../main/config.js';
import { EXIT_OK } from '../main/exit-codes.js';
import { preflight, preflightDeps } from '../main/preflight.js';
import { checkUser } from '../main/run-as/check-user.js';
import { mountSource } from '../main/mount-source.js';
import { daemonEnvironment, discardPrestarted } from '../main/prestart.js';
import type { SettingsRecord } from '../main/settings-record.js';
import { adoptedDescriptor } from '../main/supervisor/api.js';
import { becomeSupervisor } from '../main/supervisor/become.js';
import { superviseInForeground } from '../main/supervisor/entry.js';
import type { BuiltConfig } from './build-config.js';
import type { Command } from './command.js';
import { parseFstabOptions } from './fstab-options.js';
import type { CliIo } from './io.js';
import { mountOptionNames } from './options.js';
import {
  createParser,
  declareMountOptions,
  givenOptions,
  plainWords,
  positional,
  refuseUnknown,
  type ParsedArguments,
} from './parse.js';
import { ownerFor, resolveUser } from './run-as.js';
import { buildSettled } from './settings/build.js';
import { placed, withPlaces } from './settings/origins.js';
import { rereadSettings } from './settings/reread.js';
import { prepareYaml } from './settings/yaml-file.js';
import { settle, type Settled, type TypedSettings } from './settings/settle.js';

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

/** What a command line comes to, with everything that other places say. */
export interface ReadMount extends BuiltConfig {
  readonly settled: Settled;
  readonly record: SettingsRecord;
}

type ReadContext = Pick<CliIo, 'owner' | 'gid' | 'cwd'>;

/** Reads a command line's mount. Throws CommandError. */
export function readMount(parsed: ParsedArguments, io: ReadContext): ReadMount {
  const typed = typedSettings(parsed);
  const settled = settle(typed, { env: io.owner.env, cwd: io.cwd });
  const runAs = placed(settled.given, () => resolveUser(settled.given, io.owner));
  // From here on the mount is that user's: home, places, owner of files.
  const { uid, env } = ownerFor(runAs, io.owner);
  const context = { uid, env, gid: runAs?.gid ?? io.gid, cwd: io.cwd, ...(runAs && { runAs }) };
  return buildSettled(settled, typed, context);
}

/** What was typed of a mount. Throws CommandError for what no mount knows. `words`: of the command itself. */
export function typedSettings(parsed: ParsedArguments, more: readonly string[] = []): TypedSettings {
  const [command] = plainWords(parsed);
  const words = ['mount', 'config', 'doctor', 'gc'].includes(command ?? '') ? 1 : 0;
  refuseUnknown(parsed, [...mountOptionNames, ...more], ['bucket', 'directory'], words);
  const given = givenOptions(parsed);
  const fstab = parseFstabOptions(given.lists.get('options') ?? []);
  const all = fstab.args.length === 0 ? given : givenOptions(withMore(parsed, fstab.args));
  const lists = new Map(all.lists);
  lists.delete('options');
  if (fstab.mountOptions.length > 0) lists.set('options', fstab.mountOptions);
  return {
    given: { ...all, lists },
    bucket: positional(parsed, 'bucket'),
    directory: positional(parsed, 'directory'),
  };
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
  await prepareYaml(Object.entries(parsed), io.owner.env);
  const { config, notes, settled, record } = readMount(parsed, io);
  try {
    return await mountConfig({ ...config, settings: record }, notes, io);
  } catch (error) {
    throw withPlaces(error, settled.given);
  }
}

/** Mounts what `config` says. Resolves with the exit code; throws for failures. */
export async function mountConfig(built: MountConfig, builtNotes: readonly string[], io: CliIo): Promise<number> {
  const checked = preflight(built, preflightDeps(io.owner.uid, io.owner.env));
  const userNotes = checkUser(built, checked.mountPoint, { ...io, env: daemonEnvironment(io.owner.env, io.cwd) });
  const config: MountConfig = { ...built, mountPoint: checked.mountPoint };
  for (const note of [...builtNotes, ...checked.notes, ...userNotes]) io.complain(`mount-s3x: ${note}`);
  const done = `${mountSource(config)} is mounted at ${config.mountPoint}`;
  const onAway = ({ message }: { readonly message: string }): void => io.complain(`mount-s3x: ${message}`);

  if (!config.foreground) {
    const entries = config.supervised
      ? { entry: io.supervisorEntry, daemonEntry: io.daemonEntry }
      : { entry: io.daemonEntry };
    const { owner, cwd, prestarted } = io;
    const ahead = prestarted && { prestarted };
    const { pid, log } = await mountInBackground(config, { ...entries, owner, cwd, onAway, ...ahead });
    io.print(`${done} (pid ${pid}, log ${log})`);
    return EXIT_OK;
  }
  if (io.prestarted) discardPrestarted(io.prestarted);
  if (config.supervised) {
    const adoptedFd = adoptedDescriptor(config.mountPoint);
    const adopted = adoptedFd === undefined ? {} : { adoptedFd };
    const message = { type: 'supervise', config, daemonEntry: io.daemonEntry, ...adopted } as const;
    becomeSupervisor(io.supervisorEntry, message, daemonEnvironment(io.owner.env, io.cwd), Object.values(adopted));
    // Still here: this process is larger than a supervisor needs to be, and does as well.
    return superviseInForeground(message);
  }
  // Only here: what the daemon logs with costs every command a twentieth of a second to load.
  const [{ loadStartDaemon }, { openLogging }, { runDaemon }] = await Promise.all([
    import('../main/load-daemon.js'),
    import('../main/logging.js'),
    import('../main/run-daemon.js'),
  ]);
  const logging = openLogging(config, { owner: io.owner, isTerminal: io.stderrIsTerminal });
  try {
    return await runDaemon(config, {
      logging,
      startDaemon: async (started, deps) => (await loadStartDaemon())(started, deps),
      reread: (record) => rereadSettings(record, io.owner.env),
      owner: io.owner,
      onAway,
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
