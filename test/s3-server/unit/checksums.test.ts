/**
 * Checksums against published vectors, and combining against computing over the whole.
 */
import fc from 'fast-check';
import t from 'tap';
import { combineCrcs } from '../../../dev/s3-server/checksums/crc-combine.js';
import {
  CHECKSUM_NAMES,
  checksumFromHeaders,
  createChecksum,
  isChecksumValue,
  parseChecksumName,
} from '../../../dev/s3-server/checksums/checksums.js';
import { Crc64Nvme } from '../../../dev/s3-server/checksums/crc64nvme.js';
import type { ChecksumName } from '../../../dev/s3-server/storage/object-record.js';

function hexOf(name: ChecksumName, data: Buffer): string {
  const running = createChecksum(name);
  running.update(data);
  return running.digest().toString('hex');
}

t.test('check values of "123456789"', (t) => {
  const check = Buffer.from('123456789');
  t.equal(hexOf('CRC32', check), 'cbf43926');
  t.equal(hexOf('CRC32C', check), 'e3069283');
  t.equal(hexOf('CRC64NVME', check), 'ae8b14860a799888');
  t.equal(hexOf('SHA1', check), 'f7c3bc1d808e04732adf679965ccc34ca7ae3441');
  t.equal(hexOf('SHA256', check), '15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225');
  t.end();
});

t.test('CRC64NVME of 4 KiB vectors of the NVMe base specification', (t) => {
  t.equal(hexOf('CRC64NVME', Buffer.alloc(4096)), '6482d367eb22b64e');
  t.equal(hexOf('CRC64NVME', Buffer.alloc(4096, 0xff)), 'c0ddba7302eca3ac');
  const up = Buffer.from(Array.from({ length: 4096 }, (_, at) => at % 256));
  t.equal(hexOf('CRC64NVME', up), '3e729f5f6750449c');
  t.equal(hexOf('CRC64NVME', Buffer.from(up).reverse()), '9a2df64b8e9e517e');
  t.end();
});

/** One bit at a time, as the definition says. */
function naiveCrc64(data: Uint8Array): string {
  let crc = 0xffffffffffffffffn;
  for (const byte of data) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1n) === 1n ? (crc >> 1n) ^ 0x9a6c9329ac4bc9b5n : crc >> 1n;
  }
  return (crc ^ 0xffffffffffffffffn).toString(16).padStart(16, '0');
}

t.test('CRC64NVME equals the bitwise definition, however the input is cut', (t) => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 }), (pieces) => {
      const crc = new Crc64Nvme();
      for (const piece of pieces) crc.update(piece);
      return crc.digest().toString('hex') === naiveCrc64(Buffer.concat(pieces));
    }),
  );
  t.end();
});

t.test('combined CRCs equal the CRC of the whole', (t) => {
  for (const name of ['CRC32', 'CRC32C', 'CRC64NVME'] as const) {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { minLength: 1, maxLength: 5 }), (pieces) => {
        const parts = pieces.map((piece) => ({
          bytes: piece.length,
          crc: Buffer.from(hexOf(name, Buffer.from(piece)), 'hex'),
        }));
        return combineCrcs(name, parts).toString('hex') === hexOf(name, Buffer.concat(pieces));
      }),
      { numRuns: 50 },
    );
  }
  t.throws(() => combineCrcs('SHA1', []));
  t.end();
});

t.test('names and values as headers carry them', (t) => {
  t.equal(parseChecksumName('crc64nvme'), 'CRC64NVME');
  t.throws(() => parseChecksumName('MD5'), { code: 'InvalidRequest' });
  t.ok(isChecksumValue('CRC32', 'O3HfiA=='));
  t.notOk(isChecksumValue('CRC32', 'O3HfiA'), 'padding is part of it');
  t.notOk(isChecksumValue('CRC64NVME', 'O3HfiA=='));
  t.same(checksumFromHeaders(new Map([['x-amz-checksum-crc32', 'O3HfiA==']])), {
    algorithm: 'CRC32',
    value: 'O3HfiA==',
  });
  t.equal(checksumFromHeaders(new Map([['x-amz-checksum-type', 'FULL_OBJECT']])), undefined);
  const two = new Map(CHECKSUM_NAMES.slice(0, 2).map((name) => [`x-amz-checksum-${name.toLowerCase()}`, 'O3HfiA==']));
  t.throws(() => checksumFromHeaders(two), { code: 'InvalidRequest' });
  t.end();
});
