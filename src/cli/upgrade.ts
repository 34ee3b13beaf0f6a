/**
 * `mount-s3x upgrade DIR`: the mount goes on with the version of mount-s3x that this command is of. The supervisor ends the
 * daemon, which has put what it had in memory on disk first, and starts this version's; programs see a pause. When this
 * version cannot start, the old one serves on, and the command says why.
 * Refuses mounts without a supervisor: there is nobody who could hold the mount meanwhile.
 */
import type { Argv } from 'yargs';
import { CommandError } from '../main/command-error.js';
import { askControl, ControlError } from '../main/control-socket.js';
import { EXIT_FAILURE, EXIT_OK } from '../main/exit-codes.js';
import { findRunFile, isAlive } from '../main/run-file.js';
import type { UpgradeRequest, UpgradeResult } from '../main/supervisor/api.js';
import { findAsked } from './ask-mount.js';
import type { Command } from './command.js';
import type { CliIo } from './io.js';
import { positional, refuseUnknown, type ParsedArguments } from './parse.js';

export const upgradeCommand: Command = {
  pattern: 'upgrade [directory]',
  describe: 'Let this version of mount-s3x serve a mount, without unmounting it',
  declare: (parser: Argv) =>
    parser.positional('directory', { type: 'string', describe: 'Directory that mount-s3x is mounted at' }),
  run: upgrade,
};

async function upgrade(parsed: ParsedArguments, io: CliIo): Promise<number> {
  refuseUnknown(parsed, [], ['directory'], 1);
  const { mountPoint } = findAsked(positional(parsed, 'directory'), 'upgrade', io);
  const { supervisor } = findRunFile(mountPoint, io.owner) ?? {};
  if (supervisor?.socket === undefined || !isAlive(supervisor)) {
    throw new CommandError(
      EXIT_FAILURE,
      `the mount at ${mountPoint} has no supervisor that could hold it meanwhile`,
      `\`mount-s3x unmount ${mountPoint}\`, then mount it again`,
    );
  }
  const request: UpgradeRequest = { command: 'upgrade', daemonEntry: io.daemonEntry };
  try {
    const { from, to, pid } = (await askControl(supervisor.socket, { ...request })) as UpgradeResult;
    io.print(
      `${mountPoint}: ${from === to ? `version ${to}, a new daemon` : `from version ${from} to ${to}`} (pid ${pid})`,
    );
    return EXIT_OK;
  } catch (error) {
    if (!(error instanceof ControlError)) {
      throw new CommandError(EXIT_FAILURE, `the supervisor of ${mountPoint} does not answer`, 'look into its log');
    }
    throw new CommandError(EXIT_FAILURE, `${mountPoint}: ${error.message}`, 'its log has the details');
  }
}
