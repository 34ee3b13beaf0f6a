/**
 * From settled settings to a configuration and the record of where it came from: the last step of reading a mount, the same
 * for the command and for a running mount that reads again.
 * Refuses a mount without a bucket or a directory.
 */
import { CommandError } from '../../main/command-error.js';
import { EXIT_USAGE } from '../../main/exit-codes.js';
import type { SaidSetting, SettingsRecord } from '../../main/settings-record.js';
import { buildConfig, type BuiltConfig, type ConfigContext } from '../build-config.js';
import { asSaid } from './layers.js';
import { placed, placeOf } from './origins.js';
import type { SaidWord, Settled, TypedSettings } from './settle.js';

/** Throws CommandError. */
export function buildSettled(
  settled: Settled,
  typed: TypedSettings,
  context: ConfigContext,
): BuiltConfig & { readonly settled: Settled; readonly record: SettingsRecord } {
  const { given, bucket, directory, mountWords } = settled;
  if (bucket === undefined || directory === undefined) throw missing(bucket, directory);
  const built = inPlace(settled, () =>
    placed(given, () => buildConfig(bucket.text, directory.text, given, mountWords, context)),
  );
  return {
    config: built.config,
    notes: [...settled.notes, ...built.notes],
    settled,
    record: recordOf(settled, typed, context),
  };
}

/** What to keep with the mount. */
export function recordOf(
  settled: Settled,
  typed: TypedSettings,
  { cwd, uid, gid, runAs }: Pick<ConfigContext, 'cwd' | 'uid' | 'gid' | 'runAs'>,
): SettingsRecord {
  const words = (of: Pick<Settled, 'bucket' | 'directory'>): SaidSetting[] => [
    ...(of.bucket === undefined ? [] : [{ name: 'bucket', value: of.bucket.text, origin: of.bucket.origin }]),
    ...(of.directory === undefined
      ? []
      : [{ name: 'directory', value: of.directory.text, origin: of.directory.origin }]),
  ];
  const asTyped = (text: string | undefined): SaidWord | undefined =>
    text === undefined ? undefined : { text, origin: { kind: 'flag' } };
  return {
    typed: [...words({ bucket: asTyped(typed.bucket), directory: asTyped(typed.directory) }), ...asSaid(typed.given)],
    said: [...words(settled), ...asSaid(settled.given)],
    cwd,
    uid,
    gid,
    ...(runAs && { runAs }),
  };
}

function missing(bucket: SaidWord | undefined, directory: SaidWord | undefined): CommandError {
  const what =
    bucket !== undefined ? 'the directory is' : directory !== undefined ? 'the bucket is' : 'bucket and directory are';
  return new CommandError(
    EXIT_USAGE,
    `${what} missing`,
    'e.g. `mount-s3x my-bucket /mnt/data`; `mount-s3x --help` shows all',
  );
}

/** Complaints about the bucket or the directory name no option: the place comes before them. */
function inPlace<T>({ bucket, directory }: Settled, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    const { message } = error;
    const isOf = (word: SaidWord | undefined, whenEmpty: string): boolean =>
      word !== undefined && message.startsWith(word.text === '' ? whenEmpty : word.text);
    const word = isOf(bucket, 'the bucket name is')
      ? bucket
      : isOf(directory, 'the directory to')
        ? directory
        : undefined;
    const place = word === undefined ? undefined : placeOf(word.origin);
    if (place === undefined) throw error;
    throw new CommandError(error.exitCode, `${place}: ${error.message}`, error.remedy, { cause: error });
  }
}
