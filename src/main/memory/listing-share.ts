/**
 * The listing cache as the governor's first reserve: names are cheap to ask for again, payload that a reader waits for is
 * not. Refuses to go below what keeps a directory of some ten thousand entries answerable.
 */
import { MIB } from '../../base/units.js';
import type { ElasticCache } from './governor.js';

/** About 20,000 names. */
const LISTINGS_LEAST_BYTES = 2 * MIB;
/** The most, whatever the target: 330,000 names. */
const LISTINGS_MOST_BYTES = 32 * MIB;
/** Of the target, before the governor takes any of it (guessed: 512 MiB have the most, 256 MiB the half of it). */
const SHARE = 1 / 16;

/** What the listing cache may have at the start. */
export function listingBytes(targetBytes: number): number {
  return Math.max(LISTINGS_LEAST_BYTES, Math.min(LISTINGS_MOST_BYTES, Math.floor(targetBytes * SHARE)));
}

/** The cache's own view, which src/fs has. */
export interface BoundedListings {
  readonly bytes: number;
  readonly bytesMax: number;
  setBytesMax(bytesMax: number): void;
}

export function listingShare(listings: BoundedListings): ElasticCache {
  const mostBytes = listings.bytesMax;
  return {
    name: 'listings',
    shrink: (bytes) => {
      const used = listings.bytes;
      const least = Math.min(LISTINGS_LEAST_BYTES, mostBytes);
      listings.setBytesMax(Math.max(least, Math.min(used, listings.bytesMax) - bytes));
      return used - listings.bytes;
    },
    grow: (bytes) => {
      const before = listings.bytesMax;
      listings.setBytesMax(Math.min(mostBytes, before + bytes));
      return listings.bytesMax - before;
    },
  };
}
