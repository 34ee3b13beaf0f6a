/**
 * Collects what a LIST answer names, in the order in which it comes, and packs it into columns at the end: decoded, cut to
 * the directory, sorted, without duplicates and impossible names. Nothing can be decoded earlier, because some stores say
 * only after the keys how they encoded them.
 * Two sources feed it: the XML scanner with bytes, and the SDK's objects with strings (same packing, so the two agree).
 * Bounds: the answer's own, which its reader limits. Refuses to know XML.
 */
import { isUtf8 } from 'node:buffer';
import type { ListPage } from '../api.js';
import { ColumnViews, columnsBytes, ROW_DIRECTORY, ROW_RESTORED, ROW_SHADOWED, type ListColumns } from './columns.js';
import { compareBytes, isNameBytes, urlDecode, utf8 } from './bytes.js';

/** Storage classes of one page that are told apart: S3 has about a dozen, the rest of a stranger's becomes OTHER. */
const CLASSES_MAX = 255;
const OTHER_CLASS = 'OTHER';

/** Room for a page of 1,000 usual keys without growing. */
const ROWS_AT_FIRST = 1000;
const RAW_BYTES_AT_FIRST = 128 * 1024;

/** What one row needs beside its bytes. */
interface RowNumbers {
  sizeBytes: number;
  modifiedMs: number;
  storageClass: string;
  restored: boolean;
}

export interface ListingEnd {
  /** What the listing was asked for. */
  readonly prefix: string;
  /** Keys are URL-encoded. */
  readonly isEncoded: boolean;
  /** Asked for without a delimiter: every key is a row, also those with slashes, the marker, and impossible names. */
  readonly isTree: boolean;
  readonly nextToken: string | undefined;
}

export class RowCollector {
  /** Bytes of keys and ETags as they came; the scanner writes here and moves `rawEnd`. */
  raw: Uint8Array = new Uint8Array(RAW_BYTES_AT_FIRST);
  rawEnd = 0;
  #rows = 0;
  /** Key start, key end, ETag start, ETag end of each row. */
  #places = new Uint32Array(ROWS_AT_FIRST * 4);
  #sizes = new Float64Array(ROWS_AT_FIRST);
  #modified = new Float64Array(ROWS_AT_FIRST);
  #flags = new Uint8Array(ROWS_AT_FIRST);
  #classes = new Uint8Array(ROWS_AT_FIRST);
  readonly #classNames: string[] = [''];

  /** Makes room for `bytes` more in `raw`. */
  reserve(bytes: number): void {
    if (this.rawEnd + bytes <= this.raw.length) return;
    const grown = new Uint8Array(Math.max(this.raw.length * 2, this.rawEnd + bytes));
    grown.set(this.raw.subarray(0, this.rawEnd));
    this.raw = grown;
  }

  /** An object whose key and ETag stand in `raw` already. */
  object(keyFrom: number, keyTo: number, etagFrom: number, etagTo: number, numbers: RowNumbers): void {
    const row = this.#add(keyFrom, keyTo, etagFrom, etagTo);
    this.#sizes[row] = numbers.sizeBytes;
    this.#modified[row] = numbers.modifiedMs;
    this.#flags[row] = numbers.restored ? ROW_RESTORED : 0;
    this.#classes[row] = this.#classIndex(numbers.storageClass);
  }

  /** A common prefix whose name stands in `raw` already. */
  prefix(keyFrom: number, keyTo: number): void {
    const row = this.#add(keyFrom, keyTo, keyTo, keyTo);
    this.#sizes[row] = 0;
    this.#modified[row] = 0;
    this.#flags[row] = ROW_DIRECTORY;
    this.#classes[row] = 0;
  }

  /** Puts text into `raw`; returns where it ends (it begins at the `rawEnd` of before). */
  text(text: string): number {
    this.reserve(text.length * 3);
    const { written } = new TextEncoder().encodeInto(text, this.raw.subarray(this.rawEnd));
    this.rawEnd += written;
    return this.rawEnd;
  }

