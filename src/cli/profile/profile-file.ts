/**
 * `--profile-file FILE`: settings of the mount command in a YAML file, to keep and to pass around. Names are those of the
 * options without their dashes, and boto3's (boto3-names.ts). A file holds one profile, or several by name below `profiles`,
 * of which `--profile-name` chooses one.
 *
 * What a value may be is decided where flags are read (build-config.ts): here a value only becomes the text that would
 * have been typed. Refuses unknown names, names given twice, and what belongs to one mount only (where, and how it runs).
 * Bounds: FILE_BYTES_MAX; no aliases, so that a small file cannot become a large one.
 */
import { readFileSync, statSync } from 'node:fs';
import { isMap, isScalar, isSeq, LineCounter, parseDocument, type Scalar, type YAMLMap } from 'yaml';
import { KIB } from '../../base/units.js';
import { CommandError } from '../../main/command-error.js';
import { EXIT_USAGE } from '../../main/exit-codes.js';
import { isOptionName, mountOptionNames, mountOptions, type GivenOptions, type OptionName } from '../options.js';
import { nearest } from '../suggest.js';
import { boto3Names, isBoto3Name, readBoto3Value, translateBoto3, type Boto3Name } from './boto3-names.js';

const FILE_BYTES_MAX = 64 * KIB;
const PROFILES = 'profiles';

/** Of one mount, not of a way to mount. */
const notInProfiles: ReadonlySet<OptionName> = new Set(['foreground', 'options', 'profile-file', 'profile-name']);

export interface Profile {
  readonly given: GivenOptions;
  /** Lines for the person. */
  readonly notes: readonly string[];
}

/** Reads the file. `name`: of --profile-name. Throws CommandError. */
export function loadProfile(path: string, name: string | undefined): Profile {
  let text: string;
  try {
    const stat = statSync(path);
    if (!stat.isFile()) throw new Error('not a file');
    if (stat.size > FILE_BYTES_MAX) throw new Error(`longer than ${FILE_BYTES_MAX} bytes`);
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new CommandError(EXIT_USAGE, `--profile-file ${path} cannot be read: ${why}`, 'give an existing YAML file');
  }
  return parseProfile(text, path, name);
}

/** A profile file's text. `path` is for messages. Throws CommandError. */
export function parseProfile(text: string, path: string, name: string | undefined): Profile {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, merge: false });
  const at = (node: { readonly range?: readonly number[] | null } | null | undefined): string => {
    const offset = node?.range?.[0];
    return offset === undefined ? path : `${path}:${lines.linePos(offset).line}`;
  };
  const problem = document.errors[0] ?? document.warnings[0];
  if (problem !== undefined) {
    throw wrong(`${path}:${lines.linePos(problem.pos[0]).line}`, problem.message.split('\n')[0] ?? 'not YAML');
  }
  const root: unknown = document.contents;
  // An empty file is a profile without settings.
  if (root === null || (isScalar(root) && root.value === null)) return empty(path, name);
  if (!isMap(root)) throw wrong(path, 'not a list of `name: value`');
  return readSettings(chooseProfile(root, path, name, at), path, at);
}

type At = (node: { readonly range?: readonly number[] | null } | null | undefined) => string;

function empty(path: string, name: string | undefined): Profile {
  if (name !== undefined) throw new CommandError(EXIT_USAGE, `${path} has no profile ${name}`, 'the file is empty');
  return { given: { flags: new Set(), values: new Map(), lists: new Map() }, notes: [] };
}

function chooseProfile(root: YAMLMap, path: string, name: string | undefined, at: At): YAMLMap {
  const named: unknown = root.get(PROFILES, true);
  if (named === undefined) {
    if (name === undefined) return root;
    throw new CommandError(EXIT_USAGE, `${path} has no profiles by name`, 'leave --profile-name out');
  }
  if (!isMap(named)) throw wrong(path, `\`${PROFILES}\` is not a list of \`name: {...}\``);
  const other = root.items.find((pair) => textOf(pair.key) !== PROFILES);
  if (other !== undefined) {
    throw wrong(at(other.key as Scalar), `${textOf(other.key)} stands beside \`${PROFILES}\`: put it into one of them`);
  }
  const names = named.items.map((pair) => textOf(pair.key));
  const only = names.length === 1 ? names[0] : undefined;
  const wanted = name ?? only;
  const among = `it has ${names.length === 0 ? 'none' : names.join(', ')}`;
  if (wanted === undefined) {
    throw new CommandError(EXIT_USAGE, `${path} has several profiles`, `choose with --profile-name: ${among}`);
  }
  const chosen = named.items.find((pair) => textOf(pair.key) === wanted);
  if (chosen === undefined) throw new CommandError(EXIT_USAGE, `${path} has no profile ${wanted}`, among);
  if (!isMap(chosen.value)) throw wrong(at(chosen.key as Scalar), `profile ${wanted} is not a list of \`name: value\``);
  return chosen.value;
}

