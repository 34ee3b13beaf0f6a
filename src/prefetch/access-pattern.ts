/**
 * Learns how one handle is read: up to CURSORS_MAX positions, each with a window that grows while its reader has to wait
 * and shrinks when it reads slower than the store delivers; besides them strides (stride-pattern.ts). Pure: no I/O, the
 * time is told, so a test writes accesses and reads back the plan.
 *
 * Shape: a read near a known position moves that cursor (several streams may interleave on one handle, and O_DIRECT
 * requests of one stream arrive out of order, kernel fact 15); any other read is random and only leaves a candidate
 * behind, which becomes a stream when the next read continues it. A first read at the start of the object counts as a
 * stream at once, because that is what almost all of them are and a small window costs little.
 * What counts as near grows with the read's own size: small random reads must not look like a stream by accident.
 */
import { BLOCK_BYTES } from '../base/pool/layout.js';
import { KIB, MIB } from '../base/units.js';
import { StridePattern, type AheadRange } from './stride-pattern.js';

/** Interleaved streams followed on one handle: mmap readers, safetensors and threads sharing a handle need a few. */
export const CURSORS_MAX = 4;

/** First window: the block after the one that is read. Many files are opened for their first bytes only. */
export const WINDOW_FIRST_BYTES = MIB;

/** A stream that has consumed half of its first window is one: it gets this much. */
export const WINDOW_SECOND_BYTES = 8 * MIB;

/** After that the window is multiplied by this each time half of it was consumed: 8, 32, 128 MiB. */
export const WINDOW_GROWTH = 4;

/** A slow reader's window shrinks down to this, which is a part. */
const WINDOW_SLOW_BYTES = 8 * MIB;

/** A window holds what its reader consumes in so many times the time that a part takes to come. */
const LEAD_TIMES = 3;

/** Parallel O_DIRECT requests of one call (measured: 8-16): a read of the same stream may come this many reads early or late. */
const READS_IN_FLIGHT = 16;

/**
 * How far before or behind its cursor a read of the same stream may be, at most, and at least for small reads. Not the
 * window: a random read that happens to fall into a large one finds its bytes there, but must not carry the stream off.
 */
const REACH_BYTES_MAX = READS_IN_FLIGHT * MIB;
const REACH_AHEAD_BYTES_MIN = MIB;
const REACH_BEHIND_BYTES_MIN = 256 * KIB;

/**
 * A read this close to a candidate makes it a stream: small gaps, the kernel's default read-ahead. Less for small reads,
 * CANDIDATE_SLACK_READS of them: among 200 random reads of 4 KiB in 1 GiB one fell within 128 KiB of another (measured),
 * and the stream that nobody wanted brought twice the bytes of all of them.
 */
const CANDIDATE_SLACK_BYTES = 128 * KIB;
const CANDIDATE_SLACK_READS = 4;

/** A stream that none of the handle's last reads continued is over, and gives way as a candidate does. */
const STREAM_KEEP_READS = 64;

interface Cursor {
  /** End of the furthest byte read on this stream. */
  nextOffset: number;
  windowBytes: number;
  /** The window grows when nextOffset gets here. */
  growOffset: number;
  /** It began at the start of the object. */
  readonly isFromStart: boolean;
  /** False until a second read continued the first. */
  stream: boolean;
  /** Its reader has come far enough for the first growth, whether its share allowed one or not. */
  established: boolean;
  /** To where it was asked to have things ready when it was last due. */
  dueOffset: number;
  /** A read had to wait for its bytes since the window was last looked at. */
  waited: boolean;
  /** Where its reader was then, and when. */
  markOffset: number;
  markMs: number;
  lastUse: number;
}

/** What a read turned out to be. */
export type Access =
  | {
      readonly kind: 'random';
      /** It belongs to a stride. */
      readonly isStep: boolean;
      /** Also fetch these: the read is a step of a stride, or the first of a file at its end. */
      readonly ahead: readonly AheadRange[];
    }
  | {
      readonly kind: 'stream';
      /** Bytes wanted resident or on their way: from the read's own start to here (the object's end is not applied). */
      readonly wantEndOffset: number;
      /** Where the stream's reader is. */
      readonly nextOffset: number;
      /** 0 when the share leaves no room to read ahead. */
      readonly windowBytes: number;
      /** So much of the window was consumed since this was last true that looking for what is missing is worth while. */
      readonly isDue: boolean;
      /** This stream takes part in the division of the pool. */
      readonly established: boolean;
    };

