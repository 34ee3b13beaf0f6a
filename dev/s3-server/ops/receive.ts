/**
 * Takes an upload's bytes into a temporary file while hashing them, and checks every promise the client made about
 * them: Content-MD5, x-amz-checksum-* in headers or trailers, length. Used by PutObject and UploadPart.
 */
import { createHash } from 'node:crypto';
import {
  type Checksum,
  checksumFromHeaders,
  createChecksum,
  isChecksumValue,
  parseChecksumName,
  checksumHeader,
} from '../checksums/checksums.js';
import { S3Error } from '../errors.js';
import { SINGLE_PUT_BYTES_MAX } from '../limits.js';
import type { ChecksumName } from '../storage/object-record.js';
import { THREAD_BODY_BYTES_MIN, type Digests, type ThreadBody } from '../receive/receive-threads.js';
import type { ReceivedFile, TempFile } from '../storage/temp-file.js';
import type { OpContext } from './context.js';

/** Bytes that arrived whole and as promised. The file is finished; it is the caller's to move or discard. */
export interface Received<File extends ReceivedFile = TempFile> {
  readonly temp: File;
  readonly bytes: number;
  /** Hexadecimal. */
  readonly md5: string;
  readonly checksum: { readonly algorithm: ChecksumName; readonly value: string } | null;
}

/**
 * Receives the payload into a file that `createFile` makes. `fallback` is the checksum to compute when the client names none.
 * Large bodies are hashed and written by receive threads.
 * @throws S3Error BadDigest and others; nothing is left behind then
 */
export async function receivePayload<File extends ReceivedFile>(
  context: OpContext,
  fallback: ChecksumName | null,
  createFile: (bytes: number) => File,
): Promise<Received<File>> {
  const { headers, payload } = context;
  // S3 wants to know the length beforehand: chunked coding alone will not do, whoever frames the chunks.
  const hasLength = headers.has('content-length') || headers.has('transfer-encoding');
  if (!hasLength || payload.declaredBytes === null) throw new S3Error('MissingContentLength');
  if (payload.declaredBytes > SINGLE_PUT_BYTES_MAX) throw new S3Error('EntityTooLarge');
  const contentMd5 = headers.get('content-md5');
  if (contentMd5 !== undefined && Buffer.from(contentMd5, 'base64').length !== 16) throw new S3Error('InvalidDigest');
  const promised = checksumFromHeaders(headers);
  const algorithm = promised?.algorithm ?? trailerAlgorithm(headers) ?? namedAlgorithm(headers) ?? fallback;
  const { declaredBytes } = payload;
  const temp = createFile(declaredBytes);
  const taker =
    declaredBytes >= THREAD_BODY_BYTES_MIN
      ? new ThreadTaker(temp, context.server.receivers.open(temp.fd, temp.startOffset, algorithm))
      : new InlineTaker(temp, algorithm);
  try {
    for (let piece = await payload.read(); piece !== null; piece = await payload.read()) {
      if (payload.readBytes > SINGLE_PUT_BYTES_MAX) throw new S3Error('EntityTooLarge');
      const room = taker.take(piece);
      if (room !== undefined) await room;
    }
    const { md5: digest, checksum: computed } = await taker.finish();
    if (contentMd5 !== undefined && digest.toString('base64') !== contentMd5) {
      throw new S3Error('BadDigest', {
        message: 'The Content-MD5 you specified did not match what we received.',
        elements: { ExpectedDigest: contentMd5, CalculatedDigest: digest.toString('base64') },
      });
    }
    let checksum: Received['checksum'] = null;
    if (algorithm !== null && computed !== null) {
      checksum = { algorithm, value: computed.toString('base64') };
      const claimed = promised?.value ?? payload.trailers.get(checksumHeader(algorithm));
      if (claimed !== undefined) verifyClaim(algorithm, claimed, checksum.value);
    }
    temp.finish();
    return { temp, bytes: temp.bytes, md5: digest.toString('hex'), checksum };
  } catch (error) {
    await taker.cancel();
    temp.discard();
    throw error;
  }
}

/** Who hashes and writes. */
interface Taker {
  take(piece: Buffer): Promise<void> | undefined;
  finish(): Promise<Digests>;
  /** After it the file is not written any more; harmless after `finish`. */
  cancel(): Promise<void>;
}

/** Here and now, as suits small bodies. */
class InlineTaker implements Taker {
  readonly #file: ReceivedFile;
  readonly #md5 = createHash('md5');
  readonly #checksum: Checksum | null;

  constructor(file: ReceivedFile, algorithm: ChecksumName | null) {
    this.#file = file;
    this.#checksum = algorithm === null ? null : createChecksum(algorithm);
  }

  take(piece: Buffer): undefined {
    this.#md5.update(piece);
    this.#checksum?.update(piece);
    this.#file.append(piece);
  }

  finish(): Promise<Digests> {
    return Promise.resolve({ md5: this.#md5.digest(), checksum: this.#checksum?.digest() ?? null });
  }

  cancel(): Promise<void> {
    return Promise.resolve();
  }
}

/** By a receive thread. */
class ThreadTaker implements Taker {
  readonly #file: ReceivedFile;
  readonly #body: ThreadBody;
  #isOver = false;

  constructor(file: ReceivedFile, body: ThreadBody) {
    this.#file = file;
    this.#body = body;
  }

  take(piece: Buffer): Promise<void> | undefined {
    this.#file.bytes += piece.length;
    return this.#body.append(piece);
  }

  async finish(): Promise<Digests> {
    this.#isOver = true;
    return await this.#body.finish();
  }

  async cancel(): Promise<void> {
    if (this.#isOver) return;
    this.#isOver = true;
    await this.#body.cancel();
  }
}

function verifyClaim(algorithm: ChecksumName, claimed: string, computed: string): void {
  if (!isChecksumValue(algorithm, claimed)) {
    throw new S3Error('InvalidRequest', {
      message: `Value for ${checksumHeader(algorithm)} trailing header is invalid.`,
    });
  }
  if (claimed !== computed) {
    throw new S3Error('BadDigest', {
      message: `The ${algorithm} you specified did not match the calculated checksum.`,
    });
  }
}

function trailerAlgorithm(headers: ReadonlyMap<string, string>): ChecksumName | null {
  const match = /x-amz-checksum-([a-z0-9]+)/i.exec(headers.get('x-amz-trailer') ?? '');
  return match?.[1] === undefined ? null : parseChecksumName(match[1]);
}

/** The SDK names the algorithm it is about to send; alone it only asks for one to be stored. */
function namedAlgorithm(headers: ReadonlyMap<string, string>): ChecksumName | null {
  const name = headers.get('x-amz-sdk-checksum-algorithm') ?? headers.get('x-amz-checksum-algorithm');
  return name === undefined ? null : parseChecksumName(name);
}
