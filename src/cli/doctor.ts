/**
 * `mount-s3x doctor [DIR|BUCKET]`: what stands in the way of a mount, with the command that mends it. Without an argument the machine;
 * with a bucket that, too, and the options of a mount say how it would be reached; with the directory of a running mount
 * its own settings, and its health. --json for programs, --bundle for who is asked for help.
 * Changes nothing, unless --probe-write is given. The exit code says how bad it is (exit-codes.ts).
 */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Argv } from 'yargs';
import { CommandError } from '../main/command-error.js';
import { EXIT_USAGE } from '../main/exit-codes.js';
import type { Command } from './command.js';
import type { CliIo } from './io.js';
import { typedSettings } from './mount.js';
import { declareMountOptions, positional, type ParsedArguments } from './parse.js';
import { settingsAsIf } from './settings/as-if.js';
import { prepareYaml } from './settings/yaml-file.js';

const ownOptions = ['json', 'bundle', 'probe-write', 'throughput'] as const;

export const doctorCommand: Command = {
  pattern: 'doctor [subject]',
  describe: 'Find what stands in the way of a mount, and what mends it',
  declare: (parser: Argv) =>
    declareMountOptions(
      parser
        .positional('subject', { type: 'string', describe: 'Directory of a mount, or a bucket or s3://BUCKET/PREFIX/' })
        .option('json', { boolean: true, describe: 'Print JSON' })
        .option('bundle', {
          string: true,
          nargs: 1,
          describe: 'Also write FILE (.tar.gz) for who helps: report, settings, log, without secrets',
        })
        .option('probe-write', { boolean: true, describe: 'Write one small object to the bucket and delete it' })
        .option('throughput', { boolean: true, describe: 'Read from the bucket for 5 seconds, 1 GiB at most' }),
    ),
  run: doctor,
};

async function doctor(parsed: ParsedArguments, io: CliIo): Promise<number> {
  await prepareYaml(Object.entries(parsed), io.owner.env);
  const subject = positional(parsed, 'subject');
  const named = subject !== undefined && isBucket(subject, io.cwd) ? subject : undefined;
  const directory = subject === undefined || named !== undefined ? undefined : resolve(io.cwd, subject);
  const typed = { ...typedSettings(parsed, [...ownOptions, 'subject']), bucket: named, directory };
  const { config, hasBucket } = settingsAsIf(typed, io);
  const probesWrite = parsed['probe-write'] === true;
  const measuresThroughput = parsed['throughput'] === true;
  if (directory === undefined && !hasBucket && (probesWrite || measuresThroughput)) {
    const flag = probesWrite ? '--probe-write' : '--throughput';
    throw new CommandError(EXIT_USAGE, `${flag} needs a bucket`, 'e.g. `mount-s3x doctor my-bucket --throughput`');
  }
  const bundle = parsed['bundle'];
  if (bundle !== undefined && (typeof bundle !== 'string' || bundle === '')) {
    throw new CommandError(EXIT_USAGE, '--bundle takes one file', 'e.g. --bundle doctor.tar.gz');
  }
  const [{ examine }, { exitCodeOf }, { reportText }] = await Promise.all([
    import('../doctor/examine.js'),
    import('../doctor/report.js'),
    import('./doctor-text.js'),
  ]);
  const wish = { hasBucket: hasBucket && directory === undefined, config, probesWrite, measuresThroughput };
  const examined = await examine({ ...wish, ...(directory === undefined ? {} : { directory }) }, io.owner);
  const { report } = examined;
  const { env } = io.owner;
  if (parsed['json'] === true) io.print(JSON.stringify(report, null, 2));
  else io.paint(reportText(report, io.stdoutIsTerminal && (env['NO_COLOR'] ?? '') === ''));
  if (typeof bundle === 'string') {
    const { writeBundle } = await import('../doctor/bundle/bundle.js');
    const file = resolve(io.cwd, bundle);
    const names = await writeBundle(file, examined, io.owner);
    io.complain(`mount-s3x: ${file} holds (look before you send it: tar -tzf, tar -xzOf):`);
    for (const name of names) io.complain(`  ${name}`);
  }
  return exitCodeOf(report);
}

/** A bucket when it can be nothing else: an address, or a plain name that is no directory here. */
function isBucket(name: string, cwd: string): boolean {
  if (/^(s3:\/\/|arn:)/i.test(name)) return true;
  return name !== '' && !name.includes('/') && name !== '.' && name !== '..' && !existsSync(resolve(cwd, name));
}
