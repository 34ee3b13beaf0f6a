/**
 * The sorted list of a bucket's keys, for LIST: built at the first listing, kept up by writes, and checked against the
 * folder so that files laid, changed or removed by hand show up.
 *
 * Staleness bound. Writes through the API, and anything a GET or HEAD has seen, show at once. For changes by hand, a
 * LIST first compares the folders' modification times (names) and, in buckets of at most 256 files, every file's size
 * and time; that check is skipped only while ten times its own duration has not passed since the last one. In larger
 * buckets sizes and times are compared by a sliced walk in the background that a LIST starts when fifty times its
 * duration has passed: with 20,000 files that is some seconds. GET and HEAD never use this file: they look at the file
 * itself, so they are never stale.
 */
import { type Dirent, readdirSync, type Stats, statSync } from 'node:fs';
import { KeyIndex, type KeyCursor } from './key-index.js';
import type { Layout } from './layout.js';
import { isPlainKey } from './layout.js';
import type { ObjectLog } from './object-log.js';
import { entryOfFile, entryOfRecord, type ObjectEntry } from './object-record.js';

/** Buckets of at most this many keys are compared file by file at every check. */
const SMALL_BUCKET_KEYS = 256;
/** Files compared in one turn of the event loop by the background walk: about a millisecond. */
const SLICE_KEYS = 256;
const CHECK_EVERY_DURATIONS = 10;
const WALK_EVERY_DURATIONS = 50;
/** A folder changed this short before it was read may change again within the same tick of the kernel's clock. */
const RACY_MS = 50;

interface SeenFolder {
  /** Device and inode, to notice symbolic links that lead back up. */
  readonly identity: string;
  readonly mtimeMs: number;
  /** Read so soon after its last change that an equal time proves nothing. */
  readonly isRacy: boolean;
}

/** See the header. One owner: the Bucket. */
export class BucketIndex {
  readonly #layout: Layout;
  readonly #bucket: string;
  readonly #log: ObjectLog;
  readonly #keys = new KeyIndex<ObjectEntry>();
  /** Folders by key prefix: '' for the bucket itself, else with a trailing slash. */
  readonly #folders = new Map<string, SeenFolder>();
  #isBuilt = false;
  #nextCheckMs = 0;
  #nextWalkMs = 0;
  #isWalking = false;

  constructor(layout: Layout, bucket: string, log: ObjectLog) {
    this.#layout = layout;
    this.#bucket = bucket;
    this.#log = log;
  }

  /** A cursor at `key` or the first key after it. Call `refresh` once before the first cursor of a request. */
  seek(key: string): KeyCursor<ObjectEntry> {
    return this.#keys.seek(key);
  }

