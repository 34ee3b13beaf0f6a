/**
 * The journal of a daemon's state, in memory that outlives it (a mapped file of tmpfs): a log of records in one of two halves.
 * A record is the value of a kind and key; a later one replaces it, a bit in it removes it. When a half is full, what is still valid is copied to the other, and
 * one word says which of them counts.
 *
 * What a kill at any moment leaves: a record counts from the store of its first word on, its length, which is the last store of
 * it; where no record is, that word is 0. So half a record does not count, and the next daemon finds the state after some
 * operation. It needs no checksum: the stores of a dead process reach memory in the order in which it made them, and no page of
 * it is lost, unlike after a power failure, which ends the mount too.
 *
 * Thread: the daemon's main thread; nobody else reads before it is dead. Owns: the memory. Blocks? Never.
 * Shared words (32 bits, little endian), from the start of the memory:
 *   0 magic   1 version of this layout   2 how often halves were changed: the last bit is the half that counts
 *   3, 4 bytes of either half that may be other than 0   5 1 = a value found no room
 * A record, 8 bytes aligned: length in bytes (4), kind (1), RECORD_* bits (1), bytes of a string key (2), bytes of the value
 * (4), 0 (4), key (8 bytes as a double, or the string), value.
 * Order: payload, then the length by Atomics.store; a copied half, then word 2.
 *
 * Bounds: halfBytes a half; beyond seven eighths of valid records new values are refused (`put` is false), and one line says so.
 * Measured on the development machine while others used it: what an open and its release cost (two puts with 130 and 20 bytes
 * of value, two removes) 1.8 us, 2.6 us beside 100,000 directories, copying included; setWord 0.14 us.
 */
import { invariant } from '../invariant.js';
import { KIB, MIB } from '../units.js';
import type { JournalKey, StateJournal } from './journal-api.js';

/** What lies under a journal. */
export interface JournalMemory {
  /** All that there may ever be, zeros at first. Its first byte lies on a page. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** May these bytes be written from now on? False when the system has no more memory for them. */
  reserve(offset: number, bytes: number): boolean;
  /** These bytes are zeros again; when `release`, the system gets their memory back, and they must be reserved again. */
  clear(offset: number, bytes: number, release: boolean): void;
}

export interface StateJournalOptions {
  /** Most bytes of one half; default what the memory has room for. A multiple of 8. */
  readonly halfBytes?: number;
  /** Bytes of a half at first; default 256 KiB. */
  readonly firstBytes?: number;
}

export interface StateJournalDeps {
  /** Said once when values find no room. */
  readonly onFull?: () => void;
  /** For tests that look at the memory after each store, as a kill would leave it. */
  readonly onStore?: () => void;
}

export const KEY_BYTES_MAX = 0xffff;
/** Of the memory, before the halves. */
export const HEADER_BYTES = 4096;
/** A directory known to the kernel takes about 100 bytes: 300,000 of them. */
export const HALF_BYTES_MAX = 32 * MIB;
/** What a journal's file has behind the supervisor's page. */
export const MEMORY_BYTES = HEADER_BYTES + 2 * HALF_BYTES_MAX;

const MAGIC = 0x6a73_3278;
const LAYOUT_VERSION = 1;
const WORD_MAGIC = 0;
const WORD_LAYOUT = 1;
const WORD_CHANGES = 2;
const WORD_DIRTY = 3;
const WORD_LOST = 5;

const RECORD_REMOVED = 1;
const RECORD_STRING_KEY = 2;
const RECORD_HEAD_BYTES = 16;

const FIRST_BYTES = 256 * KIB;
/** Memory is asked of the system in such steps. */
const RESERVE_BYTES = 64 * KIB;
/** A half larger than this gives its memory back when it is left; clearing a smaller one is cheaper than getting it again. */
const KEPT_BYTES = MIB;

/** What `openJournal` throws for memory that another version wrote. */
export class JournalVersionError extends Error {}

export class MappedJournal implements StateJournal {
  readonly #memory: JournalMemory;
  readonly #bytes: Buffer;
  readonly #words: Int32Array;
  readonly #view: DataView;
  readonly #halfBytes: number;
  readonly #firstBytes: number;
  readonly #onFull: () => void;
  readonly #onStore: (() => void) | undefined;
  /** Where the valid record of a key is, by kind. */
  readonly #index: (Map<JournalKey, number> | undefined)[] = [];
  /** The half that counts, [0, limit) of which is used, up to `end`. */
  #half: number;
  #end = 0;
  #limit: number;
  #liveBytes = 0;
  #isFrozen = false;

