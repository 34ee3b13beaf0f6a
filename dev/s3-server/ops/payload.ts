/**
 * A request's payload as the operation sees it: aws-chunked framing removed, its signatures and hashes verified.
 *
 * Pulling it to the end proves it: `read` throws before it returns null if a chunk signature, the trailer, the declared
 * length or x-amz-content-sha256 is wrong. So bytes may be written to a temporary file as they come, and must not be
 * made visible before the end.
 */
import { createHash, type Hash } from 'node:crypto';
import type { Identity } from '../auth/authenticate.js';
import { EMPTY_SHA256, isSameSignature } from '../auth/sigv4.js';
import { S3Error } from '../errors.js';
import { ChunkedDecoder, ChunkError } from '../http/chunked-decoder.js';
import type { RequestBody } from '../http/request-body.js';
import { SIGNED_CHUNK_BYTES_MIN } from '../limits.js';

/** Slows reading down; resolves when `bytes` may be taken. */
export type ReadPace = (bytes: number) => Promise<void>;

/** What x-amz-content-sha256 may say; chunks signed with elliptic curves (SigV4A) are not verified here. */
const PAYLOAD_HASH =
  /^(?:[0-9a-f]{64}|UNSIGNED-PAYLOAD|STREAMING-UNSIGNED-PAYLOAD-TRAILER|STREAMING-AWS4-HMAC-SHA256-PAYLOAD(?:-TRAILER)?)$/;

function checkPayloadHash(text: string): void {
  if (PAYLOAD_HASH.test(text)) return;
  throw new S3Error('InvalidArgument', {
    message:
      'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.',
    elements: { ArgumentName: 'x-amz-content-sha256', ArgumentValue: text },
  });
}

/** See the header. */
export class Payload {
  /** Payload length as declared, or null when only its end will tell. */
  readonly declaredBytes: number | null;
  /** Trailer fields; complete once `read` has returned null. */
  trailers: ReadonlyMap<string, string> = new Map();
  readBytes = 0;
  readonly #body: RequestBody;
  readonly #identity: Identity;
  readonly #trailerNames: readonly string[];
  readonly #sha256: Hash | null;
  readonly #chunked: ChunkedDecoder | null;
  readonly #pieces: Buffer[] = [];
  #pace: ReadPace | null = null;
  #chunkHash: Hash | null = null;
  #claimedSignature = '';
  #isVerified = false;

  constructor(body: RequestBody, identity: Identity, headers: ReadonlyMap<string, string>) {
    this.#body = body;
    this.#identity = identity;
    this.#trailerNames = (headers.get('x-amz-trailer') ?? '')
      .split(',')
      .map((name) => name.trim().toLowerCase())
      .filter((name) => name !== '');
    const { payloadHash } = identity;
    checkPayloadHash(payloadHash);
    const isFramed =
      payloadHash.startsWith('STREAMING-') || /(^|,)\s*aws-chunked/i.test(headers.get('content-encoding') ?? '');
    const decoded = headers.get('x-amz-decoded-content-length');
    this.declaredBytes = isFramed ? (decoded === undefined ? null : Number(decoded)) : body.declaredBytes;
    this.#sha256 = /^[0-9a-f]{64}$/.test(payloadHash) ? createHash('sha256') : null;
    this.#chunked = isFramed ? this.#decoder() : null;
  }

  /** Applies a pacing fault to what is still to be read. */
  paceBy(pace: ReadPace): void {
    this.#pace = pace;
  }

  /** The next bytes, or null when the payload is complete and verified. */
  async read(): Promise<Buffer | null> {
    for (;;) {
      const ready = this.#pieces.shift();
      if (ready !== undefined) return this.#deliver(ready);
      if (this.#chunked?.isDone === true) break;
      const input = await this.#body.read();
      if (input === null) break;
      if (this.#pace !== null) await this.#pace(input.length);
      if (this.#chunked === null) return this.#deliver(input);
      try {
        this.#chunked.push(input, (piece) => {
          this.#chunkHash?.update(piece);
          this.#pieces.push(piece);
        });
      } catch (error) {
        if (error instanceof ChunkError)
          throw new S3Error('IncompleteBody', { message: `Malformed aws-chunked body: ${error.message}` });
        throw error;
      }
    }
    if (!this.#isVerified) await this.#verifyEnd();
    this.#isVerified = true;
    return null;
  }

  /** The whole payload, at most `bytesMax`. Throws MaxMessageLengthExceeded. */
  async readAll(bytesMax: number): Promise<Buffer> {
    const pieces: Buffer[] = [];
    for (let piece = await this.read(); piece !== null; piece = await this.read()) {
      pieces.push(piece);
      if (this.readBytes > bytesMax) throw new S3Error('MaxMessageLengthExceeded');
    }
    return Buffer.concat(pieces);
  }

  #deliver(piece: Buffer): Buffer {
    this.readBytes += piece.length;
    this.#sha256?.update(piece);
    return piece;
  }

  #decoder(): ChunkedDecoder {
    const signer = this.#identity.chunkSigner;
    let isLastExpected = false;
    /** A short chunk is fine only when nothing but the empty last chunk follows it. */
    const checkSize = (chunkBytes: number): void => {
      if (isLastExpected && chunkBytes > 0) throw new S3Error('InvalidChunkSizeError');
      isLastExpected = chunkBytes < SIGNED_CHUNK_BYTES_MIN;
    };
    if (signer === null) return new ChunkedDecoder({ onChunk: checkSize });
    const check = (hash: string): void => {
      if (!isSameSignature(signer.chunk(hash), this.#claimedSignature)) throw new S3Error('SignatureDoesNotMatch');
    };
    return new ChunkedDecoder({
      onChunk: (chunkBytes, extension) => {
        checkSize(chunkBytes);
        this.#claimedSignature = /(?:^|;)\s*chunk-signature=([0-9a-f]+)/.exec(extension)?.[1] ?? '';
        if (chunkBytes === 0) check(EMPTY_SHA256);
        else this.#chunkHash = createHash('sha256');
      },
      onChunkEnd: () => {
        check(this.#chunkHash?.digest('hex') ?? '');
        this.#chunkHash = null;
      },
    });
  }

  async #verifyEnd(): Promise<void> {
    if (this.#chunked !== null) {
      if (!this.#chunked.isDone) throw new S3Error('IncompleteBody');
      // The transport's own end (a last chunk of HTTP's chunked coding, a stray newline) belongs to this request.
      while ((await this.#body.read()) !== null);
      this.trailers = this.#chunked.trailers;
      this.#verifyTrailers();
    }
    if (this.declaredBytes !== null && this.readBytes !== this.declaredBytes) throw new S3Error('IncompleteBody');
    if (this.#sha256 !== null) {
      const computed = this.#sha256.digest('hex');
      if (computed !== this.#identity.payloadHash) {
        throw new S3Error('XAmzContentSHA256Mismatch', {
          elements: {
            ClientComputedContentSHA256: this.#identity.payloadHash,
            S3ComputedContentSHA256: computed,
          },
        });
      }
    }
  }

  #verifyTrailers(): void {
    for (const name of this.#trailerNames) {
      if (!this.trailers.has(name)) throw new S3Error('MalformedTrailerError');
    }
    const { chunkSigner, payloadHash } = this.#identity;
    if (chunkSigner === null || !payloadHash.endsWith('-TRAILER')) return;
    const claimed = this.trailers.get('x-amz-trailer-signature') ?? '';
    if (!isSameSignature(chunkSigner.trailer(this.trailers), claimed)) throw new S3Error('SignatureDoesNotMatch');
  }
}
