/**
 * Where a setting was said, in words: for messages, for `mount-s3x config`, and for errors, which are made by code that only
 * knows options by their dashes and are given their place here.
 * Refuses to guess: an option without an origin was typed.
 */
import { CommandError } from '../../main/command-error.js';
import type { Origin } from '../../main/settings-record.js';
import { isOptionName, type GivenOptions, type OptionName } from '../options.js';

const typed: Origin = { kind: 'flag' };

/** Where `name` was said; undefined when it was not. */
export function originOf(given: GivenOptions, name: OptionName): Origin | undefined {
  const isSaid =
    given.flags.has(name) || given.values.has(name) || given.lists.has(name) || given.unset?.has(name) === true;
  return isSaid ? (given.origins?.get(name) ?? typed) : undefined;
}

/** `MOUNT_S3X_UID`, `/etc/mount-s3x/data.yaml:3:1`; undefined for what was typed. */
export function placeOf(origin: Origin): string | undefined {
  switch (origin.kind) {
    case 'flag':
      return undefined;
    case 'environment':
      return origin.variable;
    case 'file':
    case 'profile':
      return `${origin.path}:${origin.line}:${origin.column}`;
  }
}

/** An option within a sentence: `--uid`, or with its place when it was not typed. */
export function spoken(given: GivenOptions, name: OptionName): string {
  const origin = originOf(given, name);
  const place = origin === undefined ? undefined : placeOf(origin);
  if (origin === undefined || place === undefined) return `--${name}`;
  return origin.kind === 'environment' ? place : `${name} of ${place}`;
}

/**
 * `error` with the place of the options that it speaks of. Messages about an option begin with its dashes; one that was said
 * elsewhere begins with FILE:LINE:COLUMN or the variable instead.
 */
export function withPlaces(error: unknown, given: GivenOptions): unknown {
  if (!(error instanceof CommandError) || given.origins === undefined) return error;
  let first: string | undefined;
  const message = error.message.replace(/--([a-z0-9][a-z0-9-]*[a-z0-9])/g, (word, name: string, offset: number) => {
    const origin = isOptionName(name) ? given.origins?.get(name) : undefined;
    const place = origin === undefined ? undefined : placeOf(origin);
    if (origin === undefined || place === undefined) return word;
    if (offset > 0) return origin.kind === 'environment' ? place : name;
    first = place;
    return origin.kind === 'environment' ? '' : name;
  });
  if (message === error.message) return error;
  const placed = first === undefined ? message : `${first}:${message.startsWith(' ') ? '' : ' '}${message}`;
  return new CommandError(error.exitCode, placed, error.remedy, { cause: error });
}

/** What `work` makes of `given`; its CommandErrors name places. */
export function placed<T>(given: GivenOptions, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw withPlaces(error, given);
  }
}
