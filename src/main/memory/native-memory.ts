/**
 * Memory beside the JavaScript heaps, through koffi: pages of free pool slots go back to the system (madvise), malloc
 * gives back what it keeps (malloc_trim) and keeps fewer arenas (mallopt). All are advice: where koffi or the C library
 * cannot, memory is only less tidy, and the caller is told so once.
 *
 * Thread: main. Owns: nothing; the slots that are given back are free, so nobody reads or fills them.
 * A SharedArrayBuffer is private anonymous memory (calloc over mmap): after MADV_DONTNEED its pages read as zeros and cost
 * nothing until they are written. Where slots do not begin at a page boundary, the pages at the ends of a run stay.
 * Blocks? madvise waits for page faults of other threads: 65 microseconds a MiB at most (measured).
 */
import { createRequire } from 'node:module';
import type Koffi from 'koffi';
import { BLOCK_BYTES, SEGMENT_SLOTS, type PoolMemory } from '../../base/pool/layout.js';

const MADV_DONTNEED = 4;
/** mallopt's parameter for the most arenas; glibc's default is eight a core. */
const M_ARENA_MAX = -8;
/** Threads share so many arenas: none of them allocates in its hot path (guessed; the fewer, the less is kept unused). */
const ARENAS_MAX = 4;

export interface NativeMemory {
  readonly pageBytes: number;
  /** Gives the pages of free slots back to the system. */
  giveBack(slots: readonly number[]): void;
  /** malloc's unused memory goes back to the system: some milliseconds. */
  trim(): void;
}

/** The calls, for this pool; undefined with the reason told where they are not there. Call before threads start. */
export function openNativeMemory(pool: PoolMemory, tellWhyNot: (error: unknown) => void): NativeMemory | undefined {
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
    const libc = koffi.load(null);
    const getpagesize = libc.func('int getpagesize()') as unknown as () => number;
    const madvise = libc.func('int madvise(void *, size_t, int)') as unknown as (
      at: Buffer,
      bytes: number,
      advice: number,
    ) => number;
    const malloc = mallocCalls(libc);
    const pageBytes = getpagesize();
    // Moves nothing; the answer is the address.
    const memmove = libc.func('uintptr_t memmove(void *to, void *from, size_t bytes)');
    const segments = pool.segments.map((segment, at) => {
      const bytes = Buffer.from(segment, pool.firstBytes[at]);
      const address = BigInt(memmove(bytes, bytes, 0) as number | bigint);
      return { bytes, intoPage: Number(address % BigInt(pageBytes)) };
    });
    malloc?.mallopt(M_ARENA_MAX, ARENAS_MAX);
    return {
      pageBytes,
      giveBack: (slots) => {
        for (const run of runsOf(slots)) {
          const segment = segments[Math.floor(run.first / SEGMENT_SLOTS)];
          if (segment === undefined) continue;
          const { from, to } = pagesWithin(run, segment.intoPage, pageBytes);
          madvise(segment.bytes.subarray(from, to), to - from, MADV_DONTNEED);
        }
      },
      trim: () => void malloc?.trim(0),
    };
  } catch (error) {
    tellWhyNot(error);
    return undefined;
  }
}

/** glibc only; musl has neither. */
function mallocCalls(
  libc: ReturnType<typeof Koffi.load>,
): { mallopt: (parameter: number, value: number) => number; trim: (pad: number) => number } | undefined {
  try {
    return {
      mallopt: libc.func('int mallopt(int, int)') as unknown as (parameter: number, value: number) => number,
      trim: libc.func('int malloc_trim(size_t)') as unknown as (pad: number) => number,
    };
  } catch {
    return undefined;
  }
}

/** Slots [first, end), all of one segment. */
export interface SlotRun {
  readonly first: number;
  readonly end: number;
}

/** Slots in runs of neighbours, in order, none across two segments. */
export function runsOf(slots: readonly number[]): SlotRun[] {
  const runs: { first: number; end: number }[] = [];
  for (const slot of [...slots].sort((a, b) => a - b)) {
    const last = runs.at(-1);
    if (last?.end === slot && slot % SEGMENT_SLOTS !== 0) last.end++;
    else runs.push({ first: slot, end: slot + 1 });
  }
  return runs;
}

/** The offsets within its segment between which the run has whole pages; the segment begins `intoPage` bytes into one. */
export function pagesWithin(run: SlotRun, intoPage: number, pageBytes: number): { from: number; to: number } {
  const first = (run.first % SEGMENT_SLOTS) * BLOCK_BYTES;
  const end = first + (run.end - run.first) * BLOCK_BYTES;
  const from = Math.ceil((first + intoPage) / pageBytes) * pageBytes - intoPage;
  const to = Math.floor((end + intoPage) / pageBytes) * pageBytes - intoPage;
  return { from, to };
}
