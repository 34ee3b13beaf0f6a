/**
 * What an answer's head says that its bytes must sum up to. Pure: header values in, an expectation out.
 * S3 sends x-amz-checksum-* when asked with x-amz-checksum-mode, for a whole object or for one part asked by number. A
 * value with "-N" behind it sums up the sums of N parts, so it says nothing about bytes in a row unless N is 1.
 * Refuses values of ranges: S3 sends none, and stores that do disagree whether the range or the object is meant.
 */
import { CHECKSUM_NAMES, startChecksum, type ChecksumName, type RunningChecksum } from './running-checksum.js';

/** What the bytes of one answer must sum up to. */
export interface ExpectedChecksum {
  readonly name: ChecksumName;
  /** Base64 as on the wire, without a suffix; for MD5 lower-case hexadecimal. */
  readonly value: string;
  /** The value is the checksum of the one part's checksum. */
  readonly isOfParts: boolean;
}

/** The part of a response head that this file needs. */
export interface HeaderSource {
  get(lowerName: string): string | undefined;
}

/** Bytes in base64 of each value, padding included: a value of another length is not one that we know. */
const BASE64_CHARS: Readonly<Record<Exclude<ChecksumName, 'MD5'>, number>> = {
  CRC32: 8,
  CRC32C: 8,
  CRC64NVME: 12,
  SHA1: 28,
  SHA256: 44,
};

/** The cheapest usable checksum of an answer that is a whole object or a whole part. */
export function expectedChecksum(head: HeaderSource): ExpectedChecksum | undefined {
  for (const name of CHECKSUM_NAMES) {
    if (name === 'MD5') continue;
    const text = head.get(`x-amz-checksum-${name.toLowerCase()}`);
    if (text === undefined) continue;
    const isOfParts = text.endsWith('-1');
    const value = isOfParts ? text.slice(0, -2) : text;
    if (value.length === BASE64_CHARS[name]) return { name, value, isOfParts };
  }
  return undefined;
}

/**
 * The MD5 that the ETag of a whole object is: 32 hexadecimal digits, and no encryption that makes it something else
 * (SSE-KMS and SSE-C; directory buckets never have it). Source: "Object" in the S3 API reference.
 */
export function md5OfEtag(head: HeaderSource, etag: string): ExpectedChecksum | undefined {
  const match = /^"?([0-9a-fA-F]{32})"?$/.exec(etag);
  if (!match) return undefined;
  const encryption = head.get('x-amz-server-side-encryption') ?? 'AES256';
  if (encryption !== 'AES256' || head.get('x-amz-server-side-encryption-customer-algorithm') !== undefined) {
    return undefined;
  }
  return { name: 'MD5', value: (match[1] ?? '').toLowerCase(), isOfParts: false };
}

/** The value that `running` came to, in the form of `expected.value`; the checksum is used up. */
export function finalValue(expected: ExpectedChecksum, running: RunningChecksum): string {
  let digest = running.digest();
  if (expected.isOfParts) {
    const outer = startChecksum(expected.name);
    outer.update(digest);
    digest = outer.digest();
  }
  return digest.toString(expected.name === 'MD5' ? 'hex' : 'base64');
}
