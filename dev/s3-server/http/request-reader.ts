/**
 * Turns a connection's bytes into request heads and raw body bytes.
 *
 * It pulls from a `ByteInput` and holds at most one head plus one chunk, so that the same code runs on a socket and on a
 * test's torn chunks. It knows nothing of S3. What it refuses: heads over the bound, header folding, a Content-Length
 * beside Transfer-Encoding and anything else that two parsers could read differently (RFC 9112, section 11.2).
 */
import { HEAD_BYTES_MAX } from '../limits.js';

/** Where bytes come from. `next` resolves with null at the end of input. */
export interface ByteInput {
  next(): Promise<Buffer | null>;
}

/** A request's head, as sent. Header values are latin1 text, one character a byte. */
export interface RequestHead {
  readonly method: string;
  /** Path as sent, percent-escapes and all; starts with a slash. */
  readonly rawPath: string;
  /** Query as sent, without the question mark. */
  readonly rawQuery: string;
  /** Minor version: 0 or 1. */
  readonly httpMinor: number;
  /** Lower-case names; repeated headers joined by a comma. */
  readonly headers: ReadonlyMap<string, string>;
}

/** A request that is not HTTP as we accept it; the connection ends after the answer. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

const TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const EMPTY = Buffer.alloc(0);
const HEAD_END = Buffer.from('\r\n\r\n');

/** Parses the text of a head (without the empty line). Throws HttpError. */
export function parseHead(text: string): RequestHead {
  const lines = text.split('\r\n');
  const requestLine = (lines[0] ?? '').split(' ');
  const [method, target, version] = requestLine;
  if (requestLine.length !== 3 || method === undefined || target === undefined || version === undefined) {
    throw new HttpError(400, 'malformed request line');
  }
  if (!TOKEN.test(method)) throw new HttpError(400, 'malformed method');
  if (version !== 'HTTP/1.1' && version !== 'HTTP/1.0') throw new HttpError(505, 'HTTP version not supported');
  const headers = new Map<string, string>();
  for (let at = 1; at < lines.length; at++) {
    const line = lines[at] ?? '';
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    if (colon <= 0 || !TOKEN.test(name)) throw new HttpError(400, 'malformed header line');
    const value = line.slice(colon + 1).trim();
    if (value.includes('\0') || value.includes('\n') || value.includes('\r')) {
      throw new HttpError(400, 'control character in a header');
    }
    const before = headers.get(name);
    if (before !== undefined && (name === 'content-length' || name === 'host')) {
      throw new HttpError(400, `repeated ${name}`);
    }
    headers.set(name, before === undefined ? value : `${before},${value}`);
  }
  if (headers.has('content-length')) {
    if (headers.has('transfer-encoding')) throw new HttpError(400, 'Content-Length beside Transfer-Encoding');
    if (!/^\d{1,15}$/.test(headers.get('content-length') ?? '')) throw new HttpError(400, 'malformed Content-Length');
  }
  const encoding = headers.get('transfer-encoding');
  if (encoding !== undefined && encoding.toLowerCase() !== 'chunked') {
    throw new HttpError(501, 'transfer encoding not supported');
  }
  const httpMinor = version === 'HTTP/1.1' ? 1 : 0;
  if (httpMinor === 1 && !headers.has('host')) throw new HttpError(400, 'missing Host');
  return { method, ...splitTarget(target), httpMinor, headers };
}

/** Origin form and absolute form (what a proxy's client sends); `*` has no meaning for S3. */
function splitTarget(target: string): { rawPath: string; rawQuery: string } {
  let origin = target;
  if (!origin.startsWith('/')) {
    const absolute = /^https?:\/\/[^/?#]*/i.exec(origin);
    if (absolute === null) throw new HttpError(400, 'malformed request target');
    origin = origin.slice(absolute[0].length);
    if (!origin.startsWith('/')) origin = `/${origin}`;
  }
  const mark = origin.indexOf('?');
  return mark < 0
    ? { rawPath: origin, rawQuery: '' }
    : { rawPath: origin.slice(0, mark), rawQuery: origin.slice(mark + 1) };
}

/** Reads heads and body bytes in turn. One caller at a time. */
export class RequestReader {
  readonly #input: ByteInput;
  #pending: Buffer = EMPTY;

  constructor(input: ByteInput) {
    this.#input = input;
  }

  /** Bytes have arrived that no one has read yet: a request is waiting or half here. */
  get hasPending(): boolean {
    return this.#pending.length > 0;
  }

  /**
   * The next request's head, or null when the client ended the connection between requests.
   * @throws HttpError when the head is malformed, too large, or cut off
   */
  async readHead(): Promise<RequestHead | null> {
    let searchedBytes = 0;
    for (;;) {
      // Empty lines before a request are allowed (RFC 9112, section 2.2).
      while (this.#pending.length >= 2 && this.#pending[0] === 13 && this.#pending[1] === 10) {
        this.#pending = this.#pending.subarray(2);
        searchedBytes = 0;
      }
      const end = this.#pending.indexOf(HEAD_END, Math.max(0, searchedBytes - 3));
      if (end >= 0 && end <= HEAD_BYTES_MAX) {
        const text = this.#pending.toString('latin1', 0, end);
        this.#pending = this.#pending.subarray(end + 4);
        return parseHead(text);
      }
      searchedBytes = this.#pending.length;
      if (end >= 0 || searchedBytes > HEAD_BYTES_MAX) throw new HttpError(431, 'request head too large');
      const more = await this.#input.next();
      if (more === null) {
        if (this.#pending.length === 0) return null;
        this.#pending = EMPTY;
        throw new HttpError(400, 'connection ended inside a request head');
      }
      this.#pending = this.#pending.length === 0 ? more : Buffer.concat([this.#pending, more]);
    }
  }

  /** Some body bytes, at most `bytesMax`; null when input ends. The buffer is the caller's to read, not to change. */
  async take(bytesMax: number): Promise<Buffer | null> {
    if (this.#pending.length === 0) {
      const more = await this.#input.next();
      if (more === null) return null;
      this.#pending = more;
    }
    const piece = this.#pending.subarray(0, bytesMax);
    this.#pending = this.#pending.subarray(piece.length);
    return piece;
  }

  /** Puts bytes back that belong to whatever comes next. */
  unread(rest: Buffer): void {
    if (rest.length > 0) this.#pending = this.#pending.length === 0 ? rest : Buffer.concat([rest, this.#pending]);
  }
}
