/**
 * The bytes of generated files: incompressible, the same on every machine, and known at every offset without having been
 * stored. One base of pseudo-random bytes is enough: piece n of file f is a window of the base that begins where a hash of
 * (f, n) says, so writing needs no generating and comparing is one memcmp. Two pieces that were swapped, or a file that is
 * another's, differ unless their windows begin at the same byte (1 in 16 million).
 * Refuses to be a secret: the generator is xorshift32.
 */

/** A window's length: the pieces that a file is made of. */
export const PIECE_BYTES = 1024 * 1024;
/** Bytes at which windows may begin. */
const WINDOWS = 16 * 1024 * 1024;
const SEED = 0x9e3779b9;

/** The base: 17 MiB of shared memory, to be made once a process (measured: 30 ms) and handed to its threads. */
export function makeContentBase(): SharedArrayBuffer {
  const memory = new SharedArrayBuffer(WINDOWS + PIECE_BYTES);
  const words = new Uint32Array(memory);
  let state = SEED;
  for (let at = 0; at < words.length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[at] = state;
  }
  return memory;
}

/** Where the window of a piece begins: murmur3's finisher over both numbers. */
function windowStart(contentId: number, piece: number): number {
  let hash = Math.imul(contentId + 1, 0x85ebca6b) ^ Math.imul(piece + 1, 0xc2b2ae35);
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  hash ^= hash >>> 13;
  hash = Math.imul(hash, 0xc2b2ae35);
  hash ^= hash >>> 16;
  return (hash >>> 0) % WINDOWS;
}

export class Content {
  readonly #base: Buffer;

  /** `memory` is a base of makeContentBase. */
  constructor(memory: SharedArrayBuffer) {
    this.#base = Buffer.from(memory);
  }

  /** The bytes from `offset` on, `bytes` at most and never beyond the piece that they begin in. A view: not to be written. */
  view(contentId: number, offset: number, bytes: number): Buffer {
    const within = offset % PIECE_BYTES;
    const start = windowStart(contentId, Math.floor(offset / PIECE_BYTES)) + within;
    return this.#base.subarray(start, start + Math.min(bytes, PIECE_BYTES - within));
  }

  /** The first offset (of the file) at which `got`, read at `offset`, differs; undefined when it is all right. */
  firstDifference(contentId: number, offset: number, got: Uint8Array): number | undefined {
    for (let done = 0; done < got.length;) {
      const expected = this.view(contentId, offset + done, got.length - done);
      const piece = got.subarray(done, done + expected.length);
      if (expected.compare(piece) !== 0) {
        return offset + done + piece.findIndex((byte, at) => byte !== expected[at]);
      }
      done += expected.length;
    }
    return undefined;
  }
}
