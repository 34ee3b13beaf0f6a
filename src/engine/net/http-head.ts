/**
 * HTTP/1.1 response heads, parsed as they arrive: status line and header fields, nothing of bodies.
 * Own code because the socket reads body bytes straight into the pool, so no client library can sit in between; it is
 * strict on purpose, since a head that two parties understand differently is how wrong bytes get into a file.
 * Refuses: bare LF, folded lines, more than HEAD_BYTES_MAX, control characters, repeated or contradictory framing
 * (Content-Length, Transfer-Encoding), protocol upgrades, anything that does not begin with `HTTP/1.`.
 * Source: RFC 9112 sections 2-6.
 */
import { HEAD_BYTES_MAX, INTERIM_HEADS_MAX } from './limits.js';

const CR = 13;
const LF = 10;
const END_OF_HEAD = Buffer.from('\r\n\r\n');
const START = Buffer.from('HTTP/1.');

/** The peer does not speak HTTP as we understand it; the connection is of no more use. */
export class HeadError extends Error {
  override readonly name = 'HeadError';
  /** `BadResponse` or `HeadTooLarge`. */
  readonly code: string;
  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

/** How a body ends: after `bytes`, with its last chunk, or when the connection closes. */
export type BodyFraming = { kind: 'length'; bytes: number } | { kind: 'chunked' } | { kind: 'close' };

/** One parsed head. Field values are cut out of the text when asked for. */
export class ResponseHead {
  readonly status: number;
  readonly reason: string;
  readonly framing: BodyFraming;
  /** The connection may carry another request after this answer's body. */
  readonly keepAlive: boolean;
  readonly #text: string;
  /** name start, name end, value start, value end of each field within #text. */
  readonly #fields: readonly number[];

  constructor(text: string) {
    this.#text = text;
    const lineEnd = text.indexOf('\r\n');
    const line = text.slice(0, lineEnd);
    const match = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: ([\t\x20-\x7e\x80-\xff]*))?$/.exec(line);
    if (!match) throw new HeadError('BadResponse', `not an HTTP/1.1 status line: ${quote(line)}`);
    this.status = Number(match[2]);
    this.reason = match[3] ?? '';
    this.#fields = findFields(text, lineEnd + 2);
    this.framing = this.#framing();
    const connection = this.get('connection');
    const isClose = connection !== undefined && /(?:^|,)\s*close\s*(?:,|$)/i.test(connection);
    const isKeep = connection !== undefined && /(?:^|,)\s*keep-alive\s*(?:,|$)/i.test(connection);
    this.keepAlive = this.framing.kind !== 'close' && !isClose && (match[1] === '1' || isKeep);
  }

  /** Value of the first field called `lowerName` (given in lower case), undefined when there is none. */
  get(lowerName: string): string | undefined {
    const at = this.#find(lowerName, 0);
    return at < 0 ? undefined : this.#text.slice(this.#fields[at + 2], this.#fields[at + 3]);
  }

  /** All fields whose names begin with `lowerPrefix`, names in lower case. */
  allWith(lowerPrefix: string): [name: string, value: string][] {
    const found: [string, string][] = [];
    for (let at = 0; at < this.#fields.length; at += 4) {
      const name = this.#text.slice(this.#fields[at], this.#fields[at + 1]).toLowerCase();
      if (name.startsWith(lowerPrefix))
        found.push([name, this.#text.slice(this.#fields[at + 2], this.#fields[at + 3])]);
    }
    return found;
  }

  /** Whether the field occurs more than once. */
  isRepeated(lowerName: string): boolean {
    const at = this.#find(lowerName, 0);
    return at >= 0 && this.#find(lowerName, at + 4) >= 0;
  }

  #find(lowerName: string, from: number): number {
    const text = this.#text;
    const fields = this.#fields;
    for (let at = from; at < fields.length; at += 4) {
      const start = fields[at] ?? 0;
      if ((fields[at + 1] ?? 0) - start !== lowerName.length) continue;
      let same = 0;
      while (same < lowerName.length && lower(text.charCodeAt(start + same)) === lowerName.charCodeAt(same)) same++;
      if (same === lowerName.length) return at;
    }
    return -1;
  }

  #framing(): BodyFraming {
    const coding = this.get('transfer-encoding');
    const length = this.get('content-length');
    if (coding !== undefined) {
      if (length !== undefined) throw new HeadError('BadResponse', 'both Transfer-Encoding and Content-Length');
      if (this.isRepeated('transfer-encoding') || coding.toLowerCase() !== 'chunked') {
        throw new HeadError('BadResponse', `Transfer-Encoding ${quote(coding)} is not understood`);
      }
      return { kind: 'chunked' };
    }
    if (length !== undefined) {
      if (this.isRepeated('content-length')) throw new HeadError('BadResponse', 'more than one Content-Length');
      if (!/^\d{1,15}$/.test(length)) throw new HeadError('BadResponse', `Content-Length ${quote(length)}`);
      return { kind: 'length', bytes: Number(length) };
    }
    if (this.status === 204 || this.status === 304) return { kind: 'length', bytes: 0 };
    return { kind: 'close' };
  }
}

/** Collects the bytes of one head after another; `push` until it returns a final (not 1xx) head. */
export class HeadParser {
  #held: Buffer = Buffer.alloc(0);
  #heldBytes = 0;
  #interim = 0;
  /** After `push` returned a head: how many bytes of its chunk belong to heads; the body begins there. */
  consumed = 0;

  /** Forgets everything, for the next answer. */
  reset(): void {
    this.#heldBytes = 0;
    this.#interim = 0;
    this.consumed = 0;
  }

