/**
 * All places of a mount's settings together: command line > MOUNT_S3X_* > --config FILE > --profile-file > nothing said, which
 * build-config and the hardware then fill. One order for mounting, for `mount-s3x config` and for reading again.
 * Refuses to check values: whoever uses them does, and withPlaces() tells where a wrong one stands.
 */
import { resolve } from 'node:path';
import { CommandError } from '../../main/command-error.js';
import { EXIT_USAGE } from '../../main/exit-codes.js';
import type { Origin } from '../../main/settings-record.js';
import { contradict } from '../build-config.js';
import { parseFstabOptions } from '../fstab-options.js';
import type { GivenOptions, OptionName } from '../options.js';
import { loadProfile } from '../profile/profile-file.js';
import { loadConfigFile } from './config-file.js';
import { readEnvironment } from './environment.js';
import { over } from './layers.js';
import { originOf, placeOf } from './origins.js';

/** `bucket` or `directory`, and where it was said. */
export interface SaidWord {
  readonly text: string;
  readonly origin: Origin;
}

export interface Settled {
  readonly given: GivenOptions;
  readonly bucket: SaidWord | undefined;
  readonly directory: SaidWord | undefined;
  /** Words for mount(2). */
  readonly mountWords: readonly string[];
  /** Lines for the person. */
  readonly notes: readonly string[];
}

export interface TypedSettings {
  /** With what -o stood for, and for `options` only what is left for mount(2). */
  readonly given: GivenOptions;
  readonly bucket: string | undefined;
  readonly directory: string | undefined;
}

export interface SettleContext {
  readonly env: NodeJS.ProcessEnv;
  readonly cwd: string;
  /** Options that the command takes, where it does not take all. */
  readonly only?: ReadonlySet<OptionName>;
}

/** Reads every place. Throws CommandError. */
export function settle(typed: TypedSettings, context: SettleContext): Settled {
  const notes: string[] = [];
  const merge = (upper: GivenOptions, lower: GivenOptions): GivenOptions => {
    const merged = over(upper, withKernelWords(lower), contradict);
    notes.push(...merged.notes);
    return merged.given;
  };
  const environment = readEnvironment(context.env, context.only);
  notes.push(...environment.notes);
  let given = merge(typed.given, environment.given);

  const path = given.values.get('config');
  const file = path === undefined ? undefined : loadConfigFile(readable('config', path, given, context.cwd));
  if (file !== undefined) given = merge(given, limited(file.given, context.only));

  const profilePath = given.values.get('profile-file');
  const profileName = given.values.get('profile-name');
  if (profilePath !== undefined) {
    const profile = loadProfile(readable('profile-file', profilePath, given, context.cwd), profileName);
    notes.push(...profile.notes);
    given = merge(given, limited(profile.given, context.only));
  } else if (profileName !== undefined) {
    throw new CommandError(EXIT_USAGE, '--profile-name needs --profile-file', 'give both or none');
  }
  return {
    given,
    bucket: first(typed.bucket, environment.bucket, 'MOUNT_S3X_BUCKET', file?.bucket, file?.bucketOrigin),
    directory: first(
      typed.directory,
      environment.directory,
      'MOUNT_S3X_DIRECTORY',
      file?.directory,
      file?.directoryOrigin,
    ),
    mountWords: given.lists.get('options') ?? [],
    notes,
  };
}

/**
 * What was typed above the environment: for commands without a mount that take some of its options. Throws CommandError.
 * `names`: those that the command takes.
 */
export function aboveEnvironment(
  typed: GivenOptions,
  env: NodeJS.ProcessEnv,
  names: readonly OptionName[],
): GivenOptions {
  return over(typed, readEnvironment(env, new Set(names)).given, contradict).given;
}

/** Absolute. Throws where the name is empty. */
function readable(name: OptionName, path: string, given: GivenOptions, cwd: string): string {
  if (path !== '') return resolve(cwd, path);
  const origin = originOf(given, name);
  const place = origin === undefined ? undefined : placeOf(origin);
  throw new CommandError(EXIT_USAGE, `${place === undefined ? '' : `${place}: `}--${name} "": no path`, 'name a file');
}

function first(
  typed: string | undefined,
  variable: string | undefined,
  variableName: string,
  file: string | undefined,
  fileOrigin: Origin | undefined,
): SaidWord | undefined {
  if (typed !== undefined) return { text: typed, origin: { kind: 'flag' } };
  if (variable !== undefined) return { text: variable, origin: { kind: 'environment', variable: variableName } };
  if (file !== undefined && fileOrigin !== undefined) return { text: file, origin: fileOrigin };
  return undefined;
}

/** `options` of a file or the environment has only words of mount(2): what else could stand there has a name of its own. */
function withKernelWords(given: GivenOptions): GivenOptions {
  const words = given.lists.get('options');
  if (words === undefined) return given;
  const origin = originOf(given, 'options');
  const place = (origin === undefined ? undefined : placeOf(origin)) ?? '--options';
  let fstab: ReturnType<typeof parseFstabOptions>;
  try {
    fstab = parseFstabOptions(words);
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    throw new CommandError(error.exitCode, `${place}: ${error.message}`, error.remedy, { cause: error });
  }
  const own = fstab.args[0];
  if (own !== undefined) {
    throw new CommandError(
      EXIT_USAGE,
      `${place}: ${own.replace(/^--/, '')} does not belong into options`,
      'options of mount-s3x have a key or a variable of their own; here stand words of mount(8) such as noatime',
    );
  }
  return { ...given, lists: new Map([...given.lists, ['options', fstab.mountOptions]]) };
}

function limited(given: GivenOptions, only: ReadonlySet<OptionName> | undefined): GivenOptions {
  if (only === undefined) return given;
  return {
    flags: new Set([...given.flags].filter((name) => only.has(name))),
    unset: new Set([...(given.unset ?? [])].filter((name) => only.has(name))),
    values: new Map([...given.values].filter(([name]) => only.has(name))),
    lists: new Map([...given.lists].filter(([name]) => only.has(name))),
    ...(given.origins === undefined ? {} : { origins: given.origins }),
  };
}
