/**
 * A request's body as the transport carries it: Content-Length, chunked, or none.
 *
 * It is pulled by the handler, so a slow disk or a pacing fault slows the client down and nothing piles up. The
 * "100 Continue" goes out with the first pull: a request that is refused by its head alone never asks for its body.
 */
import { ChunkedDecoder, ChunkError } from './chunked-decoder.js';
import { HttpError, type RequestHead, type RequestReader } from './request-reader.js';

const TAKE_BYTES = 1024 * 1024;

/** The body of the request whose head was read last. One reader. */
export class RequestBody {
  /** Declared length, or null for chunked coding. */
  readonly declaredBytes: number | null;
  /** The client waits for "100 Continue" before it sends. */
  readonly expectsContinue: boolean;
  readonly #reader: RequestReader;
  readonly #onFirstPull: () => void;
  readonly #decoder: ChunkedDecoder | null;
  readonly #pieces: Buffer[] = [];
  #bytesLeft: number;
  #hasPulled = false;

  constructor(head: RequestHead, reader: RequestReader, sendContinue: () => void) {
    const isChunked = head.headers.has('transfer-encoding');
    this.declaredBytes = isChunked ? null : Number(head.headers.get('content-length') ?? '0');
    this.expectsContinue = head.httpMinor === 1 && head.headers.get('expect')?.toLowerCase() === '100-continue';
    this.#reader = reader;
    this.#onFirstPull = sendContinue;
    this.#decoder = isChunked ? new ChunkedDecoder() : null;
    this.#bytesLeft = this.declaredBytes ?? 0;
  }

  /** Everything was read; the next request may start. */
  get isConsumed(): boolean {
    return this.#pieces.length === 0 && (this.#decoder === null ? this.#bytesLeft === 0 : this.#decoder.isDone);
  }

  /** The client holds its body back and was never told to go on, so it may or may not send it. */
  get isWithheld(): boolean {
    return this.expectsContinue && !this.#hasPulled && !this.isConsumed;
  }

  /**
   * The next bytes, or null at the end.
   * @throws HttpError when the connection ends early or the coding is broken
   */
  async read(): Promise<Buffer | null> {
    for (;;) {
      const ready = this.#pieces.shift();
      if (ready !== undefined) return ready;
      if (this.isConsumed) return null;
      if (!this.#hasPulled) {
        this.#hasPulled = true;
        if (this.expectsContinue) this.#onFirstPull();
      }
      const input = await this.#reader.take(this.#decoder === null ? this.#bytesLeft : TAKE_BYTES);
      if (input === null) throw new HttpError(400, 'connection ended inside a request body');
      if (this.#decoder === null) {
        this.#bytesLeft -= input.length;
        return input;
      }
      try {
        const usedBytes = this.#decoder.push(input, (piece) => this.#pieces.push(piece));
        this.#reader.unread(input.subarray(usedBytes));
      } catch (error) {
        if (error instanceof ChunkError) throw new HttpError(400, error.message);
        throw error;
      }
    }
  }

  /** Reads and drops what is left, at most `bytesMax`. True when the body is consumed. */
  async drain(bytesMax: number): Promise<boolean> {
    let drainedBytes = 0;
    while (!this.isConsumed && drainedBytes <= bytesMax) {
      const piece = await this.read();
      if (piece === null) break;
      drainedBytes += piece.length;
    }
    return this.isConsumed;
  }
}
