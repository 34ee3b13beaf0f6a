/**
 * A sorted map from key to entry: leaves of at most 1,024 entries in a flat list.
 *
 * One level is enough: a million keys are about two thousand leaves, so an insert moves at most a leaf and a search is
 * two binary searches. Listing walks a cursor and can seek past a whole common prefix without visiting its keys. It does
 * not know what entries are, only that they carry their key.
 */
import { INDEX_LEAF_KEYS_MAX } from '../limits.js';
import { compareKeys } from './key-order.js';

/** What the index holds. */
export interface Keyed {
  readonly key: string;
}

/** A place in the index; valid until the next change of the index. */
export interface KeyCursor<E extends Keyed> {
  /** The entry here, or undefined at the end. */
  readonly entry: E | undefined;
  /** Moves to the next entry. */
  next(): void;
  /** Moves to the first entry, from here on, that does not start with `prefix`. */
  skipPrefix(prefix: string): void;
}

/** See the header. */
export class KeyIndex<E extends Keyed> {
  /** Never holds an empty leaf, except when the index is empty. */
  #leaves: E[][] = [[]];
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get(key: string): E | undefined {
    const leaf = this.#leafOf(key);
    const at = lowerBound(leaf, key);
    const entry = leaf[at];
    return entry?.key === key ? entry : undefined;
  }

  /** Inserts, or replaces the entry of the same key. */
  set(entry: E): void {
    const leafAt = this.#leafAt(entry.key);
    const leaf = this.#leaves[leafAt] ?? [];
    const at = lowerBound(leaf, entry.key);
    if (leaf[at]?.key === entry.key) {
      leaf[at] = entry;
      return;
    }
    leaf.splice(at, 0, entry);
    this.#size++;
    if (leaf.length > INDEX_LEAF_KEYS_MAX) {
      // Appending in order is the common case (a scan, numbered shards): keep the left leaf full then.
      const keep = at === leaf.length - 1 ? leaf.length - 1 : leaf.length >>> 1;
      this.#leaves.splice(leafAt + 1, 0, leaf.splice(keep));
    }
  }

  /** Removes a key; true when it was there. */
  delete(key: string): boolean {
    const leafAt = this.#leafAt(key);
    const leaf = this.#leaves[leafAt] ?? [];
    const at = lowerBound(leaf, key);
    if (leaf[at]?.key !== key) return false;
    leaf.splice(at, 1);
    this.#size--;
    if (leaf.length === 0 && this.#leaves.length > 1) this.#leaves.splice(leafAt, 1);
    return true;
  }

  /** Replaces everything by `entries`, in any order, keys unique. */
  fill(entries: E[]): void {
    entries.sort((a, b) => compareKeys(a.key, b.key));
    this.#leaves = [];
    for (let at = 0; at < entries.length; at += INDEX_LEAF_KEYS_MAX) {
      this.#leaves.push(entries.slice(at, at + INDEX_LEAF_KEYS_MAX));
    }
    if (this.#leaves.length === 0) this.#leaves.push([]);
    this.#size = entries.length;
  }

  /** A cursor at the first key that is equal to or after `key`. */
  seek(key: string): KeyCursor<E> {
    return new Cursor(this.#leaves, this.#leafAt(key), lowerBound(this.#leafOf(key), key));
  }

  #leafOf(key: string): E[] {
    return this.#leaves[this.#leafAt(key)] ?? [];
  }

  /** The last leaf whose first key is not after `key`, or the first leaf. */
  #leafAt(key: string): number {
    let low = 0;
    let high = this.#leaves.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      const first = this.#leaves[middle]?.[0];
      if (first !== undefined && compareKeys(first.key, key) <= 0) low = middle;
      else high = middle - 1;
    }
    return low;
  }
}

class Cursor<E extends Keyed> implements KeyCursor<E> {
  readonly #leaves: readonly (readonly E[])[];
  #leafAt: number;
  #at: number;
  entry: E | undefined;

  constructor(leaves: readonly (readonly E[])[], leafAt: number, at: number) {
    this.#leaves = leaves;
    this.#leafAt = leafAt;
    this.#at = at;
    this.#settle();
  }

  next(): void {
    this.#at++;
    this.#settle();
  }

  skipPrefix(prefix: string): void {
    if (this.entry?.key.startsWith(prefix) !== true) return;
    // Keys that start with the prefix are neighbours: find the first leaf that begins after them, then the place
    // in the leaf before it.
    let low = this.#leafAt;
    let high = this.#leaves.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >>> 1;
      const first = this.#leaves[middle]?.[0];
      if (first?.key.startsWith(prefix) === true) low = middle;
      else high = middle - 1;
    }
    const leaf = this.#leaves[low] ?? [];
    let from = low === this.#leafAt ? this.#at : 0;
    let to = leaf.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if (leaf[middle]?.key.startsWith(prefix) === true) from = middle + 1;
      else to = middle;
    }
    this.#leafAt = low;
    this.#at = from;
    this.#settle();
  }

  #settle(): void {
    const leaf = this.#leaves[this.#leafAt];
    if (leaf !== undefined && this.#at >= leaf.length) {
      this.#leafAt++;
      this.#at = 0;
    }
    this.entry = this.#leaves[this.#leafAt]?.[this.#at];
  }
}

/** Index of the first entry whose key is not before `key`. */
function lowerBound<E extends Keyed>(leaf: readonly E[], key: string): number {
  let low = 0;
  let high = leaf.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const entry = leaf[middle];
    if (entry !== undefined && compareKeys(entry.key, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
