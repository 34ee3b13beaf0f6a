/**
 * The body of one request: bytes [from, to) of a written file, put together from wherever they are. What is in memory goes as
 * it is; what is in the spool or in the base version is read into slots first; holes are zeros. A part that is larger than
 * memory likes is sent from the spool file: what of it is in the base goes there first.
 *
 * Thread: main. Owns: the slots it gathered and a read of each chunk, until `release`. Bound: slots for one body at a time are
 * gathered (WriteMemory). Refuses bytes that were sent with a part and not kept: EIO.
 */
import { EIO, ErrnoError } from '../../base/errno.js';
import { BLOCK_BYTES } from '../../base/pool/layout.js';
import type { BodyPiece } from '../../engine/write-api.js';
import type { MaybePromise } from '../../fuse/handlers.js';
import type { BaseReader } from './base-reader.js';
import { HEAP_CHUNK_BYTES, type Chunk } from './chunk.js';
import type { Extent, Extents } from './extents.js';
import type { SpoolFile } from './spool.js';
import type { ChunkOwner, WriteMemory } from './write-memory.js';

export interface Body {
  readonly pieces: readonly BodyPiece[];
  /** The request is over. Once. */
  release(): void;
}

/** Where the bytes of a written file are. */
export interface ContentSource {
  readonly key: string;
  readonly extents: Extents<Chunk>;
  readonly spool: SpoolFile;
  readonly base: BaseReader | undefined;
  readonly owner: ChunkOwner;
}

const ZEROS = new Uint8Array(HEAP_CHUNK_BYTES);

/** At once when all bytes are in memory. `memoryBytesMax`: what may be gathered there. */
export function makeBody(
  source: ContentSource,
  memory: WriteMemory,
  { from, to }: { readonly from: number; readonly to: number },
  memoryBytesMax: number,
  signal?: AbortSignal,
): MaybePromise<Body> {
  const slice = source.extents.slice(from, to);
  if (slice.every(({ kind }) => kind === 'memory')) return bodyOf(slice);
  if (to - from > memoryBytesMax) return spooledBody(source, memory, from, to, signal);
  return gatherBody(source, memory, from, to, signal);
}

/** Slots that the body keeps: they come back when its request is over. */
export function slotsOf({ pieces }: Body): number {
  return pieces.filter((piece) => 'slot' in piece).length;
}

/** Fills `into` with the bytes from `offset` on. What is in memory is taken before anything is awaited. */
export async function readContent(source: ContentSource, offset: number, into: Uint8Array): Promise<void> {
  const slow: Extent<Chunk>[] = [];
  for (const extent of source.extents.slice(offset, offset + into.length)) {
    const { memory, kind, from, to, at } = extent;
    if (memory) into.set(memory.bytes(at, at + to - from), from - offset);
    else if (kind === 'hole') into.fill(0, from - offset, to - offset);
    else slow.push(extent);
  }
  const { spool, base } = source;
  // A commit meanwhile replaces both: the spool stays for as long as it is held, the base says that it is gone.
  const release = spool.hold();
  try {
    for (const { kind, from, to } of slow) {
      if (kind === 'spool') await spool.read(from, into.subarray(from - offset, to - offset));
    }
  } finally {
    release();
  }
  for (const { kind, from, to } of slow) {
    if (kind === 'spool') continue;
    if (kind !== 'base' || !base) throw lostError(source.key, from, to);
    await base.read(from, into.subarray(from - offset, to - offset));
  }
}

export function lostError(key: string, from: number, to: number): ErrnoError {
  return new ErrnoError(
    EIO,
    `bytes ${from} to ${to} of '${key}' were uploaded already and are not kept here, because nobody had the file open for ` +
      'reading; open it for reading and writing (O_RDWR) where written bytes are read or changed again before the close',
  );
}

function bodyOf(slice: readonly Extent<Chunk>[]): Body {
  const chunks: Chunk[] = [];
  const pieces: BodyPiece[] = [];
  for (const { memory, at, from, to } of slice) {
    if (!memory) continue;
    memory.beginRead();
    chunks.push(memory);
    pieces.push(memory.piece(at, at + to - from));
  }
  return { pieces, release: () => chunks.forEach((chunk) => chunk.endRead()) };
}

