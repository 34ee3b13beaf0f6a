/**
 * A file being written by an upload, hidden until it is renamed into place.
 *
 * Pieces are gathered and written in batches with writev, synchronously: on a memory or page-cache backed folder that is
 * a copy, and cheaper than a hop to the thread pool. It ends in `finish` (the path is then the caller's) or `discard`;
 * what a crash leaves behind lies in the tmp folder that the next start empties.
 */
import { closeSync, openSync, unlinkSync, writevSync } from 'node:fs';
import { WRITE_BATCH_BYTES } from '../limits.js';

/** Where the bytes of a part go: a file of its own, or a place in one that the parts of an upload share. */
export interface ReceivedFile {
  readonly fd: number;
  /** Where in the file the first byte goes. */
  readonly startOffset: number;
  bytes: number;
  append(piece: Buffer): void;
  finish(): void;
  discard(): void;
}

/** See the header. One writer. */
export class TempFile implements ReceivedFile {
  readonly startOffset = 0;
  readonly path: string;
  bytes = 0;
  #fd: number | null;
  #batch: Buffer[] = [];
  #batchBytes = 0;

  constructor(path: string) {
    this.path = path;
    this.#fd = openSync(path, 'wx');
  }

  /** The descriptor, for copies that write into it directly. */
  get fd(): number {
    if (this.#fd === null) throw new Error('temporary file is closed');
    return this.#fd;
  }

  /** Appends. The piece must stay unchanged until it is written (the next `finish` at the latest). */
  append(piece: Buffer): void {
    this.#batch.push(piece);
    this.#batchBytes += piece.length;
    this.bytes += piece.length;
    if (this.#batchBytes >= WRITE_BATCH_BYTES) this.#flush();
  }

  /** Writes what is gathered and closes the file. */
  finish(): void {
    this.#flush();
    closeSync(this.fd);
    this.#fd = null;
  }

  /** Closes and removes it; harmless after it was moved away. */
  discard(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
    this.#batch = [];
    try {
      unlinkSync(this.path);
    } catch {
      // Moved into place already.
    }
  }

  #flush(): void {
    while (this.#batchBytes > 0) {
      let writtenBytes = writevSync(this.fd, this.#batch.slice(0, 1000));
      this.#batchBytes -= writtenBytes;
      while (writtenBytes > 0) {
        const first = this.#batch[0];
        if (first === undefined) break;
        if (first.length <= writtenBytes) {
          writtenBytes -= first.length;
          this.#batch.shift();
        } else {
          this.#batch[0] = first.subarray(writtenBytes);
          writtenBytes = 0;
        }
      }
    }
    this.#batch = [];
  }
}