  /** Brings the index up to date, within the header's bound. `isForced` skips the bound. */
  refresh(isForced = false): void {
    const startMs = performance.now();
    if (!this.#isBuilt) {
      this.#build();
      this.#isBuilt = true;
    } else if (isForced || startMs >= this.#nextCheckMs) {
      this.#checkFolders();
      if (isForced || this.#keys.size <= SMALL_BUCKET_KEYS) this.#compareFiles('', Infinity);
    } else {
      return;
    }
    const endMs = performance.now();
    this.#nextCheckMs = endMs + (endMs - startMs) * CHECK_EVERY_DURATIONS;
    if (this.#keys.size > SMALL_BUCKET_KEYS && endMs >= this.#nextWalkMs) this.#startWalk();
  }

  /** Takes in what a write or a look at the file has shown. */
  note(entry: ObjectEntry): void {
    if (!this.#isBuilt) return;
    const known = this.#keys.get(entry.key);
    const isSame = known?.mtimeMs === entry.mtimeMs && known.bytes === entry.bytes && known.meta === entry.meta;
    if (!isSame) this.#keys.set(entry);
  }

  /** Replaces an entry whatever it was: its metadata changed though its bytes did not. */
  replace(entry: ObjectEntry): void {
    if (this.#isBuilt) this.#keys.set(entry);
  }

  forget(key: string): void {
    if (this.#isBuilt) this.#keys.delete(key);
  }

  #build(): void {
    const entries: ObjectEntry[] = [];
    const oddKeys = new Set<string>();
    for (const record of this.#log.values()) {
      if (record.place === null) continue;
      oddKeys.add(record.key);
      entries.push(entryOfRecord(record));
    }
    this.#scanFolder(
      '',
      (entry) => {
        if (!oddKeys.has(entry.key)) entries.push(entry);
      },
      new Set(),
    );
    this.#keys.fill(entries);
  }

  /** Reads a folder and all below it. `ancestors` stops loops of symbolic links. */
  #scanFolder(prefix: string, onEntry: (entry: ObjectEntry) => void, ancestors: ReadonlySet<string>): void {
    const dir = `${this.#layout.bucketDir(this.#bucket)}/${prefix}`;
    const stats = statFolder(dir);
    if (stats?.isDirectory() !== true) return;
    const identity = `${stats.dev}:${stats.ino}`;
    if (ancestors.has(identity)) return;
    const names = readFolder(dir);
    this.#folders.set(prefix, { identity, mtimeMs: stats.mtimeMs, isRacy: isRacy(stats.mtimeMs) });
    const below = new Set(ancestors).add(identity);
    for (const item of names) {
      const key = prefix + item.name;
      if (item.isDirectory()) this.#scanFolder(`${key}/`, onEntry, below);
      else if (item.isFile() || item.isSymbolicLink()) {
        if (!isPlainKey(item.name)) continue;
        const entry = this.#look(key);
        if (entry === 'folder') this.#scanFolder(`${key}/`, onEntry, below);
        else if (entry !== undefined) onEntry(entry);
      }
    }
  }

  /** The entry of a plain file as it is now. */
  #look(key: string): ObjectEntry | 'folder' | undefined {
    let stats;
    try {
      stats = statSync(`${this.#layout.bucketDir(this.#bucket)}/${key}`, { throwIfNoEntry: false });
    } catch {
      return undefined;
    }
    if (stats === undefined) return undefined;
    if (stats.isDirectory()) return 'folder';
    return stats.isFile() ? entryOfStats(this.#log, key, stats.size, stats.mtimeMs) : undefined;
  }

  #checkFolders(): void {
    for (const [prefix, seen] of [...this.#folders]) {
      if (!this.#folders.has(prefix)) continue;
      const dir = `${this.#layout.bucketDir(this.#bucket)}/${prefix}`;
      const stats = statFolder(dir);
      if (stats?.isDirectory() !== true) this.#dropFolder(prefix);
      else if (seen.isRacy || stats.mtimeMs !== seen.mtimeMs) {
        this.#rereadFolder(prefix, `${stats.dev}:${stats.ino}`, stats.mtimeMs);
      }
    }
  }

  /** Compares one folder's names with the index; folders below are read only when they are new. */
  #rereadFolder(prefix: string, identity: string, mtimeMs: number): void {
    const dir = `${this.#layout.bucketDir(this.#bucket)}/${prefix}`;
    const names = readFolder(dir);
    this.#folders.set(prefix, { identity, mtimeMs, isRacy: isRacy(mtimeMs) });
    const present = new Set<string>();
    for (const item of names) {
      present.add(item.name);
      const key = prefix + item.name;
      if (item.isDirectory()) {
        this.#scanIfNew(`${key}/`);
      } else if (this.#keys.get(key) === undefined && isPlainKey(item.name)) {
        const entry = this.#look(key);
        if (entry === 'folder') this.#scanIfNew(`${key}/`);
        else if (entry !== undefined) this.#adopt(entry);
      }
    }
    const gone: string[] = [];
    const cursor = this.#keys.seek(prefix);
    for (let entry = cursor.entry; entry?.key.startsWith(prefix) === true; entry = cursor.entry) {
      const slash = entry.key.indexOf('/', prefix.length);
      if (slash >= 0) {
        cursor.skipPrefix(entry.key.slice(0, slash + 1));
        continue;
      }
      if (entry.place === null && !present.has(entry.key.slice(prefix.length))) gone.push(entry.key);
      cursor.next();
    }
    for (const key of gone) this.#keys.delete(key);
  }

  #scanIfNew(prefix: string): void {
    if (this.#folders.has(prefix)) return;
    const ancestors = new Set<string>();
    for (let above = prefix; above !== '';) {
      above = above.slice(0, above.lastIndexOf('/', above.length - 2) + 1);
      const seen = this.#folders.get(above);
      if (seen !== undefined) ancestors.add(seen.identity);
    }
    this.#scanFolder(prefix, (entry) => this.#adopt(entry), ancestors);
  }

  #adopt(entry: ObjectEntry): void {
    if ((this.#keys.get(entry.key)?.place ?? null) === null) this.#keys.set(entry);
  }

  #dropFolder(prefix: string): void {
    for (const folder of [...this.#folders.keys()]) if (folder.startsWith(prefix)) this.#folders.delete(folder);
    const gone: string[] = [];
    const cursor = this.#keys.seek(prefix);
    for (let entry = cursor.entry; entry?.key.startsWith(prefix) === true; entry = cursor.entry) {
      if (entry.place === null) gone.push(entry.key);
      cursor.next();
    }
    for (const key of gone) this.#keys.delete(key);
  }

  /** Compares sizes and times of up to `countMax` files from `fromKey` on; returns the key to go on with, or null. */
  #compareFiles(fromKey: string, countMax: number): string | null {
    const stale: { key: string; now: ObjectEntry | undefined }[] = [];
    const cursor = this.#keys.seek(fromKey);
    let count = 0;
    for (; cursor.entry !== undefined && count < countMax; cursor.next(), count++) {
      const entry = cursor.entry;
      if (entry.place !== null) continue;
      const now = this.#look(entry.key);
      if (now === 'folder' || now === undefined) stale.push({ key: entry.key, now: undefined });
      else if (now.bytes !== entry.bytes || now.mtimeMs !== entry.mtimeMs) stale.push({ key: entry.key, now });
    }
    const nextKey = cursor.entry?.key ?? null;
    for (const { key, now } of stale) {
      if (now === undefined) this.#keys.delete(key);
      else this.#keys.set(now);
    }
    return nextKey;
  }

  #startWalk(): void {
    if (this.#isWalking) return;
    this.#isWalking = true;
    let busyMs = 0;
    const slice = (fromKey: string): void => {
      const startMs = performance.now();
      const nextKey = this.#compareFiles(fromKey, SLICE_KEYS);
      const endMs = performance.now();
      busyMs += endMs - startMs;
      if (nextKey !== null) {
        setImmediate(slice, nextKey);
        return;
      }
      this.#isWalking = false;
      this.#nextWalkMs = endMs + busyMs * WALK_EVERY_DURATIONS;
    };
    setImmediate(slice, '');
  }
}

/** The entry of a plain file: the API's record while it still fits the file, else one derived from the file. */
export function entryOfStats(log: ObjectLog, key: string, bytes: number, mtimeMs: number): ObjectEntry {
  const record = log.get(key);
  const isCurrent = record?.place === null && record.bytes === bytes && record.mtimeMs === mtimeMs;
  return record !== undefined && isCurrent ? entryOfRecord(record) : entryOfFile(key, bytes, mtimeMs);
}

function isRacy(mtimeMs: number): boolean {
  return Date.now() - mtimeMs < RACY_MS;
}

function readFolder(dir: string): Dirent[] {
  try {
    return readdirSync(dir, { withFileTypes: true });
  } catch {
    return []; // Gone or unreadable: nothing to serve from it.
  }
}

/** Undefined for a folder that is gone, also when a file of one of its names took its place. */
function statFolder(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOTDIR') return undefined;
    throw error;
  }
}
