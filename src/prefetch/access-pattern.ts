/**
 * Learns how one handle is read: up to CURSORS_MAX positions, each growing a window while its reader consumes. Pure: no
 * clock, no I/O, so a test writes accesses and reads back the plan.
 *
 * Shape: a read near a known position moves that cursor (several streams may interleave on one handle, and O_DIRECT
 * requests of one stream arrive out of order, kernel fact 15); any other read is random and only leaves a candidate
 * behind, which becomes a stream when the next read continues it. A first read at the start of the object counts as a
 * stream at once, because that is what almost all of them are and a small window costs little.
 * What counts as near grows with the read's own size: small random reads must not look like a stream by accident.
 */
import { BLOCK_BYTES } from '../base/pool/layout.js';
import { KIB, MIB } from '../base/units.js';

/** Interleaved streams followed on one handle: mmap readers, safetensors and threads sharing a handle need a few. */
export const CURSORS_MAX = 4;

/** First window: one block and the kernel's read-ahead (1 MiB, set after mounting). */
export const WINDOW_FIRST_BYTES = 2 * MIB;

/** The window is multiplied by this each time its reader has consumed half of it: 2, 8, 32, 128 MiB. */
export const WINDOW_GROWTH = 4;

/** Parallel O_DIRECT requests of one call (measured: 8-16): a read of the same stream may come this many reads early or late. */
const READS_IN_FLIGHT = 16;

/**
 * How far before or behind its cursor a read of the same stream may be, at most, and at least for small reads. Not the
 * window: a random read that happens to fall into a large one finds its bytes there, but must not carry the stream off.
 */
const REACH_BYTES_MAX = READS_IN_FLIGHT * MIB;
const REACH_AHEAD_BYTES_MIN = MIB;
const REACH_BEHIND_BYTES_MIN = 256 * KIB;

/** A read this close to a candidate makes it a stream, whatever its size: strides over small gaps, the kernel's default read-ahead. */
const CANDIDATE_SLACK_BYTES = 128 * KIB;

/** A stream that none of the handle's last reads continued is over, and gives way as a candidate does. */
const STREAM_KEEP_READS = 64;

interface Cursor {
  /** End of the furthest byte read on this stream. */
  nextOffset: number;
  windowBytes: number;
  /** The window grows when nextOffset gets here. */
  growOffset: number;
  /** False until a second read continued the first. */
  stream: boolean;
  /** Its reader has come far enough for the first growth, whether its share allowed one or not. */
  established: boolean;
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
      /** 0 when the share leaves no room to read ahead. */
      readonly windowBytes: number;
      /** This stream takes part in the division of the pool. */
      readonly established: boolean;
    };

const RANDOM: Access = { kind: 'random' };

export class AccessPattern {
  readonly #cursors: Cursor[] = [];
  #uses = 0;

  /** Records one read and says what to have ready; `windowBytesMax` is the reader's present share, 0 for none. */
  note(offset: number, sizeBytes: number, windowBytesMax: number): Access {
    const endOffset = offset + sizeBytes;
    this.#uses++;
    const cursor = this.#match(offset, sizeBytes);
    if (!cursor) {
      // A seek forward within a window: if it goes on there, so does the window.
      const inside = this.#cursors.find(
        (other) => other.stream && offset > other.nextOffset && offset <= other.nextOffset + other.windowBytes,
      );
      const added = this.#remember(endOffset, offset === 0, inside?.windowBytes ?? WINDOW_FIRST_BYTES);
      return added.stream ? this.#access(added, windowBytesMax) : RANDOM;
    }
    cursor.lastUse = this.#uses;
    if (!cursor.stream) {
      cursor.stream = true;
      cursor.growOffset = Math.max(cursor.nextOffset, endOffset) + cursor.windowBytes / 2;
    }
    if (endOffset > cursor.nextOffset) cursor.nextOffset = endOffset;
    if (cursor.nextOffset >= cursor.growOffset) {
      cursor.established = true;
      if (cursor.windowBytes < windowBytesMax) {
        cursor.windowBytes = Math.min(cursor.windowBytes * WINDOW_GROWTH, windowBytesMax);
        cursor.growOffset = cursor.nextOffset + cursor.windowBytes / 2;
      }
    }
    // A smaller share counts at once; when it grows again, so does the window, step by step.
    if (cursor.windowBytes > windowBytesMax) cursor.windowBytes = Math.max(windowBytesMax, BLOCK_BYTES);
    return this.#access(cursor, windowBytesMax);
  }

  #access(cursor: Cursor, windowBytesMax: number): Access {
    const windowBytes = Math.min(cursor.windowBytes, windowBytesMax);
    return {
      kind: 'stream',
      wantEndOffset: cursor.nextOffset + windowBytes,
      nextOffset: cursor.nextOffset,
      windowBytes,
      established: cursor.established,
    };
  }

  /** The cursor that a read continues: the closest one within reach. */
  #match(offset: number, sizeBytes: number): Cursor | undefined {
    const slack = Math.max(sizeBytes, CANDIDATE_SLACK_BYTES);
    const reach = Math.min(READS_IN_FLIGHT * sizeBytes, REACH_BYTES_MAX);
    let best: Cursor | undefined;
    let bestDistance = Infinity;
    for (const cursor of this.#cursors) {
      const ahead = offset - cursor.nextOffset;
      const reachAhead = cursor.stream ? Math.max(reach, REACH_AHEAD_BYTES_MIN) : slack;
      // Behind is measured from the read's start to the end of an earlier one, so a neighbour is two reads away.
      const reachBehind = cursor.stream ? Math.max(reach, REACH_BEHIND_BYTES_MIN) : 2 * slack;
      if (ahead > reachAhead || -ahead > reachBehind) continue;
      if (Math.abs(ahead) < bestDistance) {
        best = cursor;
        bestDistance = Math.abs(ahead);
      }
    }
    return best;
  }

  #remember(nextOffset: number, stream: boolean, windowBytes: number): Cursor {
    const cursor: Cursor = {
      nextOffset,
      windowBytes,
      growOffset: nextOffset + windowBytes / 2,
      stream,
      established: false,
      lastUse: this.#uses,
    };
    if (this.#cursors.length === CURSORS_MAX) this.#cursors.splice(this.#leastUseful(), 1);
    this.#cursors.push(cursor);
    return cursor;
  }

  /** The oldest candidate goes first: a burst of random reads must not push out a stream that is in use. */
  #leastUseful(): number {
    const inUse = (cursor: Cursor): boolean => cursor.stream && this.#uses - cursor.lastUse <= STREAM_KEEP_READS;
    let victim = 0;
    for (let at = 1; at < this.#cursors.length; at++) {
      const worst = this.#cursors[victim];
      const other = this.#cursors[at];
      if (!worst || !other) continue;
      const worse = inUse(worst) === inUse(other) ? other.lastUse < worst.lastUse : inUse(worst);
      if (worse) victim = at;
    }
    return victim;
  }
}
