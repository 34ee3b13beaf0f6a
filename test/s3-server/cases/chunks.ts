/**
 * aws-chunked bodies made by hand: signed chunks, unsigned chunks, trailers signed or not, and each of them broken on purpose.
 *
 * The SDK for JavaScript sends only unsigned chunks with a trailer; boto3, the Java SDK and older clients send the signed kinds, so the
 * cases need an encoder of their own. Written from the "Signature Calculations for the Authorization Header: Transferring Payload in
 * Multiple Chunks" pages of the S3 API reference. Refuses to guess: what is sent is what the caller listed.
 */
import { createHash, createHmac } from 'node:crypto';
import type { TestServer } from '../../support/servers/server.js';
import { signed, type RawRequest } from './raw.js';

const EMPTY_SHA256 = createHash('sha256').digest('hex');

/** One trailing header. */
export interface Trailer {
  readonly name: string;
  readonly value: string;
}

/** What goes into a chunked upload, and what is to be wrong with it. */
export interface ChunkedUpload {
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly chunks: readonly Buffer[];
  readonly headers?: Readonly<Record<string, string>>;
  readonly trailer?: Trailer;
  /** x-amz-decoded-content-length when it is to be wrong. */
  readonly decodedBytes?: number;
  /** Number of the chunk whose bytes are altered after signing. */
  readonly tamperChunk?: number;
  /** The trailer's signature is altered. */
  readonly tamperTrailerSignature?: boolean;
  /** The final zero-length chunk (and the trailer) is left out. */
  readonly unfinished?: boolean;
}

/** A PUT whose chunks each carry a signature. */
export async function signedChunksPut(server: TestServer, upload: ChunkedUpload): Promise<RawRequest> {
  const date = new Date();
  const kind = upload.trailer === undefined ? '' : '-TRAILER';
  const request = await signed(
    server,
    {
      method: 'PUT',
      path: upload.path,
      headers: headersOf(upload),
      ...(upload.query === undefined ? {} : { query: upload.query }),
    },
    { date, payloadHash: `STREAMING-AWS4-HMAC-SHA256-PAYLOAD${kind}` },
  );
  const stamp = `${date.toISOString().replace(/[-:]|\.\d{3}/g, '')}`;
  const scope = `${stamp.slice(0, 8)}/${server.region}/s3/aws4_request`;
  const key = signingKey(server, stamp.slice(0, 8));
  let previous = /Signature=([0-9a-f]{64})/.exec(request.headers?.['authorization'] ?? '')?.[1] ?? '';
  const next = (algorithm: string, ...hashes: string[]): string => {
    previous = hmac(key, [algorithm, stamp, scope, previous, ...hashes].join('\n')).toString('hex');
    return previous;
  };
  const parts: Buffer[] = [];
  for (const [index, chunk] of upload.chunks.entries()) {
    const signature = next('AWS4-HMAC-SHA256-PAYLOAD', EMPTY_SHA256, sha256(chunk));
    const bytes = Buffer.from(chunk);
    if (index === upload.tamperChunk) bytes.writeUInt8(bytes.readUInt8(0) ^ 1, 0);
    parts.push(
      Buffer.from(`${chunk.length.toString(16)};chunk-signature=${signature}\r\n`),
      bytes,
      Buffer.from('\r\n'),
    );
  }
  if (upload.unfinished !== true) {
    parts.push(Buffer.from(`0;chunk-signature=${next('AWS4-HMAC-SHA256-PAYLOAD', EMPTY_SHA256, EMPTY_SHA256)}\r\n`));
    if (upload.trailer !== undefined) {
      const { name, value } = upload.trailer;
      const signature = next('AWS4-HMAC-SHA256-TRAILER', sha256(Buffer.from(`${name}:${value}\n`)));
      const sent =
        upload.tamperTrailerSignature === true
          ? signature.replace(/^./, (char) => (char === '0' ? '1' : '0'))
          : signature;
      parts.push(Buffer.from(`${name}:${value}\r\nx-amz-trailer-signature:${sent}\r\n`));
    }
    parts.push(Buffer.from('\r\n'));
  }
  return { ...request, body: Buffer.concat(parts) };
}

/** A PUT with plain chunks and, usually, a checksum trailer: what today's SDKs send for streams. */
export async function unsignedChunksPut(server: TestServer, upload: ChunkedUpload): Promise<RawRequest> {
  const request = await signed(
    server,
    {
      method: 'PUT',
      path: upload.path,
      headers: headersOf(upload),
      ...(upload.query === undefined ? {} : { query: upload.query }),
    },
    { payloadHash: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER' },
  );
  const parts: Buffer[] = [];
  for (const chunk of upload.chunks) {
    parts.push(Buffer.from(`${chunk.length.toString(16)}\r\n`), chunk, Buffer.from('\r\n'));
  }
  if (upload.unfinished !== true) {
    parts.push(Buffer.from('0\r\n'));
    if (upload.trailer !== undefined) parts.push(Buffer.from(`${upload.trailer.name}:${upload.trailer.value}\r\n`));
    parts.push(Buffer.from('\r\n'));
  }
  return { ...request, body: Buffer.concat(parts) };
}

function headersOf(upload: ChunkedUpload): Record<string, string> {
  const bytes = upload.decodedBytes ?? upload.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  return {
    'content-encoding': 'aws-chunked',
    'x-amz-decoded-content-length': String(bytes),
    ...(upload.trailer === undefined ? {} : { 'x-amz-trailer': upload.trailer.name }),
    ...upload.headers,
  };
}

function signingKey(server: TestServer, day: string): Buffer {
  const forDay = hmac(`AWS4${server.secretKey}`, day);
  return hmac(hmac(hmac(forDay, server.region), 's3'), 'aws4_request');
}

function hmac(key: Buffer | string, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
