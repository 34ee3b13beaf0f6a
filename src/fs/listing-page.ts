/**
 * One LIST page of one directory, in columns: names and ETags as UTF-8 in one buffer, numbers in typed arrays.
 * A million objects as JavaScript objects are 400 MB and a garbage collector's nightmare; so they are about 100 bytes each
 * and one object a thousand. Rows are sorted by key bytes; a directory's name keeps its slash, so that row order is key order
 * and one binary search answers "is there a file a?" and "is there a directory a/?".
 * Immutable once built. Refuses to judge age and to know other pages.
 */
import type { ListPage, ObjectHead } from '../engine/api.js';
import { compareKeys, directoryMayFollow, isFileName } from './keymap.js';

const FLAG_DIRECTORY = 1;
/** A file that a directory of the same page shadows: never shown. */
const FLAG_SHADOWED = 2;
/** A file whose directory of the same name, if any, would be on a later page: not shown from here. */
const FLAG_UNDECIDED = 4;
const FLAG_RESTORED = 8;

/** What an empty page costs beside its rows: the object, its typed arrays, its place in the cache (measured about 1 KB). */
const PAGE_OVERHEAD_BYTES = 1200;

/** Storage class names, shared by all pages: column values are indexes. S3 has about a dozen; a store with more gets OTHER. */
const STORAGE_CLASSES_MAX = 255;
const storageClasses: string[] = ['', 'OTHER'];

function storageClassIndex(name: string): number {
  const known = storageClasses.indexOf(name);
  if (known >= 0) return known;
  if (storageClasses.length >= STORAGE_CLASSES_MAX) return 1;
  return storageClasses.push(name) - 1;
}

let nextSerial = 1;

export interface ListingPageInput {
  /** Full key prefix of the directory. */
  readonly directoryKey: string;
  /** The page holds what sorts after this, relative to the directory; '' = from the beginning. */
  readonly startKey: string;
  readonly sentAtMs: number;
  readonly page: ListPage;
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
  /** Continues the listing; undefined on the last page. */
  readonly nextToken: string | undefined;
  readonly sentAtMs: number;
  readonly rows: number;
  /** What the page costs in memory. */
  readonly bytes: number;
  /** Keys of this page that cannot be names, and files that a directory hides. */
  readonly hiddenKeys: number;
  readonly shadowedFiles: number;
  /** False when the store does not list in key order (directory buckets): then nothing follows from a name's absence. */
  readonly ordered: boolean;
  /** Tells pages apart: no two have the same. */
  readonly serial = nextSerial++;
  /** Lookups answered from here: tells whether listing this directory was worth it. Written by ListingCache. */
  hits = 0;

  readonly #arena: Buffer;
  /** Row i: name in [bounds[2i], bounds[2i+1]), ETag in [bounds[2i+1], bounds[2i+2]). */
  readonly #bounds: Uint32Array;
  readonly #sizes: Float64Array;
  readonly #modified: Float64Array;
  readonly #flags: Uint8Array;
  readonly #classes: Uint8Array;

  constructor(input: ListingPageInput) {
    this.directoryKey = input.directoryKey;
    this.startKey = input.startKey;
    this.sentAtMs = input.sentAtMs;
    this.nextToken = input.page.nextToken;
    const collected = collect(input.directoryKey, input.page);
    const { rows } = collected;
    this.hiddenKeys = collected.hidden;
    this.endKey = this.nextToken === undefined ? undefined : (collected.lastKey ?? input.startKey);
    const firstKey = collected.firstKey;
    this.ordered = input.startKey === '' || firstKey === undefined || compareKeys(firstKey, input.startKey) > 0;

    this.rows = rows.length;
    let arenaBytes = 0;
    for (const row of rows) arenaBytes += Buffer.byteLength(row.key) + Buffer.byteLength(row.head?.etag ?? '');
    this.#arena = Buffer.allocUnsafeSlow(arenaBytes);
    this.#bounds = new Uint32Array(rows.length * 2 + 1);
    this.#sizes = new Float64Array(rows.length);
    this.#modified = new Float64Array(rows.length);
    this.#flags = new Uint8Array(rows.length);
    this.#classes = new Uint8Array(rows.length);
    this.bytes = PAGE_OVERHEAD_BYTES + arenaBytes + rows.length * (8 + 8 + 8 + 1 + 1);

    const directories = new Set<string>();
    for (const row of rows) if (!row.head) directories.add(row.key);
    let at = 0;
    let shadowed = 0;
    rows.forEach((row, index) => {
      this.#bounds[index * 2] = at;
      at += this.#arena.write(row.key, at);
      this.#bounds[index * 2 + 1] = at;
      if (!row.head) {
        this.#flags[index] = FLAG_DIRECTORY;
        return;
      }
      at += this.#arena.write(row.head.etag, at);
      this.#sizes[index] = row.head.sizeBytes;
      this.#modified[index] = row.head.lastModifiedMs;
      this.#classes[index] = storageClassIndex(row.head.storageClass);
      let flags = row.head.restored ? FLAG_RESTORED : 0;
      if (directories.has(`${row.key}/`)) {
        flags |= FLAG_SHADOWED;
        shadowed++;
      } else if (this.endKey !== undefined && directoryMayFollow(row.key, this.endKey)) {
        flags |= FLAG_UNDECIDED;
      }
      this.#flags[index] = flags;
    });
    this.#bounds[rows.length * 2] = at;
    this.shadowedFiles = shadowed;
  }

