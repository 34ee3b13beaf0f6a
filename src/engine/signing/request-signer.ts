/**
 * Turns "bytes [a, b) of this version of this key" into the bytes of a signed HTTP request, with the SDK's own signer.
 * Bodies are empty, so the payload is declared unsigned; the range and the pinned ETag are signed, so nobody on the way
 * can change them unnoticed. The path is signed and sent as it is, never normalised.
 * Refuses to hold credentials longer than they are current: the owner replaces them with setCredentials.
 */
import { Hash } from '@smithy/hash-node';
import { HttpRequest } from '@smithy/protocol-http';
import { SignatureV4 } from '@smithy/signature-v4';
import type { DataCredentials, DataTarget } from '../api.js';
import { objectPath } from './object-path.js';

/** Bytes [startOffset, endOffset) of one object version. */
export interface RangeRequest {
  readonly key: string;
  /** Sent as If-Match, as it is. */
  readonly etag: string;
  readonly startOffset: number;
  readonly endOffset: number;
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

/** What the signer hashes with. A signature of a GET costs about 40 µs of CPU with it (measured, keys cached). */
class Sha256 extends Hash {
  constructor(secret?: ConstructorParameters<typeof Hash>[1]) {
    super('sha256', secret);
  }
}

/** A clock that disagrees by more than this is worth correcting; the store tolerates 15 minutes. */
const CLOCK_OFFSET_MIN_MS = 1_000;

export class RequestSigner {
  readonly #options: RequestSignerOptions;
  readonly #deps: RequestSignerDeps;
  #signer: SignatureV4 | undefined;
  #clockOffsetMs = 0;

  constructor(options: RequestSignerOptions, deps: RequestSignerDeps) {
    this.#options = options;
    this.#deps = deps;
  }

  /** From now on sign as this identity; undefined = send requests unsigned. */
  setCredentials(credentials: DataCredentials | undefined): void {
    if (credentials === undefined) {
      this.#signer = undefined;
      return;
    }
    const { accessKeyId, secretAccessKey, sessionToken } = credentials;
    this.#signer = new SignatureV4({
      credentials: { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) },
      region: this.#options.target.signingRegion,
      service: this.#options.target.signingService,
      sha256: Sha256,
      uriEscapePath: false,
      applyChecksum: false,
    });
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

  /** The request as it goes on the wire. */
  async get(range: RangeRequest): Promise<string> {
    const { target } = this.#options;
    const path = objectPath(target.basePath, range.key);
    const headers: Record<string, string> = {
      host: target.hostHeader,
      range: `bytes=${range.startOffset}-${range.endOffset - 1}`,
      'if-match': range.etag,
      ...target.headers,
    };
    if (this.#signer === undefined) return this.#serialise(path, headers);
    headers['x-amz-content-sha256'] = 'UNSIGNED-PAYLOAD';
    const request = new HttpRequest({ method: 'GET', hostname: target.hostname, path, headers });
    const signingDate = new Date(this.#deps.wallMs() + this.#clockOffsetMs);
    const signed = await this.#signer.sign(request, { signingDate });
    return this.#serialise(path, signed.headers);
  }

  #serialise(path: string, headers: Readonly<Record<string, string>>): string {
    const { target, absolutePrefix, hopHeaders } = this.#options;
    let text = `GET ${absolutePrefix}${path} HTTP/1.1\r\n`;
    for (const name in headers) text += headerLine(name, headers[name] ?? '');
    for (const name in hopHeaders) text += headerLine(name, hopHeaders[name] ?? '');
    return `${text}${headerLine('user-agent', target.userAgent)}\r\n`;
  }
}

/** A line break in a value (an odd ETag, a header option) would start another header. */
function headerLine(name: string, value: string): string {
  // eslint-disable-next-line no-control-regex -- that is what is taken out
  return `${name}: ${value.replace(/[\x00-\x08\x0a-\x1f\x7f]/g, '')}\r\n`;
}
