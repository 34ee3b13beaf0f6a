/**
 * One LIST page as columns in one ArrayBuffer: built by whoever parsed the answer, transferred to the main thread without
 * a copy, read there by row. Names and ETags are UTF-8 in one arena, numbers in typed arrays: about 100 bytes an entry,
 * and nothing for the garbage collector to walk through.
 * Rows are sorted by key bytes, without duplicates; keys stand relative to the listed prefix, a directory's with its slash.
 * A listing without a delimiter has a row for each key, as it is.
 * Plain data: refuses to judge, to know the mount, and to change.
 */
import type { ObjectHead } from '../api.js';

/** Row flags. */
export const ROW_DIRECTORY = 1;
/** A file that a directory of the same page hides. */
export const ROW_SHADOWED = 2;
/** An archived object with a restored copy. */
export const ROW_RESTORED = 8;

/** A parsed LIST page. Can be posted: `buffer` in the transfer list. */
export interface ListColumns {
  readonly rows: number;
  /**
   * sizes f64[rows] · LastModified ms f64[rows] · bounds u32[2 rows + 1] · flags u8[rows] · class u8[rows] · arena.
   * Row i's key is arena[bounds[2i], bounds[2i+1]), its ETag arena[bounds[2i+1], bounds[2i+2]).
   */
  readonly buffer: ArrayBuffer;
  /** Storage classes by the number in the class column; '' for STANDARD. */
  readonly classNames: readonly string[];
  /** Continues the listing; undefined on the last page. */
  readonly nextToken: string | undefined;
  /** Keys and prefixes in the answer, also those that have no row (the directory's own marker, impossible names). */
  readonly keys: number;
  /** Keys that cannot be file names, and files that a directory hides. */
  readonly hiddenKeys: number;
  readonly shadowedFiles: number;
  /** Least and greatest key of the answer relative to the prefix, rows or not; undefined without keys. */
  readonly firstKey: string | undefined;
  readonly lastKey: string | undefined;
  /** The answer itself was in key order (objects, and prefixes, each for themselves). */
  readonly isSorted: boolean;
}

/** Bytes that one row takes beside its arena. */
export const ROW_BYTES = 8 + 8 + 8 + 1 + 1;

export function columnsBytes(rows: number, arenaBytes: number): number {
  return rows * ROW_BYTES + 4 + arenaBytes;
}

/** The typed arrays of a page. */
export class ColumnViews {
  readonly sizes: Float64Array;
  readonly modified: Float64Array;
  readonly bounds: Uint32Array;
  readonly flags: Uint8Array;
  readonly classes: Uint8Array;
  readonly arena: Buffer;

  constructor(buffer: ArrayBuffer, rows: number) {
    let at = 0;
    this.sizes = new Float64Array(buffer, at, rows);
    at += rows * 8;
    this.modified = new Float64Array(buffer, at, rows);
    at += rows * 8;
    this.bounds = new Uint32Array(buffer, at, rows * 2 + 1);
    at += rows * 8 + 4;
    this.flags = new Uint8Array(buffer, at, rows);
    at += rows;
    this.classes = new Uint8Array(buffer, at, rows);
    at += rows;
    this.arena = Buffer.from(buffer, at);
  }
}

/** Rows [from, to) as columns of their own; the counts and keys of the whole page stay. */
export function sliceColumns(columns: ListColumns, from: number, to: number): ListColumns {
  const all = new ColumnViews(columns.buffer, columns.rows);
  const rows = to - from;
  const start = all.bounds[from * 2] ?? 0;
  const end = all.bounds[to * 2] ?? start;
  const buffer = new ArrayBuffer(columnsBytes(rows, end - start));
  const part = new ColumnViews(buffer, rows);
  part.sizes.set(all.sizes.subarray(from, to));
  part.modified.set(all.modified.subarray(from, to));
  for (let index = 0; index <= rows * 2; index++) part.bounds[index] = (all.bounds[from * 2 + index] ?? 0) - start;
  part.flags.set(all.flags.subarray(from, to));
  part.classes.set(all.classes.subarray(from, to));
  part.arena.set(all.arena.subarray(start, end));
  return { ...columns, rows, buffer };
}

/** The object of a file's row. `prefix` is what the keys are relative to. */
export function headOfRow(views: ColumnViews, classNames: readonly string[], row: number, prefix: string): ObjectHead {
  const { bounds, arena } = views;
  const keyEnd = bounds[row * 2 + 1] ?? 0;
  return {
    key: prefix + arena.toString('utf8', bounds[row * 2] ?? 0, keyEnd),
    etag: arena.toString('utf8', keyEnd, bounds[row * 2 + 2] ?? 0),
    sizeBytes: views.sizes[row] ?? 0,
    lastModifiedMs: views.modified[row] ?? 0,
    storageClass: classNames[views.classes[row] ?? 0] ?? '',
    restored: ((views.flags[row] ?? 0) & ROW_RESTORED) !== 0,
  };
}
