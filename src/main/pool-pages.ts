/**
 * Where in memory the pool's slots begin: at a boundary of pages. malloc puts a large SharedArrayBuffer 16 bytes past
 * one, so that each page of a reply straddled two pages of the pool (measured: about 5 % of the daemon's CPU in seq1d).
 * Large pages (MADV_HUGEPAGE) were tried and left: on a machine whose memory is in pieces the kernel moved pages about
 * at each first use, and seq1d cost 1.8 CPU s/GB instead of 1.0.
 * Refuses to fail: without koffi the pool works, a little slower.
 */
import { createRequire } from 'node:module';
import type Koffi from 'koffi';
import { SEGMENT_SLACK_BYTES } from '../base/pool/layout.js';

/** The PlacePool of the daemon. */
export function placePool(segment: SharedArrayBuffer): number {
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
    const memmove = koffi.load(null).func('uintptr_t memmove(void *to, void *from, size_t bytes)');
    const bytes = Buffer.from(segment);
    // Moves nothing; the answer is the address.
    const address = BigInt(memmove(bytes, bytes, 0) as number | bigint);
    const page = BigInt(SEGMENT_SLACK_BYTES);
    return Number((page - (address % page)) % page);
  } catch {
    return 0;
  }
}
