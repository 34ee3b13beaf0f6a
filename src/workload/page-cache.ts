/**
 * Takes files out of the kernel's page cache (posix_fadvise DONTNEED: their own pages only, as any user) and counts what
 * stayed (cachestat(2), Linux 6.5): what a benchmark reads must come from the file system and not from memory, or its
 * report must say so. tmpfs keeps everything: there the count says it.
 * Refuses to drop the whole machine's caches. Without koffi nothing is dropped and nothing is known.
 */
import { closeSync, fstatSync, openSync } from 'node:fs';
import { createRequire } from 'node:module';
import type Koffi from 'koffi';

const POSIX_FADV_DONTNEED = 4;
/** The same number on every architecture (include/uapi/asm-generic/unistd.h). */
const SYS_CACHESTAT = 451;
const PAGE_BYTES = 4096;

interface Calls {
  readonly fadvise: (fd: number, offset: number, bytes: number, advice: number) => number;
  readonly cachestat: (number: number, fd: number, range: BigUint64Array, out: BigUint64Array, flags: number) => number;
}

function load(): Calls | undefined {
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
    const libc = koffi.load(null);
    return {
      fadvise: libc.func('int posix_fadvise(int, int64_t, int64_t, int)') as unknown as Calls['fadvise'],
      cachestat: libc.func(
        'long syscall(long, unsigned int, void *, void *, unsigned int)',
      ) as unknown as Calls['cachestat'],
    };
  } catch {
    return undefined;
  }
}

/** Drops the pages of `paths`. Files that are gone are left out. Undefined when it cannot be known what stayed. */
export function dropPages(paths: readonly string[]): { keptBytes: number; lookedAtBytes: number } | undefined {
  const calls = load();
  if (!calls) return undefined;
  let keptBytes = 0;
  let lookedAtBytes = 0;
  let isKnown = true;
  for (const path of paths) {
    let fd: number;
    try {
      fd = openSync(path, 'r');
    } catch {
      continue;
    }
    try {
      calls.fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
      // struct cachestat: nr_cache, nr_dirty, nr_writeback, nr_evicted, nr_recently_evicted.
      const counts = new BigUint64Array(5);
      const { size } = fstatSync(fd);
      if (calls.cachestat(SYS_CACHESTAT, fd, BigUint64Array.of(0n, BigInt(size)), counts, 0) !== 0) isKnown = false;
      keptBytes += Math.min(size, Number(counts[0] ?? 0n) * PAGE_BYTES);
      lookedAtBytes += size;
    } finally {
      closeSync(fd);
    }
  }
  return isKnown ? { keptBytes, lookedAtBytes } : undefined;
}
