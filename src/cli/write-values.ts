/**
 * The writing options as text → WriteConfig: every value checked, every combination that cannot work refused. Pure, like
 * build-config, of which it is the part about writing.
 * Refuses to know what a store can do: `--store-capabilities` is what the user says, the rest is the engine's knowledge.
 */
import { resolve } from 'node:path';
import { GIB, MIB } from '../base/units.js';
import type { StoreCapabilities } from '../engine/write-api.js';
import type { ObjectTag, ObjectWriteOptions } from '../engine/write-options.js';
import { CommandError } from '../main/command-error.js';
import type { WriteConfig } from '../main/config.js';
import { EXIT_USAGE } from '../main/exit-codes.js';
import { spoolCandidate, type Owner } from '../main/state-directory.js';
import type { GivenOptions, OptionName } from './options.js';
import * as values from './values.js';

/** S3's least part, but for the last, and its largest. */
const PART_BYTES_MIN = 5 * MIB;
const PART_BYTES_MAX = 5 * GIB;
/** Small enough to begin sending early, large enough for one request's cost not to show (measured: bench write1). */
const PART_BYTES_DEFAULT = 8 * MIB;
/** S3's own bounds of tags (user guide, "Categorizing your storage using tags"). */
const TAGS_MAX = 10;
const TAG_KEY_CHARS_MAX = 128;
const TAG_VALUE_CHARS_MAX = 256;
/** Below TimeoutStopSec of systemd, which is 90 s, so that the last words are said before the kill. */
const SHUTDOWN_SECONDS_DEFAULT = 75;
const RECOVER_SECONDS_DEFAULT = 7 * 24 * 3600;
/** At 20 ms and 32 at once some 5 minutes; more is rather a mistake than a wish. */
const RENAME_KEYS_DEFAULT = 100_000;
const SECONDS_MAX = 3_153_600_000;

const conflictRules = ['fail', 'last-writer'] as const;
const encryptions = ['AES256', 'aws:kms', 'aws:kms:dsse'] as const;
const checksums = ['crc32', 'crc32c', 'crc64nvme', 'off'] as const;
const capabilityWords = {
  'conditional-writes': 'conditionalWrites',
  'conditional-copies': 'conditionalCopies',
  'copy-parts': 'copyParts',
  renames: 'renames',
  checksums: 'checksums',
  'copy-checksums': 'copyChecksums',
  'unequal-parts': 'unequalParts',
} as const satisfies Record<string, keyof StoreCapabilities>;

/** Throws CommandError. */
export function writeConfig(given: GivenOptions, owner: Owner, cwd: string, isDirectory = false): WriteConfig {
  const read = <T>(name: OptionName, reader: (name: OptionName, value: string) => T): T | undefined => {
    const value = given.values.get(name);
    return value === undefined ? undefined : reader(name, value);
  };
  const seconds = (name: OptionName, value: string): number =>
    values.wholeNumber(name, value, 0, SECONDS_MAX, 'seconds') * 1000;
  const commitMs = read('commit-interval', seconds) ?? 0;
  const partBytes = read('write-part-size', (name, value) =>
    values.wholeNumber(name, value, PART_BYTES_MIN, PART_BYTES_MAX, 'bytes'),
  );
  // Mountpoint's --part-size is for both directions and may be smaller than what S3 takes as a part of an upload.
  const bothPartBytes = read('part-size', (name, value) =>
    Math.max(PART_BYTES_MIN, values.wholeNumber(name, value, 1, PART_BYTES_MAX, 'bytes')),
  );
  const objects = objectOptions(given, read);
  if (isDirectory) checkForDirectoryBucket(objects);
  return {
    objects,
    overwrite: !given.flags.has('no-overwrite'),
    delete: !given.flags.has('no-delete'),
    conflict: read('conflict', (name, value) => values.oneOf(name, value, conflictRules)) ?? 'fail',
    partBytes: partBytes ?? bothPartBytes ?? PART_BYTES_DEFAULT,
    spoolDirectory: read('spool-dir', (name, value) => spoolDirectory(name, value, cwd)) ?? spoolCandidate(owner),
    commitIntervalMs: commitMs === 0 ? null : commitMs,
    recoverAgeMs: read('recover-age', seconds) ?? RECOVER_SECONDS_DEFAULT * 1000,
    shutdownTimeoutMs: read('shutdown-timeout', seconds) ?? SHUTDOWN_SECONDS_DEFAULT * 1000,
    renameDirectoryKeysMax:
      read('rename-dir-max', (name, value) => values.wholeNumber(name, value, 0, 1_000_000_000, 'objects')) ??
      RENAME_KEYS_DEFAULT,
    posixMetadata: given.flags.has('posix-metadata'),
    inferContentType: given.flags.has('infer-content-type'),
  };
}

