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
import type { TempFile } from '../storage/temp-file.js';
import type { OpContext } from './context.js';

/** Bytes that arrived whole and as promised. The file is finished; its path is the caller's to move or discard. */
export interface Received {
  readonly temp: TempFile;
  readonly bytes: number;
  /** Hexadecimal. */
  readonly md5: string;
  readonly checksum: { readonly algorithm: ChecksumName; readonly value: string } | null;
}

/**
 * Receives the payload. `fallback` is the checksum to compute when the client names none.
 * @throws S3Error BadDigest and others; nothing is left behind then
 */
export async function receivePayload(context: OpContext, fallback: ChecksumName | null): Promise<Received> {
  const { headers, payload } = context;
  // S3 wants to know the length beforehand: chunked coding alone will not do, whoever frames the chunks.
  const hasLength = headers.has('content-length') || headers.has('transfer-encoding');
  if (!hasLength || payload.declaredBytes === null) throw new S3Error('MissingContentLength');
  if (payload.declaredBytes > SINGLE_PUT_BYTES_MAX) throw new S3Error('EntityTooLarge');
  const contentMd5 = headers.get('content-md5');
  if (contentMd5 !== undefined && Buffer.from(contentMd5, 'base64').length !== 16) throw new S3Error('InvalidDigest');
  const promised = checksumFromHeaders(headers);
  const algorithm = promised?.algorithm ?? trailerAlgorithm(headers) ?? namedAlgorithm(headers) ?? fallback;
  const running: Checksum | null = algorithm === null ? null : createChecksum(algorithm);
  const md5 = createHash('md5');
  const temp = context.server.store.createTemp();
  try {
    for (let piece = await payload.read(); piece !== null; piece = await payload.read()) {
      if (payload.readBytes > SINGLE_PUT_BYTES_MAX) throw new S3Error('EntityTooLarge');
      md5.update(piece);
      running?.update(piece);
      temp.append(piece);
    }
    const digest = md5.digest();
    if (contentMd5 !== undefined && digest.toString('base64') !== contentMd5) {
      throw new S3Error('BadDigest', {
        message: 'The Content-MD5 you specified did not match what we received.',
        elements: { ExpectedDigest: contentMd5, CalculatedDigest: digest.toString('base64') },
      });
    }
    let checksum: Received['checksum'] = null;
    if (algorithm !== null && running !== null) {
      checksum = { algorithm, value: running.digest().toString('base64') };
      const claimed = promised?.value ?? payload.trailers.get(checksumHeader(algorithm));
      if (claimed !== undefined) verifyClaim(algorithm, claimed, checksum.value);
    }
    temp.finish();
    return { temp, bytes: temp.bytes, md5: digest.toString('hex'), checksum };
  } catch (error) {
    temp.discard();
    throw error;
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
