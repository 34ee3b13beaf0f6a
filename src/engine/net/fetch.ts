/**
 * One fetch command's own state: which byte comes next, into which slot, what it must sum up to, and what was tried so
 * far. It outlives connections: a broken one costs the bytes that were not there yet, never those that were.
 *
 * Bytes come in units (units.ts). A unit that a checksum covers is held back: its bytes are in their slots, but no reader
 * sees them until they sum up; then they are published together. Bytes of a unit outside the command's range, and those
 * that another connection has brought meanwhile, land in a scratch buffer.
 * Thread: the net thread that was given the command. Owns: the bytes of the command's range in its slots, until the
 * fetch is over. Shared words: ARRIVED_END and PAGES, as far as they speak of that range (PoolView.publishLanded).
 * Order: bytes, then the words, upwards only.
 * Blocks? Never. Refuses to publish bytes of an answer that was not verified: `landed` follows a checked head.
 */
import { EIO } from '../../base/errno.js';
import { invariant } from '../../base/invariant.js';
import { BLOCK_BYTES } from '../../base/pool/layout.js';
import type { PoolView } from '../../base/pool/pool-view.js';
import type { FetchCommand } from '../api.js';
import { finalValue, type ExpectedChecksum } from '../checksum/expected-checksum.js';
import { startChecksum, type RunningChecksum } from '../checksum/running-checksum.js';
import type { Failure } from './failure.js';
import type { ResponseHead } from './http-head.js';
import { SKIP_BYTES } from './limits.js';
import type { Asked } from './response-check.js';
import type { AttemptRecord } from './retry-policy.js';
import type { Unit, Units } from './units.js';

/** Where bytes go that nobody wants. Shared by all: its content is used, if at all, before the next read of a socket. */
const skipped = Buffer.allocUnsafeSlow(SKIP_BYTES);

export class Fetch {
  readonly command: FetchCommand;
  readonly #pool: PoolView;
  readonly #units: Units;
  /** First byte that readers do not see yet. */
  #nextOffset: number;
  /** The bytes that are being brought; undefined while the layout of the object's checksums is not known. */
  #unit: Unit | undefined;
  /** First byte of the unit that has not come. */
  #position: number;
  /** What the unit must sum up to, from the head of its first answer. */
  #check: { readonly expected: ExpectedChecksum; readonly running: RunningChecksum } | undefined;
  /** Position at which the current attempt began. */
  #attemptPosition: number;
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

  constructor(command: FetchCommand, pool: PoolView, units: Units) {
    const { startOffset, endOffset, firstBlock, slots, objectBytes } = command;
    const lastBlock = Math.floor((endOffset - 1) / BLOCK_BYTES);
    invariant(startOffset >= 0 && startOffset < endOffset && endOffset <= objectBytes, 'fetch range within the object');
    invariant(Math.floor(startOffset / BLOCK_BYTES) === firstBlock, 'fetch begins in its first block');
    invariant(slots.length === lastBlock - firstBlock + 1, 'one slot for each block of a fetch');
    this.command = command;
    this.#pool = pool;
    this.#units = units;
    this.#nextOffset = startOffset;
    this.#position = startOffset;
    this.#attemptPosition = startOffset;
  }

  /** First byte that readers do not see yet. */
  get nextOffset(): number {
    return this.#nextOffset;
  }

  /** Bytes that readers do not see yet. */
  get missingBytes(): number {
    return this.command.endOffset - this.#nextOffset;
  }

  get isComplete(): boolean {
    return this.#nextOffset === this.command.endOffset;
  }

  get record(): Omit<AttemptRecord, 'unreached' | 'unreachedMs' | 'outageMs'> {
    return {
      fruitless: this.#fruitless,
      total: this.#total,
      credentialWaits: this.credentialWaits,
      clockCorrections: this.clockCorrections,
    };
  }

