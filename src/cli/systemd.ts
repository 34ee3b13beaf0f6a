/**
 * `mount-s3x systemd install NAME BUCKET DIR`: writes the mount's file (/etc/mount-s3x/NAME.yaml) and the unit, says what
 * each is for and what to do next; --now does that too. `systemd uninstall NAME` takes it back. `systemd prepare FILE` is
 * what the unit calls around a mount: it makes the directory, and takes a dead mount of ours away that is in the way.
 * Everything typed is checked as for a mount before anything is written; --dry-run prints the files instead.
 * Refuses to overwrite a mount's file that says something else (--force does), and to touch what it did not write.
 */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Argv } from 'yargs';
import { helperEnvironment } from '../base/helper-environment.js';
import { makeDirectoriesNow } from '../base/make-directories.js';
import { replaceFileNow } from '../base/replace-file.js';
import { programFile } from '../base/program-file.js';
import { messageOf } from '../base/thrown.js';
import { checkMountPoint } from '../fuse/mount.js';
import { MountError } from '../fuse/mount-error.js';
import { CommandError } from '../main/command-error.js';
import type { MountConfig } from '../main/config.js';
import { detachOursNow } from '../main/detach.js';
import { EXIT_FAILURE, EXIT_MOUNT_POINT, EXIT_OK, EXIT_USAGE } from '../main/exit-codes.js';
import type { Command } from './command.js';
import type { CliIo } from './io.js';
import { readMount } from './mount.js';
import { mountOptionNames } from './options.js';
import { declareOptions, givenOptions, positional, refuseUnknown, type ParsedArguments } from './parse.js';
import { loadConfigFile } from './settings/config-file.js';
import { prepareYaml } from './settings/yaml-file.js';
import {
  checkName,
  configText,
  instanceName,
  placesFor,
  startCommands,
  stopCommand,
  unitName,
  type PlannedFile,
} from './systemd/plan.js';
import { systemUnit, userUnit } from './systemd/unit-text.js';

/** Where packages put units; theirs is used as it is when we are that package. */
const packagedUnitDirectories = ['/usr/lib/systemd/system', '/lib/systemd/system'];
const packagedProgram = /^\/usr\/lib\/mount-s3x\//;

const own = ['action', 'name', 'bucket', 'directory', 'user', 'gpu', 'dry-run', 'now', 'force'] as const;

export const systemdCommand: Command = {
  pattern: 'systemd <action> <name> [bucket] [directory]',
  describe: 'Make a mount a service: install NAME BUCKET DIR, uninstall NAME',
  declare: (parser: Argv) =>
    declareOptions(
      parser,
      // Here it means the service manager: the mount's own is --run-as.
      mountOptionNames.filter((name) => name !== 'user'),
    )
      .positional('action', { type: 'string', describe: 'install, uninstall, or prepare (for units)' })
      .positional('name', { type: 'string', describe: 'Name of the unit: mount-s3x@NAME' })
      .positional('bucket', { type: 'string', describe: 'Bucket, access point, or s3://BUCKET/PREFIX/' })
      .positional('directory', { type: 'string', describe: 'Directory to mount at; made if it is missing' })
      .option('user', { boolean: true, describe: "A unit of this user's own service manager (systemctl --user)" })
      .option('gpu', { boolean: true, describe: 'The unit for GPU instances: limits, NVMe spool, before jobs' })
      .option('dry-run', { boolean: true, describe: 'Print what would be written, write nothing' })
      .option('now', { boolean: true, describe: 'Also start it, now and at every boot' })
      .option('force', { boolean: true, describe: "Replace a mount's file that says something else" }),
  run: systemd,
};

async function systemd(parsed: ParsedArguments, io: CliIo): Promise<number> {
  refuseUnknown(parsed, [...mountOptionNames, ...own], own, 1);
  const name = positional(parsed, 'name') ?? '';
  const action = positional(parsed, 'action');
  switch (action) {
    case 'install':
      return install(checkName(name), parsed, io);
    case 'uninstall':
      return uninstall(checkName(name), parsed, io);
    case 'prepare':
      return prepare(resolve(io.cwd, name), io);
    default:
      throw new CommandError(
        EXIT_USAGE,
        `systemd ${action ?? ''}: no such action`,
        '`mount-s3x systemd install NAME BUCKET DIR`',
      );
  }
}

