/**
 * The body of an answer, whatever its framing, but for payload of a known length, which lands in its slots unseen: error XML,
 * of which at most ERROR_BODY_BYTES_MAX are collected, and what goes to `take` as it comes and is bounded there: a listing,
 * or payload that a proxy has cut into chunks.
 * A longer error is cut and the connection given up, so that a hostile or broken server can neither fill memory nor keep a
 * connection busy.
 */
import { HeadError, type BodyFraming } from './http-head.js';
import { ERROR_BODY_BYTES_MAX } from './limits.js';

/** Longest line of chunk framing (size, extensions, a trailer field). */
const CHUNK_LINE_BYTES_MAX = 1024;

export class FramedBody {
  readonly #framing: BodyFraming;
  readonly #parts: Buffer[] = [];
  #bytes = 0;
  /** Bytes to come by Content-Length, or of the current chunk (its CRLF not counted). */
  #remaining: number;
  #chunkState: 'size' | 'data' | 'dataEnd' | 'trailer' = 'size';
  #line = '';
  /** The whole body is there, or as much as we take. */
  isDone = false;
  /** The body ended where its framing said, with nothing after it, so the connection is clean. */
  isClean = false;

  readonly #takes: ((bytes: Buffer) => void) | undefined;

  /** With `take` the bytes go there, borrowed, and nothing is collected. */
  constructor(framing: BodyFraming, take?: (bytes: Buffer) => void) {
    this.#framing = framing;
    this.#takes = take;
    this.#remaining = framing.kind === 'length' ? framing.bytes : 0;
    if (framing.kind === 'length' && framing.bytes === 0) {
      this.isDone = true;
      this.isClean = true;
    }
  }

  get isCollecting(): boolean {
    return this.#takes === undefined;
  }

  get text(): Buffer {
    return Buffer.concat(this.#parts);
  }

  /** Takes (copies) the next bytes of the connection. Throws HeadError for broken chunk framing. */
  push(chunk: Buffer): void {
    if (this.isDone) {
      if (chunk.length > 0) this.isClean = false;
      return;
    }
    switch (this.#framing.kind) {
      case 'length': {
        const mine = Math.min(chunk.length, this.#remaining);
        this.#take(chunk.subarray(0, mine));
        this.#remaining -= mine;
        if (this.#remaining === 0) this.#finish(mine === chunk.length);
        break;
      }
      case 'chunked':
        this.#pushChunked(chunk);
        break;
      case 'close':
        this.#take(chunk);
        break;
    }
  }

  /** The connection ended: returns whether that completes the body. */
  ended(): boolean {
    if (this.#framing.kind === 'close') this.isDone = true;
    return this.isDone;
  }

  #finish(isClean: boolean): void {
    if (this.isDone) return;
    this.isDone = true;
    this.isClean = isClean;
  }

  #take(bytes: Buffer): void {
    if (this.#takes !== undefined) {
      if (bytes.length > 0) this.#takes(bytes);
      return;
    }
    const room = ERROR_BODY_BYTES_MAX - this.#bytes;
    if (bytes.length > 0) this.#parts.push(Buffer.from(bytes.subarray(0, room)));
    this.#bytes += Math.min(room, bytes.length);
    if (this.#bytes >= ERROR_BODY_BYTES_MAX) this.#finish(false);
  }

  #pushChunked(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && !this.isDone) {
      if (this.#chunkState === 'data') {
        const end = Math.min(chunk.length, at + this.#remaining);
        this.#take(chunk.subarray(at, end));
        this.#remaining -= end - at;
        at = end;
        if (this.#remaining === 0) this.#chunkState = 'dataEnd';
        continue;
      }
      const char = chunk[at++] ?? 0;
      if (char !== 10) {
        this.#line += String.fromCharCode(char);
        if (this.#line.length > CHUNK_LINE_BYTES_MAX) throw new HeadError('BadResponse', 'chunk line too long');
        continue;
      }
      if (!this.#line.endsWith('\r')) throw new HeadError('BadResponse', 'chunk line without CR');
      const line = this.#line.slice(0, -1);
      this.#line = '';
      this.#chunkLine(line);
    }
    if (this.isDone && at < chunk.length) this.isClean = false;
  }

  #chunkLine(line: string): void {
    switch (this.#chunkState) {
      case 'size': {
        const match = /^([0-9a-fA-F]{1,8})[\t ]*(?:;.*)?$/.exec(line);
        if (!match) throw new HeadError('BadResponse', 'chunk size is not a number');
        this.#remaining = parseInt(match[1] ?? '', 16);
        this.#chunkState = this.#remaining === 0 ? 'trailer' : 'data';
        break;
      }
      case 'dataEnd':
        if (line !== '') throw new HeadError('BadResponse', 'chunk longer than its size');
        this.#chunkState = 'size';
        break;
      case 'trailer':
        if (line === '') this.#finish(true);
        break;
      case 'data':
        break;
    }
  }
}
