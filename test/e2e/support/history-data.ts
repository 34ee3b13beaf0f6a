/**
 * The tree that random histories read: files of all sizes around block and page edges, deep and odd names, a directory
 * of several listing pages, a data set of small files, and shards: each of the last two larger than the smallest pool.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const MIB = 1024 * 1024;

const sizes = [0, 1, 4095, 4096, 4097, 70_000, MIB - 1, MIB, MIB + 1, 2 * MIB, 3 * MIB + 12_345];

/** Files as of an image data set, more than the smallest pool holds; the sizes lie around what shares a slot (64 KiB). */
const IMAGES = 2000;
const IMAGE_BYTES_MAX = 72_000;

/** Names in one directory: more than two LIST pages. */
const MANY = 2300;

export function writeHistoryData(bucket: string): void {
  const make = (name: string, bytes: number): void => writeFileSync(join(bucket, name), randomBytes(bytes));
  mkdirSync(join(bucket, 'sizes'), { recursive: true });
  for (const bytes of sizes) make(`sizes/${bytes}`, bytes);
  mkdirSync(join(bucket, 'deep/er/and deeper/ünï'), { recursive: true });
  for (const [at, bytes] of [10, 5000, MIB + 5000].entries()) {
    make(`deep/f${at}`, bytes);
    make(`deep/er/f ${at}`, bytes);
    make(`deep/er/and deeper/ünï/ƒ${at}%20+`, bytes);
  }
  mkdirSync(join(bucket, 'many'));
  for (let at = 0; at < MANY; at++) make(`many/${at}-${'x'.repeat(at % 50)}`, at % 300);
  for (let at = 0; at < IMAGES; at++) {
    const directory = `images/class ${at % 4}`;
    if (at < 4) mkdirSync(join(bucket, directory), { recursive: true });
    const edges = [65_535, 65_536, 65_537, 0];
    make(`${directory}/${at}.jpg`, edges[at % 50] ?? (at * 7919) % IMAGE_BYTES_MAX);
  }
  mkdirSync(join(bucket, 'shards'));
  for (let at = 0; at < 4; at++) make(`shards/${at}.tar`, 24 * MIB + at * 100_001);
}
