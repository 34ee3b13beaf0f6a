/**
 * Finds the command that the arguments name and runs it; the only place where a failure becomes a line and an exit code.
 * Refuses to print stacks: a bug says so in one line, the details are in the log or come with --foreground --debug.
 */
import type { Argv } from 'yargs';
import { CommandError } from '../main/command-error.js';
import { EXIT_OK, EXIT_USAGE } from '../main/exit-codes.js';
import { describeFailure, failureLine } from '../main/failure.js';
import { benchCommand } from './bench.js';
import { configCommand } from './config.js';
import type { Command } from './command.js';
import { doctorCommand } from './doctor.js';
import { explainCommand } from './explain.js';
import { gcCommand } from './gc.js';
import { hwinfoCommand } from './hwinfo.js';
import type { CliIo } from './io.js';
import { listCommand } from './list.js';
import { mountCommand } from './mount.js';
import { createParser, type ParsedArguments } from './parse.js';
import { recoverCommand } from './recover.js';
import { reloadCommand } from './reload.js';
import { rmCommand } from './rm.js';
import { statsCommand } from './stats.js';
import { systemdCommand } from './systemd.js';
import { unmountCommand } from './unmount.js';
import { upgradeCommand } from './upgrade.js';

/** Each fits 80 columns with its indentation. */
const examples = [
  '$0 my-bucket /mnt/data',
  '$0 s3://my-bucket/train/ /mnt/data --read-only --metadata-ttl 300',
  '$0 my-bucket /mnt/data --foreground --debug',
  '$0 bucket /mnt/data --endpoint-url http://127.0.0.1:9000',
  '$0 unmount /mnt/data',
  '$0 rm -r /mnt/data/old',
] as const;

const commands: readonly Command[] = [
  mountCommand,
  unmountCommand,
  upgradeCommand,
  rmCommand,
  recoverCommand,
  statsCommand,
  explainCommand,
  configCommand,
  reloadCommand,
  listCommand,
  hwinfoCommand,
  benchCommand,
  systemdCommand,
  doctorCommand,
  gcCommand,
];

/** Runs the command and ends the process with its exit code. */
export async function runCommand(argv: readonly string[], io: CliIo): Promise<void> {
  // Before anything else is loaded: libraries warn about Node's version while they are imported.
  process.removeAllListeners('warning');
  io.end(await execute(argv, io));
}

/** Runs the command and resolves with its exit code. Never throws. */
export async function execute(argv: readonly string[], io: CliIo): Promise<number> {
  try {
    return await dispatch(argv, io);
  } catch (error) {
    const failure = describeFailure(error);
    io.complain(failureLine(failure));
    return failure.exitCode;
  }
}

async function dispatch(argv: readonly string[], io: CliIo): Promise<number> {
  let chosen: { readonly command: Command; readonly parsed: ParsedArguments } | undefined;
  let parser: Argv = createParser(argv).usage(
    'mount-s3x BUCKET|s3://BUCKET/PREFIX/ DIRECTORY [options]\n' +
      'mount-s3x unmount DIRECTORY [--lazy|--force]\n' +
      'mount-s3x upgrade DIRECTORY\n' +
      'mount-s3x rm [-r] PATH|s3://BUCKET/KEY [--force]\n' +
      'mount-s3x recover [BUCKET] [--complete ID|all] [--drop ID|all|old]\n' +
      'mount-s3x stats DIRECTORY [--once] [--json] [--interval SECONDS]\n' +
      'mount-s3x explain DIRECTORY [--json]\n' +
      'mount-s3x hwinfo [--explain|--json] [options]\n' +
      'mount-s3x bench DIRECTORY|BUCKET [options] [-- mount options]\n' +
      'mount-s3x systemd install NAME BUCKET DIRECTORY [--now] [options]\n' +
      'mount-s3x doctor [DIRECTORY|BUCKET] [--json] [--bundle FILE] [options]\n' +
      'mount-s3x gc [BUCKET] [--older-than AGE] [--yes] [options]\n\n' +
      'Mounts an S3 bucket as a file system.',
  );
  for (const command of commands) {
    parser = parser.command(
      typeof command.pattern === 'string' ? command.pattern : [...command.pattern],
      command.describe,
      (inner) => command.declare(inner),
      (parsed) => {
        chosen = { command, parsed };
      },
    );
  }
  for (const example of examples) parser = parser.example(example, '');
  parser = parser.epilogue(
    'In /etc/fstab:  my-bucket  /mnt/data  s3x  _netdev,ro,region=eu-west-1  0 0\n' +
      'Exit codes, logs and all options of Mountpoint for S3 that are understood: docs/CLI.md',
  );
  let shown = '';
  await parser.parseAsync([...argv], {}, (_error, _parsed, output) => {
    shown = output;
  });
  if (shown !== '') {
    io.print(shown);
    return EXIT_OK;
  }
  if (chosen === undefined) throw new CommandError(EXIT_USAGE, 'nothing to do', '`mount-s3x --help` shows how');
  return chosen.command.run(chosen.parsed, io);
}
