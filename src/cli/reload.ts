/**
 * `mount-s3x reload DIR`: has a running mount read its files of settings again, and says what came of it: what is in force
 * now, what needs a new mount, what was done besides. The same as a SIGHUP, whose report stands in the log.
 * Refuses to change anything itself: the daemon does.
 */
import type { Argv } from 'yargs';
import { EXIT_OK } from '../main/exit-codes.js';
import type { ReloadReport, SettingChange } from '../main/reload/answer.js';
import { findAsked } from './ask-mount.js';
import type { Command } from './command.js';
import type { CliIo } from './io.js';
import { positional, refuseUnknown, type ParsedArguments } from './parse.js';
import { NOT_SET } from './settings/effective.js';

export const reloadCommand: Command = {
  pattern: 'reload [directory]',
  describe: 'Have a mount read its settings again, and say what changed and what could not',
  declare: (parser: Argv) =>
    parser
      .positional('directory', { type: 'string', describe: 'Directory that mount-s3x is mounted at' })
      .option('json', { boolean: true, describe: 'Print JSON' }),
  run: reload,
};

async function reload(parsed: ParsedArguments, io: CliIo): Promise<number> {
  refuseUnknown(parsed, ['json'], ['directory'], 1);
  const asked = findAsked(positional(parsed, 'directory'), 'reload', io);
  const report = (await asked.ask('reload')) as ReloadReport;
  if (parsed['json'] === true) {
    io.print(JSON.stringify(report, null, 2));
    return EXIT_OK;
  }
  for (const note of report.notes) io.complain(`mount-s3x: ${note}`);
  io.print(reloadText(asked.mountPoint, report));
  return EXIT_OK;
}

/** For people. */
export function reloadText(mountPoint: string, { applied, pending, done }: ReloadReport): string {
  const lines = [
    ...(applied.length === 0 ? [] : ['In force now:', ...applied.map((row) => `  ${changeText(row)}  (${row.how})`)]),
    ...(pending.length === 0
      ? []
      : [
          'Not in force; unmount and mount again for these:',
          ...pending.map((row) => `  ${changeText(row)}  (${row.why})`),
        ]),
    ...done.map((line) => `${line.charAt(0).toUpperCase()}${line.slice(1)}.`),
  ];
  const what = applied.length + pending.length === 0 ? 'nothing is set differently' : 'settings read again';
  return [`${mountPoint}: ${what}.`, ...lines].join('\n');
}

function changeText({ name, before, after }: SettingChange): string {
  return `${name}: ${before ?? NOT_SET} → ${after ?? NOT_SET}`;
}
