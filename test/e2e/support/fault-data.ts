/**
 * A bucket whose many keys share few files: every fault case has a key of its own (nothing of it is in any cache before
 * its reader comes), and the disk holds three objects. Keys are hard links, which the embedded server takes for objects.
 */
import { randomBytes } from 'node:crypto';
import { linkSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sizeBytes, type SizeName } from './fault-cases.js';

export const FAULT_BUCKET = 'faulty';

/** Directories for the control plane's cases, each with this many files of one byte each. */
export const DIRECTORY_FILES = 3;

export interface FaultData {
  /** Folder of the buckets, for the server. */
  readonly dataDir: string;
  original(size: SizeName): string;
  remove(): void;
}

export function writeFaultData(keys: readonly { key: string; size: SizeName }[], directories: number): FaultData {
  const work = mkdtempSync(join(tmpdir(), 'mount-s3x-faults-'));
  const original = (size: SizeName): string => join(work, size);
  for (const [size, bytes] of Object.entries(sizeBytes)) writeFileSync(join(work, size), randomBytes(bytes));
  const dataDir = join(work, 'buckets');
  const bucket = join(dataDir, FAULT_BUCKET);
  mkdirSync(bucket, { recursive: true });
  for (const { key, size } of keys) linkSync(original(size), join(bucket, key));
  for (let at = 0; at < directories; at++) {
    mkdirSync(join(bucket, directoryName(at)));
    for (let file = 0; file < DIRECTORY_FILES; file++) writeFileSync(join(bucket, directoryName(at), `${file}`), 'x');
  }
  return { dataDir, original, remove: () => rmSync(work, { recursive: true, force: true }) };
}

export function directoryName(at: number): string {
  return `dir${String(at).padStart(3, '0')}`;
}
