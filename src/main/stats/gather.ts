/**
 * Puts a MountSnapshot together from the parts of the daemon, when somebody asks. Every part counts for itself and knows
 * nothing of this; what only net threads know they are asked for.
 *
 * Thread: main. Costs a millisecond when asked (percentiles, pins), nothing otherwise. Refuses to keep anything.
 */
import type { Clock } from '../../base/clock.js';
import { BUCKETS, type HistogramState } from '../../base/latency-histogram.js';
import type { DataPlane } from '../../engine/data-plane.js';
import { addLedgers } from '../../engine/net/request-ledger.js';
import type { AddressDescription, NetDescription, PhaseCounts } from '../../engine/net/describe.js';
import type { S3FileSystem } from '../../fs/file-system.js';
import type { PoolPrefetcher } from '../../prefetch/pool-prefetcher.js';
import type { MountConfig } from '../config.js';
import type { KernelSide } from '../kernel-side.js';
import type { MemoryGovernor } from '../memory/governor.js';
import type { HostShareKeeper } from '../registry/host-share.js';
import type { SchedulerDriver } from '../scheduler/driver.js';
import { packageVersion } from '../version.js';
import { isDirectoryBucket } from '../../engine/endpoint/directory-bucket.js';
import { estimateCost, S3_EXPRESS_PRICES, S3_STANDARD_PRICES } from './cost.js';
import { plus, type CarriedCounts } from './carried.js';
import type { Descriptions } from './descriptions.js';
import { poolUsage } from './pool-usage.js';
import { processUsage } from './process-usage.js';
import type { MountSnapshot } from './snapshot.js';
import { spoolUsage } from './spool-usage.js';

export interface StatsSources {
  readonly config: MountConfig;
  readonly clock: Clock;
  readonly plane: DataPlane;
  readonly prefetcher: PoolPrefetcher;
  readonly fileSystem: S3FileSystem;
  readonly governor: MemoryGovernor;
  readonly scheduler: SchedulerDriver;
  readonly kernel: KernelSide;
  readonly sharing: HostShareKeeper;
  readonly descriptions: Descriptions;
  /** When the mount began to answer, by the clock. */
  readonly sinceMs: number;
  /** Daemons of this mount before this one. */
  readonly generation: number;
  /** What those have counted; absent: only this daemon's counts are wanted. */
  readonly before?: CarriedCounts | undefined;
}

export async function gatherStats(sources: StatsSources): Promise<MountSnapshot> {
  const { config, clock, governor, prefetcher, fileSystem } = sources;
  const [said, usage, spool] = await Promise.all([
    sources.descriptions.ask(),
    processUsage(clock.wallMs()),
    config.readOnly ? null : spoolUsage(config.write.spoolDirectory),
  ]);
  const threads = said.filter((each) => each !== undefined);
  const files = fileSystem.stats();
  const { requests } = sources.kernel.counts();
  const own = addLedgers(sources.descriptions.last.map((thread) => thread.ledger));
  const { totals } = sources.scheduler;
  const counted = plus(sources.before, {
    network: totals,
    writeBytes: requests?.writeBytes ?? 0,
    requests: requests?.requestsByName ?? {},
    requestErrors: requests?.errors ?? 0,
    store: own.requests,
  });
  const ledger = { ...own, requests: counted.store };
  const prices = isDirectoryBucket(config.store) ? S3_EXPRESS_PRICES : S3_STANDARD_PRICES;
  return {
    format: 1,
    atMs: clock.nowMs(),
    wallMs: clock.wallMs(),
    mount: {
      mountPoint: config.mountPoint,
      source: `s3://${config.store.bucket}/${config.store.prefix}`,
      pid: process.pid,
      version: packageVersion(),
      isReadOnly: config.readOnly,
      upMs: clock.nowMs() - sources.sinceMs,
      generation: sources.generation,
    },
    network: { ...networkOf(sources, threads, said.length - threads.length), ...counted.network },
    reads: readsOf(sources),
    writes: {
      bytes: counted.writeBytes,
      files: files.writing?.files ?? 0,
      dirtyFiles: files.writing?.dirtyFiles ?? 0,
      openUploads: files.writing?.uploads ?? 0,
      partsSending: files.writing?.partsSending ?? 0,
      spool,
    },
    waiting: {
      kernelRequests: requests?.inFlight ?? 0,
      readsForBytes: sources.plane.counts.reads,
      readsForRoom: prefetcher.counts.starved,
      writersForRoom: prefetcher.writeSlots.waiting,
      fetches: addPhases(threads.map((thread) => thread.fetches)),
      lists: addPhases(threads.map((thread) => thread.lists)),
      calls: addPhases(threads.map((thread) => thread.calls)),
      inLine: addUp(threads.map((thread) => thread.inLine)),
    },
    memory: {
      targetBytes: governor.targetBytes,
      residentBytes: governor.counts.residentBytes,
      peakBytes: governor.counts.peakBytes,
      pool: poolUsage(prefetcher.index),
      heaps: {
        mainBytes: process.memoryUsage().heapTotal,
        netBytes: threads.reduce((sum, thread) => sum + thread.heapBytes, 0),
      },
      listingsBytes: files.listingBytes + files.openListingBytes,
      nodesBytes: files.nodeBytes,
      cacheBytesGivenUp: governor.counts.cacheBytesGivenUp,
      slotsGivenBack: governor.counts.slotsGivenBack,
    },
    names: {
      nodes: files.nodes,
      openFiles: files.openFiles,
      openDirectories: files.openDirectories,
      lookupHits: files.lookupHits,
      lookupMisses: files.lookupMisses,
      listPages: files.listPages,
      hiddenKeys: files.hiddenKeys,
      shadowedFiles: files.shadowedFiles,
      stale: files.stale,
      grown: files.grown,
      fetchedAhead: files.fetchedAhead,
      fetchedAheadUsed: files.fetchedAheadUsed,
    },
    requests: counted.requests,
    requestErrors: counted.requestErrors,
    requestTook: sources.kernel.durations().requests,
    store: { ...ledger, cost: estimateCost(ledger.requests, prices) },
    process: usage,
    host: hostOf(sources.sharing),
  };
}