  /** What the next request asks for; a Failure when these bytes cannot be had in the way that was asked for. */
  asked(): Asked | Failure {
    // Written out: spreading an object cost a tenth of the thread's time on small files.
    const { key, etag, objectBytes } = this.command;
    if (this.#unit === undefined) {
      const unit = this.#units.at(this.command, this.#nextOffset);
      if ('errno' in unit) return unit;
      // One answer without a body tells of all parts.
      if (unit.form === 'layout')
        return { key, etag, objectBytes, form: 'layout', partNumber: 1, startOffset: 0, endOffset: 0 };
      this.#unit = unit;
      this.#position = unit.startOffset;
    }
    const { startOffset, endOffset, form, partNumber } = this.#unit;
    if (this.#position === startOffset) return { key, etag, objectBytes, form, partNumber, startOffset, endOffset };
    return { key, etag, objectBytes, form: 'range', partNumber: 0, startOffset: this.#position, endOffset };
  }

  beginAttempt(): void {
    this.#attemptPosition = this.#position;
  }

  /** The attempt failed; `counts` false when that was nobody's fault (a used connection, refused credentials). */
  failAttempt(counts: boolean): void {
    if (this.#position > this.#attemptPosition) this.#fruitless = 0;
    else if (counts) this.#fruitless++;
    if (counts) this.#total++;
    this.#attemptPosition = this.#position;
  }

  /** The answer to a 'layout' question. */
  learn(head: ResponseHead): void {
    this.#units.learn(this.command, head);
  }

  /** A checked head of an answer to `asked`: learns what its bytes must sum up to. A Failure when they must and cannot. */
  begin(asked: Asked, head: ResponseHead): Failure | undefined {
    const unit = this.#unit;
    if (unit === undefined || asked.form === 'range' || this.#position !== unit.startOffset) return undefined;
    const expected = this.#units.expected(this.command, unit, head);
    if (expected !== undefined && 'errno' in expected) {
      this.#unit = undefined;
      return expected;
    }
    this.#check = expected && { expected, running: startChecksum(expected.name) };
    return undefined;
  }

  /** Where the byte at `offset` and those after it belong, at most `remainingBytes`. Never empty. */
  view(offset: number, remainingBytes: number): Uint8Array {
    const { startOffset, endOffset } = this.command;
    // What has come already must not be written again: a reader may be at it.
    const skipTo = offset < this.#position ? this.#position : offset < startOffset ? startOffset : Infinity;
    if (skipTo !== Infinity || offset >= endOffset) {
      return skipped.subarray(0, Math.min(SKIP_BYTES, remainingBytes, skipTo - offset));
    }
    const block = Math.floor(offset / BLOCK_BYTES);
    const from = offset - block * BLOCK_BYTES;
    const to = Math.min(BLOCK_BYTES, from + Math.min(remainingBytes, endOffset - offset));
    return this.#pool.bytes(this.#slotOf(block), from, to);
  }

  /** The first `bytes` of the view for `offset` are filled. Returns whether readers see more than before. */
  landed(offset: number, view: Uint8Array, bytes: number): boolean {
    if (offset < this.#position) return false;
    invariant(this.#unit !== undefined && offset === this.#position, 'bytes landed out of order');
    this.#position = offset + bytes;
    invariant(this.#position <= this.#unit.endOffset, 'bytes landed outside their unit');
    if (this.#check !== undefined) {
      this.#check.running.update(bytes === view.length ? view : view.subarray(0, bytes));
      return false;
    }
    this.#publish(this.#position);
    return true;
  }

  /** An answer was complete: publishes what it proved, or says what was wrong with it. */
  unitLanded(): Failure | undefined {
    const unit = this.#unit;
    invariant(unit !== undefined && this.#position === unit.endOffset, 'an answer brings the rest of its unit');
    const check = this.#check;
    this.#unit = undefined;
    this.#check = undefined;
    if (check !== undefined) {
      const value = finalValue(check.expected, check.running);
      if (value !== check.expected.value) {
        this.#position = unit.startOffset;
        return this.#mismatch(unit, check.expected, value);
      }
      this.#publish(Math.min(unit.endOffset, this.command.endOffset));
    }
    // The next unit, if any, is a success of its own.
    this.#attemptPosition = this.#nextOffset;
    this.#fruitless = 0;
    return undefined;
  }

  #mismatch(unit: Unit, expected: ExpectedChecksum, value: string): Failure {
    const { key } = this.command;
    const what = `bytes ${unit.startOffset}-${unit.endOffset - 1} of ${key}`;
    const message =
      `${what} do not have the ${expected.name} that the store gives for them (${value}, not ${expected.value}): ` +
      'they were changed on the way or in the store; if it stays, compare the object with its source and upload it again';
    return { errno: EIO, code: 'ChecksumMismatch', status: 0, message, remedy: 'backoff' };
  }

  #publish(endOffset: number): void {
    invariant(endOffset <= this.command.endOffset, 'only bytes of the command are published');
    while (this.#nextOffset < endOffset) {
      const block = Math.floor(this.#nextOffset / BLOCK_BYTES);
      const from = this.#nextOffset - block * BLOCK_BYTES;
      const end = Math.min(BLOCK_BYTES, endOffset - block * BLOCK_BYTES);
      const since = Math.max(0, this.command.startOffset - block * BLOCK_BYTES);
      this.#pool.publishLanded(this.#slotOf(block), since, from, end);
      this.#nextOffset = block * BLOCK_BYTES + end;
    }
  }

  #slotOf(block: number): number {
    const slot = this.command.slots[block - this.command.firstBlock];
    if (slot === undefined) invariant(false, `block ${block} is not of this fetch`);
    return slot;
  }
}
