/**
 * Checksums against published check values, against a naive bit-by-bit CRC, and in all cuts; what heads say of them.
 */
import { createHash } from 'node:crypto';
import fc from 'fast-check';
import t from 'tap';
import { Crc64Nvme } from '../../../src/engine/checksum/crc64nvme.js';
import { expectedChecksum, finalValue, md5OfEtag } from '../../../src/engine/checksum/expected-checksum.js';
import { CHECKSUM_NAMES, startChecksum, type ChecksumName } from '../../../src/engine/checksum/running-checksum.js';

const digits = Buffer.from('123456789');

t.test('check values of the catalogue of CRCs, and of the hashes', (t) => {
  const known: Record<ChecksumName, string> = {
    CRC32: 'cbf43926',
    CRC32C: 'e3069283',
    CRC64NVME: 'ae8b14860a799888',
    SHA1: 'f7c3bc1d808e04732adf679965ccc34ca7ae3441',
    SHA256: '15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225',
    MD5: '25f9e794323b453885f5181f1b624d0b',
  };
  for (const name of CHECKSUM_NAMES) {
    const running = startChecksum(name);
    running.update(digits);
    t.equal(running.digest().toString('hex'), known[name], name);
  }
  t.end();
});

/** Bit by bit, in BigInt: slow and plain. */
function naiveCrc64(data: Uint8Array): string {
  let crc = 0xffff_ffff_ffff_ffffn;
  for (const byte of data) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ 0x9a6c9329ac4bc9b5n : crc >> 1n;
  }
  return (crc ^ 0xffff_ffff_ffff_ffffn).toString(16).padStart(16, '0');
}

t.test('CRC64NVME is the naive one, wherever the bytes lie', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 100 }), fc.nat(9), (data, shift) => {
      const shared = new Uint8Array(new SharedArrayBuffer(data.length + shift));
      shared.set(data, shift);
      const running = new Crc64Nvme();
      running.update(shared.subarray(shift));
      return running.digest().toString('hex') === naiveCrc64(data);
    }),
  );
  t.end();
});

t.test('every checksum is the same however the bytes are cut', (t) => {
  fc.assert(
    fc.property(fc.constantFrom(...CHECKSUM_NAMES), fc.uint8Array({ maxLength: 300 }), fc.nat(), (name, data, seed) => {
      const whole = startChecksum(name);
      whole.update(data);
      const cut = startChecksum(name);
      for (let at = 0, step = 1 + (seed % 37); at < data.length; at += step) cut.update(data.subarray(at, at + step));
      return whole.digest().equals(cut.digest());
    }),
  );
  t.end();
});

const head = (headers: Record<string, string>): { get(name: string): string | undefined } => ({
  get: (name) => headers[name],
});

t.test('what a head says', (t) => {
  const crc32 = 'y/Q5Jg==';
  t.same(expectedChecksum(head({ 'x-amz-checksum-crc32': crc32 })), { name: 'CRC32', value: crc32, isOfParts: false });
  t.same(
    expectedChecksum(head({ 'x-amz-checksum-sha256': 'A'.repeat(44), 'x-amz-checksum-crc64nvme': 'rosUhgp5mIg=' })),
    { name: 'CRC64NVME', value: 'rosUhgp5mIg=', isOfParts: false },
    'the cheapest of several',
  );
  t.same(
    expectedChecksum(head({ 'x-amz-checksum-crc32': `${crc32}-1` })),
    { name: 'CRC32', value: crc32, isOfParts: true },
    'of one part',
  );
  t.equal(expectedChecksum(head({ 'x-amz-checksum-crc32': `${crc32}-2` })), undefined, 'of two parts');
  t.equal(expectedChecksum(head({ 'x-amz-checksum-crc32': 'short' })), undefined, 'something else');
  t.equal(expectedChecksum(head({ 'x-amz-checksum-xxhash64': 'y/Q5Jg==' })), undefined, 'unknown');
  t.equal(expectedChecksum(head({})), undefined);
  t.end();
});

t.test('final values in the form of the wire', (t) => {
  for (const [name, headerValue] of [
    ['CRC32', 'y/Q5Jg=='],
    ['CRC64NVME', 'rosUhgp5mIg='],
  ] as const) {
    const running = startChecksum(name);
    running.update(digits);
    t.equal(finalValue({ name, value: '', isOfParts: false }, running), headerValue);
  }
  const running = startChecksum('SHA256');
  running.update(digits);
  const inner = createHash('sha256').update(digits).digest();
  const outer = createHash('sha256').update(inner).digest('base64');
  t.equal(finalValue({ name: 'SHA256', value: '', isOfParts: true }, running), outer, 'of one part');
  t.end();
});

t.test('ETags that are MD5, and those that are not', (t) => {
  const md5 = '25f9e794323b453885f5181f1b624d0b';
  t.equal(md5OfEtag(head({}), `"${md5}"`)?.value, md5);
  t.equal(md5OfEtag(head({ 'x-amz-server-side-encryption': 'AES256' }), `"${md5.toUpperCase()}"`)?.value, md5);
  t.equal(md5OfEtag(head({ 'x-amz-server-side-encryption': 'aws:kms' }), `"${md5}"`), undefined);
  t.equal(md5OfEtag(head({ 'x-amz-server-side-encryption': 'aws:kms:dsse' }), `"${md5}"`), undefined);
  t.equal(md5OfEtag(head({ 'x-amz-server-side-encryption-customer-algorithm': 'AES256' }), `"${md5}"`), undefined);
  t.equal(md5OfEtag(head({}), `"${md5}-3"`), undefined, 'parts');
  t.end();
});