  /** True for the page after which nothing comes. */
  get isLast(): boolean {
    return this.nextToken === undefined;
  }

  /** Does this page say whether `key` (relative; with slash for a directory) exists? */
  covers(key: string): boolean {
    if (this.startKey !== '' && compareKeys(key, this.startKey) <= 0) return false;
    return this.endKey === undefined || compareKeys(key, this.endKey) <= 0;
  }

  /** Row of `key` (relative; with slash for a directory), -1 when it is not here. */
  find(key: string): number {
    const wanted = Buffer.from(key);
    let low = 0;
    let high = this.rows - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const order = this.#arena.compare(wanted, 0, wanted.length, this.#bound(middle * 2), this.#bound(middle * 2 + 1));
      if (order === 0) return middle;
      if (order < 0) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  isDirectory(row: number): boolean {
    return (this.#flag(row) & FLAG_DIRECTORY) !== 0;
  }

  /** May this row be shown when the directory is read up to here? */
  isVisible(row: number): boolean {
    return (this.#flag(row) & (FLAG_SHADOWED | FLAG_UNDECIDED)) === 0;
  }

  /** The file name, without a directory's slash. */
  name(row: number): string {
    const end = this.#bound(row * 2 + 1) - (this.isDirectory(row) ? 1 : 0);
    return this.#arena.toString('utf8', this.#bound(row * 2), end);
  }

  /** Size of a file's row; 0 for a directory. */
  sizeBytes(row: number): number {
    return this.#sizes[row] ?? 0;
  }

  /** The object of a file's row. */
  head(row: number): ObjectHead {
    return {
      key: this.directoryKey + this.name(row),
      etag: this.#arena.toString('utf8', this.#bound(row * 2 + 1), this.#bound(row * 2 + 2)),
      sizeBytes: this.#sizes[row] ?? 0,
      lastModifiedMs: this.#modified[row] ?? 0,
      storageClass: storageClasses[this.#classes[row] ?? 0] ?? '',
      restored: (this.#flag(row) & FLAG_RESTORED) !== 0,
    };
  }

  /** Files that a later page decides about: at most one for each length of the last key, in practice none to two. */
  undecided(): ListedFile[] {
    const files: ListedFile[] = [];
    if (this.endKey === undefined) return files;
    for (let row = 0; row < this.rows; row++) {
      if ((this.#flag(row) & FLAG_UNDECIDED) !== 0) files.push({ name: this.name(row), head: this.head(row) });
    }
    return files;
  }

  #bound(index: number): number {
    return this.#bounds[index] ?? 0;
  }

  #flag(row: number): number {
    return this.#flags[row] ?? 0;
  }
}

interface Row {
  /** Relative to the directory; with slash for a directory. */
  readonly key: string;
  readonly head: ObjectHead | undefined;
}

interface Collected {
  readonly rows: Row[];
  readonly hidden: number;
  readonly firstKey: string | undefined;
  readonly lastKey: string | undefined;
}

/** Sorted rows without duplicates, hidden keys only counted. First and last key include the hidden ones. */
function collect(directoryKey: string, page: ListPage): Collected {
  const rows: Row[] = [];
  let hidden = 0;
  let firstKey: string | undefined;
  let lastKey: string | undefined;
  const take = (fullKey: string, head: ObjectHead | undefined): void => {
    if (!fullKey.startsWith(directoryKey)) return;
    const key = fullKey.slice(directoryKey.length);
    if (firstKey === undefined || compareKeys(key, firstKey) < 0) firstKey = key;
    if (lastKey === undefined || compareKeys(key, lastKey) > 0) lastKey = key;
    // The directory's own marker is not a name in it.
    if (key === '') return;
    if (isFileName(head ? key : key.slice(0, -1))) rows.push({ key, head });
    else hidden++;
  };
  for (const head of page.objects) take(head.key, head);
  for (const prefix of page.commonPrefixes) take(prefix, undefined);
  rows.sort((a, b) => compareKeys(a.key, b.key));
  const unique = rows.filter((row, index) => row.key !== rows[index - 1]?.key);
  return { rows: unique, hidden, firstKey, lastKey };
}
