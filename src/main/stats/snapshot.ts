/**
 * What a mount says of itself when it is asked (`stats` on the control socket): plain data, running totals and gauges of one
 * moment. Rates are made of two of them (report.ts), so that nothing has to be counted for nobody.
 * Totals are since the mount began. Units are in the names; a field that could not be had is null, never 0.
 */
import type { BucketCounts, HistogramState } from '../../base/latency-histogram.js';
import type { AddressDescription, PhaseCounts } from '../../engine/net/describe.js';
import type { LedgerState } from '../../engine/net/request-ledger.js';
import type { Setting } from '../../engine/scheduler/api.js';
import type { Activity } from '../registry/announcement.js';
import type { CostEstimate } from './cost.js';
import type { ProcessUsage } from './process-usage.js';
import type { SpoolUsage } from './spool-usage.js';

export interface MountSnapshot {
  readonly format: 1;
  /** Of the daemon's monotonic clock: for the time between two snapshots. */
  readonly atMs: number;
  readonly wallMs: number;
  readonly mount: {
    readonly mountPoint: string;
    /** `s3://bucket/prefix/` */
    readonly source: string;
    readonly pid: number;
    readonly version: string;
    readonly isReadOnly: boolean;
    readonly upMs: number;
    /** 0 for the daemon that mounted; goes up with each one that took over after a crash or an upgrade. */
    readonly generation: number;
  };
  readonly network: {
    /** Payload that came and went, and requests sent, repetitions and hedges included. */
    readonly bytesIn: number;
    readonly bytesOut: number;
    readonly requests: number;
    /** Second requests beside a late first one, and how many of them won. */
    readonly hedges: number;
    readonly hedgesWon: number;
    /** Attempts that failed and were tried again, without slowDowns. */
    readonly retries: number;
    /** Stalled bodies whose rest was asked for elsewhere. */
    readonly resumed: number;
    /** Answers that asked for fewer requests (503, 429). */
    readonly slowDowns: number;
    /** Of first bytes, a sample of the last ones; null before the first. */
    readonly firstByteMs: { readonly p50: number; readonly p95: number; readonly p99: number } | null;
    /** What the scheduler has set. */
    readonly setting: Setting;
    /** Connections open or opening, and with a request, over all threads. */
    readonly connections: number;
    readonly busy: number;
    /** By address; over all net threads. */
    readonly addresses: readonly AddressDescription[];
    /** Share of its last interval that each net thread's loop was busy, 0..1; null for one with nothing to do. */
    readonly threadsBusy: readonly (number | null)[];
    /** Net threads that did not answer in time: addresses and `waiting` lack theirs. */
    readonly silentThreads: number;
  };
  readonly reads: {
    /** READs that reader threads answered from the pool by themselves, and what they asked for. */
    readonly fromPool: number;
    readonly fromPoolBytes: number;
    /** READs that came to the main thread, most of which waited for bytes on their way. */
    readonly placed: number;
    readonly placedBytes: number;
    /** How long those waited: counts of the buckets of base/latency-histogram. */
    readonly waits: BucketCounts;
    /** How long reader threads took over theirs: of one in SAMPLED_EVERY. */
    readonly fromPoolTook: HistogramState;
  };
  readonly writes: {
    /** Payload of WRITEs. */
    readonly bytes: number;
    readonly files: number;
    readonly dirtyFiles: number;
    readonly openUploads: number;
    readonly partsSending: number;
    /** What the spool's directory takes of its disk; null on a read-only mount. */
    readonly spool: SpoolUsage | null;
  };
  /** Who waits for what now. */
  readonly waiting: {
    /** Requests of the kernel without an answer. */
    readonly kernelRequests: number;
    /** READs that wait for bytes on their way. */
    readonly readsForBytes: number;
    /** READs that wait for room in the pool. */
    readonly readsForRoom: number;
    /** WRITEs, and bodies that are put together, that wait for room. */
    readonly writersForRoom: number;
    readonly fetches: PhaseCounts;
    readonly lists: PhaseCounts;
    readonly calls: PhaseCounts;
    /** In line for a connection by priority, the most urgent first: waiting READs, streams, windows, speculation; uploads last, which have shares. */
    readonly inLine: readonly number[];
  };
  readonly memory: {
    readonly targetBytes: number;
    readonly residentBytes: number;
    readonly peakBytes: number;
    readonly pool: {
      /** What it may have at most, and as things stand. */
      readonly plannedBytes: number;
      readonly usableBytes: number;
      /** Memory in use, which is the sum of the next four. */
      readonly touchedBytes: number;
      readonly idleBytes: number;
      readonly fillingBytes: number;
      readonly residentBytes: number;
      readonly writersBytes: number;
      /** Of all of it, in the hands of READs right now. */
      readonly pinnedBytes: number;
    };
    readonly heaps: {
      readonly mainBytes: number;
      /** Of the net threads that answered. */
      readonly netBytes: number;
    };
    readonly listingsBytes: number;
    readonly nodesBytes: number;
    readonly cacheBytesGivenUp: number;
    readonly slotsGivenBack: number;
  };
  readonly names: {
    readonly nodes: number;
    readonly openFiles: number;
    readonly openDirectories: number;
    readonly lookupHits: number;
    readonly lookupMisses: number;
    readonly listPages: number;
    readonly hiddenKeys: number;
    readonly shadowedFiles: number;
    readonly stale: number;
    readonly grown: number;
    readonly fetchedAhead: number;
    readonly fetchedAheadUsed: number;
  };
  /** Requests of the kernel, by name; without those that reader threads answered. */
  readonly requests: Readonly<Record<string, number>>;
  readonly requestErrors: number;
  /** How long they took from the moment this program had them to their answer, by name. */
  readonly requestTook: Readonly<Record<string, HistogramState>>;
  /** Attempts at the store by operation and outcome, how long the good ones took, and what they cost, about. */
  readonly store: LedgerState & { readonly cost: CostEstimate };
  readonly process: ProcessUsage;
  readonly host: {
    readonly activity: Activity;
    readonly networkShare: number;
    readonly others: readonly { readonly mountPoint: string; readonly pid: number; readonly activity: Activity }[];
  };
}
