/**
 * Two snapshots of one mount become a report: rates of the time in between, and quantiles of what happened in it. Pure.
 * Refuses to guess: where nothing happened in between, quantiles are those of the mount's life, and say so.
 */
import { countsBetween, quantilesOf, total, type Quantiles } from '../../base/latency-histogram.js';
import type { MountSnapshot } from './snapshot.js';

/** A latency with where it is from. */
export interface Waits extends Quantiles {
  /** READs that it is of. */
  readonly reads: number;
  /** False: nothing waited in the interval, so all of the mount's life. */
  readonly isOfInterval: boolean;
}

export interface Rates {
  /** Length of the interval. */
  readonly spanMs: number;
  /** Payload over the network, a second. */
  readonly inBytesPerSecond: number;
  readonly outBytesPerSecond: number;
  readonly requestsPerSecond: number;
  readonly hedgesPerSecond: number;
  readonly retriesPerSecond: number;
  readonly slowDownsPerSecond: number;
  /** What programs read and wrote, a second. */
  readonly readBytesPerSecond: number;
  readonly readsPerSecond: number;
  readonly writeBytesPerSecond: number;
  /** Share of the interval's READs that reader threads answered from the pool, 0..1; null without READs. */
  readonly poolHitShare: number | null;
  readonly kernelRequestsPerSecond: number;
}

/** What `stats --json` prints: the later snapshot, without its buckets, and what two of them say. */
export interface StatsReport extends Omit<MountSnapshot, 'reads'> {
  readonly rates: Rates;
  readonly reads: Omit<MountSnapshot['reads'], 'waits'> & {
    /** Of READs that came to the main thread; null when none ever did. */
    readonly waitMs: Waits | null;
    /** Share of all READs that were answered from the pool, 0..1; null before the first. */
    readonly poolHitShare: number | null;
  };
}

export function reportOf(before: MountSnapshot, after: MountSnapshot): StatsReport {
  const spanMs = Math.max(1, after.atMs - before.atMs);
  const perSecond = (one: number, other: number): number => (Math.max(0, other - one) * 1000) / spanMs;
  const [was, is] = [before.network, after.network];
  const fromPool = after.reads.fromPool - before.reads.fromPool;
  const placed = after.reads.placed - before.reads.placed;
  const bytesOf = ({ reads }: MountSnapshot): number => reads.fromPoolBytes + reads.placedBytes;
  const requestsOf = ({ requests, reads }: MountSnapshot): number =>
    Object.values(requests).reduce((sum, count) => sum + count, reads.fromPool);
  const { waits: _waits, ...reads } = after.reads;
  return {
    ...after,
    reads: {
      ...reads,
      waitMs: waitsOf(before, after),
      poolHitShare: shareOf(reads.fromPool, reads.placed),
    },
    rates: {
      spanMs,
      inBytesPerSecond: perSecond(was.bytesIn, is.bytesIn),
      outBytesPerSecond: perSecond(was.bytesOut, is.bytesOut),
      requestsPerSecond: perSecond(was.requests, is.requests),
      hedgesPerSecond: perSecond(was.hedges, is.hedges),
      retriesPerSecond: perSecond(was.retries, is.retries),
      slowDownsPerSecond: perSecond(was.slowDowns, is.slowDowns),
      readBytesPerSecond: perSecond(bytesOf(before), bytesOf(after)),
      readsPerSecond: perSecond(0, fromPool + placed),
      writeBytesPerSecond: perSecond(before.writes.bytes, after.writes.bytes),
      poolHitShare: shareOf(fromPool, placed),
      kernelRequestsPerSecond: perSecond(requestsOf(before), requestsOf(after)),
    },
  };
}

function waitsOf(before: MountSnapshot, after: MountSnapshot): Waits | null {
  const between = countsBetween(before.reads.waits, after.reads.waits);
  const ofInterval = quantilesOf(between);
  if (ofInterval) return { ...ofInterval, reads: total(between), isOfInterval: true };
  const ofLife = quantilesOf(after.reads.waits);
  return ofLife ? { ...ofLife, reads: after.reads.placed, isOfInterval: false } : null;
}

function shareOf(part: number, rest: number): number | null {
  return part + rest > 0 ? part / (part + rest) : null;
}
