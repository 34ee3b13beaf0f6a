/**
 * Which directories' files are read from start to end: the next file of such a directory gets a large window with its first
 * read, instead of finding out by three round trips what the files before it have shown (shards of a data set; measured on
 * 16 files of 16 MiB, two readers, 20 ms: docs/BENCHMARKS.md).
 * Pure. Bounded by DIRECTORIES_MAX; one file that was not read to its end takes the large window back.
 * Refuses small files (they come whole, siblings are fetched by the file system) and what was read at random.
 */
import { LRUCache } from 'lru-cache';
import { BLOCK_BYTES } from '../base/pool/layout.js';
import { MIB } from '../base/units.js';

/** Directories whose readers are remembered (about 200 bytes each). */
const DIRECTORIES_MAX = 256;

/** So many files in a row have to be read whole. */
const FILES_TO_TRUST = 2;

/** What a trusted file's first read asks for, at most: as much as a stream's third window. */
export const TRUSTED_WINDOW_BYTES = 32 * MIB;

export class WholeReads {
  /** Files read whole in a row, by directory. */
  readonly #runs = new LRUCache<string, number>({ max: DIRECTORIES_MAX });

  /** The window of a file's first read, undefined for the usual one. */
  firstWindowBytes(key: string, sizeBytes: number): number | undefined {
    if ((this.#runs.get(directoryOf(key)) ?? 0) < FILES_TO_TRUST) return undefined;
    return Math.min(TRUSTED_WINDOW_BYTES, Math.ceil(sizeBytes / BLOCK_BYTES) * BLOCK_BYTES);
  }

  /** A handle of the file was closed; `isWhole`: it was read from its start to its end, in order. */
  closed(key: string, sizeBytes: number, isWhole: boolean): void {
    if (sizeBytes <= BLOCK_BYTES) return;
    const directory = directoryOf(key);
    this.#runs.set(directory, isWhole ? Math.min((this.#runs.get(directory) ?? 0) + 1, FILES_TO_TRUST) : 0);
  }
}

function directoryOf(key: string): string {
  return key.slice(0, key.lastIndexOf('/') + 1);
}
