/**
 * `--config FILE`: one mount in a YAML file. Keys are the options without their dashes, `bucket` and `directory` beside
 * them; a unit's file is /etc/mount-s3x/NAME.yaml. Relative names of files are relative to the file's own directory.
 *
 * Like every place it only says what would have been typed: what a value may be is decided where flags are read.
 * Refuses unknown keys (with the nearest known one), keys given twice, aliases, secrets, and what says how the command runs
 * rather than what it mounts.
 */
import { dirname, resolve } from 'node:path';
import { CommandError } from '../../main/command-error.js';
import { EXIT_USAGE } from '../../main/exit-codes.js';
import type { Origin } from '../../main/settings-record.js';
import { isOptionName, isPathOption, mountOptionNames, type GivenOptions } from '../options.js';
import { isBoto3Name } from '../profile/boto3-names.js';
import { nearest } from '../suggest.js';
import { Layer } from './layers.js';
import { setFromPair } from './pair-layer.js';
import { keyText, readSettingsText, SettingsYaml, valueText } from './yaml-file.js';

const HELP = 'docs/CONFIG.md shows how such a file looks';

/** Not settings of a mount: they say how the command runs, or which file this is. */
const notHere: ReadonlyMap<string, string> = new Map([
  ['config', 'a file does not name another one: give --config once'],
  ['foreground', 'it says how the command runs: give -f on the command line'],
]);

/** What looks like a key or a password, in any spelling. */
const secretKey =
  /secret|passw(or)?d|passphrase|token|private[-_]?key|access[-_]?key|key[-_]?id|credential|customer[-_]?key/i;

export interface FileSettings {
  readonly given: GivenOptions;
  readonly bucket: string | undefined;
  readonly directory: string | undefined;
  /** Where `bucket` and `directory` stand. */
  readonly bucketOrigin: Origin | undefined;
  readonly directoryOrigin: Origin | undefined;
}

/** Reads the file. Throws CommandError. */
export function loadConfigFile(path: string): FileSettings {
  return parseConfigFile(readSettingsText(path, '--config'), path);
}

/** A file's text; `path` is absolute. Throws CommandError. */
export function parseConfigFile(text: string, path: string): FileSettings {
  const yaml = new SettingsYaml(text, path, HELP);
  const layer = new Layer();
  const places = new Map<'bucket' | 'directory', { readonly text: string; readonly origin: Origin }>();
  for (const pair of yaml.root(HELP)?.items ?? []) {
    const key = keyText(pair.key);
    const where = yaml.at(pair.key);
    const origin: Origin = { kind: 'file', path, ...yaml.place(pair.key) };
    if (key === 'bucket' || key === 'directory') {
      const said = valueText(pair.value, key, where);
      places.set(key, { text: key === 'bucket' ? said : beside(path, said), origin });
      continue;
    }
    if (!isOptionName(key)) throw unknown(key, where);
    const why = notHere.get(key);
    if (why !== undefined) throw new CommandError(EXIT_USAGE, `${where}: ${key} does not belong here`, why);
    setFromPair(layer, key, pair, { where, origin }, (said) => (isPathOption(key) ? beside(path, said) : said));
  }
  return {
    given: layer.given,
    bucket: places.get('bucket')?.text,
    directory: places.get('directory')?.text,
    bucketOrigin: places.get('bucket')?.origin,
    directoryOrigin: places.get('directory')?.origin,
  };
}

/** An empty name stays so: it is refused with the others. */
function beside(file: string, path: string): string {
  return path === '' ? path : resolve(dirname(file), path);
}

function unknown(key: string, where: string): CommandError {
  const named = key === '' ? 'a key that is no text' : `unknown key ${key.slice(0, 100)}`;
  if (secretKey.test(key)) {
    return new CommandError(
      EXIT_USAGE,
      `${where}: ${key.slice(0, 100)}: secrets do not belong into this file`,
      'keep them in ~/.aws/credentials (`profile: NAME` here chooses), the environment (AWS_ACCESS_KEY_ID, ...) or a role: docs/CREDENTIALS.md',
    );
  }
  if (isBoto3Name(key)) {
    return new CommandError(EXIT_USAGE, `${where}: ${named}`, "boto3's names belong into a --profile-file");
  }
  const known = [...mountOptionNames.filter((name) => !notHere.has(name)), 'bucket', 'directory'];
  const near = nearest(key, known) ?? nearest(key.replaceAll('_', '-'), known);
  const remedy =
    near === undefined ? '`mount-s3x --help` lists the options, which are the keys' : `did you mean ${near}?`;
  return new CommandError(EXIT_USAGE, `${where}: ${named}`, remedy);
}