async function install(name: string, parsed: ParsedArguments, io: CliIo): Promise<number> {
  const places = placesFor(parsed['user'] === true, io.owner);
  const bucket = positional(parsed, 'bucket');
  const written = positional(parsed, 'directory');
  if (bucket === undefined || written === undefined) {
    throw new CommandError(
      EXIT_USAGE,
      'a bucket and a directory are needed',
      'mount-s3x systemd install NAME BUCKET DIR',
    );
  }
  const directory = resolve(io.cwd, written);
  // `user` is ours here; the rest is the mount's, and refused as a mount would refuse it.
  const typed: Record<string, unknown> = { ...parsed, _: ['mount'], bucket, directory };
  for (const each of own) if (each !== 'bucket' && each !== 'directory') Reflect.deleteProperty(typed, each);
  if (typed['config'] !== undefined) {
    throw new CommandError(EXIT_USAGE, '--config does not belong here', 'the file is what this command writes');
  }
  await prepareYaml(Object.entries(typed), io.owner.env);
  const { notes, config: planned } = readMount(typed, io);
  for (const note of notes) io.complain(`mount-s3x: ${note}`);

  const unit = unitName(parsed['gpu'] === true);
  const instance = instanceName(unit, name);
  const files: PlannedFile[] = [
    {
      path: join(places.configDirectory, `${name}.yaml`),
      text: configText(name, bucket, directory, givenOptions(typed)),
      mode: 0o644,
      why: 'what is mounted where, and how; no secrets',
    },
  ];
  if (!isPackaged(unit, io) || places.isUser) {
    const template = readFileSync(programFile(`systemd/${unit}`), 'utf8');
    const program = [process.execPath, join(dirname(io.daemonEntry), 'mount-s3x.js')];
    files.push({
      path: join(places.unitDirectory, unit),
      text: places.isUser ? userUnit(template, program) : systemUnit(template, program),
      mode: 0o644,
      why: 'the unit, one for all mounts of this kind; its comments say why each line is there',
    });
  }
  if (parsed['dry-run'] === true) {
    for (const { path, text, why } of files) io.print(`# ${path}: ${why}\n${text}`);
    for (const command of startCommands(places, instance)) io.print(command.join(' '));
    return EXIT_OK;
  }
  const [config] = files;
  if (config !== undefined && parsed['force'] !== true) refuseOther(config);
  for (const file of files) {
    write(file);
    io.print(`${file.path}: ${file.why}`);
  }
  io.print(
    `${join(places.configDirectory, `${name}.env`)}: not written; AWS_ACCESS_KEY_ID and the like go there (mode 0600), if no role or ${credentialsHome(planned)}/.aws has them`,
  );
  const commands = startCommands(places, instance);
  if (parsed['now'] === true) {
    for (const command of commands) await run(command, places.isUser, io);
    io.print(`${instance} is started, and will be at every boot`);
    return EXIT_OK;
  }
  io.print(`\nTo mount now and at every boot:\n${commands.map((command) => `  ${command.join(' ')}`).join('\n')}`);
  io.print(`Afterwards: systemctl status|reload|stop ${instance}, journalctl -u ${instance}`);
  return EXIT_OK;
}

function credentialsHome({ runAs }: MountConfig): string {
  return runAs === undefined ? '~' : (runAs.home ?? '');
}

