/**
 * Open files for GET, kept while they are hot.
 *
 * A ranged GET must not pay an open and a close. A file is taken by path and identity (inode, size, time), so a file
 * that was replaced is opened anew, while a reply that is under way keeps its descriptor and sends the old version to
 * its end: a response never mixes versions. Borrowers release exactly once.
 */
import { closeSync, openSync, type Stats } from 'node:fs';
import { OPEN_FILES_MAX } from '../limits.js';

/** A descriptor on loan. */
export interface FileLease {
  readonly fd: number;
  /** Gives it back; exactly once. */
  release(): void;
}

class OpenFile implements FileLease {
  readonly fd: number;
  readonly identity: string;
  users = 0;
  isRetired = false;

  constructor(fd: number, identity: string) {
    this.fd = fd;
    this.identity = identity;
  }

  release(): void {
    if (this.users <= 0) throw new Error('file lease released twice');
    this.users--;
    this.#closeIfUnused();
  }

  retire(): void {
    this.isRetired = true;
    this.#closeIfUnused();
  }

  #closeIfUnused(): void {
    if (this.isRetired && this.users === 0) closeSync(this.fd);
  }
}

/** The cache; a Map in order of last use. */
export class OpenFiles {
  readonly #files = new Map<string, OpenFile>();

  /** Lends the file at `path`, which `stats` was just taken of. Throws what open(2) throws. */
  acquire(path: string, stats: Stats): FileLease {
    const identity = `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeMs}`;
    let file = this.#files.get(path);
    if (file?.identity === identity) {
      this.#files.delete(path);
    } else {
      file?.retire();
      this.#files.delete(path);
      file = new OpenFile(openSync(path, 'r'), identity);
    }
    this.#files.set(path, file);
    file.users++;
    if (this.#files.size > OPEN_FILES_MAX) this.#evictOldest();
    return file;
  }

  /** Forgets a path, so that a removed file's bytes are freed as soon as no reply sends them. */
  forget(path: string): void {
    this.#files.get(path)?.retire();
    this.#files.delete(path);
  }

  close(): void {
    for (const file of this.#files.values()) file.retire();
    this.#files.clear();
  }

  #evictOldest(): void {
    for (const [path, file] of this.#files) {
      file.retire();
      this.#files.delete(path);
      return;
    }
  }
}
