/**
 * Finds the command that the arguments name and runs it; the only place where a failure becomes a line and an exit code.
 * Refuses to print stacks: a bug says so in one line, the details are in the log or come with --foreground --debug.
 */
import type { Argv } from 'yargs';
import { CommandError } from '../main/command-error.js';
import { EXIT_OK, EXIT_USAGE } from '../main/exit-codes.js';
import { describeFailure, failureLine } from '../main/failure.js';
import type { Command } from './command.js';
import { commands } from './commands.js';
import type { CliIo } from './io.js';
import { fold } from './hardware-text.js';
import { describeCommandLine } from './manual/model.js';
import { createParser, HELP_COLUMNS, type ParsedArguments } from './parse.js';

/** Each fits 80 columns with its indentation. */
const examples = [
  '$0 my-bucket /mnt/data',
  '$0 s3://my-bucket/train/ /mnt/data --read-only --metadata-ttl 300',
  '$0 my-bucket /mnt/data --foreground --debug',
  '$0 bucket /mnt/data --endpoint-url http://127.0.0.1:9000',
  '$0 unmount /mnt/data',
  '$0 rm -r /mnt/data/old',
] as const;

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

function isDefault({ pattern }: Command): boolean {
  return typeof pattern !== 'string' && pattern.some((each) => each.startsWith('$0'));
}

function firstPattern({ pattern }: Command): string {
  return typeof pattern === 'string' ? pattern : (pattern[0] ?? '');
}

/** The parser takes leading blanks out of what stands above the options, so the list comes in at the end. */
const COMMANDS_HERE = 'COMMANDS-HERE';

const usageText = [
  'mount-s3x BUCKET|s3://BUCKET/PREFIX/ DIRECTORY [options]',
  'mount-s3x COMMAND ...      (mount-s3x COMMAND --help says more)',
  '',
  'Mounts an S3 bucket as a file system.',
  '',
  COMMANDS_HERE,
].join('\n');

/** Each command with what it does. */
function commandList(): string {
  const rows = describeCommandLine(commands).commands.filter(({ name }) => name !== 'mount');
  const width = Math.max(...rows.map(({ name }) => name.length));
  const lines = rows.flatMap(({ name, describe }) =>
    fold(describe, HELP_COLUMNS - width - 4, '').map(
      (line, at) => `  ${(at === 0 ? name : '').padEnd(width)}  ${line}`,
    ),
  );
  return ['Commands:', ...lines].join('\n');
}

async function dispatch(argv: readonly string[], io: CliIo): Promise<number> {
  let chosen: { readonly command: Command; readonly parsed: ParsedArguments } | undefined;
  let parser: Argv = createParser(argv).usage(usageText);
  for (const command of commands) {
    parser = parser.command(
      typeof command.pattern === 'string' ? command.pattern : [...command.pattern],
      // The list of commands is in the usage: the parser's own takes three lines for each.
      false,
      (inner) =>
        command.declare(isDefault(command) ? inner : inner.usage(`$0 ${firstPattern(command)}\n\n${command.describe}`)),
      (parsed) => {
        chosen = { command, parsed };
      },
    );
  }
  for (const example of examples) parser = parser.example(example, '');
  parser = parser.epilogue(
    'In /etc/fstab:  my-bucket  /mnt/data  s3x  _netdev,ro,region=eu-west-1  0 0\n' +
      'Exit codes, logs and all options of Mountpoint for S3 that are understood: docs/CLI.md,\n' +
      'and mount-s3x(8)',
  );
  let shown = '';
  await parser.parseAsync([...argv], {}, (_error, _parsed, output) => {
    shown = output;
  });
  if (shown !== '') {
    io.print(shown.replace(COMMANDS_HERE, commandList));
    return EXIT_OK;
  }
  if (chosen === undefined) throw new CommandError(EXIT_USAGE, 'nothing to do', '`mount-s3x --help` shows how');
  return chosen.command.run(chosen.parsed, io);
}
