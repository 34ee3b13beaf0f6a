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
   */
  commit(key: string, tempPath: string, meta: ObjectMeta): ObjectEntry {
    const before = this.#log.get(key);
    const plainPath = this.#layout.plainFile(this.name, key);
    let place: string | null = null;
    let path = plainPath;
    if (path === null || !tryMove(tempPath, path)) {
      place = oddPlace(key);
      path = this.#layout.fileOf(this.name, key, place);
      mkdirSync(dirname(path), { recursive: true });
      move(tempPath, path);
    } else if (before !== undefined && before.place !== null) {
      rmSync(this.#layout.fileOf(this.name, key, before.place), { force: true });
    }
    return this.#record(key, path, place, meta);
  }

  /** Gives an object other metadata; its bytes stay as they are. */
  changeMeta(entry: ObjectEntry, meta: ObjectMeta): ObjectEntry {
    return this.#record(entry.key, this.#layout.fileOf(this.name, entry.key, entry.place), entry.place, meta);
  }

  /** Gives an object another key, within the bucket, without copying. */
  rename(entry: ObjectEntry, toKey: string): ObjectEntry {
    const from = this.#layout.fileOf(this.name, entry.key, entry.place);
    const aside = join(this.#layout.tempDir, `rename-${process.pid}`);
    mkdirSync(this.#layout.tempDir, { recursive: true });
    // The old name must be free first: renaming `a` to `a/b` needs `a` to become a folder.
    move(from, aside);
    this.remove(entry.key);
    const meta: ObjectMeta = entry.meta ?? { etag: entry.etag, headers: {}, user: {} };
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

  #record(key: string, path: string, place: string | null, meta: ObjectMeta): ObjectEntry {
    const stats = statSync(path);
    const record = { key, bytes: stats.size, mtimeMs: stats.mtimeMs, place, meta };
    this.#log.put(record);
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

/** Moves a file to its plain place; false when a file stands where a folder is needed or the other way round. */
function tryMove(from: string, to: string): boolean {
  try {
    mkdirSync(dirname(to), { recursive: true });
    move(from, to);
    return true;
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
