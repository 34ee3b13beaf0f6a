/**
 * Bytes of a written file's extents, as READs, spool writes and errors want them. Pure.
 */
import { EIO, ErrnoError } from '../../base/errno.js';
import { BLOCK_BYTES } from '../../base/pool/layout.js';
import { messageOf } from '../../base/thrown.js';
import type { Chunk } from './chunk.js';
import type { Extent } from './extents.js';

/** May its bytes be overwritten where they are? */
export function isChangeable({ memory }: Extent<Chunk>): boolean {
  return memory !== undefined && !memory.isRead;
}

let zeros: Uint8Array | undefined;

/** Of what is in memory, or a hole. Borrowed. */
export function bytesOf({ memory, at, from, to }: Extent<Chunk>): Uint8Array {
  if (memory) return memory.bytes(at, at + to - from);
  zeros ??= new Uint8Array(BLOCK_BYTES);
  // A READ is of 1 MiB at most.
  return zeros.subarray(0, to - from);
}

/** Extents that follow one another, as one write each. */
export function runsOf(extents: readonly Extent<Chunk>[]): { from: number; to: number; buffers: Uint8Array[] }[] {
  const runs: { from: number; to: number; buffers: Uint8Array[] }[] = [];
  for (const { memory, from, to, at } of extents) {
    if (!memory) continue;
    const bytes = memory.bytes(at, at + to - from);
    const last = runs[runs.length - 1];
    if (last?.to === from) {
      last.to = to;
      last.buffers.push(bytes);
    } else runs.push({ from, to, buffers: [bytes] });
  }
  return runs;
}

export function asErrnoError(error: unknown): ErrnoError {
  if (error instanceof ErrnoError) return error;
  return new ErrnoError(EIO, messageOf(error), { cause: error });
}
