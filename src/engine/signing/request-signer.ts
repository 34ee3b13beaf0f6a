/**
 * Turns "bytes [a, b) of this version of this key" into the bytes of a signed HTTP request.
 * Bodies are empty, so the payload is declared unsigned; the range and the pinned ETag are signed, so nobody on the way
 * can change them unnoticed. The path is signed and sent as it is, never normalised.
 * Refuses to hold credentials longer than they are current: the owner replaces them with setCredentials.
 */
import type { DataCredentials, DataTarget } from '../api.js';
import { objectPath } from './object-path.js';
import { Signature, UNSIGNED_PAYLOAD, amzDateOf, type HeaderField } from './signature.js';

/** Bytes [startOffset, endOffset) of one object version. */
export interface RangeRequest {
  readonly key: string;
  /** Sent as If-Match, as it is. */
  readonly etag: string;
  readonly startOffset: number;
  readonly endOffset: number;
  /** Instead of a range: the whole object or one part with its checksum, or only the head of a part. */
  readonly form?: 'range' | 'whole' | 'part' | 'layout';
  readonly partNumber?: number;
}

export interface RequestSignerOptions {
  readonly target: DataTarget;
  /** `http://host` before the path: what a forward proxy wants to see. '' for a direct connection. */
  readonly absolutePrefix: string;
  /** Headers for the next hop only (Proxy-Authorization): sent, not signed. */
  readonly hopHeaders: Readonly<Record<string, string>>;
}

export interface RequestSignerDeps {
  /** Milliseconds since 1970. */
  wallMs(): number;
}

const IAM_TOKEN = 'x-amz-security-token';
const SESSION_TOKEN = 'x-amz-s3session-token';

/** A clock that disagrees by more than this is worth correcting; the store tolerates 15 minutes. */
const CLOCK_OFFSET_MIN_MS = 1_000;

export class RequestSigner {
  readonly #options: RequestSignerOptions;
  readonly #deps: RequestSignerDeps;
  #signature: Signature | undefined;
  #token: HeaderField | undefined;
  /** Who signs copies, when sessions sign the rest. */
  #copies: { readonly signature: Signature; readonly token: HeaderField | undefined } | undefined;
  #clockOffsetMs = 0;
  /** x-amz-date of the second that was signed last. */
  #second = -1;
  #amzDate = '';

  constructor(options: RequestSignerOptions, deps: RequestSignerDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** From now on sign as this identity; undefined = send requests unsigned. */
  setCredentials(credentials: DataCredentials | undefined): void {
    const { signingRegion, signingService } = this.#options.target;
    const scope = { region: signingRegion, service: signingService };
    const iam = credentials?.iam;
    this.#signature = credentials && new Signature(credentials, scope);
    this.#token = tokenField(iam === undefined ? IAM_TOKEN : SESSION_TOKEN, credentials?.sessionToken);
    this.#copies = iam && { signature: new Signature(iam, scope), token: tokenField(IAM_TOKEN, iam.sessionToken) };
  }

  /** Learns the store's clock from a `Date` header; returns whether that changed anything. */
  correctClock(dateHeader: string | undefined): boolean {
    const theirMs = Date.parse(dateHeader ?? '');
    if (Number.isNaN(theirMs)) return false;
    const offsetMs = theirMs - this.#deps.wallMs();
    if (Math.abs(offsetMs - this.#clockOffsetMs) < CLOCK_OFFSET_MIN_MS) return false;
    this.#clockOffsetMs = offsetMs;
    return true;
  }

  /** Added to our wall clock to get the store's. */
  get clockOffsetMs(): number {
    return this.#clockOffsetMs;
  }

  /** The GET of a range, an object or a part as it goes on the wire. */
  get(range: RangeRequest): string {
    const path = objectPath(this.#options.target.basePath, range.key);
    if (range.form !== undefined && range.form !== 'range') {
      const query = range.form === 'whole' ? '' : `partNumber=${range.partNumber ?? 1}`;
      return this.request(range.form === 'layout' ? 'HEAD' : 'GET', path, query, [
        ['if-match', range.etag],
        ['x-amz-checksum-mode', 'ENABLED'],
      ]);
    }
    return this.request('GET', path, '', [
      ['if-match', range.etag],
      ['range', `bytes=${range.startOffset}-${range.endOffset - 1}`],
    ]);
  }

  /**
   * Any request without a body (or with one that is not signed), its head as it goes on the wire. `path` and `query` are
   * escaped, the query sorted and without '?'; `headers` come beside host and those of the target, and are signed too.
   */
  request(method: string, path: string, query: string, headers: readonly HeaderField[]): string {
    const { target, absolutePrefix, hopHeaders } = this.#options;
    const fields: HeaderField[] = [['host', target.hostHeader]];
    for (const [name, value] of headers) fields.push([name, clean(value)]);
    for (const name in target.headers) fields.push([name, clean(target.headers[name] ?? '')]);
    let text = `${method} ${absolutePrefix}${path}${query === '' ? '' : `?${query}`} HTTP/1.1\r\n`;
    const { signature, token } = this.#signerOf(headers);
    if (signature !== undefined) {
      const amzDate = this.#now();
      fields.push(['x-amz-content-sha256', UNSIGNED_PAYLOAD], ['x-amz-date', amzDate]);
      if (token !== undefined) fields.push(token);
      fields.sort(byName);
      text += `authorization: ${signature.authorization(method, path, query, fields, amzDate)}\r\n`;
    }
    for (const [name, value] of fields) text += `${name}: ${value}\r\n`;
    for (const name in hopHeaders) text += `${name}: ${clean(hopHeaders[name] ?? '')}\r\n`;
    return `${text}user-agent: ${clean(target.userAgent)}\r\n\r\n`;
  }

  /** Sessions of directory buckets do not authorize copies (CopyObject, UploadPartCopy in the S3 API reference). */
  #signerOf(headers: readonly HeaderField[]): {
    readonly signature: Signature | undefined;
    readonly token: HeaderField | undefined;
  } {
    if (this.#copies !== undefined && headers.some(([name]) => name === 'x-amz-copy-source')) return this.#copies;
    return { signature: this.#signature, token: this.#token };
  }

  #now(): string {
    const second = Math.floor((this.#deps.wallMs() + this.#clockOffsetMs) / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#amzDate = amzDateOf(second * 1000);
    }
    return this.#amzDate;
  }
}

function tokenField(name: string, token: string | undefined): HeaderField | undefined {
  return token === undefined ? undefined : [name, clean(token)];
}

function byName(a: HeaderField, b: HeaderField): number {
  return a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0;
}

// eslint-disable-next-line no-control-regex -- that is what is taken out
const CONTROLS = /[\x00-\x08\x0a-\x1f\x7f]/g;

/** A line break in a value (an odd ETag, a header option) would start another header. */
function clean(value: string): string {
  return value.replace(CONTROLS, '');
}