  /** Interim answers (100 Continue) that came so far. */
  get interimHeads(): number {
    return this.#interim;
  }

  /** True when bytes of a head that is not complete have been seen. */
  get isStarted(): boolean {
    return this.#heldBytes > 0 || this.#interim > 0;
  }

  /**
   * Takes `chunk` (borrowed for the call). Returns the head once complete, undefined when more is needed. Throws HeadError.
   */
  push(chunk: Buffer): ResponseHead | undefined {
    let from = 0;
    for (;;) {
      const text = this.#complete(chunk, from);
      if (text === undefined) return undefined;
      from = this.consumed;
      const head = new ResponseHead(text);
      if (head.status >= 200) return head;
      if (head.status === 101) throw new HeadError('BadResponse', 'the server changed the protocol');
      if (++this.#interim > INTERIM_HEADS_MAX) throw new HeadError('BadResponse', 'too many interim answers');
    }
  }

  /** Text of the head that ends within chunk[from..], its last CRLF included; sets `consumed`. */
  #complete(chunk: Buffer, from: number): string | undefined {
    if (this.#heldBytes === 0) {
      const end = chunk.indexOf(END_OF_HEAD, from);
      checkStart(chunk, from, chunk.length);
      if (end >= 0) {
        if (end - from > HEAD_BYTES_MAX) throw tooLarge();
        this.consumed = end + 4;
        return chunk.toString('latin1', from, end + 2);
      }
      this.#hold(chunk, from);
      this.#checkLines(0);
      return undefined;
    }
    const before = this.#heldBytes;
    this.#hold(chunk, from);
    checkStart(this.#held, 0, this.#heldBytes);
    const end = this.#held.subarray(0, this.#heldBytes).indexOf(END_OF_HEAD, Math.max(0, before - 3));
    if (end < 0) {
      this.#checkLines(before);
      return undefined;
    }
    this.consumed = from + (end + 4 - before);
    this.#heldBytes = 0;
    return this.#held.toString('latin1', 0, end + 2);
  }

  /** A line that ends with LF alone, in what is held from `from` on: the end of such a head would be waited for in vain. */
  #checkLines(from: number): void {
    const held = this.#held.subarray(0, this.#heldBytes);
    for (let at = held.indexOf(LF, from); at >= 0; at = held.indexOf(LF, at + 1)) {
      if (held[at - 1] !== CR) throw new HeadError('BadResponse', 'a header line that ends with LF alone');
    }
  }

  #hold(chunk: Buffer, from: number): void {
    const total = this.#heldBytes + chunk.length - from;
    // A chunk is at most SCRATCH_BYTES, so what is held stays below the bound plus one chunk.
    if (this.#heldBytes >= HEAD_BYTES_MAX) throw tooLarge();
    if (total > this.#held.length) {
      const grown = Buffer.alloc(Math.max(total, this.#held.length * 2, 2048));
      this.#held.copy(grown, 0, 0, this.#heldBytes);
      this.#held = grown;
    }
    chunk.copy(this.#held, this.#heldBytes, from);
    this.#heldBytes = total;
  }
}

/** Garbage is refused at its first bytes, not after a time-out. */
function checkStart(bytes: Buffer, from: number, end: number): void {
  const known = Math.min(START.length, end - from);
  if (known > 0 && bytes.compare(START, 0, known, from, from + known) !== 0) {
    throw new HeadError(
      'BadResponse',
      `the server does not speak HTTP/1.1: ${quote(bytes.toString('latin1', from, end))}`,
    );
  }
}

function findFields(text: string, from: number): number[] {
  const fields: number[] = [];
  let at = from;
  while (at < text.length) {
    const lineEnd = text.indexOf('\r\n', at);
    const colon = text.indexOf(':', at);
    if (lineEnd < 0 || colon < 0 || colon > lineEnd || colon === at) {
      throw new HeadError(
        'BadResponse',
        `not a header line: ${quote(text.slice(at, lineEnd < 0 ? undefined : lineEnd))}`,
      );
    }
    for (let i = at; i < colon; i++) {
      if (!isTokenChar(text.charCodeAt(i))) {
        // A line that begins with white space would continue the one before (obs-fold).
        throw new HeadError('BadResponse', `header name ${quote(text.slice(at, colon))}`);
      }
    }
    let valueStart = colon + 1;
    let valueEnd = lineEnd;
    while (valueStart < valueEnd && isBlank(text.charCodeAt(valueStart))) valueStart++;
    while (valueEnd > valueStart && isBlank(text.charCodeAt(valueEnd - 1))) valueEnd--;
    for (let i = valueStart; i < valueEnd; i++) {
      const char = text.charCodeAt(i);
      if (char === CR || char === LF || char === 0) {
        throw new HeadError('BadResponse', `control character in header ${text.slice(at, colon)}`);
      }
    }
    fields.push(at, colon, valueStart, valueEnd);
    at = lineEnd + 2;
  }
  return fields;
}

function isBlank(char: number): boolean {
  return char === 32 || char === 9;
}

function lower(char: number): number {
  return char >= 65 && char <= 90 ? char + 32 : char;
}

/** RFC 9110 `tchar`. */
function isTokenChar(char: number): boolean {
  if (char >= 97 && char <= 122) return true;
  if (char >= 65 && char <= 90) return true;
  if (char >= 48 && char <= 57) return true;
  return "!#$%&'*+-.^_`|~".includes(String.fromCharCode(char));
}

function tooLarge(): HeadError {
  return new HeadError('HeadTooLarge', `response head of more than ${HEAD_BYTES_MAX} bytes`);
}

/** At most 60 characters of what a peer sent, safe for a log line. */
function quote(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}...` : text);
}
