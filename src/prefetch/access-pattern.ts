/**
 * Learns how one handle is read: up to CURSORS_MAX positions, each growing a window while its reader consumes. Pure: no
 * clock, no I/O, so a test writes accesses and reads back the plan.
 *
 * Shape: a read near a known position moves that cursor (several streams may interleave on one handle, and O_DIRECT
 * requests of one stream arrive out of order, kernel fact 15); any other read is random and only leaves a candidate
 * behind, which becomes a stream when the next read continues it. A first read at the start of the object counts as a
 * stream at once, because that is what almost all of them are and a small window costs little.
 */
import { BLOCK_BYTES } from '../base/pool/layout.js';
import { MIB } from '../base/units.js';

/** Interleaved streams followed on one handle: mmap readers, safetensors and threads sharing a handle need a few. */
export const CURSORS_MAX = 4;

/** First window: one block and the kernel's read-ahead (1 MiB, set after mounting). */
export const WINDOW_FIRST_BYTES = 2 * MIB;

/** The window is multiplied by this each time its reader has consumed half of it: 2, 8, 32, 128 MiB. */
export const WINDOW_GROWTH = 4;

/** How far behind its cursor a read of the same stream may come: 16 parallel O_DIRECT requests of 1 MiB (measured: 8-16). */
const BEHIND_BYTES = 16 * MIB;

/** How far before or behind a candidate the next read may be to make it a stream. */
const CANDIDATE_SLACK_BYTES = MIB;

interface Cursor {
  /** End of the furthest byte read on this stream. */
  nextOffset: number;
  windowBytes: number;
  /** The window grows when nextOffset gets here. */
  growOffset: number;
  /** False until a second read continued the first. */
  stream: boolean;
  lastUse: number;
}

/** What a read turned out to be. */
export type Access =
  | { readonly kind: 'random' }
  | {
      readonly kind: 'stream';
      /** Bytes wanted resident or on their way: from the read's own start to here (the object's end is not applied). */
      readonly wantEndOffset: number;
      /** Where the stream's reader is. */
      readonly nextOffset: number;
      readonly windowBytes: number;
    };

const RANDOM: Access = { kind: 'random' };

export class AccessPattern {
  readonly #cursors: Cursor[] = [];
  #uses = 0;

  /** True once any stream's window has grown past the first: such a reader counts as one that needs a share. */
  get streaming(): boolean {
    return this.#cursors.some((cursor) => cursor.stream && cursor.windowBytes > WINDOW_FIRST_BYTES);
  }

  /** Records one read and says what to have ready; `windowBytesMax` is the reader's present share. */
  note(offset: number, sizeBytes: number, windowBytesMax: number): Access {
    const endOffset = offset + sizeBytes;
    const cursor = this.#match(offset);
    this.#uses++;
    if (!cursor) {
      this.#remember(endOffset, offset === 0);
      return offset === 0 ? this.#stream(0, windowBytesMax) : RANDOM;
    }
    cursor.lastUse = this.#uses;
    if (!cursor.stream) {
      cursor.stream = true;
      cursor.growOffset = Math.max(cursor.nextOffset, endOffset) + WINDOW_FIRST_BYTES / 2;
    }
    if (endOffset > cursor.nextOffset) cursor.nextOffset = endOffset;
    if (cursor.nextOffset >= cursor.growOffset && cursor.windowBytes < windowBytesMax) {
      cursor.windowBytes = Math.min(cursor.windowBytes * WINDOW_GROWTH, windowBytesMax);
      cursor.growOffset = cursor.nextOffset + cursor.windowBytes / 2;
    }
    if (cursor.windowBytes > windowBytesMax) cursor.windowBytes = Math.max(windowBytesMax, BLOCK_BYTES);
    return this.#stream(this.#cursors.indexOf(cursor), windowBytesMax);
  }

  #stream(at: number, windowBytesMax: number): Access {
    const cursor = this.#cursors[at];
    if (!cursor) return RANDOM;
    const windowBytes = Math.min(cursor.windowBytes, Math.max(windowBytesMax, BLOCK_BYTES));
    return {
      kind: 'stream',
      wantEndOffset: cursor.nextOffset + windowBytes,
      nextOffset: cursor.nextOffset,
      windowBytes,
    };
  }

  /** The cursor that a read at `offset` continues: the closest one within reach. */
  #match(offset: number): Cursor | undefined {
    let best: Cursor | undefined;
    let bestDistance = Infinity;
    for (const cursor of this.#cursors) {
      const ahead = offset - cursor.nextOffset;
      const reachAhead = cursor.stream ? Math.max(cursor.windowBytes, WINDOW_FIRST_BYTES) : CANDIDATE_SLACK_BYTES;
      const reachBehind = cursor.stream ? BEHIND_BYTES : CANDIDATE_SLACK_BYTES;
      if (ahead > reachAhead || -ahead > reachBehind) continue;
      if (Math.abs(ahead) < bestDistance) {
        best = cursor;
        bestDistance = Math.abs(ahead);
      }
    }
    return best;
  }

  #remember(nextOffset: number, stream: boolean): void {
    const cursor: Cursor = {
      nextOffset,
      windowBytes: WINDOW_FIRST_BYTES,
      growOffset: nextOffset + WINDOW_FIRST_BYTES / 2,
      stream,
      lastUse: this.#uses,
    };
    this.#cursors.unshift(cursor);
    if (this.#cursors.length <= CURSORS_MAX) return;
    // The oldest candidate goes first: a burst of random reads must not push out a stream that is in use.
    let victim = -1;
    for (let at = 1; at < this.#cursors.length; at++) {
      const other = this.#cursors[at];
      const worst = this.#cursors[victim];
      if (!other) continue;
      if (
        !worst ||
        (worst.stream && !other.stream) ||
        (worst.stream === other.stream && other.lastUse < worst.lastUse)
      ) {
        victim = at;
      }
    }
    this.#cursors.splice(victim, 1);
  }
}