function networkOf(
  { scheduler }: StatsSources,
  threads: readonly NetDescription[],
  silentThreads: number,
): MountSnapshot['network'] {
  const { totals, firstByteMs, setting, threads: samples } = scheduler.snapshot();
  const addresses = addAddresses(threads.map((thread) => thread.addresses));
  const open = addresses.reduce((sum, address) => sum + address.open, 0);
  return {
    ...totals,
    resumed: threads.reduce((sum, thread) => sum + thread.resumed, 0),
    firstByteMs: firstByteMs ?? null,
    setting,
    connections: open + threads.reduce((sum, thread) => sum + thread.opening, 0),
    busy: addresses.reduce((sum, address) => sum + address.busy, 0),
    addresses,
    threadsBusy: samples.map((latest) => (latest && latest.ageMs < SAMPLE_OLD_MS ? latest.sample.loopBusy : null)),
    silentThreads,
  };
}

/** A thread that has said nothing for so long has nothing to do. */
const SAMPLE_OLD_MS = 1_000;

function readsOf({ kernel, prefetcher }: StatsSources): MountSnapshot['reads'] {
  const { readers } = kernel.counts();
  const { waits, bytes } = prefetcher.reads;
  return {
    fromPool: readers?.hits ?? 0,
    fromPoolBytes: readers?.hitBytes ?? 0,
    placed: waits.reduce((sum, count) => sum + count, 0),
    placedBytes: bytes,
    waits,
    fromPoolTook: addHistograms(kernel.durations().hits),
  };
}

function addHistograms(all: readonly HistogramState[]): HistogramState {
  return {
    counts: Array.from({ length: BUCKETS }, (_, bucket) =>
      all.reduce((sum, { counts }) => sum + (counts[bucket] ?? 0), 0),
    ),
    sumMs: all.reduce((sum, each) => sum + each.sumMs, 0),
  };
}

function hostOf(sharing: HostShareKeeper): MountSnapshot['host'] {
  const { mine, others } = sharing.claims;
  return {
    activity: mine.activity,
    networkShare: sharing.share.networkShare,
    others: others.map(({ mountPoint, pid, activity }) => ({ mountPoint, pid, activity })),
  };
}

function addPhases(all: readonly PhaseCounts[]): PhaseCounts {
  const sum = { inLine: 0, paced: 0, transfer: 0, backoff: 0, credentials: 0 };
  for (const phases of all) {
    for (const name of Object.keys(sum) as (keyof PhaseCounts)[]) sum[name] += phases[name];
  }
  return sum;
}

function addUp(lists: readonly (readonly number[])[]): number[] {
  const sum: number[] = [];
  for (const list of lists) for (const [at, count] of list.entries()) sum[at] = (sum[at] ?? 0) + count;
  return sum;
}

/** The same addresses of all threads; those with the most payload first. */
function addAddresses(all: readonly (readonly AddressDescription[])[]): AddressDescription[] {
  const byAddress = new Map<string, AddressDescription>();
  for (const one of all.flat()) {
    const other = byAddress.get(one.address);
    if (other === undefined) {
      byAddress.set(one.address, one);
      continue;
    }
    byAddress.set(one.address, {
      address: one.address,
      open: one.open + other.open,
      busy: one.busy + other.busy,
      bytesIn: one.bytesIn + other.bytesIn,
      bytesOut: one.bytesOut + other.bytesOut,
      requests: one.requests + other.requests,
      isAvoided: one.isAvoided || other.isAvoided,
    });
  }
  return [...byAddress.values()].sort((a, b) => b.bytesIn + b.bytesOut - (a.bytesIn + a.bytesOut));
}
