/**
 * The five checksums of S3, computed apart from the server under test.
 *
 * CRC32 and CRC32C come from a native library, CRC64NVME is derived here from its definition so that it shares no mistake
 * with a library. Proved against the published check values at load.
 */
import assert from 'node:assert/strict';
import { crc32, crc32c } from '@node-rs/crc32';
import { createHash } from 'node:crypto';

/** S3's names of the algorithms. */
export const CHECKSUM_ALGORITHMS = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const;
export type Algorithm = (typeof CHECKSUM_ALGORITHMS)[number];

/** The digest in the byte order in which S3 base64s it (big endian). */
export function digest(algorithm: Algorithm, bytes: Buffer): Buffer {
  switch (algorithm) {
    case 'CRC32':
      return uint32(crc32(bytes));
    case 'CRC32C':
      return uint32(crc32c(bytes));
    case 'CRC64NVME':
      return crc64nvme(bytes);
    case 'SHA1':
      return createHash('sha1').update(bytes).digest();
    case 'SHA256':
      return createHash('sha256').update(bytes).digest();
  }
}

/** As it stands in `x-amz-checksum-*`. */
export function checksumOf(algorithm: Algorithm, bytes: Buffer): string {
  return digest(algorithm, bytes).toString('base64');
}

/** The composite checksum of a multipart object: the digest of the parts' digests, `-N`. */
export function compositeChecksumOf(algorithm: Algorithm, parts: readonly Buffer[]): string {
  return `${checksumOf(algorithm, Buffer.concat(parts.map((part) => digest(algorithm, part))))}-${parts.length}`;
}

/** The header that carries a checksum. */
export function checksumHeader(algorithm: Algorithm): string {
  return `x-amz-checksum-${algorithm.toLowerCase()}`;
}

/** The SDK's field that carries a checksum. */
export function checksumField(algorithm: Algorithm): `Checksum${Algorithm}` {
  return `Checksum${algorithm}`;
}

/** MD5 as it stands in an ETag, with quotes. */
export function etagOf(bytes: Buffer | string): string {
  return `"${createHash('md5').update(bytes).digest('hex')}"`;
}

/** ETag of a multipart object. */
export function multipartEtagOf(parts: readonly Buffer[]): string {
  const digests = parts.map((part) => createHash('md5').update(part).digest());
  return `"${createHash('md5').update(Buffer.concat(digests)).digest('hex')}-${parts.length}"`;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

/** Per byte value, the high and the low 32 bits of its remainder. */
const CRC64_TABLE = Array.from({ length: 256 }, (_unused, byte) => {
  let crc = BigInt(byte);
  for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1n) === 1n ? (crc >> 1n) ^ 0x9a6c9329ac4bc9b5n : crc >> 1n;
  return { high: Number(crc >> 32n) | 0, low: Number(crc & 0xffffffffn) | 0 };
});

function crc64nvme(bytes: Buffer): Buffer {
  let high = -1;
  let low = -1;
  for (const byte of bytes) {
    const entry = CRC64_TABLE[(low ^ byte) & 0xff];
    assert.ok(entry !== undefined);
    low = ((low >>> 8) | (high << 24)) ^ entry.low;
    high = (high >>> 8) ^ entry.high;
  }
  return Buffer.concat([uint32(~high), uint32(~low)]);
}

const CHECK = Buffer.from('123456789');
assert.equal(digest('CRC32', CHECK).toString('hex'), 'cbf43926');
assert.equal(digest('CRC32C', CHECK).toString('hex'), 'e3069283');
assert.equal(digest('CRC64NVME', CHECK).toString('hex'), 'ae8b14860a799888');
