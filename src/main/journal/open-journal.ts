/**
 * The journal of a mount (src/base/journal) in the file that its supervisor made: behind the page that the two share, mapped
 * into memory, so that a change costs no system call and is there for the next daemon whatever becomes of this one.
 * Room is asked of the system before it is written to (fallocate), because a store into a page that tmpfs has no memory for
 * ends the process with SIGBUS, and its successor too. A journal that cannot be had is no reason not to mount: then a take-over
 * loses what is open, and the log says so now.
 *
 * Thread: main. Owns: the mapping, which lasts as long as the process. Blocks? No: tmpfs waits for nothing.
 */
import { ftruncateSync, fstatSync } from 'node:fs';
import { createRequire } from 'node:module';
import type Koffi from 'koffi';
import { noJournal, type StateJournal } from '../../base/journal/journal-api.js';
import { MappedJournal, MEMORY_BYTES, type JournalMemory } from '../../base/journal/state-journal.js';
import type { Log } from '../../base/log.js';
import { mapFile } from '../supervisor/map-file.js';
import { PAGE_BYTES } from '../supervisor/page.js';

const FALLOC_FL_KEEP_SIZE = 0x01;
const FALLOC_FL_PUNCH_HOLE = 0x02;

type Fallocate = (fd: number, mode: number, offset: number, bytes: number) => number;

/** A file as a journal's memory, from its second page on. */
class FileMemory implements JournalMemory {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly #fd: number;
  readonly #fallocate: Fallocate;

  constructor(fd: number) {
    const fileBytes = PAGE_BYTES + MEMORY_BYTES;
    // Without a page of memory until it is written to.
    if (fstatSync(fd).size < fileBytes) ftruncateSync(fd, fileBytes);
    this.bytes = new Uint8Array(mapFile(fd, fileBytes), PAGE_BYTES, MEMORY_BYTES);
    this.#fd = fd;
    const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
    this.#fallocate = koffi.load(null).func('int fallocate(int, int, int64_t, int64_t)');
  }

  reserve(offset: number, bytes: number): boolean {
    return this.#fallocate(this.#fd, FALLOC_FL_KEEP_SIZE, PAGE_BYTES + offset, bytes) === 0;
  }

  clear(offset: number, bytes: number, release: boolean): void {
    const mode = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE;
    if (release && this.#fallocate(this.#fd, mode, PAGE_BYTES + offset, bytes) === 0) return;
    this.bytes.fill(0, offset, offset + bytes);
  }
}

/** The journal in the supervisor's file; without a file, or where it cannot be used, one that keeps nothing. */
export function openJournal(fd: number | undefined, log: Log): StateJournal {
  if (fd === undefined) return noJournal;
  const onFull = (): void =>
    log.warn(
      { bytes: MEMORY_BYTES },
      'the journal has no room: a daemon that takes over will not know of all that is open; see docs/SUPERVISOR.md',
    );
  try {
    return new MappedJournal(new FileMemory(fd), {}, { onFull });
  } catch (error) {
    log.error(
      { err: error },
      'the journal cannot be used: if this daemon dies, what is open at that time gives errors afterwards',
    );
    return noJournal;
  }
}
