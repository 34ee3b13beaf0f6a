/**
 * What an ETag proves of an object's first bytes: MD5 of one PUT, MD5 of the MD5s of equal parts, and nothing else.
 */
import { createHash } from 'node:crypto';
import t from 'tap';
import { MIB } from '../../src/base/units.js';
import { sumsFor } from '../../src/fs/growing-files.js';

const md5 = (bytes: Uint8Array): Buffer => createHash('md5').update(bytes).digest();

function multipart(bytes: Uint8Array, partBytes: number): string {
  const sums: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += partBytes) sums.push(md5(bytes.subarray(at, at + partBytes)));
  return `"${md5(Buffer.concat(sums)).toString('hex')}-${sums.length}"`;
}

/** Fed in pieces that fit nothing. */
function matches(etag: string, bytes: Uint8Array): boolean {
  const sums = sumsFor({ etag, sizeBytes: bytes.length });
  for (let at = 0; at < bytes.length; at += 999_999) {
    for (const sum of sums) sum.add(bytes.subarray(at, Math.min(bytes.length, at + 999_999)));
  }
  return sums.some((sum) => sum.matches());
}

const body = Buffer.alloc(17 * MIB + 5, 'some bytes of a log\n');
const changed = Buffer.from(body);
changed[9 * MIB] = (changed[9 * MIB] ?? 0) ^ 1;

void t.test('one PUT', (t) => {
  const etag = `"${md5(body).toString('hex')}"`;
  t.ok(matches(etag, body));
  t.ok(matches(etag.replaceAll('"', ''), body), 'some stores leave the quotes out');
  t.notOk(matches(etag, changed), 'one bit');
  t.end();
});

void t.test('parts of a common size', (t) => {
  for (const mebibytes of [5, 8, 10, 16, 32]) {
    const etag = multipart(body, mebibytes * MIB);
    t.ok(matches(etag, body), `${mebibytes} MiB`);
    t.notOk(matches(etag, changed), `${mebibytes} MiB, one bit`);
  }
  t.ok(matches(multipart(body.subarray(0, 16 * MIB), 8 * MIB), body.subarray(0, 16 * MIB)), 'whole parts');
  t.notOk(matches(multipart(body, 7 * MIB), body), 'an uncommon one proves nothing');
  t.end();
});

void t.test('what is no sum of the bytes proves nothing', (t) => {
  for (const etag of ['', '"abc"', '"0123456789abcdef0123456789abcdeg"', `"${'0'.repeat(32)}-99999"`]) {
    t.same(sumsFor({ etag, sizeBytes: 10 }), [], etag);
  }
  t.end();
});