function readSettings(settings: YAMLMap, path: string, at: At): Profile {
  const flags = new Set<OptionName>();
  const values = new Map<OptionName, string>();
  const lists = new Map<OptionName, readonly string[]>();
  const boto3 = new Map<Boto3Name, number | boolean>();
  for (const pair of settings.items) {
    const key = textOf(pair.key);
    const where = at(pair.key as Scalar);
    if (isBoto3Name(key)) {
      boto3.set(key, readBoto3Value(key, isScalar(pair.value) ? pair.value.value : undefined, where));
      continue;
    }
    if (!isOptionName(key)) throw unknown(key, where);
    if (notInProfiles.has(key)) throw wrong(where, `${key} belongs to one mount`, 'give it on the command line');
    const { kind } = mountOptions[key];
    if (kind === 'flag') {
      const value = isScalar(pair.value) ? pair.value.value : undefined;
      if (typeof value !== 'boolean') throw wrong(where, `${key} is true or false`, `write \`${key}: true\``);
      if (value) flags.add(key);
    } else if (kind === 'list') {
      const items: unknown[] = isSeq(pair.value) ? pair.value.items : [pair.value];
      lists.set(
        key,
        items.map((item) => scalarText(item, key, where)),
      );
    } else {
      values.set(key, scalarText(pair.value, key, where));
    }
  }
  const translated = translateBoto3(boto3);
  for (const [name, value] of translated.options) {
    if (values.has(name)) {
      throw wrong(path, `${name} is given twice, once by boto3's name`, `leave one of the two out`);
    }
    values.set(name, value);
  }
  return { given: { flags, values, lists }, notes: translated.notes.map((note) => `${path}: ${note}`) };
}

function unknown(key: string, where: string): CommandError {
  const known = [...mountOptionNames.filter((name) => !notInProfiles.has(name)), ...boto3Names];
  const near = nearest(key, known) ?? nearest(key.replaceAll('_', '-'), known);
  const remedy = near === undefined ? 'docs/PROFILES.md lists the names' : `did you mean ${near}?`;
  return wrong(where, `unknown setting ${key}`, remedy);
}

/** As it would have been typed: 0o755 stays so. */
function scalarText(node: unknown, name: string, where: string): string {
  if (!isScalar(node) || node.value === null) throw wrong(where, `${name} has no value`, `write \`${name}: VALUE\``);
  if (typeof node.value === 'string') return node.value;
  if (typeof node.value === 'number' || typeof node.value === 'bigint') return node.source ?? String(node.value);
  throw wrong(where, `${name} is not a text or a number`, `write \`${name}: VALUE\``);
}

function textOf(node: unknown): string {
  return isScalar(node) ? String(node.value) : '';
}

function wrong(where: string, message: string, remedy = 'docs/PROFILES.md shows how a profile looks'): CommandError {
  return new CommandError(EXIT_USAGE, `${where}: ${message}`, remedy);
}

/**
 * What was given on the command line, and of the profile what it does not say. `contradicts` tells which options stand
 * against each other: there, too, the command line wins.
 */
export function underFlags(
  given: GivenOptions,
  profile: Profile,
  contradicts: (one: OptionName, other: OptionName) => boolean,
): { readonly given: GivenOptions; readonly notes: readonly string[] } {
  const notes = [...profile.notes];
  const said: OptionName[] = [...given.flags, ...given.values.keys(), ...given.lists.keys()];
  const wins = (name: OptionName): boolean => {
    if (said.includes(name)) return false;
    const against = said.find((other) => contradicts(name, other));
    if (against !== undefined) notes.push(`--${against} is given, so the profile's ${name} is left out`);
    return against === undefined;
  };
  return {
    given: {
      flags: new Set([...given.flags, ...[...profile.given.flags].filter(wins)]),
      values: new Map([...[...profile.given.values].filter(([name]) => wins(name)), ...given.values]),
      lists: new Map([...[...profile.given.lists].filter(([name]) => wins(name)), ...given.lists]),
    },
    notes,
  };
}
