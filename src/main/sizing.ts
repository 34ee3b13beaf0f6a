/**
 * From what the machine is and what the user said to how much of everything is used: pure arithmetic, so that `hwinfo` can
 * print it and a test can replay any machine. Each number says whether it is measured, specified or guessed.
 * These are starting points: the scheduler corrects connections by what it measures.
 * Refuses to look at the machine itself (src/hwdetect does) and to exceed the memory target.
 */
import { GIB, MIB } from '../base/units.js';
import { BLOCK_BYTES } from '../base/pool/layout.js';
import type { HardwareProfile } from '../hwdetect/profile.js';
import type { MountConfig } from './config.js';
import { netThreadsThatFit, planMemory, type MemoryPlan } from './memory/plan.js';

export interface Sizing {
  /** Gbit/s that connections and threads are counted for. */
  readonly targetGbps: number;
  readonly netThreads: number;
  readonly readerThreads: number;
  /** Connections at the start, over all net threads. */
  readonly connectionsFirst: number;
  /** Connections that are never exceeded, over all net threads. */
  readonly connectionsMax: number;
  /** Bytes of one GET of a stream: a multiple of a block. */
  readonly partBytes: number;
  /** Bytes of the shared pool: a multiple of a block. */
  readonly poolBytes: number;
  /** Bound of the RSS of all our processes. */
  readonly memoryTargetBytes: number;
  /** The sum of everything, of which poolBytes is a part. */
  readonly memory: MemoryPlan;
}

/** The CRT's rule: one connection for every 0.4 Gbit/s, ten at least (specified by aws-c-s3; feedback corrects it later). */
const GBPS_PER_CONNECTION = 0.4;
const CONNECTIONS_MIN = 10;
/** A mistyped speed must not open thousands (guessed; S3 itself takes far more). */
const CONNECTIONS_MAX = 1024;
/**
 * Small files are a round trip each, whatever the link: as many as are fetched ahead at a time go out together (measured at
 * 20 ms with 16 readers: 1,210 files/s with 50 connections, 1,330 with 128).
 */
const CONNECTIONS_SMALL_FILES = 128;

/** What one net thread carries over TLS: 1.12 cpu s/GB measured, so about 7 Gbit/s at a full core; plain HTTP carries three times that. */
const GBPS_PER_NET_THREAD = 7;
const NET_THREADS_MAX = 16;
/** Below this many cores a second net thread only takes time from the readers (two shared cores, measured). */
const CORES_FOR_TWO_NET_THREADS = 4;

/** Two readers: one decodes while the other replies; a single one reaches 1.2-1.5 GB/s (measured). */
const READER_THREADS_DEFAULT = 2;
const READER_THREADS_MAX = 16;

/** 8 MiB: Mountpoint's and the CRT's part, and about where the first byte's latency stops to matter at 0.4 Gbit/s. */
const PART_BYTES_DEFAULT = 8 * MIB;

/** 4 % of what this process may use, within bounds (specified by the design). */
const MEMORY_SHARE = 0.04;
const MEMORY_TARGET_MIN = 512 * MIB;
const MEMORY_TARGET_MAX = 16 * GIB;
/** Where half of a small machine would be less, this is taken: what a mount needs at the least (memory/plan.ts). */
export const MEMORY_TARGET_LEAST = 224 * MIB;

function between(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}

/** The settings of a mount on this machine. */
export function deriveSizing(
  profile: HardwareProfile,
  config: Pick<
    MountConfig,
    | 'throughputGbps'
    | 'netThreads'
    | 'readerThreads'
    | 'connectionsMax'
    | 'readPartBytes'
    | 'memoryTargetBytes'
    | 'bindNics'
  >,
): Sizing {
  const cores = profile.cores.value;
  const targetGbps = config.throughputGbps ?? boundGbps(profile, config.bindNics) ?? profile.networkGbps.value;

  // --max-threads is an upper bound in Mountpoint (16 by default), so a large number must not cost a small machine threads.
  const readerThreads =
    config.readerThreads === undefined
      ? READER_THREADS_DEFAULT
      : between(config.readerThreads, 1, between(Math.floor(cores), READER_THREADS_DEFAULT, READER_THREADS_MAX));

  const wanted = Math.max(CONNECTIONS_MIN, Math.ceil(targetGbps / GBPS_PER_CONNECTION));
  const connectionsMax = config.connectionsMax ?? between(2 * wanted, CONNECTIONS_SMALL_FILES, CONNECTIONS_MAX);
  const connectionsFirst = Math.min(wanted, connectionsMax);

  const memoryTargetBytes = config.memoryTargetBytes ?? defaultMemoryTarget(profile.memoryLimitBytes.value);
  const needs = { targetBytes: memoryTargetBytes, readerThreads, connectionsMax };
  // What the user says about threads holds; what we would like has to fit.
  const netThreads = config.netThreads ?? netThreadsThatFit(netThreadsFor(cores, targetGbps), needs);
  const memory = planMemory({ ...needs, netThreads });
  const { poolBytes } = memory;

  // A part takes whole blocks, and four must fit at once, or one stream would starve all others.
  const partWanted = Math.ceil((config.readPartBytes ?? PART_BYTES_DEFAULT) / BLOCK_BYTES) * BLOCK_BYTES;
  const partBytes = between(partWanted, BLOCK_BYTES, Math.floor(poolBytes / 4 / BLOCK_BYTES) * BLOCK_BYTES);

  return {
    targetGbps,
    netThreads,
    readerThreads,
    connectionsFirst,
    connectionsMax,
    partBytes,
    poolBytes,
    memoryTargetBytes,
    memory,
  };
}

function netThreadsFor(cores: number, targetGbps: number): number {
  if (cores < CORES_FOR_TWO_NET_THREADS) return 1;
  const most = Math.min(NET_THREADS_MAX, Math.max(2, Math.floor(cores / 4)));
  return between(Math.ceil(targetGbps / GBPS_PER_NET_THREAD), 2, most);
}

/** Sum of the speeds of the cards that --bind names; undefined when none is named or none says its speed. */
function boundGbps(profile: HardwareProfile, bindNics: readonly string[]): number | undefined {
  let sum = 0;
  for (const nic of profile.nics) if (bindNics.includes(nic.name)) sum += nic.gbps.value ?? 0;
  return sum > 0 ? sum : undefined;
}

function defaultMemoryTarget(limitBytes: number): number {
  const share = between(Math.floor(limitBytes * MEMORY_SHARE), MEMORY_TARGET_MIN, MEMORY_TARGET_MAX);
  // On a machine so small that 512 MiB would be more than half of it, half has to do.
  return Math.max(MEMORY_TARGET_LEAST, Math.min(share, Math.floor(limitBytes / 2)));
}
