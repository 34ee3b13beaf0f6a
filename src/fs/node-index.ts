/**
 * From an inode number to the node ids that have it: a hash table in two typed arrays, about 20 bytes an entry where a Map
 * of keys takes 150, because the kernel may remember a million files.
 * An inode number is a hash of a key, so two keys may share one: who asks goes through the candidates and compares keys.
 * Open addressing with linear probing; removed places are marked and swept when the table is rebuilt.
 * Refuses to know nodes.
 */

const EMPTY = 0;
const REMOVED = -1;
const PLACES_AT_FIRST = 1024;

export class NodeIndex {
  #ids = new Float64Array(PLACES_AT_FIRST);
  #hashes = new Uint32Array(PLACES_AT_FIRST);
  #mask = PLACES_AT_FIRST - 1;
  #count = 0;
  /** Places that are not empty, removed ones included. */
  #used = 0;
  /** Where the walk over candidates stands. */
  #at = 0;
  #hash = 0;

  get size(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#ids.byteLength + this.#hashes.byteLength;
  }

  /** The pair must not be there yet. */
  add(ino: number, nodeId: number): void {
    if ((this.#used + 1) * 5 > (this.#mask + 1) * 3) this.#rebuild();
    this.#put(ino >>> 0, nodeId);
    this.#count++;
    this.#used++;
  }

  /** Harmless when the pair is not there. */
  remove(ino: number, nodeId: number): void {
    for (let id = this.first(ino); id !== EMPTY; id = this.next()) {
      if (id !== nodeId) continue;
      this.#ids[this.#at] = REMOVED;
      this.#count--;
      break;
    }
    // What a directory of millions needed is given back once it is forgotten.
    if (this.#mask >= PLACES_AT_FIRST * 8 && this.#count * 16 < this.#mask) this.#rebuild();
  }

  /** The first node id that may have this inode number; 0 when there is none. */
  first(ino: number): number {
    // Of 53 bits the low 32: each bit of them depends on the whole key.
    this.#hash = ino >>> 0;
    this.#at = (this.#hash & this.#mask) - 1;
    return this.next();
  }

  /** The next one after `first`, with no other call in between. */
  next(): number {
    for (;;) {
      this.#at = (this.#at + 1) & this.#mask;
      const id = this.#ids[this.#at] ?? EMPTY;
      if (id === EMPTY) return EMPTY;
      if (id !== REMOVED && this.#hashes[this.#at] === this.#hash) return id;
    }
  }

  #put(hash: number, nodeId: number): void {
    let at = hash & this.#mask;
    while (this.#ids[at] !== EMPTY) at = (at + 1) & this.#mask;
    this.#ids[at] = nodeId;
    this.#hashes[at] = hash;
  }

  #rebuild(): void {
    const ids = this.#ids;
    const hashes = this.#hashes;
    let places = PLACES_AT_FIRST;
    while (places < this.#count * 3) places *= 2;
    this.#ids = new Float64Array(places);
    this.#hashes = new Uint32Array(places);
    this.#mask = places - 1;
    this.#used = this.#count;
    for (let at = 0; at < ids.length; at++) {
      const id = ids[at] ?? EMPTY;
      if (id !== EMPTY && id !== REMOVED) this.#put(hashes[at] ?? 0, id);
    }
  }
}
