/**
 * The memory of a mount as a sum: what each part takes when it is busy, and what is left for the pool. One function adds
 * everything up, so that the bound of `--memory-target` is code and not a hope; the governor holds it at run time where a
 * part (listings, heaps) grows beyond what stands here, by taking the difference from the pool.
 * Figures are RSS of a busy mount by /proc/PID/smaps (Node 20 and 24, x86-64; streams, 16 threads of small files, listings).
 * Refuses to plan a pool below POOL_FLOOR_BYTES, with which a waiting READ still makes progress: a READ needs two blocks,
 * and the prefetcher's queue lets one after the other have them (src/prefetch/pool-prefetcher.ts).
 */
import { invariant } from '../../base/invariant.js';
import { BLOCK_BYTES, SLOT_WORDS, SMALL_SLOTS } from '../../base/pool/layout.js';
import { KIB, MIB } from '../../base/units.js';

/** Pages of the program files (node 44 MiB, libc, libstdc++, koffi), measured. */
const PROGRAM_BYTES = 49 * MIB;
/** malloc of all threads, code made by the compiler, stacks: 17 MiB idle, 26 busy (measured). */
const NATIVE_BYTES = 26 * MIB;
/** The main thread's heap: 30 MiB when mounted, 72 busy with listings and small files (measured). */
const MAIN_HEAP_BYTES = 72 * MIB;
/** A net thread: heap 18 MiB busy (measured); sockets read into the pool. */
const NET_THREAD_BYTES = 20 * MIB;
/** A reader thread: heap 7 MiB, request buffer 1 MiB, request ring 4 MiB (measured; ring and buffer are their sizes). */
const READER_THREAD_BYTES = 12 * MIB;
/** What the kernel may hold of a connection's bytes in our name is not RSS; TLS state and buffers of one connection are. */
const CONNECTION_BYTES = 64 * KIB;
/** Connections that the figure of a net thread includes. */
const CONNECTIONS_IN_THREAD = 32;

/** Beside the payload of a slot: its words and those of its parts, hints, and the index's records of small blocks. */
const SLOT_TABLE_BYTES = (1 + SMALL_SLOTS) * SLOT_WORDS * 4 + 2 * SMALL_SLOTS * 4 * 2 + SMALL_SLOTS * 150;

/** The least pool that is planned, whatever the target: then the target is exceeded rather than the mount useless. */
export const POOL_FLOOR_BYTES = 32 * MIB;

/** A part of the sum. */
export interface MemoryPart {
  readonly name: string;
  readonly bytes: number;
}

export interface MemoryPlan {
  readonly targetBytes: number;
  /** Everything but the pool, when busy. */
  readonly parts: readonly MemoryPart[];
  /** Sum of `parts`. */
  readonly fixedBytes: number;
  /** Payload of the pool: whole blocks. With its tables and `fixedBytes` it is the target, unless it is the floor. */
  readonly poolBytes: number;
  readonly poolTableBytes: number;
  /** More than the target is needed for what was asked for (threads by hand, a target below 256 MiB). */
  readonly exceeded: boolean;
}

export interface MemoryNeeds {
  readonly targetBytes: number;
  readonly netThreads: number;
  readonly readerThreads: number;
  /** Over all net threads. */
  readonly connectionsMax: number;
}

/** Adds up everything; the pool gets what is left. */
export function planMemory(needs: MemoryNeeds): MemoryPlan {
  const { targetBytes, netThreads, readerThreads, connectionsMax } = needs;
  const moreConnections = Math.max(0, connectionsMax - CONNECTIONS_IN_THREAD * netThreads);
  const parts: MemoryPart[] = [
    { name: 'program files', bytes: PROGRAM_BYTES },
    { name: 'native memory', bytes: NATIVE_BYTES },
    { name: 'main thread', bytes: MAIN_HEAP_BYTES },
    { name: `net threads (${netThreads})`, bytes: netThreads * NET_THREAD_BYTES },
    { name: `reader threads (${readerThreads})`, bytes: readerThreads * READER_THREAD_BYTES },
    { name: `connections beyond ${CONNECTIONS_IN_THREAD} a thread`, bytes: moreConnections * CONNECTION_BYTES },
  ];
  const fixedBytes = parts.reduce((sum, part) => sum + part.bytes, 0);
  const left = Math.max(targetBytes - fixedBytes, 0);
  const slots = Math.max(Math.floor(left / (BLOCK_BYTES + SLOT_TABLE_BYTES)), POOL_FLOOR_BYTES / BLOCK_BYTES);
  const poolBytes = slots * BLOCK_BYTES;
  const poolTableBytes = slots * SLOT_TABLE_BYTES;
  const exceeded = fixedBytes + poolBytes + poolTableBytes > targetBytes;
  invariant(!exceeded || poolBytes === POOL_FLOOR_BYTES, 'only the floor of the pool may exceed the target');
  return { targetBytes, parts, fixedBytes, poolBytes, poolTableBytes, exceeded };
}

/** Threads that fit: the most net threads, up to `wanted`, with which a quarter of the target is left for the pool. */
export function netThreadsThatFit(wanted: number, needs: Omit<MemoryNeeds, 'netThreads'>): number {
  for (let netThreads = wanted; netThreads > 1; netThreads--) {
    const plan = planMemory({ ...needs, netThreads });
    if (!plan.exceeded && plan.poolBytes >= needs.targetBytes / 4) return netThreads;
  }
  return 1;
}

/** The sum, for people: one line a part. */
export function describePlan(plan: MemoryPlan): string {
  const line = (name: string, bytes: number): string => `${name.padEnd(32)}${(bytes / MIB).toFixed(1).padStart(9)} MiB`;
  const sum = plan.fixedBytes + plan.poolBytes + plan.poolTableBytes;
  return [
    ...plan.parts.filter((part) => part.bytes > 0).map((part) => line(part.name, part.bytes)),
    // Writers' share is part of it (src/prefetch/write-slots.ts): what they hold, READs do not.
    line('pool (half for writers at most)', plan.poolBytes),
    line('tables of the pool', plan.poolTableBytes),
    line('sum', sum),
    line('target', plan.targetBytes),
  ].join('\n');
}
