/**
 * Two snapshots of one mount become a report: rates of the time in between, and quantiles of what happened in it. Pure.
 * Refuses to guess: where nothing happened in between, quantiles are those of the mount's life, and say so.
 */
import {
  countsBetween,
  quantilesOf,
  total,
  type HistogramState,
  type Quantiles,
} from '../../base/latency-histogram.js';
import type { StoreOperation } from '../../engine/net/request-ledger.js';
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
export interface StatsReport extends Omit<MountSnapshot, 'reads' | 'requestTook' | 'store'> {
  readonly rates: Rates;
  /** Without those that reader threads answered. */
  readonly requestTookMs: Readonly<Record<string, Quantiles>>;
  readonly store: Pick<MountSnapshot['store'], 'requests' | 'cost'> & {
    /** Good answers, by operation: of the interval where there were any, else since the mount began. */
    readonly tookMs: Readonly<Partial<Record<StoreOperation, Quantiles>>>;
  };
  readonly reads: Omit<MountSnapshot['reads'], 'waits' | 'fromPoolTook'> & {
    /** How long reader threads took over those from the pool, a sample of them; null before the first. */
    readonly fromPoolTookMs: Quantiles | null;
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
  const { waits: _waits, fromPoolTook, ...reads } = after.reads;
  const { requestTook, store, ...rest } = after;
  const { durations, ...counts } = store;
  return {
    ...rest,
    requestTookMs: quantilesBetween(before.requestTook, requestTook),
    store: { ...counts, tookMs: quantilesBetween(before.store.durations, durations) },
    reads: {
      ...reads,
      fromPoolTookMs: latest(before.reads.fromPoolTook, fromPoolTook) ?? null,
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

/** Of the time between two states, or of all of it where nothing happened in between. */
function latest(before: HistogramState | undefined, after: HistogramState): Quantiles | undefined {
  return quantilesOf(countsBetween(before?.counts, after.counts)) ?? quantilesOf(after.counts);
}

function quantilesBetween<K extends string>(
  before: Readonly<Partial<Record<K, HistogramState>>>,
  after: Readonly<Partial<Record<K, HistogramState>>>,
): Record<K, Quantiles> {
  const result: Partial<Record<K, Quantiles>> = {};
  for (const name of Object.keys(after) as K[]) {
    const state = after[name];
    const quantiles = state && latest(before[name], state);
    if (quantiles) result[name] = quantiles;
  }
  return result as Record<K, Quantiles>;
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