async function uninstall(name: string, parsed: ParsedArguments, io: CliIo): Promise<number> {
  const places = placesFor(parsed['user'] === true, io.owner);
  const unit = unitName(parsed['gpu'] === true);
  const instance = instanceName(unit, name);
  const config = join(places.configDirectory, `${name}.yaml`);
  if (!existsSync(config)) {
    throw new CommandError(EXIT_FAILURE, `${config} does not exist: nothing is installed as ${name}`);
  }
  const isLast = !readdirSync(places.configDirectory).some((each) => each.endsWith('.yaml') && each !== `${name}.yaml`);
  const unitFile = join(places.unitDirectory, unit);
  const remove = [config, ...(isLast && existsSync(unitFile) ? [unitFile] : [])];
  const stop = stopCommand(places, instance);
  if (parsed['dry-run'] === true) {
    io.print([stop.join(' '), ...remove.map((path) => `rm ${path}`)].join('\n'));
    return EXIT_OK;
  }
  if (managerRuns(places.isUser, io)) await run(stop, places.isUser, io);
  for (const path of remove) {
    rmSync(path);
    io.print(`${path}: removed`);
  }
  const secrets = join(places.configDirectory, `${name}.env`);
  if (existsSync(secrets)) io.print(`${secrets}: left, it may hold credentials; remove it yourself`);
  return EXIT_OK;
}

/** Around a mount of a unit. Resolves with 0 when the directory is there and nothing dead of ours is in the way. */
async function prepare(file: string, io: CliIo): Promise<number> {
  await prepareYaml([file, 'config'], io.owner.env);
  const { directory } = loadConfigFile(file);
  if (directory === undefined) throw new CommandError(EXIT_USAGE, `${file}: no directory`, 'add `directory: /mnt/...`');
  try {
    await checkMountPoint(directory);
  } catch (error) {
    if (!(error instanceof MountError)) throw error;
    if (error.kind === 'stale-mount') {
      if (!detachOursNow(directory, io.owner.uid)) throw error;
      io.print(`${directory}: a dead mount was in the way; detached`);
    } else if (error.kind === 'mount-point' && !existsSync(directory)) {
      // Whatever the unit's umask: others must be able to go through to the mount.
      const before = process.umask(0o022);
      makeDirectoriesNow(directory, 0o755);
      process.umask(before);
      io.print(`${directory}: made`);
    } else if (error.kind !== 'already-mounted') {
      throw new CommandError(EXIT_MOUNT_POINT, error.message, error.remedy, { cause: error });
    }
  }
  return EXIT_OK;
}

/** True when the package that brought this program brought the unit, too. */
function isPackaged(unit: string, io: CliIo): boolean {
  return (
    packagedProgram.test(io.daemonEntry) && packagedUnitDirectories.some((folder) => existsSync(join(folder, unit)))
  );
}

function refuseOther({ path, text }: PlannedFile): void {
  if (!existsSync(path) || readFileSync(path, 'utf8') === text) return;
  throw new CommandError(
    EXIT_USAGE,
    `${path} exists and says something else`,
    'edit it, or give --force to replace it',
  );
}

/** Whole or not at all: a unit may be read meanwhile. */
function write({ path, text, mode }: PlannedFile): void {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    replaceFileNow(path, text, { mode });
  } catch (error) {
    const why = messageOf(error);
    throw new CommandError(EXIT_FAILURE, `${path} cannot be written: ${why}`, 'run it as root, or with --user', {
      cause: error,
    });
  }
}

function managerRuns(isUser: boolean, io: CliIo): boolean {
  const runtime = io.owner.env['XDG_RUNTIME_DIR'];
  return existsSync(isUser ? join(runtime ?? '/nonexistent', 'systemd') : '/run/systemd/system');
}

/** Runs systemctl with the person's terminal. Throws CommandError when it fails. */
function run(command: readonly string[], isUser: boolean, io: CliIo): Promise<void> {
  const [program = '', ...words] = command;
  const { XDG_RUNTIME_DIR: runtime, DBUS_SESSION_BUS_ADDRESS: bus } = io.owner.env;
  const env = helperEnvironment({
    ...(isUser && runtime !== undefined && { XDG_RUNTIME_DIR: runtime }),
    ...(isUser && bus !== undefined && { DBUS_SESSION_BUS_ADDRESS: bus }),
  });
  return new Promise((resolvePromise, reject) => {
    const child = spawn(program, words, { stdio: 'inherit', env });
    const failed = (how: string): void =>
      reject(new CommandError(EXIT_FAILURE, `${command.join(' ')}: ${how}`, 'its own words stand above'));
    child.on('error', (error) => failed(error.message));
    child.on('close', (code) => (code === 0 ? resolvePromise() : failed(`exit code ${code ?? 'none'}`)));
  });
}
