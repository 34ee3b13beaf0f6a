/**
 * One LIST page of one directory: the columns that a net thread made of the answer, and what they say here.
 * A million objects as JavaScript objects are 400 MB and a garbage collector's nightmare; so they are about 100 bytes each
 * and one object a thousand. Rows are sorted by key bytes; a directory's name keeps its slash, so that row order is key order
 * and one binary search answers "is there a file a?" and "is there a directory a/?".
 * A page may be cut at a key, where the page of another key range begins: then it speaks for nothing beyond.
 * Immutable once built. Refuses to judge age and to know other pages.
 */
import type { ObjectHead } from '../engine/api.js';
import {
  ColumnViews,
  headOfRow,
  ROW_DIRECTORY,
  ROW_RESTORED,
  ROW_SHADOWED,
  sliceColumns,
  type ListColumns,
} from '../engine/listing/columns.js';
import { compareKeys } from './keymap.js';

const SLASH = 0x2f;

/** What an empty page costs beside its columns: the object, its typed arrays, its place in the cache (measured about 1 KB). */
const PAGE_OVERHEAD_BYTES = 1200;

let nextSerial = 1;

export interface ListingPageInput {
  /** Full key prefix of the directory; the columns' keys are relative to it. */
  readonly directoryKey: string;
  /** The page holds what sorts after this, relative to the directory; '' = from the beginning. */
  readonly startKey: string;
  readonly sentAtMs: number;
  readonly columns: ListColumns;
  /** Speak for keys up to this one only (inclusive, relative). */
  readonly untilKey?: string | undefined;
}

/** A row as an object: made for the few that are looked at, not for all. */
export interface ListedFile {
  readonly name: string;
  readonly head: ObjectHead;
}

export class ListingPage {
  readonly directoryKey: string;
  /** Exclusive, relative to the directory. */
  readonly startKey: string;
  /** The last key (inclusive, relative) this page speaks for; undefined = it speaks for all after startKey. */
  readonly endKey: string | undefined;
  /** Continues the listing after endKey; undefined on the last page, and where the page was cut: go on by startKey there. */
  readonly nextToken: string | undefined;
  readonly sentAtMs: number;
  readonly rows: number;
  /** What the page costs in memory. */
  readonly bytes: number;
  /** Keys and prefixes in the answer, its marker and hidden ones included: 0 = nothing begins with the directory's key. */
  readonly keys: number;
  /** Keys of the answer that cannot be names, and files that a directory hides. */
  readonly hiddenKeys: number;
  readonly shadowedFiles: number;
  /** False when the store does not list in key order (directory buckets): then nothing follows from a name's absence. */
  readonly ordered: boolean;
  /** The directory's own marker is in the answer. */
  readonly hasMarker: boolean;
  /** The answer began before startKey. */
  readonly beganEarly: boolean;
  /** Tells pages apart: no two have the same. */
  readonly serial = nextSerial++;
  /** Lookups answered from here: tells whether listing this directory was worth it. Written by ListingCache. */
  hits = 0;

  readonly #columns: ListColumns;
  readonly #views: ColumnViews;
  /** Files whose directory of the same name, if any, would be on a later page: not shown from here. */
  readonly #undecided: readonly number[];

  constructor(input: ListingPageInput) {
    const { columns, untilKey, startKey } = input;
    const { firstKey, lastKey } = columns;
    this.directoryKey = input.directoryKey;
    this.startKey = startKey;
    this.sentAtMs = input.sentAtMs;
    this.keys = columns.keys;
    this.hiddenKeys = columns.hiddenKeys;
    this.shadowedFiles = columns.shadowedFiles;
    this.hasMarker = startKey === '' && firstKey === '';
    this.beganEarly = startKey !== '' && firstKey !== undefined && compareKeys(firstKey, startKey) <= 0;
    this.ordered = columns.isSorted && !this.beganEarly;
    const isLast = columns.nextToken === undefined;
    const isCut = untilKey !== undefined && (isLast || (lastKey !== undefined && compareKeys(lastKey, untilKey) >= 0));
    if (isCut) {
      this.endKey = untilKey;
      this.nextToken = undefined;
      const rows = rowsUntil(new ColumnViews(columns.buffer, columns.rows), columns.rows, untilKey);
      this.#columns = rows === columns.rows ? columns : sliceColumns(columns, 0, rows);
    } else {
      this.endKey = isLast ? undefined : (lastKey ?? startKey);
      this.nextToken = columns.nextToken;
      this.#columns = columns;
    }
    this.rows = this.#columns.rows;
    this.#views = new ColumnViews(this.#columns.buffer, this.rows);
    this.bytes = PAGE_OVERHEAD_BYTES + this.#columns.buffer.byteLength;
    this.#undecided = this.#findUndecided();
  }

