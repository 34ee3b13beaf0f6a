/**
 * Reads of one handle: learns the pattern, has each READ placed, and then has the stream's window fetched.
 *
 * Thread: main. Owns: its AccessPattern and the count of its READs without an answer. A closed reader still sees its
 * READs answered; only then does the host hear that it is gone. Refuses to decide about slots: that is the host's.
 */
import { EBADF } from '../base/errno.js';
import { BLOCK_BYTES } from '../base/pool/layout.js';
import { invariant } from '../base/invariant.js';
import { PRIORITY_STREAM, PRIORITY_WINDOW } from '../engine/api.js';
import type { ObjectReader, ObjectVersion, ReadSink } from './api.js';
import { AccessPattern, type Access } from './access-pattern.js';
import type { BlockFetcher } from './block-fetcher.js';
import type { WholeReads } from './whole-reads.js';
import { PendingRead } from './pending-read.js';
import type { ReadAround } from './read-around.js';

/** What readers share: the fetcher, the division of the pool, and the queue of those who found it full. */
export interface ReaderHost {
  readonly fetcher: BlockFetcher;
  readonly around: ReadAround;
  readonly wholeReads: WholeReads;
  nowMs(): number;
  /** READs wait for room: nobody reads ahead. */
  readonly crowded: boolean;
  /** This reader's present share of the pool for reading ahead; 0 when there is none. */
  shareBytes(reader: PooledReader): number;
  /** The reader streams, just now: it takes part in the division of the pool. */
  streams(reader: PooledReader): void;
  /** It waits for a block, while those far ahead in its window of so many bytes are there. */
  heldUp(windowBytes: number): void;
  /** Answers or parks the READ now, or as soon as there is room. */
  place(read: PendingRead): void;
  /** A READ was answered so long after it came to this thread, with its bytes or an errno. */
  answered(waitMs: number, bytes: number): void;
  /** Closed, and its last READ was answered. */
  gone(reader: PooledReader): void;
}

/** Steps of a stride that are as urgent as the next block of a stream. */
const NEXT_STEPS = 2;

export class PooledReader implements ObjectReader {
  readonly version: ObjectVersion;
  readonly #host: ReaderHost;
  readonly #pattern: AccessPattern;
  #unanswered = 0;
  #closed = false;

  constructor(version: ObjectVersion, host: ReaderHost) {
    const { key, sizeBytes } = version;
    this.version = version;
    this.#host = host;
    this.#pattern = new AccessPattern(sizeBytes, host.wholeReads.firstWindowBytes(key, sizeBytes));
  }

  read(offset: number, sizeBytes: number, sink: ReadSink): void {
    if (this.#closed) {
      sink.error(EBADF);
      return;
    }
    const endOffset = Math.min(offset + sizeBytes, this.version.sizeBytes);
    if (offset >= endOffset) {
      sink.data([]);
      return;
    }
    invariant(endOffset - offset <= BLOCK_BYTES, 'one READ asks for 1 MiB at most');
    const access = this.#note(offset, endOffset);
    const whole = access.kind === 'stream' || this.version.sizeBytes <= BLOCK_BYTES;
    const before = this.#unanswered++;
    const sinceMs = this.#host.nowMs();
    const read = new PendingRead({ version: this.version, offset, endOffset, whole }, sink, {
      fetcher: this.#host.fetcher,
      place: (again) => this.#host.place(again),
      over: () => this.#answered(access, offset, endOffset, sinceMs),
    });
    if (isPlainRandom(access)) this.#host.around.reads(this.version, offset, endOffset);
    // The waiting read's own GET goes out first; then what the stream will want.
    this.#host.place(read);
    if (this.#unanswered > before) {
      this.#pattern.waits();
      if (access.kind === 'stream' && this.#hasFarAhead(access)) this.#host.heldUp(access.windowBytes);
    }
    this.#readAhead(access);
  }

  accessed(offset: number, sizeBytes: number): void {
    const endOffset = Math.min(offset + sizeBytes, this.version.sizeBytes);
    if (this.#closed || offset >= endOffset) return;
    const access = this.#note(offset, endOffset);
    if (isPlainRandom(access)) this.#host.around.reads(this.version, offset, endOffset);
    this.#noteConsumed(offset, endOffset);
    // What was not to be had then, or was lost since, a READ that misses will ask for.
    if (access.kind === 'random' || access.isDue) this.#readAhead(access);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#host.wholeReads.closed(this.version.key, this.version.sizeBytes, this.#pattern.isWhole);
    if (this.#unanswered === 0) this.#host.gone(this);
  }

  #note(offset: number, endOffset: number): Access {
    const access = this.#pattern.note(offset, endOffset - offset, {
      windowBytesMax: this.#host.shareBytes(this),
      nowMs: this.#host.nowMs(),
      partMs: this.#host.fetcher.partMs,
    });
    if (access.kind === 'stream' && access.established) this.#host.streams(this);
    return access;
  }

  #answered(access: Access, offset: number, endOffset: number, sinceMs: number): void {
    this.#unanswered--;
    this.#host.answered(this.#host.nowMs() - sinceMs, endOffset - offset);
    if (isPlainRandom(access)) this.#host.around.answered(this.version, offset, endOffset);
    if (this.#closed && this.#unanswered === 0) this.#host.gone(this);
  }

  #readAhead(access: Access): void {
    if (this.#closed || this.#host.crowded) return;
    if (access.kind === 'random') {
      access.ahead.forEach(({ from, to }, step) => {
        const priority = step < NEXT_STEPS ? PRIORITY_STREAM : PRIORITY_WINDOW;
        this.#host.fetcher.fetchAhead(this.version, from, to, priority);
      });
      return;
    }
    if (access.windowBytes === 0) return;
    const wantEndOffset = Math.min(access.wantEndOffset, this.version.sizeBytes);
    this.#host.fetcher.readAhead(this.version, access.nextOffset, wantEndOffset, access.windowBytes);
  }

  /** What lies a quarter, a half and three quarters of the window ahead has come. */
  #hasFarAhead({ nextOffset, windowBytes }: Access & { kind: 'stream' }): boolean {
    const { index } = this.#host.fetcher;
    for (let quarter = 1; quarter < 4; quarter++) {
      const at = nextOffset + (windowBytes * quarter) / 4;
      if (at >= this.version.sizeBytes) return false;
      const block = index.peek(this.version.nodeId, Math.floor(at / BLOCK_BYTES));
      if (block?.heldBytes !== block?.blockBytes || block?.fills.length !== 0) return false;
    }
    return true;
  }

  #noteConsumed(offset: number, endOffset: number): void {
    const { index } = this.#host.fetcher;
    for (let at = offset; at < endOffset;) {
      const blockIndex = Math.floor(at / BLOCK_BYTES);
      const base = blockIndex * BLOCK_BYTES;
      const to = Math.min(base + BLOCK_BYTES, endOffset);
      const block = index.peek(this.version.nodeId, blockIndex);
      if (block) index.consumed(block, at - base, to - base);
      at = to;
    }
  }
}

/** Neither a stream's nor a step of a stride. */
function isPlainRandom(access: Access): boolean {
  return access.kind === 'random' && !access.isStep;
}
