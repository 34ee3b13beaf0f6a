/**
 * One request message while it is being decoded: where its body and its tail are, and the names in it.
 * One Message is reused for all requests, so nothing of it may be kept after the dispatcher's `dispatch` returns; the
 * bytes are borrowed from a ring or a read buffer. Refuses messages whose length does not fit, once, before decoding.
 */
import { EINVAL, EIO, ENAMETOOLONG, ErrnoError } from '../base/errno.js';
import { IN_HEADER_BYTES, NAME_BYTES_MAX } from './abi.js';
import { decodeInHeader, newInHeader } from './decode.js';
import { decodeUtf8, findByte } from './names.js';

const SLASH = 0x2f;

export class Message {
  readonly header = newInHeader();
  /** Offset of the body within `view`. */
  bodyAt = 0;
  /** Exclusive end of the body, extensions left out. */
  bodyEnd = 0;
  /** Where the next name is looked for; `skip` and `name` move it. */
  #at = 0;
  #bytes: Buffer = Buffer.alloc(0);
  #view = new DataView(this.#bytes.buffer);
  #base = 0;
  #lent: Uint8Array | undefined;

  /** Of the whole memory that the message lies in, so that one view serves all messages of a ring. */
  get view(): DataView {
    return this.#view;
  }

  get bodyBytes(): number {
    return this.bodyEnd - this.bodyAt;
  }

  /**
   * Takes up the next message. False when there is not even a header with an id to answer to; `header` is decoded
   * otherwise. A message whose own length field disagrees with its length is left with a body of -1 bytes.
   * `lent`: bytes that follow the message, but lie elsewhere: `payload` answers them.
   */
  take(message: Uint8Array, lent?: Uint8Array): boolean {
    this.#lent = lent;
    if (message.buffer !== this.#view.buffer) {
      this.#view = new DataView(message.buffer);
      this.#bytes = Buffer.from(message.buffer);
    }
    this.#base = message.byteOffset;
    if (message.length < IN_HEADER_BYTES) return false;
    decodeInHeader(this.#view, this.#base, this.header);
    this.bodyAt = this.#base + IN_HEADER_BYTES;
    this.#at = this.bodyAt;
    this.bodyEnd = this.#base + message.length - this.header.extensionBytes;
    const lengthBytes = message.length + (lent?.length ?? 0);
    if (this.header.lengthBytes !== lengthBytes || this.bodyEnd < this.bodyAt) this.bodyEnd = this.bodyAt - 1;
    return true;
  }

  /** Moves to the first name or payload after `bytes` of fixed structure. */
  skip(bytes: number): void {
    this.#at = this.bodyAt + bytes;
  }

  /**
   * The next NUL-terminated file name. Throws `notUtf8` for one that no object can have, ENAMETOOLONG above 255 bytes
   * (the kernel itself passes up to 1,024), EINVAL for what a kernel never sends.
   */
  name(notUtf8: number): string {
    const from = this.#at;
    const end = this.#stringEnd();
    if (end - from > NAME_BYTES_MAX) throw new ErrnoError(ENAMETOOLONG);
    if (end === from || findByte(this.#bytes, SLASH, from, end) >= 0) {
      throw new ErrnoError(EINVAL, 'a file name is empty or has a slash');
    }
    return this.#text(from, end, notUtf8);
  }

  /** The next NUL-terminated string of any content (a symlink's target, an attribute's name), 1 to bytesMax long. */
  string(notUtf8: number, bytesMax: number): string {
    const from = this.#at;
    const end = this.#stringEnd();
    if (end - from > bytesMax) throw new ErrnoError(ENAMETOOLONG);
    if (end === from) throw new ErrnoError(EINVAL, 'an empty string');
    return this.#text(from, end, notUtf8);
  }

  /** The next `bytes` of payload. `@borrows` from the message. Throws EIO when they are not there. */
  payload(bytes: number): Uint8Array {
    const lent = this.#lent;
    if (lent && this.#at === this.bodyEnd && bytes === lent.length) return lent;
    if (this.#at + bytes > this.bodyEnd) throw new ErrnoError(EIO, 'the payload is shorter than it says');
    const from = this.#at;
    this.#at += bytes;
    return this.#bytes.subarray(from, this.#at);
  }

  #stringEnd(): number {
    const end = findByte(this.#bytes, 0, this.#at, this.bodyEnd);
    if (end < 0) throw new ErrnoError(EINVAL, 'a name does not end');
    this.#at = end + 1;
    return end;
  }

  #text(from: number, end: number, notUtf8: number): string {
    const text = decodeUtf8(this.#bytes, from, end);
    if (text === undefined) throw new ErrnoError(notUtf8);
    return text;
  }
}
