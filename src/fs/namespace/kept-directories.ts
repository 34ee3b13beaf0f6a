/**
 * Directories that stay although the bucket may hold nothing of them: those whose last name this mount removed or moved away.
 * S3 has no directories; what a program made `rm *` in must still be there for the next `touch`.
 * Remembered while the mount lives, the longest unused forgotten beyond a bound (they then exist by their keys only, like all
 * others). Only consulted when the store says that there is nothing. Refuses to put markers: see directories.ts.
 */
import { LRUCache } from 'lru-cache';
import { parentDirectoryKey } from '../keymap.js';
import type { AttributeRecords } from '../restore/attribute-records.js';

/** About 200 bytes each. */
const KEPT_MAX = 16_384;

export class KeptDirectories {
  readonly #rootKey: string;
  readonly #kept: LRUCache<string, true>;
  /** Names by the directory that holds them. */
  readonly #children = new Map<string, Set<string>>();
  readonly #records: AttributeRecords | undefined;

  /** `records`: what an earlier daemon kept is kept on. */
  constructor(rootKey: string, keptMax = KEPT_MAX, records?: AttributeRecords) {
    this.#rootKey = rootKey;
    this.#kept = new LRUCache<string, true>({ max: keptMax, dispose: (_, key) => this.#unlink(key) });
    for (const key of records?.keptDirectories() ?? []) this.keep(key);
    this.#records = records;
  }

  get size(): number {
    return this.#kept.size;
  }

  /** Keeps the directory (full key with slash) and those above it. */
  keep(directoryKey: string): void {
    for (let key = directoryKey; key.length > this.#rootKey.length; key = parentDirectoryKey(key)) {
      if (this.#kept.get(key)) return;
      const parentKey = parentDirectoryKey(key);
      this.#kept.set(key, true);
      this.#records?.keptDirectory(key);
      const names = this.#children.get(parentKey) ?? new Set<string>();
      names.add(key.slice(parentKey.length, -1));
      this.#children.set(parentKey, names);
    }
  }

  has(directoryKey: string): boolean {
    return this.#kept.has(directoryKey);
  }

  /** Names of kept directories in this one. */
  names(directoryKey: string): Iterable<string> {
    return this.#children.get(directoryKey) ?? [];
  }

  /** The directory was removed on purpose, and all below it. */
  forget(directoryKey: string): void {
    for (const name of [...this.names(directoryKey)]) this.forget(`${directoryKey}${name}/`);
    this.#kept.delete(directoryKey);
  }

  /** The directory and all below it have other keys now. */
  move(fromKey: string, toKey: string): void {
    for (const key of [...this.#kept.keys()]) {
      if (!key.startsWith(fromKey)) continue;
      this.#kept.delete(key);
      this.keep(toKey + key.slice(fromKey.length));
    }
  }

  #unlink(key: string): void {
    this.#records?.directoryGone(key);
    const parentKey = parentDirectoryKey(key);
    const names = this.#children.get(parentKey);
    names?.delete(key.slice(parentKey.length, -1));
    if (names?.size === 0) this.#children.delete(parentKey);
  }
}
