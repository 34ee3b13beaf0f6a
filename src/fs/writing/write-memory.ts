/**
 * Memory for bytes on their way to the bucket, and the line of those who wait for it. Slots come from the writers' share of
 * the pool, small buffers from the heap (HEAP_BYTES_MAX in all).
 *
 * Thread: main. Bounds: WriteSlots.slotsMax, HEAP_BYTES_MAX. Why waiting is no deadlock: every slot is named by the extents of a
 * file, or read by a request or a write to the spool, which end by themselves. Who waits holds no slot that is not in
 * extents: a WRITE puts what fits into the file before it waits for more, and of the parts that are put together from
 * several places only one at a time gathers slots (`gather`), holding no others. Slots in which WRITEs came that wait are an
 * eighth at most (src/fuse/slot-loans.ts). Slots in extents can be moved to the spool
 * at any time (written-files.ts, `shortOf`); so either a request ends, or the spool takes bytes, or it refuses, and then all
 * who wait are refused with its error. A FLUSH or another later request is never needed.
 * Refuses to choose what goes to the spool: it says that it is short.
 */
import { ErrnoError, EINTR } from '../../base/errno.js';
import { invariant } from '../../base/invariant.js';
import type { WriteSlots } from '../../base/pool/write-slots.js';
import { MIB } from '../../base/units.js';
import type { BodyPiece } from '../../engine/write-api.js';
import { Chunk, HEAP_CHUNK_BYTES, type ChunkHost } from './chunk.js';

/** Heap chunks of all files: a thousand writers of 16 KiB each (guessed; part of the main thread's share of memory). */
export const HEAP_BYTES_MAX = 16 * MIB;

/** Counts what it has. */
export interface ChunkOwner {
  /** Slots in its chunks. Written by WriteMemory only. */
  slots: number;
}

export interface WriteMemoryDeps {
  readonly slots: WriteSlots;
  /** Somebody waits for a slot: make some free. Called for each wait, and when a chunk may be moved that was being read. */
  readonly shortOf: () => void;
}

export class WriteMemory {
  readonly #slots: WriteSlots;
  readonly #shortOf: () => void;
  readonly #waits = new Set<AbortController>();
  #heapBytes = 0;
  #chunks = 0;
  #gathering: Promise<void> = Promise.resolve();
  #refusal: ErrnoError | undefined;

  constructor(deps: WriteMemoryDeps) {
    this.#slots = deps.slots;
    this.#shortOf = deps.shortOf;
  }

  get slotsMax(): number {
    return this.#slots.slotsMax;
  }

  get slotsUsed(): number {
    return this.#slots.used;
  }

  /** Those who wait for a slot. */
  get waiting(): number {
    return this.#waits.size;
  }

  /** Chunks that were given out and have not gone back; 0 when nothing is written. */
  get chunks(): number {
    return this.#chunks;
  }

  /** A piece's bytes, borrowed; undefined for one that is in a file. */
  view(piece: BodyPiece): Uint8Array | undefined {
    if (piece instanceof Uint8Array) return piece;
    return 'slot' in piece ? this.#slots.bytes(piece.slot, piece.from, piece.to) : undefined;
  }

  /** A chunk of the heap, if there is room for one. */
  heap(owner: ChunkOwner): Chunk | undefined {
    if (this.#heapBytes + HEAP_CHUNK_BYTES > HEAP_BYTES_MAX) return undefined;
    return this.#chunk(undefined, owner);
  }

  /** A chunk of a slot, undefined when there is none right now. */
  take(owner: ChunkOwner): Chunk | undefined {
    if (this.#waits.size > 0) return undefined;
    const slot = this.#slots.take();
    return slot === undefined ? undefined : this.#chunk(slot, owner);
  }

  /** A chunk of a slot that came with its bytes: `@owns` it. */
  adopt(slot: number, owner: ChunkOwner): Chunk {
    return this.#chunk(slot, owner);
  }

  /** A chunk of a slot, first come first served. EINTR when `signal` aborts, another errno when there will be none. */
  async wait(owner: ChunkOwner, signal?: AbortSignal): Promise<Chunk> {
    if (signal?.aborted === true) throw new ErrnoError(EINTR);
    const abort = new AbortController();
    const onAbort = (): void => abort.abort();
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#waits.add(abort);
    try {
      const waited = this.#slots.wait(abort.signal);
      this.#shortOf();
      return this.#chunk(await waited, owner);
    } catch (error) {
      if (this.#refusal && !(signal?.aborted ?? false)) throw this.#refusal;
      throw error;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      this.#waits.delete(abort);
    }
  }

  /**
   * So many chunks of slots, each with one reader (the caller, who calls endRead): for one body at a time. `count` is asked
   * again when they are there, because more of what the body is made of may have left memory meanwhile.
   */
  async gather(owner: ChunkOwner, count: () => number, signal?: AbortSignal): Promise<Chunk[]> {
    const before = this.#gathering;
    let done = (): void => undefined;
    this.#gathering = new Promise((resolve) => (done = resolve));
    await before;
    const chunks: Chunk[] = [];
    try {
      while (chunks.length < count()) {
        const chunk = this.take(owner) ?? (await this.wait(owner, signal));
        chunk.beginRead();
        chunks.push(chunk);
      }
      return chunks;
    } catch (error) {
      for (const chunk of chunks) chunk.endRead();
      throw error;
    } finally {
      done();
    }
  }

  /** All who wait now are refused: nothing is on its way out, and nothing can be moved out. */
  refuse(error: ErrnoError): void {
    this.#refusal = error;
    for (const wait of this.#waits) wait.abort();
  }

  #chunk(slot: number | undefined, owner: ChunkOwner): Chunk {
    const host: ChunkHost = {
      heapGrew: (bytes) => {
        this.#heapBytes += bytes;
      },
      unread: () => {
        // It could not be moved out before.
        if (this.#waits.size > 0) this.#shortOf();
      },
      given: (_chunk, heapBytes) => {
        this.#chunks--;
        this.#heapBytes -= heapBytes;
        if (slot !== undefined) owner.slots--;
        invariant(owner.slots >= 0 && this.#heapBytes >= 0, 'chunks go back once');
      },
    };
    this.#chunks++;
    if (slot !== undefined) owner.slots++;
    return new Chunk(slot, this.#slots, host);
  }
}
