/**
 * The one place that sets up yargs: strictness, words of its messages, help on 80 columns. yargs finds words and options
 * and prints the help; what a value may be is decided elsewhere, so everything stays text here.
 * It refuses what yargs would take in silence: unknown options, options given twice, flags with a value.
 */
import yargs, { type Argv } from 'yargs';
import { CommandError } from '../main/command-error.js';
import { EXIT_USAGE } from '../main/exit-codes.js';
import { packageVersion } from '../main/version.js';
import { mountOptionNames, mountOptions, type GivenOptions, type OptionName } from './options.js';
import { foreignRemedy } from './foreign-options.js';
import { nearest } from './suggest.js';

/** Columns of the help: fits every terminal and every mail. */
export const HELP_COLUMNS = 80;

/** What yargs hands to a command. */
export type ParsedArguments = Readonly<Record<string, unknown>>;

/** In yargs 18, not yet in its types: leaves `[string]` and the like out of the help. */
interface UsageConfiguration {
  usageConfiguration(configuration: { readonly 'hide-types': boolean }): Argv;
}

/** A parser for `argv` with nothing declared yet. */
export function createParser(argv: readonly string[]): Argv {
  const parser = yargs([...argv]);
  (parser as unknown as UsageConfiguration).usageConfiguration({ 'hide-types': true });
  return parser
    .scriptName('mount-s3x')
    .locale('en')
    .updateStrings({
      'Not enough arguments following: %s': 'option %s needs a value',
    })
    .parserConfiguration({
      'boolean-negation': false,
      'camel-case-expansion': false,
      'dot-notation': false,
      'parse-numbers': false,
      'parse-positional-numbers': false,
      'duplicate-arguments-array': true,
      'greedy-arrays': false,
      'strip-aliased': true,
      'strip-dashed': false,
    })
    .exitProcess(false)
    .showHelpOnFail(false)
    .fail((message: string | null, error: Error | undefined) => {
      if (error !== undefined && error.name !== 'YError') throw error;
      throw usageError(message ?? error?.message ?? 'the arguments make no sense');
    })
    .wrap(HELP_COLUMNS)
    .help('help')
    .alias('help', 'h')
    .describe('help', 'Show this help')
    .version(packageVersion())
    .alias('version', 'V')
    .describe('version', 'Show the version');
}

function usageError(message: string): CommandError {
  const choice = /^Invalid values:\s+Argument: ([\w-]+), Given: "(.*)", Choices: (.*)$/s.exec(message);
  if (choice !== null) {
    const [, name = '', given = '', words = ''] = choice;
    return new CommandError(EXIT_USAGE, `${name} ${given}: not known`, `allowed: ${words.replaceAll('"', '').trim()}`);
  }
  // yargs names an option by its bare key, the short one when that was typed.
  const named = message.replace(/^option (\S+) needs/, (_, key: string) => `${spelling(key)} needs`);
  return new CommandError(EXIT_USAGE, named.replace(/\s*\n\s*/g, ' '), '`mount-s3x --help` shows how');
}

function spelling(key: string): string {
  return key.length === 1 ? `-${key}` : `--${key}`;
}

/** Declares the options of the mount command. */
export function declareMountOptions(parser: Argv): Argv {
  return declareOptions(parser, mountOptionNames);
}

/** Declares some of the mount command's options, for a command that needs only these. */
export function declareOptions(parser: Argv, names: readonly OptionName[]): Argv {
  let declared = parser;
  for (const name of names) {
    const row = mountOptions[name];
    const hidden = row.state !== undefined || row.hidden === true;
    declared = declared.option(name, {
      ...(row.kind === 'flag' ? { boolean: true } : { string: true, nargs: 1 }),
      ...(row.kind === 'list' ? { array: true } : {}),
      ...(row.short === undefined ? {} : { alias: row.short }),
      describe: row.describe,
      group: row.group,
      hidden,
    });
  }
  return declared;
}

/** Keys that are yargs's own. */
const yargsKeys = new Set(['_', '$0', 'help', 'h', 'version', 'V']);

/** Refuses options that the command does not know, naming the nearest it does. `positionals` are its words. */
export function refuseUnknown(
  parsed: ParsedArguments,
  known: readonly string[],
  positionals: readonly string[],
  wordsLeft: number,
): void {
  for (const key of Object.keys(parsed)) {
    if (yargsKeys.has(key) || known.includes(key) || positionals.includes(key)) continue;
    const near = key.length === 1 ? undefined : nearest(key.replaceAll('_', '-'), [...known, 'help', 'version']);
    const remedy = known.includes('endpoint-url') ? foreignRemedy(key, '--') : undefined;
    throw new CommandError(
      EXIT_USAGE,
      `unknown option ${spelling(key)}`,
      remedy ?? (near === undefined ? '`mount-s3x --help` lists the options' : `did you mean --${near}?`),
    );
  }
  const surplus = plainWords(parsed)[wordsLeft];
  if (surplus !== undefined) {
    throw new CommandError(
      EXIT_USAGE,
      `unexpected argument ${surplus}`,
      'a bucket and a directory are all that stands without dashes; quote names with spaces',
    );
  }
}

/** The mount command's options as they were given. Throws CommandError for one given twice or a flag with a value. */
export function givenOptions(parsed: ParsedArguments): GivenOptions {
  const flags = new Set<OptionName>();
  const values = new Map<OptionName, string>();
  const lists = new Map<OptionName, readonly string[]>();
  for (const name of mountOptionNames) {
    const { kind } = mountOptions[name];
    const value = parsed[name];
    if (value === undefined) continue;
    if (kind === 'flag') {
      const all: unknown[] = Array.isArray(value) ? value : [value];
      if (all.some((each) => each !== true)) {
        throw new CommandError(EXIT_USAGE, `--${name} takes no value`, `write --${name}, or leave it out`);
      }
      flags.add(name);
    } else if (kind === 'list') {
      lists.set(name, (Array.isArray(value) ? value : [value]).map(String));
    } else if (Array.isArray(value)) {
      throw new CommandError(EXIT_USAGE, `--${name} was given more than once (${value.join(', ')})`, 'give it once');
    } else if (typeof value === 'string') {
      values.set(name, value);
    }
  }
  return { flags, values, lists };
}

/** Words that belong to no positional: the command's own name comes first when it was typed. */
export function plainWords(parsed: ParsedArguments): string[] {
  const words: unknown = parsed['_'];
  return Array.isArray(words) ? words.map(String) : [];
}

/** A positional argument, undefined when it was not given. */
export function positional(parsed: ParsedArguments, name: string): string | undefined {
  const value = parsed[name];
  return typeof value === 'string' || typeof value === 'number' ? String(value) : undefined;
}
