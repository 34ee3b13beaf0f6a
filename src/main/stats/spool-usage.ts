/**
 * How much of the disk the spool takes: what its files occupy, not how long they are (they are sparse).
 * Asynchronous, for the spool may lie on a slow disk; bounded in files. Refuses to throw: no directory is no file.
 */
import { opendir, stat } from 'node:fs/promises';
import { join } from 'node:path';

/** More are not looked at (guessed: as many written files as one mount has). */
const FILES_MAX = 4096;
/** stat(2): st_blocks counts these, whatever the file system's block is. */
const BLOCK_BYTES = 512;

export interface SpoolUsage {
  readonly files: number;
  readonly bytes: number;
}

/** Of the whole directory: this mount's, and what others left or share. */
export async function spoolUsage(directory: string): Promise<SpoolUsage> {
  let [files, bytes] = [0, 0];
  try {
    for await (const entry of await opendir(directory)) {
      if (!entry.isFile()) continue;
      if (++files > FILES_MAX) break;
      bytes += await stat(join(directory, entry.name)).then(
        ({ blocks }) => blocks * BLOCK_BYTES,
        () => 0,
      );
    }
  } catch {
    // not made yet, or not ours to read
  }
  return { files, bytes };
}
