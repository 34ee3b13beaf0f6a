/**
 * `mount-s3x hwinfo`: what is known of this machine and what a mount would make of it, on one screen. With --explain why,
 * each with the option that overrides it; with --json everything, sources included, for scripts and bug reports.
 * The sizing options of a mount are understood, to ask "what if". `--sys-root` looks at a copy of /proc and /sys instead.
 * Refuses to judge; `doctor` will.
 */
import { statSync } from 'node:fs';
import { resolve } from 'node:path';
import type { Argv } from 'yargs';
import { detectHardware } from '../hwdetect/detect.js';
import { CommandError } from '../main/command-error.js';
import { EXIT_OK, EXIT_USAGE } from '../main/exit-codes.js';
import { controllerBounds } from '../main/sizing-bounds.js';
import { deriveSizing } from '../main/sizing.js';
import { checkTogether } from './build-config.js';
import type { Command } from './command.js';
import { describeHardware, explainHardware } from './hardware-text.js';
import type { CliIo } from './io.js';
import type { OptionName } from './options.js';
import { declareOptions, givenOptions, refuseUnknown, type ParsedArguments } from './parse.js';
import { placed } from './settings/origins.js';
import { settle } from './settings/settle.js';
import { prepareYaml } from './settings/yaml-file.js';
import { sizingConfigOf, sizingOptionNames } from './sizing-values.js';

const ownOptions = ['json', 'explain', 'sys-root'] as const;
const mountsOptions = [...sizingOptionNames, 'config', 'profile-file', 'profile-name'] as const;

export const hwinfoCommand: Command = {
  pattern: 'hwinfo',
  describe: 'Show what is known of this machine and what a mount makes of it',
  declare: (parser: Argv) =>
    declareOptions(parser, mountsOptions)
      .option('json', { boolean: true, describe: 'Print everything as JSON, with the source of each fact' })
      .option('explain', { boolean: true, describe: 'Say why each setting is what it is, and what overrides it' })
      .option('sys-root', {
        string: true,
        nargs: 1,
        describe: 'Directory with a copy of /proc and /sys to look at instead (and imds.json for the metadata service)',
      }),
  run: hwinfo,
};

async function hwinfo(parsed: ParsedArguments, io: CliIo): Promise<number> {
  refuseUnknown(parsed, [...ownOptions, ...mountsOptions], [], 1);
  await prepareYaml(Object.entries(parsed), io.owner.env);
  const only = new Set<OptionName>(mountsOptions);
  const typed = { given: givenOptions(parsed), bucket: undefined, directory: undefined };
  const { given } = settle(typed, { env: io.owner.env, cwd: io.cwd, only });
  const config = placed(given, () => {
    checkTogether(given);
    return sizingConfigOf(given);
  });
  const profile = await detectHardware({ sysRoot: sysRootOf(parsed['sys-root'], io), env: io.owner.env });
  for (const name of config.bindNics) {
    if (profile.nics.some((nic) => nic.name === name)) continue;
    throw new CommandError(
      EXIT_USAGE,
      `--bind ${name}: there is no network card of this name`,
      `this machine has ${profile.nics.map((nic) => nic.name).join(', ') || 'none'}`,
    );
  }
  const sizing = deriveSizing(profile, config);
  if (parsed['json'] === true) {
    io.print(JSON.stringify({ profile, sizing, bounds: controllerBounds(sizing, config) }, null, 2));
  } else if (parsed['explain'] === true) {
    io.print(explainHardware(profile, sizing));
  } else {
    io.print(describeHardware(profile, sizing));
  }
  return EXIT_OK;
}

function sysRootOf(value: unknown, io: CliIo): string {
  if (typeof value !== 'string') {
    if (value === undefined) return '';
    throw new CommandError(EXIT_USAGE, '--sys-root was given more than once', 'give it once');
  }
  const directory = resolve(io.cwd, value);
  if (value !== '' && statSync(directory, { throwIfNoEntry: false })?.isDirectory() === true) return directory;
  throw new CommandError(EXIT_USAGE, `--sys-root ${value || '""'} is not a directory`, 'give a copy of /proc and /sys');
}
