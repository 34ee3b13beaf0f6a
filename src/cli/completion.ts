/**
 * `mount-s3x completion bash|zsh|fish`: prints the shell's script, made from the same declarations that the parser reads.
 * Refuses to write into anybody's shell configuration; packages install it where the shell looks.
 */
import type { Argv } from 'yargs';
import { CommandError } from '../main/command-error.js';
import { EXIT_OK, EXIT_USAGE } from '../main/exit-codes.js';
import type { Command } from './command.js';
import type { CliIo } from './io.js';
import { completionScript, shells } from './manual/completion.js';
import { describeCommandLine } from './manual/model.js';
import { positional, refuseUnknown, type ParsedArguments } from './parse.js';

/** `commands`: all of the program, this one too. */
export function completionCommand(commands: () => readonly Command[]): Command {
  return {
    pattern: 'completion [shell]',
    describe: 'Print the completion script of a shell: bash, zsh or fish',
    declare: (parser: Argv) =>
      parser.positional('shell', { type: 'string', describe: 'bash, zsh or fish', choices: shells }),
    run: (parsed, io) => Promise.resolve(completion(parsed, io, commands())),
  };
}

function completion(parsed: ParsedArguments, io: CliIo, commands: readonly Command[]): number {
  refuseUnknown(parsed, [], ['shell'], 1);
  const shell = shells.find((each) => each === positional(parsed, 'shell'));
  if (shell === undefined) {
    throw new CommandError(
      EXIT_USAGE,
      'which shell?',
      `e.g. \`source <(mount-s3x completion bash)\`; ${shells.join(', ')}`,
    );
  }
  io.print(completionScript(shell, describeCommandLine(commands)).trimEnd());
  return EXIT_OK;
}