  /** True for the page after which nothing comes. */
  get isLast(): boolean {
    return this.endKey === undefined;
  }

  /** Does this page say whether `key` (relative; with slash for a directory) exists? */
  covers(key: string): boolean {
    if (this.startKey !== '' && compareKeys(key, this.startKey) <= 0) return false;
    return this.endKey === undefined || compareKeys(key, this.endKey) <= 0;
  }

  /** Row of `key` (relative; with slash for a directory), -1 when it is not here. */
  find(key: string): number {
    const wanted = Buffer.from(key);
    return this.#find(wanted, wanted.length);
  }

  isDirectory(row: number): boolean {
    return (this.#flag(row) & ROW_DIRECTORY) !== 0;
  }

  /** May this row be shown when the directory is read up to here? */
  isVisible(row: number): boolean {
    return (this.#flag(row) & ROW_SHADOWED) === 0 && (this.#undecided.length === 0 || !this.#undecided.includes(row));
  }

  /** The file name, without a directory's slash. */
  name(row: number): string {
    const end = this.#bound(row * 2 + 1) - (this.isDirectory(row) ? 1 : 0);
    return this.#views.arena.toString('utf8', this.#bound(row * 2), end);
  }

  /** Size of a file's row; 0 for a directory. */
  sizeBytes(row: number): number {
    return this.#views.sizes[row] ?? 0;
  }

  /** LastModified of a file's row. */
  lastModifiedMs(row: number): number {
    return this.#views.modified[row] ?? 0;
  }

  /** Does row `row` here have the key of `otherRow` there? */
  hasSameName(row: number, other: ListingPage, otherRow: number): boolean {
    return this.directoryKey === other.directoryKey && this.#isSame(row * 2, other, otherRow * 2);
  }

  /** The same rule as `isVersion` of the inode table, for two rows of one name. */
  isSameVersion(row: number, other: ListingPage, otherRow: number): boolean {
    if (this.sizeBytes(row) !== other.sizeBytes(otherRow)) return false;
    if (!this.#isSame(row * 2 + 1, other, otherRow * 2 + 1)) return false;
    const hasEtag = this.#bound(row * 2 + 1) !== this.#bound(row * 2 + 2);
    const second = Math.floor(this.lastModifiedMs(row) / 1000);
    return hasEtag || second === Math.floor(other.lastModifiedMs(otherRow) / 1000);
  }

  /** Is everything the same that may change without a new version? */
  hasSameDetails(row: number, other: ListingPage, otherRow: number): boolean {
    return (
      this.lastModifiedMs(row) === other.lastModifiedMs(otherRow) &&
      ((this.#flag(row) ^ other.#flag(otherRow)) & ROW_RESTORED) === 0 &&
      this.#className(row) === other.#className(otherRow)
    );
  }

  /** The object of a file's row. */
  head(row: number): ObjectHead {
    return headOfRow(this.#views, this.#columns.classNames, row, this.directoryKey);
  }

  /** Files that a later page decides about: at most one for each length of the last key, in practice none to two. */
  undecided(): ListedFile[] {
    return this.#undecided.map((row) => ({ name: this.name(row), head: this.head(row) }));
  }

  /** The same page, speaking for keys up to `untilKey` only. */
  cut(untilKey: string): ListingPage {
    const { directoryKey, startKey, sentAtMs } = this;
    return new ListingPage({ directoryKey, startKey, sentAtMs, columns: this.#columns, untilKey });
  }

  /** The rest of the page behind `key`. */
  after(key: string): ListingPage {
    const { directoryKey, sentAtMs } = this;
    const from = rowsUntil(this.#views, this.rows, key);
    const columns = { ...sliceColumns(this.#columns, from, this.rows), firstKey: undefined };
    return new ListingPage({ directoryKey, startKey: key, sentAtMs, columns });
  }

  /** A number that changes, very probably, when the page's names do. */
  digest(): number {
    let hash = 0x811c9dc5 ^ this.rows;
    const { bounds, arena } = this.#views;
    for (let row = 0; row < this.rows; row++) {
      const to = bounds[row * 2 + 1] ?? 0;
      for (let at = bounds[row * 2] ?? 0; at < to; at++) hash = Math.imul(hash ^ (arena[at] ?? 0), 0x01000193);
      hash = Math.imul(hash ^ (this.isVisible(row) ? 0x100 : 0x200), 0x01000193);
    }
    return hash >>> 0;
  }

  /** As `digest`, of names, sizes and ETags. */
  versionDigest(): number {
    let hash = 0x811c9dc5 ^ this.rows;
    const { arena, sizes } = this.#views;
    const from = this.#bound(0);
    const to = this.#bound(this.rows * 2);
    for (let at = from; at < to; at++) hash = Math.imul(hash ^ (arena[at] ?? 0), 0x01000193);
    for (let at = 1; at <= this.rows * 2; at++) hash = Math.imul(hash ^ (this.#bound(at) - from), 0x01000193);
    for (let row = 0; row < this.rows; row++) {
      const bytes = sizes[row] ?? 0;
      hash = Math.imul(hash ^ (bytes >>> 0), 0x01000193);
      hash = Math.imul(hash ^ Math.floor(bytes / 2 ** 32), 0x01000193);
      hash = Math.imul(hash ^ this.#flag(row), 0x01000193);
    }
    return hash >>> 0;
  }

  /** Key of a row as it sorts: with slash for a directory. */
  key(row: number): string {
    return this.#views.arena.toString('utf8', this.#bound(row * 2), this.#bound(row * 2 + 1));
  }

  /**
   * A listing that has come to endKey cannot say yet whether a directory `name` exists when `name/` sorts after endKey.
   * Between `a` and `a/` lie `a!`, `a-b`, `a.txt`: only names that endKey itself starts with are undecided.
   */
  #findUndecided(): readonly number[] {
    if (this.endKey === undefined) return [];
    const end = Buffer.from(this.endKey);
    const rows: number[] = [];
    for (let length = 1; length <= end.length; length++) {
      if (length < end.length && (end[length] ?? 0) >= SLASH) continue;
      const row = this.#find(end, length);
      if (row >= 0 && (this.#flag(row) & (ROW_DIRECTORY | ROW_SHADOWED)) === 0) rows.push(row);
    }
    return rows;
  }

  #find(wanted: Buffer, length: number): number {
    let low = 0;
    let high = this.rows - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const order = this.#views.arena.compare(wanted, 0, length, this.#bound(middle * 2), this.#bound(middle * 2 + 1));
      if (order === 0) return middle;
      if (order < 0) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  /** The bytes between two bounds, here and there. */
  #isSame(bound: number, other: ListingPage, otherBound: number): boolean {
    const from = this.#bound(bound);
    const otherFrom = other.#bound(otherBound);
    const length = this.#bound(bound + 1) - from;
    if (other.#bound(otherBound + 1) - otherFrom !== length) return false;
    const mine = this.#views.arena;
    const others = other.#views.arena;
    for (let at = 0; at < length; at++) if (mine[from + at] !== others[otherFrom + at]) return false;
    return true;
  }

  #className(row: number): string | undefined {
    return this.#columns.classNames[this.#views.classes[row] ?? 0];
  }

  #bound(index: number): number {
    return this.#views.bounds[index] ?? 0;
  }

  #flag(row: number): number {
    return this.#views.flags[row] ?? 0;
  }
}

/** How many rows have keys up to `untilKey`. */
function rowsUntil(views: ColumnViews, rows: number, untilKey: string): number {
  const wanted = Buffer.from(untilKey);
  let low = 0;
  let high = rows;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const from = views.bounds[middle * 2] ?? 0;
    const to = views.bounds[middle * 2 + 1] ?? 0;
    if (views.arena.compare(wanted, 0, wanted.length, from, to) <= 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
