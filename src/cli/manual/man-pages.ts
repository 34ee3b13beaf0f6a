/**
 * mount-s3x(8) and mount.s3x(8), made from what the program itself uses: the option table, what each command declares, the exit
 * codes, the settings that a reload changes, the variables. Built by dev/manual into dist/man; nothing of it is kept by hand.
 * Refuses to be the whole documentation: docs/ is, and SEE ALSO says so.
 */
import { exitCodeTable } from '../../main/exit-codes.js';
import { liveSettings } from '../../main/reload/live-settings.js';
import { otherVariables } from '../settings/environment.js';
import { commonOptions, type CommandLineModel, type CommandModel, type OptionModel } from './model.js';
import { bold, entry, example, italic, line, paragraph, section, subsection, text } from './roff.js';

export function mountPage(model: CommandLineModel, version: string): string {
  const mount = model.commands.find(({ name }) => name === 'mount');
  return page('mount-s3x', version, [
    section('Name'),
    'mount\\-s3x \\- mount an S3 bucket as a file system',
    section('Synopsis'),
    ...synopsis('mount-s3x', 'BUCKET|s3://BUCKET/PREFIX/ DIRECTORY [options]'),
    ...model.commands
      .filter(({ name }) => name !== 'mount')
      .flatMap((command) => ['.br', ...synopsis(`mount-s3x ${command.name}`, usage(command))]),
    section('Description'),
    ...paragraph(
      'Mounts an S3 bucket, or a prefix of one, at a directory. Reads are planned ahead and fetched in parallel; writes become objects at close or fsync, whole or not at all. In the background the command returns when the mount answers, and every failure is one line on standard error with an exit code of its own.',
    ),
    ...(mount?.positionals.flatMap(({ name, describe }) => entry(italic(name.toUpperCase()), describe)) ?? []),
    section('Commands'),
    ...model.commands.filter(({ name }) => name !== 'mount').flatMap(commandSection),
    section('Options'),
    ...groups(model.mountOptions).flatMap(([group, options]) => [
      subsection(group.replace(/ options:$/, '')),
      ...options.flatMap(optionEntry),
    ]),
    subsection('Of every command'),
    ...commonOptions.flatMap(optionEntry),
    ...configuration(),
    section('Signals'),
    ...entry(
      bold('SIGTERM, SIGINT'),
      'Unmounts in order and waits for uploads (--shutdown-timeout); a second one does not wait.',
    ),
    ...entry(
      bold('SIGHUP'),
      'Reads the settings again, opens log files anew and loads credentials again, as mount-s3x reload does. In the foreground of a terminal: as SIGTERM.',
    ),
    ...entry(bold('SIGUSR2'), 'Logs more, or as much as before.'),
    section('Exit status'),
    ...exitCodeTable.flatMap(({ code, meaning }) => entry(bold(String(code)), meaning)),
    section('Files'),
    ...entry(italic('/etc/mount-s3x/NAME.yaml'), 'Settings of the unit mount-s3x@NAME.'),
    ...entry(italic('$XDG_RUNTIME_DIR/mount-s3x, /run/mount-s3x'), 'Run files and sockets of running mounts.'),
    ...entry(italic('/var/log/mount-s3x, ~/.local/state/mount-s3x'), 'Logs where no log daemon listens.'),
    ...entry(
      italic('/var/spool/mount-s3x, ~/.local/state/mount-s3x/spool'),
      'What did not reach the bucket: see recover.',
    ),
    section('Examples'),
    ...example([
      'mount-s3x my-bucket /mnt/data',
      'mount-s3x s3://my-bucket/train/ /mnt/data --read-only --metadata-ttl 300',
      'mount-s3x --config /etc/mount-s3x/data.yaml',
      'mount-s3x config /mnt/data --changed',
      'mount-s3x unmount /mnt/data',
    ]),
    section('See also'),
    `${bold('mount.s3x')}(8), ${bold('mount')}(8), ${bold('fusermount3')}(1), ${bold('systemd.mount')}(5)`,
    ...paragraph(
      'The documents that come with the program: CLI.md, CONFIG.md, SEMANTICS.md, CREDENTIALS.md, HARDWARE.md.',
    ),
  ]);
}

