/**
 * What the first touch of memory costs on this machine. A virtual machine whose host takes free pages back pays for each
 * page anew: measured 0.4 us a page where the host has it and 7-13 us where it has not, which made `seq1` 3.2 instead of
 * 1.0 CPU s/GB (the page cache's pages, mostly). So a report says it, and figures of two runs compare only when it is alike.
 * Bound: PIECE_BYTES at a time, given back at the end. Refuses nothing: who warms more than there is learns it from the kernel.
 */

const PAGE_BYTES = 4096;
const PIECE_BYTES = 256 * 1024 ** 2;

/** Touches so many bytes, all of them held until the end; microseconds a page, median of the pieces. */
export function touchMemory(bytes: number): number {
  const pieces: Buffer[] = [];
  const costs: number[] = [];
  for (let done = 0; done < bytes; done += PIECE_BYTES) {
    const piece = Buffer.allocUnsafeSlow(Math.min(PIECE_BYTES, bytes - done));
    const sinceMs = performance.now();
    for (let at = 0; at < piece.length; at += PAGE_BYTES) piece[at] = 1;
    costs.push(((performance.now() - sinceMs) * 1000) / Math.ceil(piece.length / PAGE_BYTES));
    pieces.push(piece);
  }
  return costs.sort((a, b) => a - b)[Math.floor(costs.length / 2)] ?? 0;
}

/** A line for the report. */
export function touchLine(beforeUs: number, afterUs: number): string {
  return `first touch of memory: ${beforeUs.toFixed(1)} us a page before, ${afterUs.toFixed(1)} after`;
}
