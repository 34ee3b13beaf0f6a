/** A MountSnapshot for tests: an idle mount, with what a test cares about put over it. */
import { LatencyHistogram, type HistogramState } from '../../../src/base/latency-histogram.js';
import { MIB } from '../../../src/base/units.js';
import { EMPTY_LEDGER, type LedgerState } from '../../../src/engine/net/request-ledger.js';
import { estimateCost, S3_STANDARD_PRICES } from '../../../src/main/stats/cost.js';
import type { MountSnapshot } from '../../../src/main/stats/snapshot.js';

const phases = { inLine: 0, paced: 0, transfer: 0, backoff: 0, credentials: 0 };

/** A histogram of what took so long. */
export function tookOf(...ms: readonly number[]): HistogramState {
  const histogram = new LatencyHistogram();
  for (const each of ms) histogram.add(each);
  return histogram.state;
}

/** Bucket counts of READs that waited so long. */
export function waitsOf(...ms: readonly number[]): readonly number[] {
  const histogram = new LatencyHistogram();
  for (const each of ms) histogram.add(each);
  return histogram.counts;
}

export const idleSnapshot: MountSnapshot = {
  format: 1,
  atMs: 60_000,
  wallMs: Date.UTC(2026, 0, 1),
  mount: {
    mountPoint: '/mnt/data',
    source: 's3://bucket/',
    pid: 4711,
    version: '0.1.0',
    isReadOnly: false,
    upMs: 59_000,
    generation: 0,
  },
  network: {
    ...{ bytesIn: 0, bytesOut: 0, requests: 0, hedges: 0, hedgesWon: 0, retries: 0, resumed: 0, slowDowns: 0 },
    firstByteMs: null,
    setting: { connections: 25, partBytes: 8 * MIB, netThreads: 1 },
    connections: 0,
    busy: 0,
    addresses: [],
    threadsBusy: [null],
    silentThreads: 0,
  },
  reads: { fromPool: 0, fromPoolBytes: 0, placed: 0, placedBytes: 0, waits: waitsOf(), fromPoolTook: tookOf() },
  writes: { bytes: 0, files: 0, dirtyFiles: 0, openUploads: 0, partsSending: 0, spool: { files: 0, bytes: 0 } },
  waiting: {
    ...{ kernelRequests: 0, readsForBytes: 0, readsForRoom: 0, writersForRoom: 0 },
    ...{ fetches: phases, lists: phases, calls: phases, inLine: [0, 0, 0, 0] },
  },
  memory: {
    targetBytes: 512 * MIB,
    residentBytes: 137 * MIB,
    peakBytes: 140 * MIB,
    pool: {
      plannedBytes: 320 * MIB,
      usableBytes: 320 * MIB,
      ...{ touchedBytes: 0, idleBytes: 0, fillingBytes: 0, residentBytes: 0, writersBytes: 0, pinnedBytes: 0 },
    },
    heaps: { mainBytes: 37 * MIB, netBytes: 18 * MIB },
    ...{ listingsBytes: 0, nodesBytes: 0, cacheBytesGivenUp: 0, slotsGivenBack: 0 },
  },
  names: {
    ...{ nodes: 1, openFiles: 0, openDirectories: 0, lookupHits: 0, lookupMisses: 0, listPages: 0, hiddenKeys: 0 },
    ...{ shadowedFiles: 0, stale: 0, grown: 0, fetchedAhead: 0, fetchedAheadUsed: 0 },
  },
  requests: {},
  requestErrors: 0,
  requestTook: {},
  store: { ...EMPTY_LEDGER, cost: estimateCost({}, S3_STANDARD_PRICES) },
  process: {
    startedWallMs: Date.UTC(2026, 0, 1) - 60_000,
    ...{ cpuUserMs: 500, cpuSystemMs: 250, residentBytes: 137 * MIB, openFiles: 40, openFilesMax: 1024, threads: 20 },
  },
  host: { activity: 'idle', networkShare: 1, others: [] },
};

const busyRequests: LedgerState['requests'] = {
  get: { ok: 1_000_000, slow_down: 40, cancelled: 12 },
  list: { ok: 100 },
  put: { ok: 4000, no_answer: 1 },
  delete: { ok: 3 },
};

/** An hour later, after work. */
export const busySnapshot: MountSnapshot = {
  ...idleSnapshot,
  atMs: 62_000,
  mount: { ...idleSnapshot.mount, upMs: 90_061_000, isReadOnly: true },
  network: {
    ...idleSnapshot.network,
    bytesIn: 2_000_000_000,
    bytesOut: 500_000_000,
    requests: 1234,
    hedges: 12,
    hedgesWon: 8,
    retries: 3,
    resumed: 2,
    slowDowns: 40,
    firstByteMs: { p50: 21.04, p95: 99.9, p99: 12_345 },
    connections: 48,
    busy: 45,
    threadsBusy: [0.5, null],
    addresses: Array.from({ length: 10 }, (_, at) => ({
      address: `10.0.0.${at}`,
      open: 5,
      busy: 4,
      bytesIn: 200_000_000,
      bytesOut: 50_000_000,
      requests: 123,
      isAvoided: at === 3,
    })),
    silentThreads: 1,
  },
  reads: {
    fromPool: 900,
    fromPoolBytes: 900 * MIB,
    placed: 100,
    placedBytes: 100 * MIB,
    waits: waitsOf(...Array.from({ length: 90 }, () => 2), ...Array.from({ length: 10 }, () => 50)),
    fromPoolTook: tookOf(0.02, 0.02, 0.05),
  },
  writes: {
    bytes: 300_000_000,
    files: 3,
    dirtyFiles: 2,
    openUploads: 1,
    partsSending: 4,
    spool: { files: 2, bytes: 8192 },
  },
  waiting: {
    ...{ kernelRequests: 9, readsForBytes: 5, readsForRoom: 1, writersForRoom: 2 },
    fetches: { inLine: 7, paced: 6, transfer: 45, backoff: 4, credentials: 3 },
    lists: { ...phases, transfer: 1 },
    calls: { ...phases, transfer: 2 },
    inLine: [1, 2, 3, 1],
  },
  requests: { READ: 100, WRITE: 300, LOOKUP: 50 },
  requestErrors: 5,
  requestTook: { READ: tookOf(1, 2, 30), LOOKUP: tookOf(25) },
  store: {
    requests: busyRequests,
    durations: { get: tookOf(21, 22, 23), list: tookOf(40) },
    cost: estimateCost(busyRequests, S3_STANDARD_PRICES),
  },
  host: {
    activity: 'active',
    networkShare: 0.5,
    others: ['a', 'b', 'c', 'd', 'e'].map((name, pid) => ({ mountPoint: `/mnt/${name}`, pid, activity: 'idle' })),
  },
};
