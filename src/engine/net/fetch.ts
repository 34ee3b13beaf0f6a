/**
 * One fetch command's own state: which byte comes next, into which slot, and what was tried so far.
 * It outlives connections: a broken one costs the bytes that were not there yet, never those that were.
 *
 * Thread: the net thread that was given the command. Owns: the bytes of the command's range in its slots, until the
 * fetch is over. Shared words: ARRIVED_END and PAGES, as far as they speak of that range (PoolView.publishLanded).
 * Order: bytes, then the words, upwards only.
 * Blocks? Never. Refuses to publish bytes of an answer that was not verified: `landed` follows a checked head.
 */
import { invariant } from '../../base/invariant.js';
import { BLOCK_BYTES } from '../../base/pool/layout.js';
import type { PoolView } from '../../base/pool/pool-view.js';
import type { FetchCommand } from '../api.js';
import type { Asked } from './response-check.js';
import type { AttemptRecord } from './retry-policy.js';

export class Fetch {
  readonly command: FetchCommand;
  readonly #pool: PoolView;
  #nextOffset: number;
  /** Offset at which the current attempt began. */
  #attemptOffset: number;
  #fruitless = 0;
  #total = 0;
  credentialWaits = 0;
  clockCorrections = 0;
  /** The next attempt must not use a connection that served others before. */
  wantsFresh = false;
  isCancelled = false;
  /** When the first request was written; undefined before. */
  startedMs: number | undefined;
  /** From an attempt's request to its first byte; of the first attempt that brought payload. */
  firstByteMs: number | undefined;

  constructor(command: FetchCommand, pool: PoolView) {
    const { startOffset, endOffset, firstBlock, slots, objectBytes } = command;
    const lastBlock = Math.floor((endOffset - 1) / BLOCK_BYTES);
    invariant(startOffset >= 0 && startOffset < endOffset && endOffset <= objectBytes, 'fetch range within the object');
    invariant(Math.floor(startOffset / BLOCK_BYTES) === firstBlock, 'fetch begins in its first block');
    invariant(slots.length === lastBlock - firstBlock + 1, 'one slot for each block of a fetch');
    this.command = command;
    this.#pool = pool;
    this.#nextOffset = startOffset;
    this.#attemptOffset = startOffset;
  }

  /** First byte that is not there yet. */
  get nextOffset(): number {
    return this.#nextOffset;
  }

  get missingBytes(): number {
    return this.command.endOffset - this.#nextOffset;
  }

  get isComplete(): boolean {
    return this.#nextOffset === this.command.endOffset;
  }

  get record(): AttemptRecord {
    return {
      fruitless: this.#fruitless,
      total: this.#total,
      credentialWaits: this.credentialWaits,
      clockCorrections: this.clockCorrections,
    };
  }

  /** What the next request asks for. */
  asked(): Asked {
    const { key, etag, objectBytes, endOffset } = this.command;
    return { key, etag, objectBytes, startOffset: this.#nextOffset, endOffset };
  }

  beginAttempt(): void {
    this.#attemptOffset = this.#nextOffset;
  }

  /** The attempt failed; `counts` false when that was nobody's fault (a used connection, refused credentials). */
  failAttempt(counts: boolean): void {
    if (this.#nextOffset > this.#attemptOffset) this.#fruitless = 0;
    else if (counts) this.#fruitless++;
    if (counts) this.#total++;
    this.#attemptOffset = this.#nextOffset;
  }

  /** Where the next bytes belong: the rest of one slot, at most `remainingBytes`. Never empty before the end. */
  view(remainingBytes: number): Uint8Array {
    const block = Math.floor(this.#nextOffset / BLOCK_BYTES);
    const from = this.#nextOffset - block * BLOCK_BYTES;
    const to = Math.min(BLOCK_BYTES, from + Math.min(remainingBytes, this.missingBytes));
    return this.#pool.bytes(this.#slotOf(block), from, to);
  }

  /** `bytes` of the last view are filled: publishes them. */
  landed(bytes: number): void {
    const block = Math.floor(this.#nextOffset / BLOCK_BYTES);
    const from = this.#nextOffset - block * BLOCK_BYTES;
    const end = from + bytes;
    invariant(bytes > 0 && end <= BLOCK_BYTES && bytes <= this.missingBytes, 'bytes landed outside their view');
    this.#nextOffset += bytes;
    const since = Math.max(0, this.command.startOffset - block * BLOCK_BYTES);
    this.#pool.publishLanded(this.#slotOf(block), since, from, end);
  }

  #slotOf(block: number): number {
    const slot = this.command.slots[block - this.command.firstBlock];
    invariant(slot !== undefined, `block ${block} is not of this fetch`);
    return slot;
  }
}
