/**
 * The settings of a mount for commands that mount nothing: flags, environment and files as for a mount, with something in the
 * place of a bucket or directory that nobody named, so that everything else can be read. Notes are told as a mount would.
 */
import type { MountConfig } from '../../main/config.js';
import type { CliIo } from '../io.js';
import type { GivenOptions } from '../options.js';
import { buildSettled } from './build.js';
import { settle, type Settled, type TypedSettings } from './settle.js';

const NO_BUCKET = { text: 'some-bucket', origin: { kind: 'flag' } } as const;
const NO_DIRECTORY = { text: '/', origin: { kind: 'flag' } } as const;

export interface AsIf {
  readonly config: MountConfig;
  readonly given: GivenOptions;
  /** Somebody named one; otherwise `config.store` is made up. */
  readonly hasBucket: boolean;
}

/** What stands where nobody named a bucket or a directory. */
export function withPlaceholders(settled: Settled): Settled {
  return { ...settled, bucket: settled.bucket ?? NO_BUCKET, directory: settled.directory ?? NO_DIRECTORY };
}

/** Throws CommandError. */
export function settingsAsIf(typed: TypedSettings, io: Pick<CliIo, 'owner' | 'gid' | 'cwd' | 'complain'>): AsIf {
  const { env, uid } = io.owner;
  const settled = settle(typed, { env, cwd: io.cwd });
  const context = { env, uid, gid: io.gid, cwd: io.cwd };
  const { config, notes, record } = buildSettled(withPlaceholders(settled), typed, context);
  for (const note of notes) io.complain(`mount-s3x: ${note}`);
  return { config: { ...config, settings: record }, given: settled.given, hasBucket: settled.bucket !== undefined };
}
