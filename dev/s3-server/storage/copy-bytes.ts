/**
 * Copies bytes of an open file to the end of a temporary file, in the thread pool, so that requests go on meanwhile.
 */
import { read, write } from 'node:fs';
import { promisify } from 'node:util';
import { COPY_CHUNK_BYTES } from '../limits.js';
import type { TempFile } from './temp-file.js';

const readAsync = promisify(read);
const writeAsync = promisify(write);

/** A source of bytes: `[startOffset, endOffset)` of a descriptor the caller keeps open. */
export interface ByteSource {
  readonly fd: number;
  readonly startOffset: number;
  readonly endOffset: number;
}

/**
 * Appends the source to `temp`, which must not hold gathered pieces. `onPiece` sees every byte in order, before the
 * buffer is used again. Throws when the source is shorter than it says.
 */
export async function copyBytes(source: ByteSource, temp: TempFile, onPiece: (piece: Buffer) => void): Promise<void> {
  const buffer = Buffer.allocUnsafeSlow(Math.min(COPY_CHUNK_BYTES, Math.max(1, source.endOffset - source.startOffset)));
  let offset = source.startOffset;
  while (offset < source.endOffset) {
    const wantedBytes = Math.min(buffer.length, source.endOffset - offset);
    const { bytesRead } = await readAsync(source.fd, buffer, 0, wantedBytes, offset);
    if (bytesRead === 0) throw new Error('source was cut short while it was being copied');
    offset += bytesRead;
    const piece = buffer.subarray(0, bytesRead);
    onPiece(piece);
    for (let at = 0; at < bytesRead;) at += (await writeAsync(temp.fd, piece, at, bytesRead - at, null)).bytesWritten;
    temp.bytes += bytesRead;
  }
}
