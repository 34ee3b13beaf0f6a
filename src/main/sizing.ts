/**
 * From what the machine is and what the user said to how much of everything is used: pure arithmetic, so that `hwinfo` can
 * print it and a test can replay any machine. Each number says whether it is measured, specified or guessed.
 * These are starting points: the scheduler corrects connections, parts and active threads by what it measures.
 * Refuses to look at the machine itself (src/hwdetect does) and to exceed the memory target.
 */
import { GIB, MIB, formatBytes } from '../base/units.js';
import { BLOCK_BYTES } from '../base/pool/layout.js';
import type { HardwareProfile } from '../hwdetect/profile.js';
import { writersShare } from '../prefetch/write-slots.js';
import type { MountConfig } from './config.js';
import { netThreadsThatFit, planMemory, type MemoryPlan } from './memory/plan.js';
import { networkTarget, type NicShare } from './sizing/network-target.js';
import { derivePlacement, type Placement } from './sizing/placement.js';
import type { Reason } from './sizing/reason.js';

export interface Sizing {
  /** Gbit/s that connections and threads are counted for. */
  readonly targetGbps: number;
  /** What the cards carry, whatever the user said of the target. */
  readonly linkGbps: number;
  /** Cards that connections leave through, and what each is expected to carry. */
  readonly nics: readonly NicShare[];
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
  /** Blocks of the pool that uploads may hold at once. */
  readonly uploadSlots: number;
  /** Bound of the RSS of all our processes. */
  readonly memoryTargetBytes: number;
  /** The sum of everything, of which poolBytes is a part. */
  readonly memory: MemoryPlan;
  readonly placement: Placement;
  /** Why each is what it is, in the order in which one would read it. */
  readonly reasons: readonly Reason[];
}

/** What of a configuration has a say. */
export type SizingConfig = Pick<
  MountConfig,
  | 'throughputGbps'
  | 'netThreads'
  | 'readerThreads'
  | 'connectionsMax'
  | 'readPartBytes'
  | 'memoryTargetBytes'
  | 'bindNics'
  | 'netCpus'
>;

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
/** Open files that are no connections of ours: libraries, the SDK's sockets, /dev/fuse, spool files (guessed; 60 seen). */
const FILES_BESIDE = 256;

/** What one net thread carries over TLS: 1.12 cpu s/GB measured, so about 7 Gbit/s at a full core; plain HTTP carries three times that. */
const GBPS_PER_NET_THREAD = 7;
const NET_THREADS_MAX = 16;
/** Below this many cores a second net thread only takes time from the readers (two shared cores, measured). */
const CORES_FOR_TWO_NET_THREADS = 4;
/** Threads that are no net or reader threads: main, notifier, V8's, libuv's and koffi's (counted: 18). */
const TASKS_BESIDE = 24;

/** Two readers: one decodes while the other replies; a single one reaches 1.2-1.5 GB/s (measured), 10 Gbit/s. */
const READER_THREADS_DEFAULT = 2;
const GBPS_PER_READER_THREAD = 10;
/** Beyond two: one for every eight cores, eight at most (guessed: never measured on more than two cores). */
const CORES_PER_READER_THREAD = 8;
const READER_THREADS_DERIVED_MAX = 8;
const READER_THREADS_MAX = 16;

/** 8 MiB: Mountpoint's and the CRT's part, and about where the first byte's latency stops to matter at 0.4 Gbit/s. */
const PART_BYTES_DEFAULT = 8 * MIB;

/** 4 % of what this process may use, within bounds (specified by the design). */
const MEMORY_SHARE = 0.04;
const MEMORY_TARGET_MIN = 512 * MIB;
const MEMORY_TARGET_MAX = 16 * GIB;
/** Where half of a small machine would be less, this is taken: what a mount needs at the least (memory/plan.ts). */
export const MEMORY_TARGET_LEAST = 224 * MIB;