  /** The page. The collector is of no more use afterwards. */
  finish(end: ListingEnd): ListColumns {
    if (end.isEncoded) this.#decode();
    if (!isUtf8(this.raw.subarray(0, this.rawEnd))) this.#repair();
    const keys = this.#cut(end.prefix);
    const isSorted = this.#isInOrder(keys);
    const order = this.#order(keys, isSorted);
    const first = order[0];
    const last = order.at(-1);
    const kept: number[] = [];
    let hiddenKeys = 0;
    let previous: number | undefined;
    for (const row of order) {
      const from = this.#place(row, 0);
      const to = this.#place(row, 1);
      // The directory's own marker is not a name in it.
      if (from === to && !end.isTree) continue;
      const isDirectory = this.#flags[row] === ROW_DIRECTORY;
      if (!end.isTree && !isNameBytes(this.raw, from, isDirectory ? to - 1 : to)) hiddenKeys++;
      else if (previous === undefined || this.#compare(previous, row) !== 0) {
        kept.push(row);
        previous = row;
      }
    }
    return {
      ...this.#pack(kept),
      rows: kept.length,
      classNames: this.#classNames,
      nextToken: end.nextToken,
      keys: keys.length,
      hiddenKeys,
      firstKey: first === undefined ? undefined : this.#key(first),
      lastKey: last === undefined ? undefined : this.#key(last),
      isSorted,
    };
  }

  #add(keyFrom: number, keyTo: number, etagFrom: number, etagTo: number): number {
    const row = this.#rows++;
    if (row >= this.#sizes.length) this.#grow();
    this.#places[row * 4] = keyFrom;
    this.#places[row * 4 + 1] = keyTo;
    this.#places[row * 4 + 2] = etagFrom;
    this.#places[row * 4 + 3] = etagTo;
    return row;
  }

  #grow(): void {
    const rows = this.#sizes.length * 2;
    const places = new Uint32Array(rows * 4);
    places.set(this.#places);
    this.#places = places;
    const sizes = new Float64Array(rows);
    sizes.set(this.#sizes);
    this.#sizes = sizes;
    const modified = new Float64Array(rows);
    modified.set(this.#modified);
    this.#modified = modified;
    const flags = new Uint8Array(rows);
    flags.set(this.#flags);
    this.#flags = flags;
    const classes = new Uint8Array(rows);
    classes.set(this.#classes);
    this.#classes = classes;
  }

  #classIndex(name: string): number {
    const plain = name === 'STANDARD' ? '' : name;
    const known = this.#classNames.indexOf(plain);
    if (known >= 0) return known;
    if (this.#classNames.length < CLASSES_MAX - 1) return this.#classNames.push(plain) - 1;
    const other = this.#classNames.indexOf(OTHER_CLASS);
    return other >= 0 ? other : this.#classNames.push(OTHER_CLASS) - 1;
  }

  #place(row: number, which: 0 | 1 | 2 | 3): number {
    return this.#places[row * 4 + which] ?? 0;
  }

  #key(row: number): string {
    return utf8(this.raw, this.#place(row, 0), this.#place(row, 1));
  }

  #compare(a: number, b: number): number {
    const { raw } = this;
    return compareBytes(raw, this.#place(a, 0), this.#place(a, 1), raw, this.#place(b, 0), this.#place(b, 1));
  }

  #decode(): void {
    for (let row = 0; row < this.#rows; row++) {
      const from = this.#place(row, 0);
      this.#places[row * 4 + 1] = urlDecode(this.raw, from, this.#place(row, 1));
    }
  }

  /** Bytes that are no UTF-8 become U+FFFD, as such a key could not be asked for anyway. Rare, so by way of strings. */
  #repair(): void {
    for (let row = 0; row < this.#rows; row++) {
      for (const which of [0, 2] as const) {
        const from = this.#place(row, which);
        const to = this.#place(row, which === 0 ? 1 : 3);
        if (isUtf8(this.raw.subarray(from, to))) continue;
        const start = this.rawEnd;
        const end = this.text(utf8(this.raw, from, to));
        this.#places[row * 4 + which] = start;
        this.#places[row * 4 + which + 1] = end;
      }
    }
  }

  /** Makes keys relative to the prefix; returns the rows below it. A store that sends others answers another question. */
  #cut(prefix: string): number[] {
    const wanted = Buffer.from(prefix);
    const rows: number[] = [];
    for (let row = 0; row < this.#rows; row++) {
      const from = this.#place(row, 0);
      const to = this.#place(row, 1);
      if (to - from < wanted.length) continue;
      if (compareBytes(this.raw, from, from + wanted.length, wanted, 0, wanted.length) !== 0) continue;
      this.#places[row * 4] = from + wanted.length;
      rows.push(row);
    }
    return rows;
  }

