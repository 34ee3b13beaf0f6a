/**
 * What a mount says about writing, and what follows for the parts of uploads with the memory that there is. Pure.
 * Refuses to plan: part-plan.ts.
 */
import { BLOCK_BYTES } from '../../base/pool/layout.js';
import { MIB } from '../../base/units.js';
import type { StoreCapabilities } from '../../engine/write-api.js';
import { PARTS_MAX, PART_BYTES_MAX, PART_BYTES_MIN, type PartRules } from './part-plan.js';

export interface WritingOptions {
  readonly conflict: 'fail' | 'last-writer';
  /** Size of the first parts. */
  readonly partBytes: number;
  /** S3's least part; tests use less. */
  readonly partBytesMin?: number;
  /** S3's most parts; tests use fewer. */
  readonly partsMax?: number;
  /** Open files are committed so often; null: only at close and fsync. */
  readonly commitIntervalMs: number | null;
}

export const defaultWriting: WritingOptions = { conflict: 'fail', partBytes: 8 * MIB, commitIntervalMs: null };

/** One part may be of nearly twice the size, and its body must fit into memory beside others. */
export function partRules(
  { partBytes, partBytesMin = PART_BYTES_MIN, partsMax = PARTS_MAX }: WritingOptions,
  memorySlotsMax: number,
  { copyParts, unequalParts }: Pick<StoreCapabilities, 'copyParts' | 'unequalParts'>,
): PartRules {
  const memoryBytes = memorySlotsMax * BLOCK_BYTES;
  // Who asks for large parts gets them, from the spool.
  const isAskedFor = partBytes > defaultWriting.partBytes;
  return {
    partBytesMin,
    partBytes: isAskedFor ? partBytes : Math.max(partBytesMin, Math.min(partBytes, memoryBytes / 4)),
    memoryPartBytesMax: Math.max(partBytesMin, Math.floor(memoryBytes / 4 / BLOCK_BYTES) * BLOCK_BYTES),
    partBytesMax: PART_BYTES_MAX,
    unequalParts,
    partsMax,
    copies: copyParts,
  };
}
