/**
 * Keeps the calling thread on some CPUs: sched_setaffinity(2) through koffi, for the one thread that calls it.
 * Placement is for speed: what cannot be pinned runs where the kernel puts it, and the answer says why.
 * Refuses to end anything over it.
 */
import { createRequire } from 'node:module';
import type Koffi from 'koffi';
import { messageOf } from '../../base/thrown.js';

/** Bits of the mask; the kernel takes shorter and longer ones than its own, and this is its largest (CONFIG_NR_CPUS). */
const CPUS_MAX = 8192;
/** sched_setaffinity: the calling thread. */
const THIS_THREAD = 0;

/** Undefined when it is done, else why not. `cpus` are numbers of CPUs. */
export function pinThisThread(cpus: readonly number[]): string | undefined {
  try {
    const mask = Buffer.alloc(CPUS_MAX / 8);
    for (const cpu of cpus) {
      if (cpu >= CPUS_MAX) return `CPU ${cpu} is beyond what a mask holds`;
      // An array of words in the machine's byte order, which is little endian wherever Node runs on Linux but s390x.
      mask[cpu >> 3] = (mask[cpu >> 3] ?? 0) | (1 << (cpu & 7));
    }
    const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
    const setAffinity = koffi.load(null).func('sched_setaffinity', 'int', ['int', 'size_t', 'void *']) as unknown as (
      thread: number,
      maskBytes: number,
      mask: Buffer,
    ) => number;
    return setAffinity(THIS_THREAD, mask.length, mask) === 0 ? undefined : `errno ${koffi.errno()}`;
  } catch (error) {
    return messageOf(error);
  }
}