  /** Takes up what is in the memory; zeros are an empty journal. Throws JournalVersionError. */
  constructor(memory: JournalMemory, options: StateJournalOptions = {}, deps: StateJournalDeps = {}) {
    const { bytes } = memory;
    this.#memory = memory;
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >>> 2);
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#halfBytes = options.halfBytes ?? Math.floor((bytes.length - HEADER_BYTES) / 16) * 8;
    this.#firstBytes = Math.min(options.firstBytes ?? FIRST_BYTES, this.#halfBytes);
    this.#onFull = deps.onFull ?? (() => undefined);
    this.#onStore = deps.onStore;
    invariant(HEADER_BYTES + 2 * this.#halfBytes <= bytes.length, 'two halves fit the memory');
    this.#begin();
    this.#half = (this.#words[WORD_CHANGES] ?? 0) & 1;
    this.#scan();
    this.#limit = Math.max(this.#firstBytes, this.#end);
    // What an unfinished record left must not be taken for one when a shorter one comes before it.
    const dirtyBytes = this.#dirty(this.#half);
    if (dirtyBytes > this.#end) this.#memory.clear(this.#at(this.#half) + this.#end, dirtyBytes - this.#end, false);
  }

  get isIncomplete(): boolean {
    return this.#words[WORD_LOST] !== 0;
  }

  /** Bytes of valid records. */
  get liveBytes(): number {
    return this.#liveBytes;
  }

  freeze(): void {
    this.#isFrozen = true;
  }

  put(kind: number, key: JournalKey, value: Uint8Array): boolean {
    if (this.#isFrozen) return false;
    const at = this.#append(kind, key, value);
    if (at < 0) {
      this.remove(kind, key);
      return false;
    }
    this.#forget(kind, key);
    let ofKind = this.#index[kind];
    if (ofKind === undefined) this.#index[kind] = ofKind = new Map();
    ofKind.set(key, at);
    this.#liveBytes += this.#words[at >>> 2] ?? 0;
    return true;
  }

  setWord(kind: number, key: JournalKey, word: number, value: number): void {
    const at = this.#index[kind]?.get(key);
    if (at === undefined || this.#isFrozen) return;
    const valueAt = this.#valueAt(at);
    invariant(word * 4 + 4 <= this.#view.getUint32(at + 8, true), 'a word within the value');
    Atomics.store(this.#words, (valueAt >>> 2) + word, value);
    this.#onStore?.();
  }

  remove(kind: number, key: JournalKey): void {
    const at = this.#index[kind]?.get(key);
    if (at === undefined || this.#isFrozen) return;
    // It is the last of its key: whatever came before it does not count either.
    this.#store((at >>> 2) + 1, (this.#words[(at >>> 2) + 1] ?? 0) | (RECORD_REMOVED << 8));
    this.#forget(kind, key);
  }

  has(kind: number, key: JournalKey): boolean {
    return this.#index[kind]?.has(key) === true;
  }

  entries(kind: number): { key: JournalKey; value: Uint8Array }[] {
    const found: { key: JournalKey; value: Uint8Array }[] = [];
    for (const [key, at] of this.#index[kind] ?? []) {
      const valueAt = this.#valueAt(at);
      const value = Uint8Array.from(this.#bytes.subarray(valueAt, valueAt + this.#view.getUint32(at + 8, true)));
      found.push({ key, value });
    }
    return found;
  }

  #begin(): void {
    const magic = this.#words[WORD_MAGIC];
    if (magic === 0) {
      if (!this.#memory.reserve(0, HEADER_BYTES)) throw new Error('there is no memory for the journal');
      this.#store(WORD_LAYOUT, LAYOUT_VERSION);
      this.#store(WORD_MAGIC, MAGIC);
    } else if (magic !== MAGIC || this.#words[WORD_LAYOUT] !== LAYOUT_VERSION) {
      throw new JournalVersionError('the journal was written by another version of mount-s3x');
    }
  }

  /** Finds the valid records of the half that counts. */
  #scan(): void {
    const start = this.#at(this.#half);
    const endMax = start + Math.min(this.#halfBytes, this.#dirty(this.#half));
    let at = start;
    while (at + RECORD_HEAD_BYTES <= endMax) {
      const recordBytes = Atomics.load(this.#words, at >>> 2);
      if (recordBytes < RECORD_HEAD_BYTES || recordBytes % 8 !== 0 || at + recordBytes > endMax) break;
      const kind = this.#bytes[at + 4] ?? 0;
      const key = this.#keyOf(at);
      this.#forget(kind, key);
      if (((this.#bytes[at + 5] ?? 0) & RECORD_REMOVED) === 0) {
        (this.#index[kind] ??= new Map()).set(key, at);
        this.#liveBytes += recordBytes;
      }
      at += recordBytes;
    }
    this.#end = at - start;
  }

  #keyOf(at: number): JournalKey {
    const keyAt = at + RECORD_HEAD_BYTES;
    if (((this.#bytes[at + 5] ?? 0) & RECORD_STRING_KEY) === 0) return this.#view.getFloat64(keyAt, true);
    return this.#bytes.toString('utf8', keyAt, keyAt + this.#view.getUint16(at + 6, true));
  }

  #valueAt(at: number): number {
    const isString = ((this.#bytes[at + 5] ?? 0) & RECORD_STRING_KEY) !== 0;
    return at + RECORD_HEAD_BYTES + (isString ? aligned(this.#view.getUint16(at + 6, true)) : 8);
  }

  /** The key has no valid record any more. */
  #forget(kind: number, key: JournalKey): void {
    const ofKind = this.#index[kind];
    const at = ofKind?.get(key);
    if (ofKind === undefined || at === undefined) return;
    ofKind.delete(key);
    this.#liveBytes -= this.#words[at >>> 2] ?? 0;
  }

  /** Writes a record; its offset, -1 when there is no room. */
  #append(kind: number, key: JournalKey, value: Uint8Array): number {
    const isString = typeof key === 'string';
    const keyBytes = isString ? Buffer.byteLength(key) : 8;
    invariant(keyBytes <= KEY_BYTES_MAX && kind > 0 && kind < 256, `no record of kind ${kind} can have this key`);
    const valueBytes = value.length;
    const recordBytes = RECORD_HEAD_BYTES + aligned(keyBytes) + aligned(valueBytes);
    if (!this.#makeRoom(recordBytes)) return -1;
    const at = this.#at(this.#half) + this.#end;
    const view = this.#view;
    view.setUint32(at + 4, isString ? kind | (RECORD_STRING_KEY << 8) | (keyBytes << 16) : kind, true);
    view.setUint32(at + 8, valueBytes, true);
    const keyAt = at + RECORD_HEAD_BYTES;
    if (isString) this.#bytes.write(key, keyAt, keyBytes, 'utf8');
    else view.setFloat64(keyAt, key, true);
    this.#bytes.set(value, keyAt + aligned(keyBytes));
    this.#onStore?.();
    this.#store(at >>> 2, recordBytes);
    this.#end += recordBytes;
    return at;
  }

  /** Sees that the half that counts has room for a record. */
  #makeRoom(recordBytes: number): boolean {
    if (this.#end + recordBytes > this.#limit) {
      if (this.#liveBytes + recordBytes > (this.#halfBytes / 8) * 7) return this.#full();
      if (!this.#change(recordBytes)) return this.#full();
    }
    return this.#reserve(this.#half, this.#end + recordBytes) || this.#full();
  }

  #full(): false {
    if (!this.isIncomplete) {
      this.#store(WORD_LOST, 1);
      this.#onFull();
    }
    return false;
  }

  /** Copies the valid records to the other half, which counts from then on. False when there is no memory for it. */
  #change(moreBytes: number): boolean {
    const to = this.#half ^ 1;
    const start = this.#at(to);
    const dirtyBytes = this.#dirty(to);
    const isLarge = dirtyBytes > KEPT_BYTES;
    if (dirtyBytes > 0) this.#memory.clear(start, dirtyBytes, isLarge);
    if (isLarge) this.#store(WORD_DIRTY + to, 0);
    this.#onStore?.();
    if (!this.#reserve(to, this.#liveBytes)) return false;
    let at = start;
    const moved: [Map<JournalKey, number>, JournalKey, number][] = [];
    for (const ofKind of this.#index) {
      for (const [key, from] of ofKind ?? []) {
        const recordBytes = this.#words[from >>> 2] ?? 0;
        this.#bytes.copyWithin(at, from, from + recordBytes);
        this.#onStore?.();
        if (ofKind) moved.push([ofKind, key, at]);
        at += recordBytes;
      }
    }
    this.#store(WORD_CHANGES, (this.#words[WORD_CHANGES] ?? 0) + 1);
    this.#half = to;
    for (const [ofKind, key, movedTo] of moved) ofKind.set(key, movedTo);
    this.#end = at - start;
    let limit = this.#firstBytes;
    while (limit < (this.#end + moreBytes) * 4) limit *= 2;
    this.#limit = Math.min(limit, this.#halfBytes);
    return true;
  }

  /** Sees that [0, endBytes) of a half may be written. */
  #reserve(half: number, endBytes: number): boolean {
    const reservedBytes = this.#dirty(half);
    if (endBytes <= reservedBytes) return true;
    const wanted = Math.min(this.#halfBytes, Math.ceil(endBytes / RESERVE_BYTES) * RESERVE_BYTES);
    if (wanted < endBytes || !this.#memory.reserve(this.#at(half) + reservedBytes, wanted - reservedBytes))
      return false;
    this.#store(WORD_DIRTY + half, wanted);
    return true;
  }

  #at(half: number): number {
    return HEADER_BYTES + half * this.#halfBytes;
  }

  #dirty(half: number): number {
    return this.#words[WORD_DIRTY + half] ?? 0;
  }

  #store(word: number, value: number): void {
    Atomics.store(this.#words, word, value);
    this.#onStore?.();
  }
}

function aligned(bytes: number): number {
  return (bytes + 7) & ~7;
}
