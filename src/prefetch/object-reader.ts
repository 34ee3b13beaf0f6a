/**
 * Reads of one handle: learns the pattern, has the blocks fetched, and sees each READ answered exactly once, by itself
 * when the bytes are resident or by the net thread that brings them.
 *
 * Thread: main. Owns: its AccessPattern. Borrows blocks from the index between two lines of one function only.
 * A READ never waits for more than its own bytes. Refuses to answer short: only the object's end shortens a reply
 * (kernel fact 5).
 */
import { EIO } from '../base/errno.js';
import { BLOCK_BYTES } from '../base/pool/layout.js';
import { invariant } from '../base/invariant.js';
import type { ReadSpan } from '../engine/api.js';
import type { ObjectReader, ObjectVersion, ReadSink } from './api.js';
import { AccessPattern } from './access-pattern.js';
import type { Block } from './block-index.js';
import type { BlockFetcher } from './block-fetcher.js';

/** A random read is fetched exactly, rounded to this: the kernel's page. */
const PAGE_BYTES = 4096;

/** What readers share: the fetcher, the division of the pool, and the queue of those who found it full. */
export interface ReaderHost {
  readonly fetcher: BlockFetcher;
  /** This reader's present share of the pool for reading ahead. */
  windowBytesMax(reader: PooledReader): number;
  /** No slot was free for a waiting read: `again` is called when one may be. */
  starved(again: () => void): void;
  closed(reader: PooledReader): void;
}

export class PooledReader implements ObjectReader {
  readonly version: ObjectVersion;
  readonly #host: ReaderHost;
  readonly #pattern = new AccessPattern();
  #closed = false;

  constructor(version: ObjectVersion, host: ReaderHost) {
    this.version = version;
    this.#host = host;
  }

  /** True when this reader streams and so takes part in the division of the pool. */
  get streaming(): boolean {
    return this.#pattern.streaming;
  }

  read(offset: number, sizeBytes: number, sink: ReadSink): void {
    const endOffset = Math.min(offset + sizeBytes, this.version.sizeBytes);
    if (offset >= endOffset) {
      sink.data([]);
      return;
    }
    invariant(endOffset - offset <= BLOCK_BYTES, 'one READ asks for 1 MiB at most');
    const access = this.#pattern.note(offset, endOffset - offset, this.#host.windowBytesMax(this));
    this.#serve(offset, endOffset, access.kind === 'stream', sink);
    // The waiting read's own GET goes out first; then what the stream will want.
    if (access.kind === 'stream' && !this.#closed)
      this.#readAhead(access.nextOffset, access.wantEndOffset, access.windowBytes);
  }

  accessed(offset: number, sizeBytes: number): void {
    const endOffset = Math.min(offset + sizeBytes, this.version.sizeBytes);
    if (this.#closed || offset >= endOffset) return;
    const access = this.#pattern.note(offset, endOffset - offset, this.#host.windowBytesMax(this));
    this.#noteConsumed(offset, endOffset);
    if (access.kind === 'stream') this.#readAhead(access.nextOffset, access.wantEndOffset, access.windowBytes);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#host.closed(this);
  }

  /** One attempt to place a READ; comes again from the queue of the starved. */
  #serve(offset: number, endOffset: number, stream: boolean, sink: ReadSink): void {
    const { fetcher } = this.#host;
    const whole = stream || this.version.sizeBytes <= BLOCK_BYTES;
    const blocks = whole
      ? fetcher.needStream(this.version, offset, endOffset)
      : fetcher.needExact(
          this.version,
          offset,
          endOffset,
          Math.floor(offset / PAGE_BYTES) * PAGE_BYTES,
          Math.min(Math.ceil(endOffset / PAGE_BYTES) * PAGE_BYTES, this.version.sizeBytes),
        );
    if (!blocks) {
      this.#host.starved(() => this.#serve(offset, endOffset, stream, sink));
      return;
    }
    this.#answer(blocks, offset, endOffset, sink);
    this.#noteConsumed(offset, endOffset);
  }

  /** Pins the blocks for the READ, then answers at once or parks it with the fetches. */
  #answer(blocks: readonly Block[], offset: number, endOffset: number, sink: ReadSink): void {
    const { fetcher } = this.#host;
    const { view } = fetcher;
    const spans: ReadSpan[] = [];
    let resident = true;
    for (const block of blocks) {
      const base = block.blockIndex * BLOCK_BYTES;
      const from = Math.max(offset - base, 0);
      const to = Math.min(endOffset - base, BLOCK_BYTES);
      const pinned = view.tryPin(block.slot);
      invariant(pinned, `slot ${block.slot} of an indexed block is live`);
      if (view.arrivedEnd(block.slot) < to) resident = false;
      spans.push({ slot: block.slot, from, to, fetchId: block.fetchId });
    }
    const unpin = (): void => {
      for (const span of spans) view.unpin(span.slot);
    };
    const bytes = (): Buffer[] => spans.map((span) => view.bytes(span.slot, span.from, span.to));
    if (resident) {
      try {
        sink.data(bytes());
      } finally {
        unpin();
      }
      return;
    }
    const { ticket } = sink;
    let interrupt: () => void = () => undefined;
    const handover = sink.handedOver(() => interrupt());
    const readId = fetcher.plane.park(spans, ticket, (errno) => {
      if (!ticket) {
        try {
          if (errno === 0) sink.data(bytes());
          else sink.error(errno || EIO);
        } finally {
          unpin();
        }
      }
      handover.finished();
      fetcher.roomMayBe();
    });
    interrupt = () => fetcher.plane.interrupt(readId);
  }

  #readAhead(fromOffset: number, wantEndOffset: number, windowBytes: number): void {
    this.#host.fetcher.readAhead(
      this.version,
      fromOffset,
      Math.min(wantEndOffset, this.version.sizeBytes),
      windowBytes,
    );
  }

  #noteConsumed(offset: number, endOffset: number): void {
    const { index } = this.#host.fetcher;
    for (let at = offset; at < endOffset;) {
      const blockIndex = Math.floor(at / BLOCK_BYTES);
      const blockEnd = Math.min((blockIndex + 1) * BLOCK_BYTES, endOffset);
      const block = index.peek(this.version.nodeId, blockIndex);
      if (block) index.consumed(block, blockEnd - at);
      at = blockEnd;
    }
  }
}
