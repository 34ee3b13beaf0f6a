/**
 * The CRC of a whole from the CRCs of its parts, without their bytes: crc(A+B) = crc(A) * x^(8*|B|) + crc(B), over GF(2)
 * modulo the polynomial. S3 does this when a multipart upload has a FULL_OBJECT checksum.
 *
 * BigInt arithmetic: some microseconds a part, and the same code serves 32 and 64 bits.
 */
import type { ChecksumName } from '../storage/object-record.js';

/** Reflected polynomials. */
const POLYNOMIALS: Partial<Record<ChecksumName, { bits: bigint; poly: bigint }>> = {
  CRC32: { bits: 32n, poly: 0xedb88320n },
  CRC32C: { bits: 32n, poly: 0x82f63b78n },
  CRC64NVME: { bits: 64n, poly: 0x9a6c9329ac4bc9b5n },
};

/** Product of two polynomials in reflected form (bit 0 is the highest power). */
function multiply(a: bigint, b: bigint, bits: bigint, poly: bigint): bigint {
  let product = 0n;
  for (let mask = 1n << (bits - 1n); mask > 0n; mask >>= 1n) {
    if ((a & mask) !== 0n) product ^= b;
    b = (b & 1n) !== 0n ? (b >> 1n) ^ poly : b >> 1n;
  }
  return product;
}

/** x^(8 * bytes). */
function shiftBy(bytes: number, bits: bigint, poly: bigint): bigint {
  let result = 1n << (bits - 1n); // x^0
  let square = 1n << (bits - 9n); // x^8
  for (let left = BigInt(bytes); left > 0n; left >>= 1n) {
    if ((left & 1n) !== 0n) result = multiply(result, square, bits, poly);
    square = multiply(square, square, bits, poly);
  }
  return result;
}

/**
 * CRC of the concatenation of parts, each with its length and its CRC (big-endian bytes).
 * @throws Error for an algorithm that is not a CRC
 */
export function combineCrcs(algorithm: ChecksumName, parts: readonly { bytes: number; crc: Buffer }[]): Buffer {
  const row = POLYNOMIALS[algorithm];
  if (row === undefined) throw new Error(`${algorithm} cannot be combined`);
  let total = 0n;
  for (const part of parts) {
    total =
      multiply(total, shiftBy(part.bytes, row.bits, row.poly), row.bits, row.poly) ^
      BigInt(`0x${part.crc.toString('hex')}`);
  }
  return Buffer.from(total.toString(16).padStart(Number(row.bits) / 4, '0'), 'hex');
}
