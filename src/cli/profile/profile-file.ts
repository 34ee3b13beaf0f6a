/**
 * `--profile-file FILE`: settings of the mount command in a YAML file, to keep and to pass around. Names are those of the
 * options without their dashes, and boto3's (boto3-names.ts). A file holds one profile, or several by name below `profiles`,
 * of which `--profile-name` chooses one.
 *
 * What a value may be is decided where flags are read (build-config.ts): here a value only becomes the text that would
 * have been typed. Refuses unknown names, names given twice, and what belongs to one mount only (where, and how it runs).
 * Bounds: those of settings/yaml-file.ts.
 */
import type { YAMLMap } from 'yaml';
import { CommandError } from '../../main/command-error.js';
import { EXIT_USAGE } from '../../main/exit-codes.js';
import type { Origin } from '../../main/settings-record.js';
import { isOptionName, mountOptionNames, type GivenOptions, type OptionName } from '../options.js';
import { Layer, nothingGiven } from '../settings/layers.js';
import { setFromPair } from '../settings/pair-layer.js';
import { isMap, isScalar, keyText, readSettingsText, SettingsYaml } from '../settings/yaml-file.js';
import { nearest } from '../suggest.js';
import { boto3Names, isBoto3Name, readBoto3Value, translateBoto3, type Boto3Name } from './boto3-names.js';

const PROFILES = 'profiles';
const HELP = 'docs/PROFILES.md shows how a profile looks';

/** Of one mount, not of a way to mount. */
const notInProfiles: ReadonlySet<OptionName> = new Set([
  'foreground',
  'options',
  'config',
  'profile-file',
  'profile-name',
]);

export interface Profile {
  readonly given: GivenOptions;
  /** Lines for the person. */
  readonly notes: readonly string[];
}

/** Reads the file. `name`: of --profile-name. Throws CommandError. */
export function loadProfile(path: string, name: string | undefined): Profile {
  return parseProfile(readSettingsText(path, '--profile-file'), path, name);
}

/** A profile file's text. `path` is for messages. Throws CommandError. */
export function parseProfile(text: string, path: string, name: string | undefined): Profile {
  const yaml = new SettingsYaml(text, path, HELP);
  const root = yaml.root(HELP);
  // An empty file is a profile without settings.
  return root === undefined ? empty(path, name) : readSettings(chooseProfile(root, path, name, yaml), yaml);
}

function empty(path: string, name: string | undefined): Profile {
  if (name !== undefined) throw new CommandError(EXIT_USAGE, `${path} has no profile ${name}`, 'the file is empty');
  return { given: nothingGiven, notes: [] };
}

function chooseProfile(root: YAMLMap, path: string, name: string | undefined, yaml: SettingsYaml): YAMLMap {
  const named: unknown = root.get(PROFILES, true);
  if (named === undefined) {
    if (name === undefined) return root;
    throw new CommandError(EXIT_USAGE, `${path} has no profiles by name`, 'leave --profile-name out');
  }
  if (!isMap(named)) throw wrong(path, `\`${PROFILES}\` is not a list of \`name: {...}\``);
  const other = root.items.find((pair) => keyText(pair.key) !== PROFILES);
  if (other !== undefined) {
    throw wrong(yaml.at(other.key), `${keyText(other.key)} stands beside \`${PROFILES}\`: put it into one of them`);
  }
  const names = named.items.map((pair) => keyText(pair.key));
  const only = names.length === 1 ? names[0] : undefined;
  const wanted = name ?? only;
  const among = `it has ${names.length === 0 ? 'none' : names.join(', ')}`;
  if (wanted === undefined) {
    throw new CommandError(EXIT_USAGE, `${path} has several profiles`, `choose with --profile-name: ${among}`);
  }
  const chosen = named.items.find((pair) => keyText(pair.key) === wanted);
  if (chosen === undefined) throw new CommandError(EXIT_USAGE, `${path} has no profile ${wanted}`, among);
  if (!isMap(chosen.value)) throw wrong(yaml.at(chosen.key), `profile ${wanted} is not a list of \`name: value\``);
  return chosen.value;
}

function readSettings(settings: YAMLMap, yaml: SettingsYaml): Profile {
  const { path } = yaml;
  const layer = new Layer();
  const boto3 = new Map<Boto3Name, number | boolean>();
  const boto3Origins: Origin[] = [];
  for (const pair of settings.items) {
    const key = keyText(pair.key);
    const where = yaml.at(pair.key);
    const origin: Origin = { kind: 'profile', path, ...yaml.place(pair.key) };
    if (isBoto3Name(key)) {
      boto3.set(key, readBoto3Value(key, isScalar(pair.value) ? pair.value.value : undefined, where));
      boto3Origins.push(origin);
      continue;
    }
    if (!isOptionName(key)) throw unknown(key, where);
    if (notInProfiles.has(key)) throw wrong(where, `${key} belongs to one mount`, 'give it on the command line');
    setFromPair(layer, key, pair, { where, origin });
  }
  const translated = translateBoto3(boto3);
  for (const [name, value] of translated.options) {
    if (layer.has(name)) {
      throw wrong(path, `${name} is given twice, once by boto3's name`, `leave one of the two out`);
    }
    // Several of boto3's names may make one option: its place is the first of them.
    layer.setValue(name, value, boto3Origins[0] ?? { kind: 'profile', path, line: 1, column: 1 });
  }
  return { given: layer.given, notes: translated.notes.map((note) => `${path}: ${note}`) };
}

function unknown(key: string, where: string): CommandError {
  const known = [...mountOptionNames.filter((name) => !notInProfiles.has(name)), ...boto3Names];
  const near = nearest(key, known) ?? nearest(key.replaceAll('_', '-'), known);
  const remedy = near === undefined ? 'docs/PROFILES.md lists the names' : `did you mean ${near}?`;
  return wrong(where, `unknown setting ${key}`, remedy);
}

function wrong(where: string, message: string, remedy = HELP): CommandError {
  return new CommandError(EXIT_USAGE, `${where}: ${message}`, remedy);
}
