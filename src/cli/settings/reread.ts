/**
 * Reads a mount's settings again from what its record keeps of the command line, with this process's environment and the
 * files as they are now. Loaded by a daemon when somebody asks for it, and not before: it brings the option table along.
 * Refuses to change anything.
 */
import type { MountConfig } from '../../main/config.js';
import type { SettingsRecord } from '../../main/settings-record.js';
import { buildSettled } from './build.js';
import { fromSaid } from './layers.js';
import { settle, type TypedSettings } from './settle.js';
import { prepareYaml } from './yaml-file.js';

/** Throws CommandError for what is wrong in one of the places. */
export async function rereadSettings(
  record: SettingsRecord,
  env: NodeJS.ProcessEnv = process.env,
): Promise<{ readonly config: MountConfig; readonly notes: readonly string[] }> {
  await prepareYaml(record.typed, env);
  const typed = typedOf(record);
  const { cwd, uid, gid, runAs } = record;
  const built = buildSettled(settle(typed, { env, cwd }), typed, { env, cwd, uid, gid, ...(runAs && { runAs }) });
  return { config: { ...built.config, settings: built.record }, notes: built.notes };
}

function typedOf({ typed }: SettingsRecord): TypedSettings {
  const word = (name: string): string | undefined => {
    const value = typed.find((each) => each.name === name)?.value;
    return typeof value === 'string' ? value : undefined;
  };
  const { origins: _none, ...given } = fromSaid(typed);
  return { given, bucket: word('bucket'), directory: word('directory') };
}
