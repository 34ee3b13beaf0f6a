/**
 * `mount-s3x config`: each setting with its effective value and where that is from. With BUCKET DIR and options of a mount
 * that is to be; with the directory of a running one what is in force there; with neither what environment, file and
 * hardware would give. --changed leaves out what nobody said, --json is for programs.
 * Refuses to mount, and to ask the store: what only the store knows (the region, say) is named as such.
 */
import type { Argv } from 'yargs';
import { detectHardware } from '../hwdetect/detect.js';
import { CommandError } from '../main/command-error.js';
import type { MountConfig } from '../main/config.js';
import { EXIT_OK, EXIT_USAGE } from '../main/exit-codes.js';
import type { ConfigAnswer } from '../main/reload/answer.js';
import { deriveSizing } from '../main/sizing.js';
import type { Reason } from '../main/sizing/reason.js';
import { findAsked } from './ask-mount.js';
import type { Command } from './command.js';
import type { CliIo } from './io.js';
import { typedSettings } from './mount.js';
import { mountOptionNames } from './options.js';
import { declareMountOptions, type ParsedArguments } from './parse.js';
import { buildSettled } from './settings/build.js';
import { awsVariables, effectiveSettings, isChanged, sourceText, type SettingRow } from './settings/effective.js';
import { withPlaceholders } from './settings/as-if.js';
import { settle } from './settings/settle.js';
import { prepareYaml } from './settings/yaml-file.js';

/** Values that are longer only push their own source to the right. */
const VALUE_COLUMNS_MAX = 24;

export const configCommand: Command = {
  pattern: 'config [bucket] [directory]',
  describe: 'Show what is in force for each setting and where it is from; with one directory, of a running mount',
  declare: (parser: Argv) =>
    declareMountOptions(
      parser
        .positional('bucket', {
          type: 'string',
          describe: 'Bucket of a mount to be, or the directory of a running one',
        })
        .positional('directory', { type: 'string', describe: 'Directory of a mount to be' })
        .option('json', { boolean: true, describe: 'Print JSON' })
        .option('changed', { boolean: true, describe: 'Only what somebody set' }),
    ),
  run: config,
};

interface Shown {
  readonly rows: readonly SettingRow[];
  readonly notes: readonly string[];
  /** Of a running mount. */
  readonly mount?: { readonly mountPoint: string; readonly pid: number; readonly version: string };
}

async function config(parsed: ParsedArguments, io: CliIo): Promise<number> {
  await prepareYaml(Object.entries(parsed), io.owner.env);
  const typed = typedSettings(parsed, ['json', 'changed']);
  const isRunning = typed.bucket !== undefined && typed.directory === undefined;
  const shown = isRunning ? await running(typed.bucket, parsed, io) : await toBe(typed, io);
  for (const note of shown.notes) io.complain(`mount-s3x: ${note}`);
  const rows = parsed['changed'] === true ? shown.rows.filter(isChanged) : shown.rows;
  if (parsed['json'] === true) {
    const settings = rows.map(({ name, value, source }) => ({ name, value, source, from: sourceText(source) }));
    io.print(JSON.stringify({ format: 1, ...shown.mount, settings }, null, 2));
    return EXIT_OK;
  }
  const { columns } = io.screenSize();
  io.print(
    rows.length === 0 ? 'Nothing is set: all is default.' : settingsText(rows, io.stdoutIsTerminal ? columns : 0),
  );
  return EXIT_OK;
}

async function toBe(typed: ReturnType<typeof typedSettings>, io: CliIo): Promise<Shown> {
  const { env, uid } = io.owner;
  const settled = settle(typed, { env, cwd: io.cwd });
  const context = { env, uid, gid: io.gid, cwd: io.cwd };
  const built = buildSettled(withPlaceholders(settled), typed, context);
  const said = built.record.said.filter(
    ({ name }) =>
      (name !== 'bucket' || settled.bucket !== undefined) && (name !== 'directory' || settled.directory !== undefined),
  );
  const profile = await detectHardware({ detail: 'mount', env });
  const { reasons } = deriveSizing(profile, built.config);
  return {
    rows: effectiveSettings({ config: built.config, said, reasons, awsEnvironment: awsOf(env) }),
    notes: built.notes,
  };
}

async function running(directory: string | undefined, parsed: ParsedArguments, io: CliIo): Promise<Shown> {
  const given = mountOptionNames.find((name) => parsed[name] !== undefined);
  if (given !== undefined) {
    throw new CommandError(
      EXIT_USAGE,
      `--${given} says nothing about a running mount`,
      'leave it out, or give bucket and directory of a mount to be',
    );
  }
  const asked = findAsked(directory, 'config', io);
  const answer = (await asked.ask('config')) as ConfigAnswer;
  const { mountPoint, pid, version } = answer;
  return {
    rows: runningSettings(answer),
    notes: answer.config.settings === undefined ? ['this mount does not know where its settings are from'] : [],
    mount: { mountPoint, pid, version },
  };
}

/** The rows of a daemon's answer. */
export function runningSettings({
  config,
  reasons,
  awsEnvironment,
}: {
  readonly config: MountConfig;
  readonly reasons: readonly Reason[];
  readonly awsEnvironment: Readonly<Record<string, string>>;
}): SettingRow[] {
  return effectiveSettings({ config, said: config.settings?.said ?? [], reasons, awsEnvironment });
}

function awsOf(env: NodeJS.ProcessEnv): Record<string, string> {
  const found: Record<string, string> = {};
  for (const variable of Object.values(awsVariables).flat()) {
    const value = env[variable];
    if (value !== undefined) found[variable] = value;
  }
  return found;
}

/** For people: grouped as the help is, aligned. `columns`: of a terminal, at which lines are cut; 0 for none. */
export function settingsText(rows: readonly SettingRow[], columns: number): string {
  const nameColumns = Math.max(...rows.map(({ name }) => name.length));
  const valueColumns = Math.min(VALUE_COLUMNS_MAX, Math.max(...rows.map(({ value }) => value.length)));
  const lines: string[] = [];
  let group = '';
  for (const row of rows) {
    if (row.group !== group) {
      if (group !== '') lines.push('');
      lines.push(row.group.replace(/ options:$/, ':'));
      ({ group } = row);
    }
    const line = `  ${row.name.padEnd(nameColumns)}  ${row.value.padEnd(valueColumns)}  ${sourceText(row.source)}`;
    lines.push(columns > 0 && line.length > columns ? `${line.slice(0, columns - 1)}…` : line);
  }
  return lines.join('\n');
}
