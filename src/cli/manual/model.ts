/**
 * The command line as data, for the manual and for completion: what each command declares to the parser is written down by a
 * recorder that stands in the parser's place, so that nothing is said twice and nothing can be forgotten.
 * Options of the mount command have their argument and words from the option table.
 * Refuses to run anything.
 */
import type { Argv } from 'yargs';
import type { Command } from '../command.js';
import { isOptionName, mountOptionNames, mountOptions } from '../options.js';

export interface OptionModel {
  /** Without dashes. */
  readonly name: string;
  readonly short: string | undefined;
  /** What stands for the value; undefined for a flag. */
  readonly argument: string | undefined;
  readonly words: readonly string[];
  readonly describe: string;
  readonly group: string | undefined;
}

export interface PositionalModel {
  readonly name: string;
  readonly describe: string;
  readonly isOptional: boolean;
  readonly words: readonly string[];
}

export interface CommandModel {
  /** As it is typed; '' never: the default command is `mount`, too. */
  readonly name: string;
  readonly aliases: readonly string[];
  readonly describe: string;
  readonly positionals: readonly PositionalModel[];
  /** Its own; what it shares with the mount command is `takesMountOptions`. */
  readonly options: readonly OptionModel[];
  readonly takesMountOptions: boolean;
}

export interface CommandLineModel {
  readonly commands: readonly CommandModel[];
  /** All that are shown, in the table's order. */
  readonly mountOptions: readonly OptionModel[];
}

interface Declared {
  readonly options: OptionModel[];
  readonly positionals: Map<string, { readonly describe: string; readonly words: readonly string[] }>;
}

/** What every command understands. */
export const commonOptions: readonly OptionModel[] = [
  { name: 'help', short: 'h', argument: undefined, words: [], describe: 'Show help', group: undefined },
  { name: 'version', short: 'V', argument: undefined, words: [], describe: 'Show the version', group: undefined },
];

export function describeCommandLine(commands: readonly Command[]): CommandLineModel {
  return { commands: commands.map(describeCommand), mountOptions: shownMountOptions() };
}

function shownMountOptions(): OptionModel[] {
  return mountOptionNames.flatMap((name) => {
    const { kind, describe, group, short, argument, words, hidden, state } = mountOptions[name];
    if (hidden === true || state !== undefined) return [];
    return [
      {
        ...{ name, short, describe, group },
        argument: kind === 'flag' ? undefined : (argument ?? 'VALUE'),
        words: words ?? [],
      },
    ];
  });
}

function describeCommand(command: Command): CommandModel {
  const patterns = typeof command.pattern === 'string' ? [command.pattern] : command.pattern;
  const declared: Declared = { options: [], positionals: new Map() };
  command.declare(recorder(declared));
  const names = patterns.map((pattern) => pattern.split(' ')[0] ?? '').filter((name) => name !== '$0');
  const [name = 'mount', ...aliases] = names;
  const own = declared.options.filter((option) => option.group === undefined || !isOptionName(option.name));
  return {
    ...{ name, aliases, describe: command.describe },
    positionals: positionalsOf(patterns[0] ?? '', declared),
    options: own,
    takesMountOptions: own.length < declared.options.length,
  };
}

function positionalsOf(pattern: string, { positionals }: Declared): PositionalModel[] {
  return [...pattern.matchAll(/([[<])([\w-]+)(?:\.\.)?[\]>]/g)].map((match) => {
    const name = match[2] ?? '';
    const said = positionals.get(name);
    return { name, isOptional: match[1] === '[', describe: said?.describe ?? '', words: said?.words ?? [] };
  });
}

interface OptionDefinition {
  readonly describe?: string;
  readonly description?: string;
  readonly alias?: string | readonly string[];
  readonly boolean?: boolean;
  readonly type?: string;
  readonly hidden?: boolean;
  readonly group?: string;
  readonly choices?: readonly string[];
}

/** Stands in for yargs: `option`, `options` and `positional` are written down, everything else is heard and forgotten. */
function recorder(declared: Declared): Argv {
  const option = (name: string, definition: OptionDefinition): void => {
    if (definition.hidden === true) return;
    const describe = definition.describe ?? definition.description ?? '';
    const isFlag = definition.boolean === true || definition.type === 'boolean';
    const row = isOptionName(name) && definition.group === mountOptions[name].group ? mountOptions[name] : undefined;
    const alias = [definition.alias ?? []].flat().find((each) => each.length === 1);
    declared.options.push({
      ...{ name, describe, group: definition.group },
      short: alias,
      argument: isFlag ? undefined : (row?.argument ?? argumentIn(describe)),
      words: row?.words ?? definition.choices ?? [],
    });
  };
  const known: Readonly<Record<string, (...given: never[]) => void>> = {
    option,
    options: (all: Readonly<Record<string, OptionDefinition>>) => {
      for (const [name, definition] of Object.entries(all)) option(name, definition);
    },
    positional: (name: string, definition: OptionDefinition) => {
      declared.positionals.set(name, { describe: definition.describe ?? '', words: definition.choices ?? [] });
    },
  };
  const stand: unknown = new Proxy(
    {},
    {
      get: (_target, key) => {
        return (...given: never[]): unknown => {
          if (typeof key === 'string' && Object.hasOwn(known, key)) known[key]?.(...given);
          return stand;
        };
      },
    },
  );
  return stand as Argv;
}

/** `SECONDS between two prints` and the like name the value; else it is VALUE. */
function argumentIn(describe: string): string {
  return /\b([A-Z]{3,}|[A-Z])\b/.exec(describe)?.[1] ?? 'VALUE';
}

/** The options of `command` that completion offers. */
export function optionsOf(model: CommandLineModel, command: CommandModel): readonly OptionModel[] {
  const mount = command.takesMountOptions ? model.mountOptions : [];
  const own = command.options.filter(({ name }) => !mount.some((each) => each.name === name));
  return [...own, ...mount, ...commonOptions];
}

/** The words of an option's description without its default: for shells, which show one line. */
export function shortDescription(describe: string, charsMax = 72): string {
  const plain = describe.replace(/ \[default: .*\]$/, '').replace(/\s+/g, ' ');
  return plain.length <= charsMax ? plain : `${plain.slice(0, charsMax - 3).trimEnd()}...`;
}
