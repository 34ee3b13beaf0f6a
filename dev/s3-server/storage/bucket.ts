/**
 * One bucket: finding, opening, placing and removing objects.
 *
 * Everything that changes an object happens in one synchronous call (rename, record, index), so a condition that a
 * handler has just checked still holds when it commits, and no request ever sees half a write. Where a key's plain file
 * is impossible the object goes to the escaped layout (layout.ts). Callers check conditions; this file knows none.
 */
import {
  copyFileSync,
  mkdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  type Stats,
  unlinkSync,
  utimesSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { BucketIndex, entryOfStats } from './bucket-index.js';
import { type Layout, oddPlace, UNFINISHED_PREFIX } from './layout.js';
import { ObjectLog } from './object-log.js';
import { entryOfRecord, type ObjectEntry, type ObjectMeta } from './object-record.js';
import type { FileLease, OpenFiles } from './open-files.js';

/** See the header. Made by the Store, one a bucket. */
export class Bucket {
  readonly name: string;
  readonly index: BucketIndex;
  readonly #layout: Layout;
  readonly #files: OpenFiles;
  readonly #log: ObjectLog;

  constructor(name: string, layout: Layout, files: OpenFiles) {
    this.name = name;
    this.#layout = layout;
    this.#files = files;
    this.#log = new ObjectLog(layout.logFile(name));
    this.#log.dropUnfinished((record) => {
      const stats = statOrNone(layout.fileOf(name, record.key, record.place));
      return stats?.size === record.bytes && stats.mtimeMs === record.mtimeMs;
    });
    this.index = new BucketIndex(layout, name, this.#log);
  }

  /** The object of a key as it is on disk now, or undefined. */
  lookup(key: string): ObjectEntry | undefined {
    const found = this.#find(key);
    if (found === undefined) this.index.forget(key);
    else this.index.note(found.entry);
    return found?.entry;
  }

  /** The object of a key with its bytes. The lease is the caller's. */
  open(key: string): { entry: ObjectEntry; lease: FileLease } | undefined {
    const found = this.#find(key);
    if (found === undefined) {
      this.index.forget(key);
      return undefined;
    }
    this.index.note(found.entry);
    return { entry: found.entry, lease: this.#files.acquire(found.path, found.stats) };
  }

  /**
   * Makes the file at `tempPath` the object of `key`, replacing what was there. The file is moved, never copied, unless
   * the bucket's folder is on another file system.
   *
   * The record goes first: killed before the move, the log takes its last line back; killed after it, nothing is missing.
   */
  commit(key: string, tempPath: string, meta: ObjectMeta): ObjectEntry {
    const before = this.#log.get(key);
    const stats = statSync(tempPath);
    const plainPath = this.#layout.plainFile(this.name, key);
    const place = plainPath !== null && canHoldFile(plainPath) ? null : oddPlace(key);
    const path = this.#layout.fileOf(this.name, key, place);
    if (place !== null) mkdirSync(dirname(path), { recursive: true });
    this.#put(key, stats, place, meta);
    try {
      move(tempPath, path);
    } catch (error) {
      if (before === undefined) this.#log.delete(key);
      else this.#log.put(before);
      throw error;
    }
    if (place === null && before !== undefined && before.place !== null) {
      rmSync(this.#layout.fileOf(this.name, key, before.place), { force: true });
    }
    // A copy to another file system may have rounded the time, by which the record knows its file.
    const placed = statSync(path);
    if (placed.mtimeMs !== stats.mtimeMs) this.#put(key, placed, place, meta);
    return this.#indexed(key);
  }

  /** Gives an object other metadata; its bytes stay as they are. */
  changeMeta(entry: ObjectEntry, meta: ObjectMeta): ObjectEntry {
    const stats = statSync(this.#layout.fileOf(this.name, entry.key, entry.place));
    this.#put(entry.key, stats, entry.place, meta);
    return this.#indexed(entry.key);
  }

  /** Gives an object another key, within the bucket, without copying. */
  rename(entry: ObjectEntry, toKey: string): ObjectEntry {
    const from = this.#layout.fileOf(this.name, entry.key, entry.place);
    const meta: ObjectMeta = entry.meta ?? { etag: entry.etag, headers: {}, user: {} };
    if (!toKey.startsWith(`${entry.key}/`) && !entry.key.startsWith(`${toKey}/`)) {
      const renamed = this.commit(toKey, from, meta);
      this.#files.forget(from);
      this.remove(entry.key);
      if (entry.place === null) this.#pruneAbove(from);
      return renamed;
    }
    const aside = join(this.#layout.tempDir, `rename-${process.pid}`);
    mkdirSync(this.#layout.tempDir, { recursive: true });
    // The old name must be free first: renaming `a` to `a/b` needs `a` to become a folder. (Killed within these three lines, the server
    // loses the object; only here.)
    move(from, aside);
    this.remove(entry.key);
    return this.commit(toKey, aside, meta);
  }

  /** Removes an object if it exists, and folders that become empty by that. */
  remove(key: string): void {
    const record = this.#log.get(key);
    if (record !== undefined && record.place !== null) {
      const path = this.#layout.fileOf(this.name, key, record.place);
      this.#files.forget(path);
      rmSync(path, { force: true });
    }
    const plainPath = this.#layout.plainFile(this.name, key);
    if (plainPath !== null && statOrNone(plainPath)?.isFile() === true) {
      this.#files.forget(plainPath);
      unlinkSync(plainPath);
      this.#pruneAbove(plainPath);
    }
    this.#log.delete(key);
    this.index.forget(key);
  }

  close(): void {
    this.#log.close();
  }

  #find(key: string): { entry: ObjectEntry; path: string; stats: Stats } | undefined {
    const record = this.#log.get(key);
    if (record !== undefined && record.place !== null) {
      const path = this.#layout.fileOf(this.name, key, record.place);
      const stats = statOrNone(path);
      if (stats !== undefined) return { entry: entryOfRecord(record), path, stats };
    }
    const path = this.#layout.plainFile(this.name, key);
    const stats = path === null ? undefined : statOrNone(path);
    if (path === null || stats?.isFile() !== true) return undefined;
    return { entry: entryOfStats(this.#log, key, stats.size, stats.mtimeMs), path, stats };
  }

  #put(key: string, stats: Stats, place: string | null, meta: ObjectMeta): void {
    this.#log.put({ key, bytes: stats.size, mtimeMs: stats.mtimeMs, place, meta });
  }

  /** The entry of a key that has just been recorded, now in the index too. */
  #indexed(key: string): ObjectEntry {
    const record = this.#log.get(key);
    if (record === undefined) throw new Error(`no record of ${key}`);
    const entry = entryOfRecord(record);
    this.index.replace(entry);
    return entry;
  }

  #pruneAbove(path: string): void {
    const bucketDir = this.#layout.bucketDir(this.name);
    for (let dir = dirname(path); dir.length > bucketDir.length; dir = dirname(dir)) {
      try {
        rmdirSync(dir);
      } catch {
        return; // Not empty.
      }
    }
  }
}

function statOrNone(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch {
    return undefined; // A name too long, a loop of links: no such object.
  }
}

/** Makes the folders above a plain place; false when a file stands where a folder is needed or the other way round. */
function canHoldFile(path: string): boolean {
  try {
    mkdirSync(dirname(path), { recursive: true });
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true;
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (['EEXIST', 'ENOTDIR', 'EISDIR', 'ENOTEMPTY', 'ENAMETOOLONG', 'ELOOP', 'EINVAL'].includes(code)) return false;
    throw error;
  }
}

function move(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EXDEV') throw error;
    const near = join(dirname(to), `${UNFINISHED_PREFIX}${process.pid}`);
    const { atimeMs, mtimeMs } = statSync(from);
    copyFileSync(from, near);
    utimesSync(near, atimeMs / 1000, mtimeMs / 1000);
    renameSync(near, to);
    unlinkSync(from);
  }
}
