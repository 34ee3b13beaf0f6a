/**
 * The settings of a mount for commands that mount nothing: flags, environment and files as for a mount, with something in the
 * place of a bucket or directory that nobody named, so that everything else can be read. Notes are told as a mount would.
 */
import type { MountConfig } from '../../main/config.js';
import type { CliIo } from '../io.js';
import type { GivenOptions } from '../options.js';
import { buildSettled } from './build.js';
import { settle, type TypedSettings } from './settle.js';

const NO_BUCKET = 'some-bucket';
const NO_DIRECTORY = '/';

export interface AsIf {
  readonly config: MountConfig;
  readonly given: GivenOptions;
  /** Somebody named one; otherwise `config.store` is made up. */
  readonly hasBucket: boolean;
}

/** Throws CommandError. */
export function settingsAsIf(typed: TypedSettings, io: Pick<CliIo, 'owner' | 'gid' | 'cwd' | 'complain'>): AsIf {
  const { env, uid } = io.owner;
  const settled = settle(typed, { env, cwd: io.cwd });
  const filled = {
    ...settled,
    bucket: settled.bucket ?? { text: NO_BUCKET, origin: { kind: 'flag' as const } },
    directory: settled.directory ?? { text: NO_DIRECTORY, origin: { kind: 'flag' as const } },
  };
  const { config, notes, record } = buildSettled(filled, typed, { env, uid, gid: io.gid, cwd: io.cwd });
  for (const note of notes) io.complain(`mount-s3x: ${note}`);
  return { config: { ...config, settings: record }, given: settled.given, hasBucket: settled.bucket !== undefined };
}
