/**
 * What leaves memory when writers wait for it, in this order: parts that the store has and nobody will read; content that is
 * in the bucket and was only kept because its file is still open; then, unless enough is on its way to the store to come back
 * by itself, bytes go to the spool, those of the file first that was not written for the longest time. If the spool refuses
 * and nothing is on its way, all who wait are refused: why that is the only way out stands in write-memory.ts.
 *
 * Thread: main. Bounds: KEPT_SHARE of the slots hold parts that the store has; a file that has its share of the slots waits for
 * its own parts. Refuses to know nodes and handles: its owner says what may be forgotten.
 */
import { EIO, errnoName, ErrnoError } from '../../base/errno.js';
import type { Log } from '../../base/log.js';
import { BLOCK_BYTES } from '../../base/pool/layout.js';
import type { WriteSlots } from '../../base/pool/write-slots.js';
import type { StreamedPart } from './file-upload.js';
import { WriteMemory } from './write-memory.js';
import type { WrittenFile } from './written-file.js';

/** The share of the writers' slots that may hold parts which the store has, for reads and changes of what was just written. */
const KEPT_SHARE = 1 / 8;

/** With so large a share of the slots on their way to the store, nothing goes to the spool: they are back soon. */
const SENDING_SHARE = 1 / 4;

/** Slots that a file may have while its parts are on their way: 8 parts of 8 MiB and what fills meanwhile. */
const FILE_SLOTS_MAX = 96;

export interface MemoryReliefDeps {
  readonly slots: WriteSlots;
  readonly log: Log;
  /** Will nobody read or change the part again, as far as can be known? */
  readonly mayForget: (file: WrittenFile, part: StreamedPart) => boolean;
}

export class MemoryRelief {
  readonly memory: WriteMemory;
  readonly #deps: MemoryReliefDeps;
  /** Dirty files, the one that was written last at the end. */
  readonly #dirty = new Set<WrittenFile>();
  /** Committed ones whose content is in memory all the same. */
  readonly #clean = new Set<WrittenFile>();
  /** Parts that the store has and memory too, and that may go, oldest first. */
  readonly #kept: { readonly file: WrittenFile; readonly part: StreamedPart }[] = [];
  #keptBytes = 0;
  #isRelieving = false;
  /** Something became free to move while it was looked for. */
  #isAskedAgain = false;

  constructor(deps: MemoryReliefDeps) {
    this.#deps = deps;
    this.memory = new WriteMemory({ slots: deps.slots, shortOf: () => void this.#relieve() });
  }

  /** Files that are not committed. */
  get dirtyFiles(): number {
    return this.#dirty.size;
  }

  wrote(file: WrittenFile): void {
    this.#clean.delete(file);
    this.#dirty.delete(file);
    this.#dirty.add(file);
  }

  committed(file: WrittenFile): void {
    this.#dirty.delete(file);
    if (file.holdsAll) this.#clean.add(file);
  }

  closed(file: WrittenFile): void {
    this.#dirty.delete(file);
    this.#clean.delete(file);
  }

  /** The store has the part. */
  partSent(file: WrittenFile, part: StreamedPart): void {
    if (!this.#deps.mayForget(file, part)) return;
    this.#kept.push({ file, part });
    this.#keptBytes += part.to - part.from;
    this.#forgetKept(this.memory.waiting > 0 ? 0 : this.memory.slotsMax * KEPT_SHARE * BLOCK_BYTES);
  }

  /** Slots that one file may have before it waits for its own parts. */
  fileSlotsMax(partBytes: number): number {
    let writing = 0;
    for (const { slots } of this.#dirty) if (slots > 0) writing++;
    const share = Math.floor(this.memory.slotsMax / Math.max(1, writing));
    return Math.max(2 * Math.ceil(partBytes / BLOCK_BYTES), Math.min(FILE_SLOTS_MAX, share));
  }

  /** Parts that the store has leave memory until so many bytes are left of them. */
  #forgetKept(bytesMax: number): boolean {
    let forgot = false;
    while (this.#keptBytes > bytesMax) {
      const oldest = this.#kept.shift();
      if (!oldest) break;
      const { file, part } = oldest;
      this.#keptBytes -= part.to - part.from;
      if (!file.upload.parts.includes(part) || !this.#deps.mayForget(file, part)) continue;
      file.forget(part.from, part.to);
      forgot = true;
    }
    return forgot;
  }

  #forgetClean(): boolean {
    const any = this.#clean.size > 0;
    for (const file of this.#clean) file.forgetAll();
    this.#clean.clear();
    return any;
  }

  /** Somebody waits for a slot, or has waited while something could not be moved that now can. */
  async #relieve(): Promise<void> {
    // What was found in use a moment ago may not be any more: looked at once more, or those who wait would wait for ever.
    this.#isAskedAgain = true;
    if (this.#isRelieving) return;
    this.#isRelieving = true;
    try {
      while (this.#isAskedAgain) {
        this.#isAskedAgain = false;
        await this.#makeRoom();
      }
    } catch (error) {
      const failure = error instanceof ErrnoError ? error : new ErrnoError(EIO, String(error));
      this.#deps.log.error({ errno: errnoName(failure.errno) }, `memory for writing is short and ${failure.message}`);
      if (this.#sendingSlots() === 0) this.memory.refuse(failure);
    } finally {
      this.#isRelieving = false;
    }
  }

  async #makeRoom(): Promise<void> {
    while (this.memory.waiting > 0) {
      if (this.#forgetKept(0) || this.#forgetClean()) continue;
      if (this.#sendingSlots() >= this.memory.slotsMax * SENDING_SHARE) return;
      let spilt = 0;
      for (const file of this.#dirty) {
        // Of a thousand open writers few have any.
        if (file.slots === 0) continue;
        spilt = await file.spill('some');
        if (spilt > 0) break;
      }
      // All is on its way, or in the hands of a reader thread: it comes back by itself.
      if (spilt === 0) return;
    }
  }

  /** Slots of parts that wait for nothing but the store. */
  #sendingSlots(): number {
    let slots = 0;
    for (const { upload } of this.#dirty) {
      if (upload.sending === 0) continue;
      for (const { slotsOut, uploaded } of upload.parts) if (!uploaded) slots += slotsOut;
    }
    return slots;
  }
}
