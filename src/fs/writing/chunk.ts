/**
 * A piece of memory that holds bytes of one written file: a slot of the pool, or a small buffer of the heap for small files
 * and the beginnings of larger ones (a thousand open writers of a few KiB each shall not take a thousand slots).
 * Bytes are put in one after another, whatever their place in the file; extents say where they belong. While somebody
 * outside reads a chunk (a request that sends it, a write to the spool) its bytes are not changed: new ones go elsewhere.
 * It goes back as soon as no extent names it and nobody reads it.
 *
 * Thread: main. Refuses to be given back twice, and to know of files.
 */
import { invariant } from '../../base/invariant.js';
import { BLOCK_BYTES } from '../../base/pool/layout.js';
import type { WriteSlots } from '../../base/pool/write-slots.js';
import { KIB } from '../../base/units.js';
import type { BodyPiece } from '../../engine/write-api.js';
import type { ExtentMemory } from './extents.js';

/** Room in a heap chunk. */
export const HEAP_CHUNK_BYTES = 64 * KIB;
/** What it begins with: most files that end in one are smaller. */
const HEAP_CHUNK_FIRST_BYTES = 4 * KIB;

/** Who counts what chunks take. */
export interface ChunkHost {
  heapGrew(bytes: number): void;
  /** Nobody reads the chunk any more: it may be moved out, or has gone back. */
  unread(): void;
  /** Once, when the chunk has gone back; `heapBytes`: what it had of the heap. */
  given(chunk: Chunk, heapBytes: number): void;
}

export class Chunk implements ExtentMemory {
  /** Undefined for a heap chunk. */
  readonly slot: number | undefined;
  /** Bytes that were put in; the rest is free. */
  usedBytes = 0;
  liveBytes = 0;
  readonly #slots: WriteSlots;
  readonly #host: ChunkHost;
  #heap: Uint8Array = EMPTY;
  #readers = 0;
  #gone = false;

  /** `@owns` the slot. */
  constructor(slot: number | undefined, slots: WriteSlots, host: ChunkHost) {
    this.slot = slot;
    this.#slots = slots;
    this.#host = host;
  }

  get capacityBytes(): number {
    return this.slot === undefined ? HEAP_CHUNK_BYTES : BLOCK_BYTES;
  }

  get isGone(): boolean {
    return this.#gone;
  }

  /** Somebody reads it, so what is in it must stay. */
  get isRead(): boolean {
    return this.#readers > 0;
  }

  /** Puts bytes in where there is room left, as many as fit; says how many. Name them in an extent at once. */
  append(data: Uint8Array): number {
    const bytes = Math.min(data.length, this.capacityBytes - this.usedBytes);
    const end = this.usedBytes + bytes;
    if (this.slot === undefined && end > this.#heap.length) {
      const grown = new Uint8Array(
        Math.min(HEAP_CHUNK_BYTES, Math.max(end, 2 * this.#heap.length, HEAP_CHUNK_FIRST_BYTES)),
      );
      grown.set(this.#heap);
      this.#host.heapGrew(grown.length - this.#heap.length);
      this.#heap = grown;
    }
    this.bytes(this.usedBytes, end).set(bytes === data.length ? data : data.subarray(0, bytes));
    this.usedBytes = end;
    return bytes;
  }

  /** The first bytes are there already (an adopted slot), or somebody else puts them there. */
  fill(usedBytes: number): void {
    invariant(this.usedBytes === 0 && usedBytes <= this.capacityBytes, 'an empty chunk is filled once');
    this.usedBytes = usedBytes;
  }

  /** Changes bytes that are in it. */
  overwrite(at: number, data: Uint8Array): void {
    invariant(!this.isRead, 'a chunk that is being read is not changed');
    this.bytes(at, at + data.length).set(data);
  }

  /** Borrowed: valid while an extent names them or the caller reads the chunk (`beginRead`). */
  bytes(from: number, to: number): Uint8Array {
    invariant(!this.#gone, 'a chunk that was given back is not looked at');
    return this.slot === undefined ? this.#heap.subarray(from, to) : this.#slots.bytes(this.slot, from, to);
  }

  piece(from: number, to: number): BodyPiece {
    return this.slot === undefined ? this.bytes(from, to) : { slot: this.slot, from, to };
  }

  /** Its bytes stay as they are, and it stays, until `endRead`. */
  beginRead(): void {
    this.#readers++;
  }

  endRead(): void {
    invariant(this.#readers > 0, 'a reader of a chunk ends once');
    this.#readers--;
    this.#maybeGive();
    if (this.#readers === 0) this.#host.unread();
  }

  abandoned(): void {
    this.#maybeGive();
  }

  #maybeGive(): void {
    if (this.#readers > 0 || this.liveBytes > 0 || this.#gone) return;
    this.#gone = true;
    const heapBytes = this.#heap.length;
    this.#heap = EMPTY;
    if (this.slot !== undefined) this.#slots.give(this.slot);
    this.#host.given(this, heapBytes);
  }
}

const EMPTY = new Uint8Array(0);
