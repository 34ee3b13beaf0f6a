/**
 * What `mount-s3x systemd install` and `uninstall` will do, as data: files with their texts, and commands for the person or
 * for systemctl. Nothing is read or written here but the names of what exists, which are given.
 * Refuses names that a unit cannot have, and to write secrets: those stay in the file NAME.env, which it never touches.
 */
import { isAbsolute, join } from 'node:path';
import { CommandError } from '../../main/command-error.js';
import { EXIT_USAGE } from '../../main/exit-codes.js';
import type { Owner } from '../../main/state-directory.js';
import { mountOptionNames, type GivenOptions } from '../options.js';

export interface Places {
  /** NAME.yaml and NAME.env. */
  readonly configDirectory: string;
  readonly unitDirectory: string;
  readonly isUser: boolean;
}

export interface PlannedFile {
  readonly path: string;
  readonly text: string;
  readonly mode: number;
  readonly why: string;
}

/** %E and the unit directory of the service manager that is meant. Throws CommandError. */
export function placesFor(isUser: boolean, owner: Owner): Places {
  if (!isUser) {
    return { configDirectory: '/etc/mount-s3x', unitDirectory: '/etc/systemd/system', isUser };
  }
  const { XDG_CONFIG_HOME: config, HOME: home } = owner.env;
  const base = config !== undefined && isAbsolute(config) ? config : home === undefined ? '' : join(home, '.config');
  if (!isAbsolute(base)) {
    throw new CommandError(EXIT_USAGE, '--user: there is no home directory', 'set HOME or XDG_CONFIG_HOME');
  }
  return { configDirectory: join(base, 'mount-s3x'), unitDirectory: join(base, 'systemd', 'user'), isUser };
}

/** Names of units (systemd.unit(5)) that are also plain names of files. */
export function checkName(name: string): string {
  if (/^[A-Za-z0-9_:][A-Za-z0-9_:.-]{0,63}$/.test(name)) return name;
  throw new CommandError(
    EXIT_USAGE,
    `${JSON.stringify(name)} cannot be the name of a unit`,
    'use letters, digits, _ - . and :, 64 at most, e.g. `data`',
  );
}

/** Template units, by what they are for. */
export function unitName(isGpu: boolean): string {
  return isGpu ? 'mount-s3x-gpu@.service' : 'mount-s3x@.service';
}

export function instanceName(unit: string, name: string): string {
  return unit.replace('@.', `@${name}.`);
}

/** Say how a command runs, or are settings of another kind: not for the file. */
const notInFile: ReadonlySet<string> = new Set(['foreground', 'config']);

/** The YAML file of a mount: what was typed, a line each. JSON's strings are YAML's too, whatever they hold. */
export function configText(name: string, bucket: string, directory: string, given: GivenOptions): string {
  const lines = [
    `# The mount of mount-s3x@${name}; written by \`mount-s3x systemd install\`, yours to change. docs/CONFIG.md has every key.`,
    '# After a change: `systemctl reload` applies what can change while it is mounted, `restart` the rest.',
    `bucket: ${JSON.stringify(bucket)}`,
    `directory: ${JSON.stringify(directory)}`,
  ];
  for (const option of mountOptionNames) {
    if (notInFile.has(option)) continue;
    const value = given.values.get(option);
    const list = given.lists.get(option);
    if (given.flags.has(option)) lines.push(`${option}: true`);
    else if (value !== undefined) lines.push(`${option}: ${JSON.stringify(value)}`);
    else if (list !== undefined && list.length > 0) lines.push(`${option}: ${JSON.stringify(list)}`);
  }
  return `${lines.join('\n')}\n`;
}

/** What systemctl is told after an installation; `--user` where it is meant. */
export function startCommands(places: Places, instance: string): readonly (readonly string[])[] {
  const user = places.isUser ? ['--user'] : [];
  return [
    ['systemctl', ...user, 'daemon-reload'],
    ['systemctl', ...user, 'enable', '--now', instance],
  ];
}

export function stopCommand(places: Places, instance: string): readonly string[] {
  return ['systemctl', ...(places.isUser ? ['--user'] : []), 'disable', '--now', instance];
}
