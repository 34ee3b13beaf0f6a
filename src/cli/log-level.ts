/**
 * `mount-s3x log-level DIR [LEVEL]`: says or changes how much a mount logs, while it runs. What is set holds until the mount
 * ends, also when another daemon takes it over; one that is made anew logs as its options say.
 * Refuses to touch the mount itself.
 */
import type { Argv } from 'yargs';
import { CommandError } from '../main/command-error.js';
import { EXIT_OK, EXIT_USAGE } from '../main/exit-codes.js';
import { SETTABLE_LEVELS, type LogLevelAnswer } from '../main/log-commands.js';
import { findAsked } from './ask-mount.js';
import type { Command } from './command.js';
import type { CliIo } from './io.js';
import { positional, refuseUnknown, type ParsedArguments } from './parse.js';

export const logLevelCommand: Command = {
  pattern: 'log-level [directory] [level]',
  describe: 'Say or change how much a mount logs: error, warn, info, debug or trace',
  declare: (parser: Argv) =>
    parser
      .positional('directory', { type: 'string', describe: 'Directory that mount-s3x is mounted at' })
      .positional('level', {
        type: 'string',
        describe: 'error, warn, info, debug or trace; without it, what is in force',
      }),
  run: logLevel,
};

async function logLevel(parsed: ParsedArguments, io: CliIo): Promise<number> {
  refuseUnknown(parsed, [], ['directory', 'level'], 1);
  const level = positional(parsed, 'level');
  if (level !== undefined && !SETTABLE_LEVELS.some((each) => each === level)) {
    throw new CommandError(EXIT_USAGE, `${level} is no log level`, `allowed: ${SETTABLE_LEVELS.join(', ')}`);
  }
  const asked = findAsked(positional(parsed, 'directory'), 'log-level', io);
  const answer = (await asked.ask('log-level', level === undefined ? {} : { level })) as LogLevelAnswer;
  const was = answer.before === answer.level ? '' : ` (was ${answer.before})`;
  io.print(`${asked.mountPoint} logs at level ${answer.level}${was}, to ${answer.log}`);
  return EXIT_OK;
}