  /** Objects and prefixes, each for themselves, come in key order. */
  #isInOrder(rows: readonly number[]): boolean {
    let object: number | undefined;
    let prefix: number | undefined;
    for (const row of rows) {
      if (this.#flags[row] === ROW_DIRECTORY) {
        if (prefix !== undefined && this.#compare(prefix, row) > 0) return false;
        prefix = row;
      } else {
        if (object !== undefined && this.#compare(object, row) > 0) return false;
        object = row;
      }
    }
    return true;
  }

  #order(rows: readonly number[], isSorted: boolean): readonly number[] {
    if (!isSorted) return rows.toSorted((a, b) => this.#compare(a, b));
    const objects: number[] = [];
    const prefixes: number[] = [];
    for (const row of rows) (this.#flags[row] === ROW_DIRECTORY ? prefixes : objects).push(row);
    if (prefixes.length === 0) return objects;
    const merged: number[] = [];
    let next = 0;
    for (const prefix of prefixes) {
      for (; next < objects.length; next++) {
        const object = objects[next] ?? 0;
        if (this.#compare(object, prefix) > 0) break;
        merged.push(object);
      }
      merged.push(prefix);
    }
    return merged.concat(objects.slice(next));
  }

  #pack(rows: readonly number[]): Pick<ListColumns, 'buffer' | 'shadowedFiles'> {
    let arenaBytes = 0;
    for (const row of rows) {
      arenaBytes += this.#place(row, 1) - this.#place(row, 0) + this.#place(row, 3) - this.#place(row, 2);
    }
    const buffer = new ArrayBuffer(columnsBytes(rows.length, arenaBytes));
    const views = new ColumnViews(buffer, rows.length);
    const { raw } = this;
    const { arena } = views;
    let at = 0;
    for (let index = 0; index < rows.length; index++) {
      const row = rows[index] ?? 0;
      views.bounds[index * 2] = at;
      const keyTo = this.#place(row, 1);
      for (let byte = this.#place(row, 0); byte < keyTo; byte++) arena[at++] = raw[byte] ?? 0;
      views.bounds[index * 2 + 1] = at;
      const etagTo = this.#place(row, 3);
      for (let byte = this.#place(row, 2); byte < etagTo; byte++) arena[at++] = raw[byte] ?? 0;
      views.sizes[index] = this.#sizes[row] ?? 0;
      views.modified[index] = this.#modified[row] ?? 0;
      views.flags[index] = this.#flags[row] ?? 0;
      views.classes[index] = this.#classes[row] ?? 0;
    }
    views.bounds[rows.length * 2] = at;
    return { buffer, shadowedFiles: markShadowed(views, rows.length) };
  }
}

/** Marks the files that a directory of the same name hides; returns how many. */
function markShadowed(views: ColumnViews, rows: number): number {
  const { bounds, arena, flags } = views;
  let shadowed = 0;
  for (let row = 0; row < rows; row++) {
    if (((flags[row] ?? 0) & ROW_DIRECTORY) === 0) continue;
    // `a` sorts before `a/`, with only what begins with `a` in between.
    const from = bounds[row * 2] ?? 0;
    const to = (bounds[row * 2 + 1] ?? 0) - 1;
    let low = 0;
    let high = row - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const order = compareBytes(arena, from, to, arena, bounds[middle * 2] ?? 0, bounds[middle * 2 + 1] ?? 0);
      if (order === 0) {
        flags[middle] = (flags[middle] ?? 0) | ROW_SHADOWED;
        shadowed++;
        break;
      }
      if (order < 0) high = middle - 1;
      else low = middle + 1;
    }
  }
  return shadowed;
}

/** Packs an answer that was parsed into objects (by the SDK, or made up by a test). */
export function packPage(page: ListPage, prefix: string, isTree = false): ListColumns {
  const rows = new RowCollector();
  for (const head of page.objects) {
    const from = rows.rawEnd;
    const keyTo = rows.text(head.key);
    const etagTo = rows.text(head.etag);
    rows.object(from, keyTo, keyTo, etagTo, { ...head, modifiedMs: head.lastModifiedMs });
  }
  for (const name of page.commonPrefixes) {
    const from = rows.rawEnd;
    rows.prefix(from, rows.text(name));
  }
  return rows.finish({ prefix, isEncoded: false, isTree, nextToken: page.nextToken });
}
