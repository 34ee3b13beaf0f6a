/**
 * Settings from the environment: MOUNT_S3X_ and the option's name in capitals, dashes as underscores. One variable an
 * option, and MOUNT_S3X_BUCKET and MOUNT_S3X_DIRECTORY. A flag is `true` or `false` (also 1, 0, yes, no, on, off); what may
 * be given several times is separated by commas, `\,` standing for a comma. An empty variable is no setting.
 * Refuses to decide what a value may be: build-config does, for every place alike.
 */
import { CommandError } from '../../main/command-error.js';
import { EXIT_USAGE } from '../../main/exit-codes.js';
import type { Origin } from '../../main/settings-record.js';
import { isOptionName, mountOptionNames, mountOptions, type GivenOptions, type OptionName } from '../options.js';
import { nearest } from '../suggest.js';
import { Layer } from './layers.js';

const PREFIX = 'MOUNT_S3X_';

/** Variables of this name that are no option: with what they do, for docs/CONFIG.md. */
export const otherVariables: Readonly<Record<string, string>> = {
  MOUNT_S3X_BUCKET: 'bucket of a mount, where the command line names none',
  MOUNT_S3X_DIRECTORY: 'directory of a mount, where the command line names none',
  MOUNT_S3X_REGISTRY: 'directory in which mounts that share a host meet, or `off`',
};

/** Between processes of ours, or for the project's own tests and benches: nobody is warned, and nobody needs them. */
const ownVariables = /^MOUNT_S3X_(SUPERVISE|UPDATE_GOLDEN|SCHED_BYTES|(TEST|BENCH|FUZZ|SOAK|CRASH)_[A-Z_]+)$/;

/** For tests: may src/ speak of it? */
export function isOwnVariable(variable: string): boolean {
  return ownVariables.test(variable);
}

const truths: ReadonlyMap<string, boolean> = new Map([
  ['true', true],
  ['1', true],
  ['yes', true],
  ['on', true],
  ['false', false],
  ['0', false],
  ['no', false],
  ['off', false],
]);

/** The variable of an option. */
export function variableOf(name: string): string {
  return PREFIX + name.toUpperCase().replaceAll('-', '_');
}

const optionsByVariable: ReadonlyMap<string, OptionName> = new Map(
  mountOptionNames.map((name) => [variableOf(name), name]),
);

export interface EnvironmentSettings {
  readonly given: GivenOptions;
  readonly bucket: string | undefined;
  readonly directory: string | undefined;
  /** Lines for the person: variables that nobody knows. */
  readonly notes: readonly string[];
}

/** Reads the settings of `env`; `only` leaves out what a command does not take. Throws CommandError. */
export function readEnvironment(env: NodeJS.ProcessEnv, only?: ReadonlySet<OptionName>): EnvironmentSettings {
  const layer = new Layer();
  const notes: string[] = [];
  const variables = Object.keys(env).filter((variable) => variable.startsWith(PREFIX));
  for (const variable of variables.sort()) {
    const text = env[variable];
    if (text === undefined || text === '') continue;
    const name = optionsByVariable.get(variable);
    if (name === undefined) {
      if (!Object.hasOwn(otherVariables, variable) && !ownVariables.test(variable)) notes.push(unknown(variable));
    } else if (only === undefined || only.has(name)) {
      take(layer, name, text, { kind: 'environment', variable });
    }
  }
  return {
    given: layer.given,
    bucket: env['MOUNT_S3X_BUCKET'] || undefined,
    directory: env['MOUNT_S3X_DIRECTORY'] || undefined,
    notes,
  };
}

function take(layer: Layer, name: OptionName, text: string, origin: Origin & { readonly kind: 'environment' }): void {
  const { kind } = mountOptions[name];
  if (kind === 'value') layer.setValue(name, text, origin);
  else if (kind === 'list') layer.setList(name, splitList(text, origin.variable), origin);
  else {
    const value = truths.get(text.toLowerCase());
    if (value === undefined) {
      throw new CommandError(EXIT_USAGE, `${origin.variable}: ${text}: neither true nor false`, 'allowed: true, false');
    }
    layer.setFlag(name, value, origin);
  }
}

/** Words between commas; `\,` is a comma within a word. Empty words are left out. */
function splitList(text: string, variable: string): string[] {
  const words = [...text.matchAll(/((?:\\.|[^,\\])*)(\\$)?(?:,|$)/gs)];
  if (words.some((match) => match[2] !== undefined)) {
    throw new CommandError(EXIT_USAGE, `${variable}: ${text}: ends with a backslash`, 'write \\\\ for a backslash');
  }
  return words.map((match) => (match[1] ?? '').replace(/\\(.)/gs, '$1')).filter((word) => word !== '');
}

function unknown(variable: string): string {
  const near = nearest(variable.slice(PREFIX.length).toLowerCase().replaceAll('_', '-'), [
    ...mountOptionNames,
    ...Object.keys(otherVariables).map((name) => name.slice(PREFIX.length).toLowerCase()),
  ]);
  const remedy = near === undefined ? 'docs/CONFIG.md lists them' : `did you mean ${variableOf(near)}?`;
  return `${variable} in the environment is not known and has no effect; ${remedy}`;
}

/** For tests: is every option's variable its own? */
export function isOptionVariable(variable: string): boolean {
  const name = optionsByVariable.get(variable);
  return name !== undefined && isOptionName(name);
}