/** A window is looked through after each eighth of it: twice for each run that is fetched. */
const DUE_SHARE = 8;

/** What a file that is read from its end first has fetched: most zip directories and footers are smaller. */
const TAIL_BYTES = MIB;

/** What the reader's surroundings are at the moment of a read. */
export interface ReadContext {
  /** The reader's present share of the pool, 0 for none. */
  readonly windowBytesMax: number;
  readonly nowMs: number;
  /** How long a part takes from being asked for to its last byte; undefined while that is not known. */
  readonly partMs: number | undefined;
}

const RANDOM: Access = { kind: 'random', isStep: false, ahead: [] };

export class AccessPattern {
  readonly #cursors: Cursor[] = [];
  readonly #strides = new StridePattern();
  readonly #objectBytes: number;
  readonly #firstWindowBytes: number;
  #uses = 0;
  /** The cursor that the last read continued. */
  #latest: Cursor | undefined;

  /** `firstWindowBytes`: what a first read at the start of the object is taken for. */
  constructor(objectBytes = Infinity, firstWindowBytes = WINDOW_FIRST_BYTES) {
    this.#objectBytes = objectBytes;
    this.#firstWindowBytes = firstWindowBytes;
  }

  /** Was the object read from its start to its end, in order? */
  get isWhole(): boolean {
    return this.#cursors.some(
      (cursor) => cursor.isFromStart && cursor.stream && cursor.nextOffset >= this.#objectBytes - BLOCK_BYTES,
    );
  }

  /** Records one read and says what to have ready. */
  note(offset: number, sizeBytes: number, context: ReadContext): Access {
    this.#uses++;
    const stepsMax = Math.floor(context.windowBytesMax / Math.max(BLOCK_BYTES, sizeBytes));
    const cursor = this.#match(offset, sizeBytes);
    if (!cursor?.established) {
      let ahead = this.#strides.continues(offset, sizeBytes, stepsMax);
      if (!ahead) {
        const learnt = this.#strides.learn(offset, sizeBytes, cursor === undefined, stepsMax);
        if (learnt.length > 0) ahead = learnt;
      }
      if (ahead) {
        // It may yet turn out to be the start of a stream.
        if (!cursor) this.#remember(offset + sizeBytes, false, WINDOW_FIRST_BYTES, context.nowMs);
        this.#latest = undefined;
        return { kind: 'random', isStep: true, ahead };
      }
    }
    return this.#noteStream(cursor, offset, sizeBytes, context);
  }

  /** The read that was noted last has to wait for its bytes. */
  waits(): void {
    if (this.#latest) this.#latest.waited = true;
  }

  #noteStream(cursor: Cursor | undefined, offset: number, sizeBytes: number, context: ReadContext): Access {
    const { windowBytesMax, nowMs } = context;
    const endOffset = offset + sizeBytes;
    this.#latest = cursor;
    if (!cursor) {
      // A seek forward within a window: if it goes on there, so does the window.
      const inside = this.#cursors.find(
        (other) => other.stream && offset > other.nextOffset && offset <= other.nextOffset + other.windowBytes,
      );
      const usual = offset === 0 && this.#uses === 1 ? this.#firstWindowBytes : WINDOW_FIRST_BYTES;
      const added = this.#remember(endOffset, offset === 0, inside?.windowBytes ?? usual, nowMs);
      this.#latest = added;
      if (added.stream) return this.#access(added, windowBytesMax);
      // A directory of a zip file or a footer is read in pieces: the first brings all that lies before it, beside it.
      const tailOffset = this.#objectBytes - TAIL_BYTES;
      const isTail = this.#uses === 1 && offset > tailOffset && tailOffset > 0;
      if (!isTail) return RANDOM;
      return { kind: 'random', isStep: false, ahead: [{ from: tailOffset, to: this.#objectBytes }] };
    }
    cursor.lastUse = this.#uses;
    if (!cursor.stream) {
      cursor.stream = true;
      cursor.growOffset = Math.max(cursor.nextOffset, endOffset) + cursor.windowBytes / 2;
    }
    if (endOffset > cursor.nextOffset) cursor.nextOffset = endOffset;
    if (cursor.nextOffset >= cursor.growOffset) {
      cursor.established = true;
      this.#resize(cursor, context);
    }
    // A smaller share counts at once; when it grows again, so does the window, step by step.
    if (cursor.windowBytes > windowBytesMax) cursor.windowBytes = Math.max(windowBytesMax, BLOCK_BYTES);
    return this.#access(cursor, windowBytesMax);
  }

  /** Half of the window was consumed: does its reader need more, or less? */
  #resize(cursor: Cursor, { windowBytesMax, nowMs, partMs }: ReadContext): void {
    const elapsedMs = nowMs - cursor.markMs;
    const consumedBytes = cursor.nextOffset - cursor.markOffset;
    const leadBytes =
      elapsedMs > 0 && partMs !== undefined ? (consumedBytes / elapsedMs) * partMs * LEAD_TIMES : Infinity;
    const { windowBytes } = cursor;
    if (cursor.waited || leadBytes >= windowBytes) {
      if (windowBytes < windowBytesMax) {
        cursor.windowBytes = Math.min(Math.max(WINDOW_SECOND_BYTES, windowBytes * WINDOW_GROWTH), windowBytesMax);
      }
    } else if (leadBytes * WINDOW_GROWTH < windowBytes && windowBytes > WINDOW_SLOW_BYTES) {
      cursor.windowBytes = Math.max(windowBytes / 2, WINDOW_SLOW_BYTES);
    }
    cursor.growOffset = cursor.nextOffset + cursor.windowBytes / 2;
    cursor.waited = false;
    cursor.markOffset = cursor.nextOffset;
    cursor.markMs = nowMs;
  }

  #access(cursor: Cursor, windowBytesMax: number): Access {
    const windowBytes = Math.min(cursor.windowBytes, windowBytesMax);
    const wantEndOffset = cursor.nextOffset + windowBytes;
    // Looking at each block of a large window for each read costs more than fetching them (measured).
    const isDue = wantEndOffset - cursor.dueOffset >= windowBytes / DUE_SHARE;
    if (isDue) cursor.dueOffset = wantEndOffset;
    return {
      kind: 'stream',
      wantEndOffset,
      isDue,
      nextOffset: cursor.nextOffset,
      windowBytes,
      established: cursor.established,
    };
  }

  /** The cursor that a read continues: the closest one within reach. */
  #match(offset: number, sizeBytes: number): Cursor | undefined {
    const slack = Math.max(sizeBytes, Math.min(CANDIDATE_SLACK_BYTES, CANDIDATE_SLACK_READS * sizeBytes));
    const reach = Math.min(READS_IN_FLIGHT * sizeBytes, REACH_BYTES_MAX);
    let best: Cursor | undefined;
    let bestDistance = Infinity;
    for (const cursor of this.#cursors) {
      const ahead = offset - cursor.nextOffset;
      // Behind is measured from the read's start to the end of an earlier one, so a neighbour is two reads away.
      let reachAhead = slack;
      let reachBehind = 2 * slack;
      if (cursor.established) {
        reachAhead = Math.max(reach, REACH_AHEAD_BYTES_MIN);
        reachBehind = Math.max(reach, REACH_BEHIND_BYTES_MIN);
      } else if (cursor.stream) {
        // Only the next reads are a young one's own: it may have come about by accident.
        reachAhead = Math.max(reach, slack);
        reachBehind = Math.max(reach, 2 * slack);
      }
      if (ahead > reachAhead || -ahead > reachBehind) continue;
      if (Math.abs(ahead) < bestDistance) {
        best = cursor;
        bestDistance = Math.abs(ahead);
      }
    }
    return best;
  }

  #remember(nextOffset: number, stream: boolean, windowBytes: number, nowMs: number): Cursor {
    const cursor: Cursor = {
      nextOffset,
      windowBytes,
      growOffset: nextOffset + windowBytes / 2,
      isFromStart: stream,
      stream,
      established: false,
      dueOffset: 0,
      waited: false,
      markOffset: nextOffset,
      markMs: nowMs,
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
