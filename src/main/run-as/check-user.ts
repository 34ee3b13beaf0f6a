/**
 * What a daemon that will run as another user (--user) must be able to do there, tried with that user's rights before
 * anything is started: a refusal in one line, with its remedy, while nothing is mounted. Root reads the settings' files
 * (--config, --profile-file) before; credentials it never reads.
 * Refuses to judge what only the store knows, and to mend anything: what is missing is made by whom it belongs to.
 */
import { closeSync, openSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { makeDirectoriesNow } from '../../base/make-directories.js';
import { codeOrMessage } from '../../base/thrown.js';
import { fileVariables } from '../prestart.js';
import { CommandError } from '../command-error.js';
import type { MountConfig } from '../config.js';
import { EXIT_CREDENTIALS, EXIT_FAILURE, EXIT_MOUNT_POINT, EXIT_USAGE } from '../exit-codes.js';
import { asUser, userEnvironment, type RunAs } from './run-as.js';

export interface CheckUserDeps {
  /** Of who mounts, paths absolute. */
  readonly env: NodeJS.ProcessEnv;
  readonly daemonEntry: string;
}

/** Lines for the person. Throws CommandError. Does nothing without --user. */
export function checkUser(config: MountConfig, mountPoint: string, deps: CheckUserDeps): readonly string[] {
  const { runAs } = config;
  if (runAs === undefined) return [];
  return asUser(runAs, () => {
    checkProgram(runAs, deps);
    checkWay(runAs, mountPoint);
    if (!config.readOnly) checkWritable(runAs, '--spool-dir', config.write.spoolDirectory, EXIT_USAGE);
    if (config.log.directory !== undefined) checkWritable(runAs, '--log-directory', config.log.directory, EXIT_USAGE);
    checkFiles(runAs, config, userEnvironment(deps.env, runAs));
    return settingsFiles(config)
      .filter((file) => troubleReading(file) !== undefined)
      .map((file) => `${file} may not be read by user ${runAs.name}: \`mount-s3x reload\` will not work`);
  });
}

/** Why this user cannot read a file; undefined when it can. */
function troubleReading(file: string): string | undefined {
  try {
    closeSync(openSync(file, 'r'));
    return undefined;
  } catch (error) {
    return codeOrMessage(error);
  }
}

function checkProgram({ name }: RunAs, { daemonEntry }: CheckUserDeps): void {
  for (const file of [process.execPath, daemonEntry]) {
    const trouble = troubleReading(file);
    if (trouble === undefined) continue;
    throw new CommandError(
      EXIT_FAILURE,
      `--user ${name}: this user may not run ${file} (${trouble})`,
      'install Node and mount-s3x where all users may read them, e.g. below /usr',
    );
  }
}

function checkWay({ name }: RunAs, mountPoint: string): void {
  try {
    statSync(mountPoint);
  } catch (error) {
    throw new CommandError(
      EXIT_MOUNT_POINT,
      `--user ${name}: this user does not get to ${mountPoint} (${codeOrMessage(error)})`,
      'let the user through the directories above it (`chmod o+x`), or mount elsewhere',
    );
  }
}

function checkWritable({ name, uid, gid }: RunAs, flag: string, directory: string, exitCode: number): void {
  const probe = join(directory, `.mount-s3x-probe-${process.pid}`);
  try {
    makeDirectoriesNow(directory, 0o700);
    closeSync(openSync(probe, 'wx', 0o600));
    rmSync(probe, { force: true });
  } catch (error) {
    throw new CommandError(
      exitCode,
      `${flag} ${directory}: user ${name} may not write there (${codeOrMessage(error)})`,
      `make it as root: \`install -d -m 0700 -o ${uid} -g ${gid} ${directory}\`, or name another`,
    );
  }
}

/** Files that hold credentials or trust: named, or where the SDK looks. One that is not there is the SDK's to judge. */
function checkFiles({ name }: RunAs, config: MountConfig, env: NodeJS.ProcessEnv): void {
  const { caBundle, anonymous } = config.store;
  const home = env['HOME'];
  const named: (readonly [string, string | undefined])[] = [
    ['--ca-bundle', caBundle],
    ...(anonymous ? [] : fileVariables.map((variable) => [variable, env[variable]] as const)),
    ...(home === undefined || anonymous
      ? []
      : ['credentials', 'config'].map((file) => ['its', join(home, '.aws', file)] as const)),
  ];
  for (const [what, file] of named) {
    if (file === undefined || file === '') continue;
    const trouble = troubleReading(file);
    if (trouble === undefined || trouble === 'ENOENT' || trouble === 'ENOTDIR') continue;
    throw new CommandError(
      EXIT_CREDENTIALS,
      `user ${name} may not read ${what === 'its' ? file : `${what} ${file}`} (${trouble}); root's credentials are not used for the daemon`,
      `give the file to the user, or let a group of theirs read it`,
    );
  }
}

function settingsFiles({ settings }: MountConfig): string[] {
  const files = settings?.said.flatMap(({ origin }) => ('path' in origin ? [origin.path] : [])) ?? [];
  return [...new Set(files)];
}
