/**
 * A file as memory, shared with whoever else maps or reads it (mmap(2) through koffi). What lies in a file on tmpfs survives
 * the process that wrote it, which is all that a journal needs. The mapping lasts as long as the process.
 * Refuses to make the file or to know what is in it.
 */
import { createRequire } from 'node:module';
import type Koffi from 'koffi';

const PROT_READ = 1;
const PROT_WRITE = 2;
const MAP_SHARED = 1;

/**
 * Bytes [0, `bytes`) of `fd`, which must be that long. Atomics work on it. It is an ArrayBuffer of memory that V8 does not
 * own: it cannot be posted to another thread, which maps the file itself. Throws when koffi or the system cannot.
 */
export function mapFile(fd: number, bytes: number): ArrayBuffer {
  const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
  const libc = koffi.load(null);
  const mmap = libc.func('void *mmap(void *, size_t, int, int, int, int64_t)') as unknown as (
    at: null,
    bytes: number,
    protection: number,
    flags: number,
    fd: number,
    offset: number,
  ) => bigint;
  const address = mmap(null, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (BigInt.asIntN(64, address) === -1n) {
    throw new Error(`mmap of ${bytes} bytes failed with errno ${koffi.errno()}`);
  }
  return koffi.view(address, bytes);
}
