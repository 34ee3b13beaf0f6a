/**
 * Which parts of a block are there, on their way, or neither: pure questions about a Block and its slot's words.
 * Refuses to change anything: what to do about a gap is the fetcher's.
 */
import { PAGE_BYTES } from '../base/pool/layout.js';
import type { PoolView } from '../base/pool/pool-view.js';
import type { ReadSpan } from '../engine/api.js';
import type { Block, Fill } from './block-index.js';

/** Bytes [from, to) within a block. */
export interface BlockRange {
  readonly from: number;
  readonly to: number;
}

/** The parts of [from, to) that are neither there nor on their way, in order. */
export function gapsOf(view: PoolView, block: Block, from: number, to: number): BlockRange[] {
  const gaps: BlockRange[] = [];
  let at = from;
  while (at < to) {
    const fill = fillAt(block, at);
    if (fill) {
      at = fill.to;
      continue;
    }
    const arrived = view.arrivedUpTo(block.slot, at, to);
    if (arrived > at) {
      at = arrived;
      continue;
    }
    let end = view.missingUpTo(block.slot, at, to);
    for (const other of block.fills) if (other.from > at && other.from < end) end = other.from;
    gaps.push({ from: at, to: end });
    at = end;
  }
  return gaps;
}

/** Bytes [from, to), all there or on their way, as spans for a READ: one for each fetch that brings a part of them. */
export function spansOf(view: PoolView, block: Block, from: number, to: number): ReadSpan[] {
  const { slot } = block;
  if (block.fills.length === 0 || view.holds(slot, from, to)) return [{ slot, from, to, fetchId: 0 }];
  const spans: ReadSpan[] = [];
  for (let at = from; at < to;) {
    const fill = fillAt(block, at);
    let end = to;
    if (fill) end = Math.min(end, fill.to);
    else for (const other of block.fills) if (other.from > at && other.from < end) end = other.from;
    spans.push({ slot, from: at, to: end, fetchId: fill?.fetchId ?? 0 });
    at = end;
  }
  return spans;
}

export function pageFloor(offset: number): number {
  return Math.floor(offset / PAGE_BYTES) * PAGE_BYTES;
}

/** The end of the page that ends at or after `offset`, or `end` when that is before it. */
export function pageCeil(offset: number, end: number): number {
  return Math.min(Math.ceil(offset / PAGE_BYTES) * PAGE_BYTES, end);
}

function fillAt(block: Block, at: number): Fill | undefined {
  return block.fills.find((fill) => fill.from <= at && at < fill.to);
}