/** The settings of a mount on this machine. */
export function deriveSizing(profile: HardwareProfile, config: SizingConfig): Sizing {
  const network = networkTarget(profile, config.bindNics, config.throughputGbps);
  const targetGbps = network.gbps;
  const readers = deriveReaderThreads(profile, config, targetGbps);
  const connections = deriveConnections(profile, config, targetGbps);
  const target = deriveMemoryTarget(profile, config);
  const needs = {
    targetBytes: target.value,
    readerThreads: readers.value,
    connectionsMax: connections.most,
  };
  const net = withinConnections(deriveNetThreads(profile, config, targetGbps, needs), connections.most);
  const memory = planMemory({ ...needs, netThreads: net.value });
  const { poolBytes } = memory;
  const part = derivePart(config, poolBytes);
  const uploadSlots = writersShare(poolBytes / BLOCK_BYTES);
  const placement = derivePlacement(profile, {
    nics: network.nics.map((nic) => nic.name),
    netThreads: net.value,
    said: config.netCpus,
  });

  const reason = (setting: string, value: string, why: string, flag?: string): Reason => ({
    setting,
    value,
    why,
    flag,
  });
  const { unused } = network;
  const bindMore =
    unused.names.length === 0
      ? ''
      : `; ${unused.names.length === 1 ? unused.names[0] : `${unused.names.length} more cards (${unused.names.slice(0, 3).join(', ')}${unused.names.length > 3 ? ', ...' : ''})`} would add ${round(unused.gbps)} Gbit/s with --bind`;
  return {
    targetGbps,
    linkGbps: network.linkGbps,
    nics: network.nics,
    netThreads: net.value,
    readerThreads: readers.value,
    connectionsFirst: connections.first,
    connectionsMax: connections.most,
    partBytes: part.value,
    poolBytes,
    uploadSlots,
    memoryTargetBytes: target.value,
    memory,
    placement,
    reasons: [
      reason('target', `${round(targetGbps)} Gbit/s`, network.why + bindMore, '--maximum-throughput-gbps'),
      reason('connections', connections.text, connections.why, '--max-connections'),
      reason('net threads', String(net.value), net.why, '--net-threads'),
      reason('net CPUs', placement.netCpus ?? 'any', placement.why, '--net-cpus'),
      reason('reader threads', String(readers.value), readers.why, '--max-threads'),
      reason('part', formatBytes(part.value), part.why, '--read-part-size'),
      reason('memory target', formatBytes(target.value), target.why, '--memory-target'),
      reason(
        'pool',
        formatBytes(poolBytes),
        memory.exceeded
          ? 'a mount cannot do with less, although the target is exceeded by it'
          : 'it is what the target leaves beside threads, heaps and the program itself',
        '--memory-target',
      ),
      reason(
        'upload slots',
        `${uploadSlots} MiB`,
        'uploads may hold half of the pool, so that reads always make progress',
        '--memory-target',
      ),
    ],
  };
}

interface Derived {
  readonly value: number;
  readonly why: string;
}

const SAID = 'you said so';

function deriveReaderThreads(profile: HardwareProfile, config: SizingConfig, targetGbps: number): Derived {
  const cores = profile.cores.value;
  if (config.readerThreads !== undefined) {
    // --max-threads is an upper bound in Mountpoint (16 by default), so a large number must not cost a small machine threads.
    const most = between(Math.floor(cores), READER_THREADS_DEFAULT, READER_THREADS_MAX);
    const value = between(config.readerThreads, 1, most);
    return {
      value,
      why:
        value === config.readerThreads
          ? SAID
          : `you said ${config.readerThreads} at most, and more than ${most} are not used on ${cores} cores`,
    };
  }
  const most = between(Math.floor(cores / CORES_PER_READER_THREAD), READER_THREADS_DEFAULT, READER_THREADS_DERIVED_MAX);
  const value = between(Math.ceil(targetGbps / GBPS_PER_READER_THREAD), READER_THREADS_DEFAULT, most);
  return {
    value,
    why:
      value === READER_THREADS_DEFAULT
        ? 'one decodes while the other replies, and each carries about 10 Gbit/s'
        : `each carries about 10 Gbit/s, and one for every ${CORES_PER_READER_THREAD} cores, ${READER_THREADS_DERIVED_MAX} at most, is enough`,
  };
}

interface Connections {
  readonly first: number;
  readonly most: number;
  readonly text: string;
  readonly why: string;
}

function deriveConnections(profile: HardwareProfile, config: SizingConfig, targetGbps: number): Connections {
  const wanted = Math.max(CONNECTIONS_MIN, Math.ceil(targetGbps / GBPS_PER_CONNECTION));
  const files = profile.limits.openFilesMax.value;
  const most = config.connectionsMax ?? between(2 * wanted, CONNECTIONS_SMALL_FILES, CONNECTIONS_MAX);
  // Half of the files where the limit is so low that little would be left: better few connections than none.
  const allowed =
    files === undefined ? most : Math.max(1, Math.min(most, Math.max(files - FILES_BESIDE, Math.floor(files / 2))));
  const first = Math.min(wanted, allowed);
  const limited = allowed < most ? `; the limit of ${files} open files (ulimit -n) allows no more than ${allowed}` : '';
  return {
    first,
    most: allowed,
    text: `${first}, at most ${allowed}`,
    why:
      config.connectionsMax === undefined
        ? `S3 gives one about ${GBPS_PER_CONNECTION} Gbit/s, ${CONNECTIONS_MIN} are the least, and small files use up to ${CONNECTIONS_SMALL_FILES} whatever the link${limited}`
        : `${SAID}${limited}`,
  };
}