type Read = <T>(name: OptionName, reader: (name: OptionName, value: string) => T) => T | undefined;

function objectOptions(given: GivenOptions, read: Read): ObjectWriteOptions {
  const storageClass = read('storage-class', checkStorageClass);
  const sse = read('sse', (name, value) => values.oneOf(name, value, encryptions));
  const sseKmsKeyId = read('sse-kms-key-id', checkKmsKey);
  if (sseKmsKeyId !== undefined && (sse === undefined || sse === 'AES256')) {
    throw new CommandError(EXIT_USAGE, '--sse-kms-key-id needs --sse', 'give --sse aws:kms or aws:kms:dsse with it');
  }
  return {
    ...(storageClass !== undefined && { storageClass }),
    ...(sse !== undefined && { sse }),
    ...(sseKmsKeyId !== undefined && { sseKmsKeyId }),
    checksums: read('upload-checksums', (name, value) => values.oneOf(name, value, checksums)) ?? 'crc32',
    tags: tags(given.lists.get('tag') ?? []),
    capabilities: read('store-capabilities', storeCapabilities) ?? {},
  };
}

/** Directory buckets have one storage class and no tags. Throws CommandError. */
function checkForDirectoryBucket({ storageClass, tags: given, sse }: ObjectWriteOptions): void {
  if (storageClass !== undefined && storageClass !== 'EXPRESS_ONEZONE') {
    throw values.badValue('storage-class', storageClass, 'not for a directory bucket', 'EXPRESS_ONEZONE, or nothing');
  }
  if (given.length > 0) {
    throw new CommandError(EXIT_USAGE, '--tag: objects of directory buckets have no tags', 'leave it out');
  }
  if (sse !== undefined) {
    const remedy = "set the bucket's default encryption, which holds for all sessions, and leave it out";
    throw new CommandError(EXIT_USAGE, `--sse ${sse}: directory buckets take it from the bucket`, remedy);
  }
}

/** Other stores have classes of their own names. */
function checkStorageClass(name: OptionName, value: string): string {
  if (!/^[A-Z][A-Z0-9_]{0,63}$/.test(value)) {
    throw values.badValue(name, value, 'not a storage class', 'a word such as STANDARD_IA or INTELLIGENT_TIERING');
  }
  return value;
}

/** An id, an alias or an ARN; travels in a header. */
function checkKmsKey(name: OptionName, value: string): string {
  if (!/^[A-Za-z0-9:/_-]{1,2048}$/.test(value)) {
    throw values.badValue(name, value, 'not the name of a key', 'a key id, alias/NAME, or the ARN of either');
  }
  return value;
}

function tags(texts: readonly string[]): ObjectTag[] {
  const found: ObjectTag[] = [];
  for (const text of texts) {
    const equals = text.indexOf('=');
    const key = text.slice(0, Math.max(equals, 0));
    const value = text.slice(equals + 1);
    const allowed = `KEY=VALUE, at most ${TAG_KEY_CHARS_MAX} and ${TAG_VALUE_CHARS_MAX} letters, digits, spaces and + - = . _ : / @`;
    const isText = /^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$/u.test(key + value);
    if (key === '' || key.length > TAG_KEY_CHARS_MAX || value.length > TAG_VALUE_CHARS_MAX || !isText) {
      throw values.badValue('tag', text, 'not a tag', allowed);
    }
    if (key.startsWith('aws:')) throw values.badValue('tag', text, 'aws: is reserved', 'another key');
    if (found.some((each) => each.key === key)) throw values.badValue('tag', text, 'this key was given twice', 'one');
    found.push({ key, value });
  }
  if (found.length > TAGS_MAX) {
    throw new CommandError(EXIT_USAGE, `--tag was given ${found.length} times`, `an object has ${TAGS_MAX} at most`);
  }
  return found;
}

/** `no-conditional-writes,renames`: what is named is said, the rest stays as known. */
function storeCapabilities(name: OptionName, value: string): Partial<StoreCapabilities> {
  const said: Partial<Record<keyof StoreCapabilities, boolean>> = {};
  for (const word of value.split(',')) {
    const bare = word.replace(/^no-/, '');
    if (!isCapability(bare)) {
      const allowed = `${Object.keys(capabilityWords).join(', ')}, each also with no- before it`;
      throw values.badValue(name, value, `${word === '' ? 'an empty word' : word} is not known`, allowed);
    }
    said[capabilityWords[bare]] = bare === word;
  }
  return said;
}

function isCapability(word: string): word is keyof typeof capabilityWords {
  return Object.hasOwn(capabilityWords, word);
}

function spoolDirectory(name: OptionName, value: string, cwd: string): string {
  if (value === '') throw values.badValue(name, value, 'no path', 'a path');
  return resolve(cwd, value);
}
