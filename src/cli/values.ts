/**
 * Strict readers of option values: the whole text must make sense, and an error names the flag, the value and what is
 * allowed. `Number('')` being 0 and `parseInt('8MB')` being 8 have mounted many a thing in a way nobody asked for.
 * Refuses to round, to trim and to guess units.
 */
import { CommandError } from '../main/command-error.js';
import { EXIT_USAGE } from '../main/exit-codes.js';

/** `--flag value: ...; allowed: ...` with the exit code of a usage error. */
export function badValue(flag: string, value: string, why: string, allowed: string): CommandError {
  return new CommandError(EXIT_USAGE, `--${flag} ${value === '' ? '""' : value}: ${why}`, `allowed: ${allowed}`);
}

/** A whole number within [least, most]. `unit` follows the bounds in messages. */
export function wholeNumber(flag: string, value: string, least: number, most: number, unit = ''): number {
  const allowed = `a whole number from ${least} to ${most}${unit === '' ? '' : ` ${unit}`}`;
  if (!/^\d{1,16}$/.test(value)) throw badValue(flag, value, 'not a whole number', allowed);
  const number = Number(value);
  if (number < least || number > most) throw badValue(flag, value, 'out of range', allowed);
  return number;
}

/** A positive number, fractions allowed, within [least, most]. */
export function positiveNumber(flag: string, value: string, least: number, most: number, unit: string): number {
  const allowed = `a number from ${least} to ${most} ${unit}`;
  if (!/^\d{1,9}(\.\d{1,9})?$/.test(value)) throw badValue(flag, value, 'not a number', allowed);
  const number = Number(value);
  if (number < least || number > most) throw badValue(flag, value, 'out of range', allowed);
  return number;
}

/** Permission bits in octal, with or without a leading 0 or 0o. */
export function permissionBits(flag: string, value: string): number {
  const match = /^(?:0o?)?([0-7]{1,3})$/.exec(value);
  const digits = match?.[1];
  if (digits === undefined) throw badValue(flag, value, 'not octal permissions', '0000 to 0777, e.g. 0755');
  return Number.parseInt(digits, 8);
}

/** Longest time to live: a hundred years, as in Mountpoint. */
const TTL_SECONDS_MAX = 3_153_600_000;
/** What `minimal` stands for: names and attributes may be one second old. */
export const MINIMAL_TTL_MS = 1000;

/** SECONDS, `minimal` or `indefinite` (null). 0 is an old spelling of `minimal`. */
export function timeToLiveMs(flag: string, value: string): number | null {
  if (value === 'minimal') return MINIMAL_TTL_MS;
  if (value === 'indefinite') return null;
  const allowed = `SECONDS from 0 to ${TTL_SECONDS_MAX}, minimal, indefinite`;
  if (!/^\d{1,16}$/.test(value)) throw badValue(flag, value, 'not a time to live', allowed);
  const seconds = Number(value);
  if (seconds > TTL_SECONDS_MAX) throw badValue(flag, value, 'out of range', allowed);
  return Math.max(seconds * 1000, MINIMAL_TTL_MS);
}

/** One of a few words. */
export function oneOf<T extends string>(flag: string, value: string, words: readonly T[]): T {
  const found = words.find((word) => word === value);
  if (found === undefined) throw badValue(flag, value, 'not known', words.join(', '));
  return found;
}

/** An http or https URL without user, query and fragment; returned without a trailing slash. */
export function endpointUrl(flag: string, value: string): string {
  const allowed = 'a URL such as https://s3.example.com or http://127.0.0.1:9000';
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(value))
    throw badValue(flag, value, 'not a URL (http:// or https:// is missing)', allowed);
  let url: URL;
  try {
    url = new URL(value);
  } catch {
    throw badValue(flag, value, 'not a URL', allowed);
  }
  if (url.protocol !== 'http:' && url.protocol !== 'https:')
    throw badValue(flag, value, 'neither http nor https', allowed);
  if (url.username !== '' || url.password !== '') {
    throw badValue(flag, `${url.protocol}//...@${url.host}`, 'credentials do not belong into the URL', allowed);
  }
  if (url.search !== '' || url.hash !== '')
    throw badValue(flag, value, 'a query or fragment does not belong here', allowed);
  return url.href.replace(/\/+$/, '');
}