function deriveNetThreads(
  profile: HardwareProfile,
  config: SizingConfig,
  targetGbps: number,
  needs: Parameters<typeof netThreadsThatFit>[1],
): Derived {
  if (config.netThreads !== undefined) return { value: config.netThreads, why: SAID };
  const cores = profile.cores.value;
  const wanted = netThreadsFor(cores, targetGbps);
  const tasks = profile.limits.tasksLeft.value;
  const runnable = tasks === undefined ? wanted : between(tasks - TASKS_BESIDE - needs.readerThreads, 1, wanted);
  // What the user says about threads holds; what we would like has to fit.
  const value = netThreadsThatFit(runnable, needs);
  const carries = `one carries about ${GBPS_PER_NET_THREAD} Gbit/s over TLS, three times that without`;
  const short =
    value * GBPS_PER_NET_THREAD < targetGbps
      ? `; over TLS that is about ${value * GBPS_PER_NET_THREAD} of the ${round(targetGbps)} Gbit/s`
      : '';
  if (value < runnable)
    return { value, why: `more would leave the pool less than a quarter of the memory target; ${carries}` };
  if (value < wanted)
    return { value, why: `the control group allows only ${tasks} more threads (pids.max); ${carries}` };
  if (cores < CORES_FOR_TWO_NET_THREADS) {
    return { value, why: `with ${round(cores)} cores a second one only takes time from the readers; ${carries}` };
  }
  const share =
    value === NET_THREADS_MAX ? `${NET_THREADS_MAX} are the most` : 'at most a quarter of the cores is taken, but two';
  return { value, why: `${carries}, and ${share}${short}` };
}

/** Each thread has connections of its own, so more threads than connections would do nothing, or exceed the bound. */
function withinConnections(net: Derived, connectionsMax: number): Derived {
  if (net.value <= connectionsMax) return net;
  return { value: connectionsMax, why: `each needs a connection, and there are ${connectionsMax} at most` };
}

function netThreadsFor(cores: number, targetGbps: number): number {
  if (cores < CORES_FOR_TWO_NET_THREADS) return 1;
  const most = Math.min(NET_THREADS_MAX, Math.max(2, Math.floor(cores / 4)));
  return between(Math.ceil(targetGbps / GBPS_PER_NET_THREAD), 2, most);
}

function derivePart(config: SizingConfig, poolBytes: number): Derived {
  // A part takes whole blocks, and four must fit at once, or one stream would starve all others.
  const wanted = Math.ceil((config.readPartBytes ?? PART_BYTES_DEFAULT) / BLOCK_BYTES) * BLOCK_BYTES;
  const value = between(wanted, BLOCK_BYTES, Math.floor(poolBytes / 4 / BLOCK_BYTES) * BLOCK_BYTES);
  if (value < wanted)
    return { value, why: `four parts have to fit into the pool, or one stream would starve all others` };
  return {
    value,
    why:
      config.readPartBytes === undefined
        ? 'beyond it the latency of the first byte hardly matters at 0.4 Gbit/s'
        : SAID,
  };
}

function deriveMemoryTarget(profile: HardwareProfile, config: SizingConfig): Derived {
  if (config.memoryTargetBytes !== undefined) return { value: config.memoryTargetBytes, why: SAID };
  const limitBytes = profile.memoryLimitBytes.value;
  const share = between(Math.floor(limitBytes * MEMORY_SHARE), MEMORY_TARGET_MIN, MEMORY_TARGET_MAX);
  // On a machine so small that 512 MiB would be more than half of it, half has to do.
  const value = Math.max(MEMORY_TARGET_LEAST, Math.min(share, Math.floor(limitBytes / 2)));
  const of = `the ${formatBytes(limitBytes)} that this process may use`;
  if (value < share) return { value, why: `it is half of ${of}` };
  if (value === MEMORY_TARGET_MIN) return { value, why: `it is the least, and more than 4 % of ${of}` };
  if (value === MEMORY_TARGET_MAX) return { value, why: `it is the most, and less than 4 % of ${of}` };
  return { value, why: `it is 4 % of ${of}` };
}

function between(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}

function round(value: number): number {
  return Number(value.toFixed(2));
}