async function gatherBody(
  source: ContentSource,
  memory: WriteMemory,
  from: number,
  to: number,
  signal?: AbortSignal,
): Promise<Body> {
  const { extents } = source;
  // Of holes one slot of zeros is enough, however large they are.
  const slowBytes = (): number =>
    extents.slice(from, to).reduce((sum, extent) => {
      if (extent.kind === 'memory') return sum;
      return sum + (extent.kind === 'hole' ? 0 : extent.to - extent.from);
    }, 0);
  const holeBytes = (): number =>
    extents
      .slice(from, to)
      .reduce((most, extent) => (extent.kind === 'hole' ? Math.max(most, extent.to - extent.from) : most), 0);
  const slotsFor = (bytes: number): number => (bytes <= HEAP_CHUNK_BYTES ? 0 : Math.ceil(bytes / BLOCK_BYTES));
  const count = (): number => slotsFor(slowBytes()) + (holeBytes() > HEAP_CHUNK_BYTES ? 1 : 0);
  const chunks = await memory.gather(source.owner, count, signal);
  const pieces: BodyPiece[] = [];
  const reads: { readonly extent: Extent<Chunk>; readonly places: Uint8Array[] }[] = [];
  let zeros: Chunk | undefined;
  if (holeBytes() > HEAP_CHUNK_BYTES) {
    zeros = chunks[chunks.length - 1];
    zeros?.bytes(0, BLOCK_BYTES).fill(0);
  }
  const room = new Room(zeros ? chunks.slice(0, -1) : [...chunks]);
  try {
    // In one turn: what is in memory now stays, what is not is known.
    for (const extent of extents.slice(from, to)) {
      const { kind, memory: chunk, at } = extent;
      const bytes = extent.to - extent.from;
      if (chunk) {
        chunk.beginRead();
        chunks.push(chunk);
        pieces.push(chunk.piece(at, at + bytes));
      } else if (kind === 'hole') pushZeros(pieces, zeros, bytes);
      else if (kind === 'lost') throw lostError(source.key, extent.from, extent.to);
      else {
        const { places, pieces: placed } = room.take(bytes);
        pieces.push(...placed);
        reads.push({ extent, places });
      }
    }
    for (const { extent, places } of reads) {
      let offset = extent.from;
      for (const place of places) {
        if (extent.kind === 'spool') await source.spool.read(offset, place);
        else await source.base?.read(offset, place);
        offset += place.length;
        signal?.throwIfAborted();
      }
    }
  } catch (error) {
    for (const chunk of chunks) chunk.endRead();
    throw error;
  }
  return { pieces, release: () => chunks.forEach((chunk) => chunk.endRead()) };
}

/** In the file's turn, or of bytes that are written already: what is in the base now is so at the end. */
async function spooledBody(
  source: ContentSource,
  memory: WriteMemory,
  from: number,
  to: number,
  signal?: AbortSignal,
): Promise<Body> {
  const { extents, spool, base } = source;
  const count = (): number => (extents.slice(from, to).some(({ kind }) => kind === 'hole' || kind === 'base') ? 1 : 0);
  const chunks = await memory.gather(source.owner, count, signal);
  const [spare] = chunks;
  let file: { readonly fd: number; readonly release: () => void } | undefined;
  const release = (): void => {
    for (const chunk of chunks) chunk.endRead();
    file?.release();
  };
  try {
    // Not before there is memory: from now on nothing in the range can go to the spool to make room.
    const { fd } = (file = await spool.send(from, to));
    for (const extent of extents.slice(from, to)) {
      if (extent.kind !== 'base' || !spare) continue;
      for (let at = extent.from; at < extent.to; at += BLOCK_BYTES) {
        const place = spare.bytes(0, Math.min(BLOCK_BYTES, extent.to - at));
        await base?.read(at, place);
        await spool.write(at, [place]);
        signal?.throwIfAborted();
      }
    }
    spare?.bytes(0, BLOCK_BYTES).fill(0);
    const pieces: BodyPiece[] = [];
    for (const { kind, memory: chunk, at, from: start, to: end } of extents.slice(from, to)) {
      if (chunk) {
        chunk.beginRead();
        chunks.push(chunk);
        pieces.push(chunk.piece(at, at + end - start));
      } else if (kind === 'hole') pushZeros(pieces, spare, end - start);
      else if (kind === 'lost') throw lostError(source.key, start, end);
      else pieces.push({ fd, from: start, to: end });
    }
    return { pieces, release };
  } catch (error) {
    release();
    throw error;
  }
}

function pushZeros(pieces: BodyPiece[], zeros: Chunk | undefined, bytes: number): void {
  const most = zeros ? BLOCK_BYTES : ZEROS.length;
  for (let left = bytes; left > 0; left -= most) {
    const some = Math.min(left, most);
    pieces.push(zeros ? zeros.piece(0, some) : ZEROS.subarray(0, some));
  }
}

/** Room in gathered slots, or on the heap for a little. */
class Room {
  readonly #chunks: readonly Chunk[];
  #index = 0;
  #at = 0;

  constructor(chunks: readonly Chunk[]) {
    this.#chunks = chunks;
  }

  take(bytes: number): { places: Uint8Array[]; pieces: BodyPiece[] } {
    const places: Uint8Array[] = [];
    const pieces: BodyPiece[] = [];
    for (let left = bytes; left > 0;) {
      const chunk = this.#chunks[this.#index];
      if (!chunk) {
        const heap = new Uint8Array(left);
        return { places: [...places, heap], pieces: [...pieces, heap] };
      }
      const some = Math.min(left, BLOCK_BYTES - this.#at);
      places.push(chunk.bytes(this.#at, this.#at + some));
      pieces.push(chunk.piece(this.#at, this.#at + some));
      left -= some;
      this.#at += some;
      if (this.#at === BLOCK_BYTES) {
        this.#index++;
        this.#at = 0;
      }
    }
    return { places, pieces };
  }
}
