/**
 * The benchmark's data set, written as plain files for the embedded server: big/0-3 (1 GiB), mid/0-15 (16 MiB),
 * small/00000-01999 (40 kB), list/000000-019999 (1 byte). Random bytes, so that nothing on the way can compress them.
 * Usage: node dist/bench/data-set.js DIRECTORY [--list N]; refuses a directory that already holds other things.
 */
import { randomFillSync } from 'node:crypto';
import { closeSync, existsSync, linkSync, mkdirSync, openSync, readdirSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

const MIB = 1024 * 1024;

export interface BenchDataSetOptions {
  readonly bigBytes: number;
  readonly listEntries: number;
}

export const benchDataSet: BenchDataSetOptions = { bigBytes: 1024 * MIB, listEntries: 20_000 };

function writeRandom(path: string, bytes: number, piece: Buffer): void {
  const file = openSync(path, 'w');
  for (let done = 0; done < bytes; done += piece.length) {
    randomFillSync(piece, 0, Math.min(MIB, piece.length));
    writeSync(file, piece, 0, Math.min(piece.length, bytes - done));
  }
  closeSync(file);
}

/** Writes the data set below `root` unless it is there already. */
export function writeBenchDataSet(root: string, options: BenchDataSetOptions = benchDataSet): void {
  // Beside the bucket's folder, not in it: everything in it is an object.
  const marker = `${root}.complete`;
  if (existsSync(marker)) return;
  if (existsSync(root) && readdirSync(root).length > 0) {
    throw new Error(`${root} is not empty and not a finished data set: remove it or name another directory`);
  }
  for (const name of ['big', 'mid', 'small', 'list']) mkdirSync(join(root, name), { recursive: true });
  const piece = randomFillSync(Buffer.alloc(8 * MIB));
  for (let at = 0; at < 4; at++) writeRandom(join(root, 'big', String(at)), options.bigBytes, piece);
  for (let at = 0; at < 16; at++) writeRandom(join(root, 'mid', String(at)), 16 * MIB, piece);
  for (let at = 0; at < 2000; at++) {
    writeFileSync(join(root, 'small', String(at).padStart(5, '0')), piece.subarray(at, at + 40_000));
  }
  for (let at = 0; at < options.listEntries; at++) writeFileSync(join(root, 'list', String(at).padStart(6, '0')), 'x');
  writeFileSync(marker, '');
}

/** Keys of the bucket that `writeManyKeys` writes, all below many/. */
export const MANY_KEYS = 1_000_000;
/** Names of one file: ext4 allows 65,000 links. */
const LINKS_OF_ONE_FILE = 60_000;

/** Writes a bucket of a million keys of one byte, as hard links: about 10 s and 200 MB of the kernel's memory on tmpfs. */
export function writeManyKeys(root: string): void {
  const marker = `${root}.complete`;
  if (existsSync(marker)) return;
  const folder = join(root, 'many');
  mkdirSync(folder, { recursive: true });
  let original = '';
  for (let at = 0; at < MANY_KEYS; at++) {
    const path = join(folder, `image-${String(at).padStart(8, '0')}.jpg`);
    if (existsSync(path)) continue;
    if (at % LINKS_OF_ONE_FILE === 0 || original === '') writeFileSync((original = path), 'x');
    else linkSync(original, path);
  }
  writeFileSync(marker, '');
}

const [, program, directory, ...rest] = process.argv;
if (program?.endsWith('bench/data-set.js')) {
  if (!directory) {
    console.error('usage: data-set.js DIRECTORY [--list N]');
    process.exit(2);
  }
  const listAt = rest.indexOf('--list');
  const listEntries = listAt >= 0 ? Number(rest[listAt + 1]) : benchDataSet.listEntries;
  writeBenchDataSet(directory, { ...benchDataSet, listEntries });
}