export function helperPage(version: string): string {
  return page('mount.s3x', version, [
    section('Name'),
    'mount.s3x \\- helper of mount(8) for file systems of type s3x',
    section('Synopsis'),
    ...synopsis('mount.s3x', 'BUCKET DIRECTORY [-sfnv] [-o OPTIONS] [-t TYPE] [-N NAMESPACE]'),
    section('Description'),
    ...paragraph(
      'mount(8) calls it for lines of type s3x in /etc/fstab; nobody needs to call it by hand. The options are those of mount-s3x without their dashes, separated by commas, - and _ being the same; a comma within a value is written with a backslash before it. Words of the kernel (noatime, nodev, ...) go to mount(2), those for mount(8) and systemd (_netdev, nofail, x-..., ...) are left out, and an unknown word is an error.',
    ),
    section('Options'),
    ...entry(bold('-f'), 'Do everything but the mount.'),
    ...entry(bold('-s, -n, -v'), 'Accepted; nothing changes.'),
    ...entry(`${bold('-o')} ${italic('OPTIONS')}`, 'ro, rw, words of the kernel, and every option of mount-s3x.'),
    section('Exit status'),
    ...entry(bold('0'), 'The mount answers.'),
    ...entry(bold('1'), 'Wrong arguments.'),
    ...entry(bold('32'), 'The mount failed; the line on standard error says why.'),
    section('Examples'),
    ...example([
      'my-bucket         /mnt/data   s3x  _netdev,nofail,ro,region=eu-west-1  0 0',
      's3://other/train/ /mnt/train  s3x  _netdev,allow_other                 0 0',
      'my-bucket         /mnt/conf   s3x  _netdev,config=/etc/mount-s3x/data.yaml  0 0',
    ]),
    section('See also'),
    `${bold('mount-s3x')}(8), ${bold('mount')}(8), ${bold('fstab')}(5)`,
  ]);
}

function page(name: string, version: string, body: readonly string[]): string {
  const head = [
    '.\\" Made by dev/manual from the program\'s own tables: change those.',
    `.TH ${text(name).toUpperCase()} 8 "" "mount\\-s3x ${text(version)}" "System Administration"`,
    // Neither hyphens nor stretched lines within options.
    '.nh',
    '.ad l',
  ];
  return `${[...head, ...body].join('\n')}\n`;
}

function synopsis(name: string, rest: string): string[] {
  return [line(`${bold(name)} ${text(rest)}`.trimEnd())];
}

function usage({ positionals, options, takesMountOptions }: CommandModel): string {
  const words = positionals.map(({ name, isOptional }) =>
    isOptional ? `[${name.toUpperCase()}]` : name.toUpperCase(),
  );
  return [...words, ...(options.length > 0 || takesMountOptions ? ['[options]'] : [])].join(' ');
}

function commandSection(command: CommandModel): string[] {
  const { name, aliases, describe, positionals, options, takesMountOptions } = command;
  const also = aliases.length === 0 ? '' : ` (also ${aliases.join(', ')})`;
  return [
    subsection(`mount-s3x ${name} ${usage(command)}`.trimEnd()),
    line(text(`${describe}${also}.`)),
    ...positionals.flatMap((positional) => entry(italic(positional.name.toUpperCase()), positional.describe)),
    ...options.flatMap(optionEntry),
    ...(takesMountOptions ? paragraph('Options of the mount command, or some of them, are understood, too.') : []),
  ];
}

function optionEntry({ name, short, argument, describe }: OptionModel): string[] {
  const value = argument === undefined ? '' : ` ${italic(argument)}`;
  const term =
    short === undefined ? `${bold(`--${name}`)}${value}` : `${bold(`-${short}`)}, ${bold(`--${name}`)}${value}`;
  return entry(term, describe);
}

function groups(options: readonly OptionModel[]): (readonly [string, readonly OptionModel[]])[] {
  const names = [...new Set(options.map(({ group }) => group ?? ''))];
  return names.map((name) => [name, options.filter(({ group }) => group === name)] as const);
}

function configuration(): string[] {
  return [
    section('Configuration'),
    ...paragraph(
      'Every option can be said on the command line, in the environment (MOUNT_S3X_ and its name in capitals with underscores, MOUNT_S3X_READ_ONLY=true), in the YAML file of --config (keys are the options without dashes, and bucket and directory), and in that of --profile-file. What comes first here wins. mount-s3x config shows what is in force and where each is from.',
    ),
    ...Object.entries(otherVariables).flatMap(([name, meaning]) => entry(bold(name), sentence(meaning))),
    subsection('What a reload changes'),
    ...Object.entries(liveSettings).flatMap(([name, { how }]) => entry(bold(name), sentence(how))),
    ...paragraph('Everything else is named by reload and needs a new mount.'),
  ];
}

function sentence(words: string): string {
  const plain = words.replace(/`/g, '');
  return `${plain.charAt(0).toUpperCase()}${plain.slice(1)}.`;
}
