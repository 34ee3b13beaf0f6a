/**
 * S3's five checksum algorithms behind one running interface, and the headers that carry them.
 *
 * CRC32 and CRC32C come from @node-rs/crc32, the hashes from node:crypto, CRC64NVME from the file beside this one.
 * Values are base64 of big-endian bytes, as on the wire.
 */
import { createHash } from 'node:crypto';
import { crc32, crc32c } from '@node-rs/crc32';
import { S3Error } from '../errors.js';
import type { ChecksumName, StoredChecksum } from '../storage/object-record.js';
import { Crc64Nvme } from './crc64nvme.js';

/** A running checksum. */
export interface Checksum {
  update(data: Buffer): void;
  /** Raw bytes, big-endian for CRCs. Call once. */
  digest(): Buffer;
}

export const CHECKSUM_NAMES: readonly ChecksumName[] = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'];

/** Length of the raw value. */
const DIGEST_BYTES: Record<ChecksumName, number> = { CRC32: 4, CRC32C: 4, CRC64NVME: 8, SHA1: 20, SHA256: 32 };

class Crc32 implements Checksum {
  readonly #step: (data: Buffer, state: number) => number;
  #state = 0;

  constructor(step: (data: Buffer, state: number) => number) {
    this.#step = step;
  }

  update(data: Buffer): void {
    this.#state = this.#step(data, this.#state);
  }

  digest(): Buffer {
    const out = Buffer.alloc(4);
    out.writeUInt32BE(this.#state >>> 0);
    return out;
  }
}

/** A new running checksum. */
export function createChecksum(name: ChecksumName): Checksum {
  switch (name) {
    case 'CRC32':
      return new Crc32(crc32);
    case 'CRC32C':
      return new Crc32(crc32c);
    case 'CRC64NVME':
      return new Crc64Nvme();
    case 'SHA1':
    case 'SHA256': {
      const hash = createHash(name.toLowerCase());
      return { update: (data) => void hash.update(data), digest: () => hash.digest() };
    }
  }
}

/** `x-amz-checksum-crc32` and so on. */
export function checksumHeader(name: ChecksumName): string {
  return `x-amz-checksum-${name.toLowerCase()}`;
}

/** `ChecksumCRC32` and so on, the XML element. */
export function checksumElement(name: ChecksumName): string {
  return `Checksum${name}`;
}

/** The algorithm of a header's value, in any case. Throws S3Error InvalidRequest. */
export function parseChecksumName(text: string): ChecksumName {
  const name = CHECKSUM_NAMES.find((candidate) => candidate === text.toUpperCase());
  if (name === undefined) {
    throw new S3Error('InvalidRequest', {
      message:
        'Checksum algorithm provided is unsupported. Please try again with any of the valid types: [CRC32, CRC32C, CRC64NVME, SHA1, SHA256]',
    });
  }
  return name;
}

/** True when `value` is base64 of the right length for the algorithm. */
export function isChecksumValue(name: ChecksumName, value: string): boolean {
  const raw = Buffer.from(value, 'base64');
  return raw.length === DIGEST_BYTES[name] && raw.toString('base64') === value;
}

/** The checksum among a request's headers (or trailers), if any. Throws when there are several, or one is malformed. */
export function checksumFromHeaders(
  headers: ReadonlyMap<string, string>,
): { algorithm: ChecksumName; value: string } | undefined {
  let found: { algorithm: ChecksumName; value: string } | undefined;
  for (const algorithm of CHECKSUM_NAMES) {
    const value = headers.get(checksumHeader(algorithm));
    if (value === undefined) continue;
    if (found !== undefined) {
      throw new S3Error('InvalidRequest', {
        message: 'Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.',
      });
    }
    if (!isChecksumValue(algorithm, value)) {
      throw new S3Error('InvalidRequest', { message: `Value for ${checksumHeader(algorithm)} header is invalid.` });
    }
    found = { algorithm, value };
  }
  return found;
}

/** What a Create without a checksum type gets, by algorithm (S3 User Guide, "Checking object integrity"). */
export function defaultChecksumType(algorithm: ChecksumName): StoredChecksum['type'] {
  return algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE';
}
