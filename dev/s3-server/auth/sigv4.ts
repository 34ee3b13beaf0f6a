/**
 * AWS Signature Version 4 as pure functions: canonical request, string to sign, keys, and the chained signatures of
 * aws-chunked bodies (Amazon S3 API reference, "Authenticating Requests (AWS Signature Version 4)").
 *
 * The server computes what a client should have computed; comparing is constant-time. It does not decide who may do
 * what, and it does not read bodies.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { percentEncode, percentEncodePath } from '../http/percent.js';

export const ALGORITHM = 'AWS4-HMAC-SHA256';
/** SHA-256 of nothing. */
export const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

/** What a signature covers beside the request itself. */
export interface SigningScope {
  /** YYYYMMDD. */
  readonly date: string;
  readonly region: string;
  readonly service: string;
}

/** What is signed of a request. */
export interface CanonicalParts {
  readonly method: string;
  /** Decoded path. */
  readonly path: string;
  /** Decoded query parameters in any order. */
  readonly query: readonly (readonly [string, string])[];
  readonly headers: ReadonlyMap<string, string>;
  /** Lower case, in the order of the signature. */
  readonly signedHeaders: readonly string[];
  /** Value for the last line: a hash, UNSIGNED-PAYLOAD or STREAMING-... */
  readonly payloadHash: string;
}

/** `DATE/REGION/SERVICE/aws4_request`. */
export function scopeText(scope: SigningScope): string {
  return `${scope.date}/${scope.region}/${scope.service}/aws4_request`;
}

/** The canonical request; header values are latin1 text, so hash it as latin1. */
export function canonicalRequest(parts: CanonicalParts): string {
  const query = parts.query
    .map(([name, value]) => [percentEncode(name), percentEncode(value)] as const)
    .sort(([nameA, valueA], [nameB, valueB]) => compareAscii(nameA, nameB) || compareAscii(valueA, valueB))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
  let headers = '';
  for (const name of parts.signedHeaders) {
    const value = parts.headers.get(name) ?? '';
    headers += `${name}:${value.includes('  ') ? value.replace(/ +/g, ' ') : value}\n`;
  }
  return `${parts.method}\n${percentEncodePath(parts.path)}\n${query}\n${headers}\n${parts.signedHeaders.join(';')}\n${parts.payloadHash}`;
}

/** The string that a request's signature signs. `amzDate` is YYYYMMDD'T'HHMMSS'Z'. */
export function stringToSign(amzDate: string, scope: SigningScope, canonical: string): string {
  const hash = createHash('sha256').update(canonical, 'latin1').digest('hex');
  return `${ALGORITHM}\n${amzDate}\n${scopeText(scope)}\n${hash}`;
}

/** Derived keys by secret and scope; a day's key is derived once. */
const keys = new Map<string, Buffer>();
const KEYS_MAX = 64;

/** The signing key of a secret for one day, region and service. */
export function signingKey(secret: string, scope: SigningScope): Buffer {
  const id = `${secret}\n${scopeText(scope)}`;
  let key = keys.get(id);
  if (key === undefined) {
    key = ['aws4_request', scope.service, scope.region, scope.date].reduceRight<Buffer>(
      (previous, part) => createHmac('sha256', previous).update(part).digest(),
      Buffer.from(`AWS4${secret}`),
    );
    if (keys.size >= KEYS_MAX) keys.clear();
    keys.set(id, key);
  }
  return key;
}

/** A signature in hexadecimal. */
export function sign(key: Buffer, text: string): string {
  return createHmac('sha256', key).update(text, 'latin1').digest('hex');
}

/** Constant-time comparison of two signatures. */
export function isSameSignature(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a, 'latin1'), Buffer.from(b, 'latin1'));
}

/** The signatures of an aws-chunked body: each signs its chunk and the signature before it. */
export class ChunkSigner {
  readonly #key: Buffer;
  readonly #prefix: string;
  #previous: string;

  constructor(key: Buffer, amzDate: string, scope: SigningScope, seedSignature: string) {
    this.#key = key;
    this.#prefix = `${amzDate}\n${scopeText(scope)}`;
    this.#previous = seedSignature;
  }

  /** Signature of the next chunk, whose payload hashes to `payloadHash`. */
  chunk(payloadHash: string): string {
    this.#previous = sign(
      this.#key,
      `${ALGORITHM}-PAYLOAD\n${this.#prefix}\n${this.#previous}\n${EMPTY_SHA256}\n${payloadHash}`,
    );
    return this.#previous;
  }

  /** Signature of the trailer; call after the last, empty chunk. */
  trailer(trailers: ReadonlyMap<string, string>): string {
    let text = '';
    for (const [name, value] of trailers) if (name !== 'x-amz-trailer-signature') text += `${name}:${value}\n`;
    const hash = createHash('sha256').update(text, 'latin1').digest('hex');
    return sign(this.#key, `${ALGORITHM}-TRAILER\n${this.#prefix}\n${this.#previous}\n${hash}`);
  }
}

function compareAscii(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
