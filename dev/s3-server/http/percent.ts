/**
 * Percent-coding as S3 and its signatures use it, and the query string as a map.
 *
 * S3 encodes everything but unreserved characters, and signs the decoded and re-encoded form, so that clients which
 * escape more or less than others still agree. Text that is not UTF-8 is refused: S3 keys are UTF-8.
 */
import { S3Error } from '../errors.js';

const UNRESERVED_PATH = /^[A-Za-z0-9\-._~/]*$/;
const UNRESERVED = /^[A-Za-z0-9\-._~]*$/;

/** Decodes %XX. Throws S3Error InvalidURI when the result is not UTF-8. */
export function percentDecode(text: string): string {
  if (UNRESERVED_PATH.test(text)) return text;
  try {
    // Clients that send raw UTF-8 bytes arrive here as latin1 characters.
    const ascii = text.replace(/[\u0080-\u00ff]/g, (char) => `%${char.charCodeAt(0).toString(16)}`);
    return decodeURIComponent(ascii);
  } catch {
    throw new S3Error('InvalidURI');
  }
}

/** Encodes everything but `A-Z a-z 0-9 - . _ ~`. */
export function percentEncode(text: string): string {
  if (UNRESERVED.test(text)) return text;
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}

/** Encodes a path, keeping its slashes. */
export function percentEncodePath(path: string): string {
  if (UNRESERVED_PATH.test(path)) return path;
  return path.split('/').map(percentEncode).join('/');
}

/** A query's parameters in the order sent, decoded. A name without `=` has the value ''. */
export function parseQuery(rawQuery: string): [string, string][] {
  if (rawQuery === '') return [];
  const pairs: [string, string][] = [];
  for (const item of rawQuery.split('&')) {
    if (item === '') continue;
    const equals = item.indexOf('=');
    const name = equals < 0 ? item : item.slice(0, equals);
    const value = equals < 0 ? '' : item.slice(equals + 1);
    pairs.push([percentDecode(name.replaceAll('+', ' ')), percentDecode(value.replaceAll('+', ' '))]);
  }
  return pairs;
}
