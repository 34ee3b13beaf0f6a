/**
 * Decodes chunked coding, bytes in, pieces out: HTTP's own (RFC 9112, section 7.1) and S3's aws-chunked, which is the
 * same grammar with a `;chunk-signature=` extension and a trailer.
 *
 * No I/O and no hashing here: a caller that verifies signatures listens to the hooks. Payload pieces are views of the
 * input. It refuses size lines and trailers over a bound, and anything that is not hexadecimal.
 */

/** What a listener learns while chunks pass. All optional. */
export interface ChunkHooks {
  /** A chunk begins; `extension` is what followed the size, without the semicolon. The last chunk has size 0. */
  onChunk?(chunkBytes: number, extension: string): void;
  /** A chunk's payload is complete. Not called for the last, empty chunk. */
  onChunkEnd?(): void;
}

const LINE_BYTES_MAX = 8 * 1024;
const TRAILERS_MAX = 32;

const STATE_SIZE = 0;
const STATE_DATA = 1;
const STATE_DATA_END = 2;
const STATE_TRAILER = 3;
const STATE_DONE = 4;

/** Thrown by `push` on input that is not chunked coding. */
export class ChunkError extends Error {
  override readonly name = 'ChunkError';
}

/** One coded body. `push` until `isDone`. */
export class ChunkedDecoder {
  readonly trailers = new Map<string, string>();
  readonly #hooks: ChunkHooks;
  #state: number = STATE_SIZE;
  #line = '';
  #chunkBytesLeft = 0;

  constructor(hooks: ChunkHooks = {}) {
    this.#hooks = hooks;
  }

  get isDone(): boolean {
    return this.#state === STATE_DONE;
  }

  /**
   * Takes input, hands payload pieces to `onPayload` in order, and returns how many bytes of the input it used: all of
   * them, unless the body ended inside it. Throws ChunkError.
   */
  push(input: Buffer, onPayload: (piece: Buffer) => void): number {
    let at = 0;
    while (at < input.length && this.#state !== STATE_DONE) {
      if (this.#state === STATE_DATA) {
        const piece = input.subarray(at, at + this.#chunkBytesLeft);
        at += piece.length;
        this.#chunkBytesLeft -= piece.length;
        onPayload(piece);
        if (this.#chunkBytesLeft === 0) {
          this.#state = STATE_DATA_END;
          this.#hooks.onChunkEnd?.();
        }
        continue;
      }
      const newline = input.indexOf(10, at);
      const lineEnd = newline < 0 ? input.length : newline;
      this.#line += input.toString('latin1', at, lineEnd);
      if (this.#line.length > LINE_BYTES_MAX) throw new ChunkError('line too long in chunked body');
      at = lineEnd + 1;
      if (newline < 0) return input.length;
      const line = this.#line.endsWith('\r') ? this.#line.slice(0, -1) : this.#line;
      this.#line = '';
      this.#takeLine(line);
    }
    return at;
  }

  #takeLine(line: string): void {
    if (this.#state === STATE_SIZE) {
      const match = /^([0-9a-fA-F]{1,12})[ \t]*(?:;(.*))?$/.exec(line);
      if (match === null) throw new ChunkError('malformed chunk size');
      this.#chunkBytesLeft = Number.parseInt(match[1] ?? '', 16);
      this.#hooks.onChunk?.(this.#chunkBytesLeft, match[2] ?? '');
      this.#state = this.#chunkBytesLeft === 0 ? STATE_TRAILER : STATE_DATA;
    } else if (this.#state === STATE_DATA_END) {
      if (line !== '') throw new ChunkError('chunk longer than its size');
      this.#state = STATE_SIZE;
    } else {
      if (line === '') {
        this.#state = STATE_DONE;
        return;
      }
      const colon = line.indexOf(':');
      if (colon <= 0) throw new ChunkError('malformed trailer');
      if (this.trailers.size >= TRAILERS_MAX) throw new ChunkError('too many trailers');
      this.trailers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
    }
  }
}
