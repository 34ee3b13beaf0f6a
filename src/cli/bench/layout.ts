/**
 * The files that a benchmark reads: made by itself, or existing ones sorted by size. One big file, sixteen shards of together
 * as much, and small files in one directory. Pure: paths and sizes, nothing is touched.
 */
import { randomBytes } from 'node:crypto';
import { dirname, join } from 'node:path';
import { MIB } from '../../base/units.js';
import type { FileRef } from '../../workload/steps.js';

export const SHARDS = 16;
const SMALL_BYTES = 40_000;
const PAGE_BYTES = 4096;
/** An existing file counts as big from here on, and as small up to there. */
const BIG_BYTES_LEAST = 8 * MIB;
const SMALL_BYTES_MOST = MIB;
/** Directories begin with this, so that leftovers of a killed run are recognised. */
export const DATA_SET_PREFIX = '.mount-s3x-bench-';

export interface Layout {
  /** Directory that everything made lies in; undefined with existing files. */
  readonly root: string | undefined;
  /** Undefined where there is no file that fits. */
  readonly big: FileRef | undefined;
  readonly shards: readonly FileRef[];
  readonly small: readonly FileRef[];
  /** What `list` lists. */
  readonly listed: string;
  /** Where writing workloads put their files. */
  readonly output: string | undefined;
}

/** What is made below `root`, a name of dataSetRoot. */
export function ownLayout(root: string, bigBytes: number, smallFiles: number): Layout {
  const shardBytes = Math.ceil(bigBytes / SHARDS / PAGE_BYTES) * PAGE_BYTES;
  const small = join(root, 'small');
  const digits = String(smallFiles - 1).length;
  return {
    root,
    big: { path: join(root, 'big'), bytes: bigBytes, contentId: 1 },
    shards: Array.from({ length: SHARDS }, (_, at) => ({
      path: join(root, 'shards', `shard-${String(at).padStart(2, '0')}`),
      bytes: shardBytes,
      contentId: 100 + at,
    })),
    small: Array.from({ length: smallFiles }, (_, at) => ({
      path: join(small, `file-${String(at).padStart(digits, '0')}`),
      bytes: SMALL_BYTES,
      contentId: 1000 + at,
    })),
    listed: small,
    output: join(root, 'out'),
  };
}

/** The directories of a layout of ours, parents first. */
export function directoriesOf(root: string): string[] {
  return [root, ...['shards', 'small', 'out'].map((name) => join(root, name))];
}

/** A name for a directory of ours that no other run has. */
export function dataSetRoot(directory: string): string {
  return join(directory, `${DATA_SET_PREFIX}${process.pid}-${randomBytes(3).toString('hex')}`);
}

export function filesOf(layout: Layout): FileRef[] {
  return [...(layout.big ? [layout.big] : []), ...layout.shards, ...layout.small];
}

/** Existing files, by their sizes; the directory of the first small one is listed, or else `directory`. */
export function existingLayout(
  found: readonly { readonly path: string; readonly bytes: number }[],
  directory: string,
): Layout {
  const files = found.filter(({ bytes }) => bytes > 0).map((file): FileRef => ({ ...file, contentId: 0 }));
  const large = files.filter(({ bytes }) => bytes >= BIG_BYTES_LEAST).sort((a, b) => b.bytes - a.bytes);
  const small = files.filter(({ bytes }) => bytes <= SMALL_BYTES_MOST);
  const first = small[0]?.path;
  return {
    root: undefined,
    big: large[0],
    shards: large.length > 1 ? large.slice(1, 1 + SHARDS) : large,
    small,
    listed: first === undefined ? directory : dirname(first),
    output: undefined,
  };
}
