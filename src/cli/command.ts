/**
 * The shape of a command, and what all share: an outcome that is an exit code, and one line for a failure.
 * Commands print through CliIo and never end the process; src/cli/main does, once.
 * Refuses to be a framework.
 */
import type { Argv } from 'yargs';
import type { CliIo } from './io.js';
import type { ParsedArguments } from './parse.js';

export interface Command {
  /** yargs's pattern: `unmount <directory>`. `$0` is the command when none is named. */
  readonly pattern: string | readonly string[];
  readonly describe: string;
  /** Declares options, positionals and examples. */
  declare(parser: Argv): Argv;
  /** Does it and resolves with the exit code; throws for failures. */
  run(parsed: ParsedArguments, io: CliIo): Promise<number>;
}
