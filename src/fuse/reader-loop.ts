/**
 * What a thread that reads /dev/fuse does, until the file system is unmounted. READs whose blocks are resident are
 * answered right here, from the shared pool, without the main thread; so is IOCTL, which Python's open() sends each time
 * and whose ENOSYS the kernel does not remember (kernel fact 25, docs/KERNEL.md), and GETXATTR of `security.*`. Everything
 * else goes through the ring to the main thread. Refuses to wait for anything but the kernel and room in the ring, and to
 * guess: a READ that is not plainly answerable is the main thread's.
 * While somebody writes, a slot of the pool is at hand (slot-loans.ts), and the kernel fills three pieces of memory, one
 * after another: the first LENT_HEAD_BYTES of the buffer, the slot, and the rest of the buffer, which only makes the whole
 * as long as the kernel wants it. So the bytes of a WRITE lie in the slot, which goes to the main thread with its
 * head; a READ is no longer than the first piece; and what is small is put together in the buffer.
 *
 * Thread: a reader worker; several run this on one descriptor (kernel fact 1). Owns: its buffer, its ring's producer side, one slot.
 * Shared words: pins of the pool (PoolView's protocol), the ring's, loans; `counters` (this thread writes, main reads).
 * Order: PoolView's steps 1 to 7; the reply is written between pin and unpin.
 * Blocks? In read(2), in the ring when it is full. Never with a pin held: a reply to a READ does not wait.
 */
import { EIO, ENODATA, ENOTTY } from '../base/errno.js';
import { BLOCK_BYTES } from '../base/pool/layout.js';
import type { PoolView } from '../base/pool/pool-view.js';
import type { RingProducer } from '../base/byte-ring.js';
import { KIB } from '../base/units.js';
import * as abi from './abi.js';
import { errnoOf } from './dev-fuse.js';
import type { ReaderAccount } from './reader-account.js';
import { Replier } from './reply.js';
import {
  ACCESS_RECORD_BYTES,
  LENT_HEAD_BYTES,
  RECORD_ACCESS,
  RECORD_ENDED,
  RECORD_LENT_WRITE,
  RECORD_REQUEST,
  RECORD_SLOT_BACK,
  RECORD_TROUBLE,
  encodeAccess,
} from './ring-records.js';
import { LOAN_BYTES_MIN, type LoanTaker } from './slot-loans.js';
import { READ_AGAIN, READ_ENDED, type Transport } from './transport.js';

/**
 * The main thread hears of a hit only when the READ crosses a line of this size or starts a block: often enough to move
 * windows well before they run dry, seldom enough that 4 KiB reads cost it nothing. The kernel's default read-ahead.
 */
export const ACCESS_LINE_BYTES = 128 * KIB;

/**
 * After a hint woke the main thread, further ones wait this long for it to be woken by anything else: a wake-up costs
 * both threads about 0.15 ms (measured: a sixth of the CPU of a stream of 1 MiB reads at 500 MB/s, of whose window this is
 * 4 MiB). A READ that misses wakes it at once, and hints are taken in order before that.
 */
const QUIET_MS = 8;
/** Hints that may wait: far less than the ring holds. */
const QUIET_HINTS_MAX = 64;

/** Offsets from here on are left to the main thread: block numbers must stay 31-bit numbers. */
const OFFSET_END = BLOCK_BYTES * 0x7fff_ffff;

const TWO_32 = 0x1_0000_0000;

/** struct fuse_getxattr_in; the name follows. */
const GETXATTR_IN_BYTES = 8;
const SECURITY_PREFIX = 'security.';

/** Words of `counters`; each counts modulo 2^32. */
export const COUNTER_HITS = 0;
/** READs that were passed on. */
export const COUNTER_MISSES = 1;
/** Messages of every other kind. */
export const COUNTER_OTHER = 2;
/** Payload of hits in KiB. */
export const COUNTER_HIT_KIB = 3;
/** WRITEs whose bytes went to the main thread in a slot. */
export const COUNTER_LENT = 4;
export const COUNTER_WORDS = 16;

export interface ReaderLoopDeps {
  readonly transport: Transport;
  readonly ring: RingProducer;
  /** Absent: every READ goes to the main thread. */
  readonly pool?: PoolView;
  /** Slots for the bytes of WRITEs; absent (or without a pool): they go through the ring. */
  readonly loans?: LoanTaker;
  /** Negotiated.requestBufferBytes: the kernel refuses reads into less. */
  readonly requestBufferBytes: number;
  /** COUNTER_WORDS words for this thread alone. */
  readonly counters?: Int32Array;
  /** Where READs that are answered here are noted; absent: nowhere. */
  readonly account?: ReaderAccount;
  /** Monotonic; the process's clock by default. */
  readonly nowMs?: () => number;
}

export class ReaderLoop {
  readonly #transport: Transport;
  readonly #ring: RingProducer;
  readonly #pool: PoolView | undefined;
  readonly #counters: Int32Array;
  readonly #buffer: Buffer;
  readonly #view: DataView;
  readonly #replier: Replier;
  readonly #ticket = { lo: 0, hi: 0 };
  readonly #nowMs: () => number;
  #quietUntilMs = -Infinity;
  #quietHints = 0;
  readonly #account: ReaderAccount | undefined;
  readonly #loans: LoanTaker | undefined;
  /** The slot at hand, -1 for none, and the three pieces that a message is read into with it. */
  #slot = -1;
  #pieces: readonly Buffer[] = [];
  readonly #lentRecord = Buffer.alloc(LENT_HEAD_BYTES + 4);
  readonly #access = new Uint8Array(ACCESS_RECORD_BYTES);
  readonly #accessView = new DataView(this.#access.buffer);

  constructor(deps: ReaderLoopDeps) {
    this.#transport = deps.transport;
    this.#ring = deps.ring;
    this.#pool = deps.pool;
    this.#loans = deps.pool && deps.loans;
    this.#account = deps.account;
    this.#nowMs = deps.nowMs ?? (() => performance.now());
    this.#counters = deps.counters ?? new Int32Array(COUNTER_WORDS);
    this.#buffer = Buffer.allocUnsafeSlow(deps.requestBufferBytes);
    this.#view = new DataView(this.#buffer.buffer, this.#buffer.byteOffset, this.#buffer.byteLength);
    this.#replier = new Replier(deps.transport, (message) => this.#ring.push(RECORD_TROUBLE, Buffer.from(message)));
  }

  /** Serves until the file system is unmounted, then says so in the ring and returns. */
  run(): void {
    let errno = 0;
    try {
      while (this.step());
    } catch (error) {
      errno = errnoOf(error);
      if (errno === EIO) this.#ring.push(RECORD_TROUBLE, Buffer.from(`a reader thread failed: ${String(error)}`));
      throw error;
    } finally {
      const payload = new Uint8Array(4);
      new DataView(payload.buffer).setUint32(0, errno, true);
      this.#ring.push(RECORD_ENDED, payload);
    }
  }

  /** Waits for one message and serves it. False when there are no more. */
  step(): boolean {
    if (this.#loans) this.#takeSlot(this.#loans);
    const lengthBytes = this.#slot < 0 ? this.#transport.read(this.#buffer) : this.#transport.readv(this.#pieces);
    if (lengthBytes === READ_ENDED) return false;
    if (lengthBytes === READ_AGAIN) return true;
    if (lengthBytes >= abi.IN_HEADER_BYTES && this.#view.getUint32(abi.IN_LEN, true) === lengthBytes) {
      const opcode = this.#view.getUint32(abi.IN_OPCODE, true);
      if (opcode === abi.FUSE_READ) {
        if (lengthBytes >= abi.IN_HEADER_BYTES + abi.READ_IN_BYTES && this.#serveRead()) return true;
        Atomics.add(this.#counters, COUNTER_MISSES, 1);
      } else {
        Atomics.add(this.#counters, COUNTER_OTHER, 1);
        if (opcode === abi.FUSE_IOCTL) {
          this.#replier.error(this.#takeTicket(), ENOTTY);
          return true;
        }
        if (opcode === abi.FUSE_GETXATTR && this.#asksSecurity(lengthBytes)) {
          this.#replier.error(this.#takeTicket(), ENODATA);
          return true;
        }
        if (opcode === abi.FUSE_WRITE && this.#slot >= 0 && this.#sendLent(lengthBytes)) return true;
      }
    }
    if (this.#slot >= 0 && lengthBytes > LENT_HEAD_BYTES) {
      // The third piece is where it belongs already.
      this.#pieces[1]?.copy(this.#buffer, LENT_HEAD_BYTES, 0, lengthBytes - LENT_HEAD_BYTES);
    }
    // Malformed messages too: the dispatcher counts them, and answers when there is an id to answer to.
    this.#ring.push(RECORD_REQUEST, this.#buffer.subarray(0, lengthBytes));
    return true;
  }

  /**
   * No object has attributes of the name space `security.`, and the kernel asks for one (capability) before the first write to
   * each file: a sixth of the requests that a small file costs.
   */
  #asksSecurity(lengthBytes: number): boolean {
    const at = abi.IN_HEADER_BYTES + GETXATTR_IN_BYTES;
    const end = at + SECURITY_PREFIX.length;
    // The name lies within the first piece as far as it is looked at.
    return lengthBytes > end && this.#buffer.toString('latin1', at, end) === SECURITY_PREFIX;
  }

  /** Sees to a slot at hand while slots are lent, and gives it back when they are not. */
  #takeSlot(loans: LoanTaker): void {
    if (this.#slot >= 0) {
      if (loans.lending) return;
      this.#lentRecord.writeUInt32LE(this.#slot, 0);
      this.#slot = -1;
      this.#ring.push(RECORD_SLOT_BACK, this.#lentRecord.subarray(0, 4));
      return;
    }
    const slot = loans.take();
    if (slot < 0 || this.#pool === undefined) return;
    this.#slot = slot;
    const rest = this.#buffer.subarray(Math.min(LENT_HEAD_BYTES + BLOCK_BYTES, this.#buffer.length));
    this.#pieces = [this.#buffer.subarray(0, LENT_HEAD_BYTES), this.#pool.bytes(slot, 0, BLOCK_BYTES), rest];
  }

  /** Sends the WRITE that was read with the slot that holds its bytes; false when they are few, or are not all there is. */
  #sendLent(lengthBytes: number): boolean {
    const bytes = lengthBytes - LENT_HEAD_BYTES;
    const view = this.#view;
    const isPlain = view.getUint32(abi.IN_HEADER_BYTES + abi.WRITE_SIZE, true) === bytes;
    if (bytes < LOAN_BYTES_MIN || bytes > BLOCK_BYTES || !isPlain) return false;
    this.#buffer.copy(this.#lentRecord, 0, 0, LENT_HEAD_BYTES);
    this.#lentRecord.writeUInt32LE(this.#slot, LENT_HEAD_BYTES);
    this.#slot = -1;
    Atomics.add(this.#counters, COUNTER_LENT, 1);
    this.#ring.push(RECORD_LENT_WRITE, this.#lentRecord);
    return true;
  }

  #takeTicket(): { lo: number; hi: number } {
    this.#ticket.lo = this.#view.getUint32(abi.IN_UNIQUE_LO, true);
    this.#ticket.hi = this.#view.getUint32(abi.IN_UNIQUE_HI, true);
    return this.#ticket;
  }

  /**
   * Answers the READ in the buffer if all of its bytes are resident; false leaves it to the main thread. Two of three
   * buffered READs lie across two blocks, since read-ahead is not aligned (kernel fact 6); more than two they cannot touch.
   * A short reply tells the kernel that the file ends there, for good (kernel fact 5), so it is given only when the last
   * block says that the object ends in it.
   */
  #serveRead(): boolean {
    const pool = this.#pool;
    if (pool === undefined) return false;
    const view = this.#view;
    const at = abi.IN_HEADER_BYTES;
    const sizeBytes = view.getUint32(at + abi.READ_SIZE, true);
    const offset =
      view.getUint32(at + abi.READ_OFFSET_LO, true) + view.getUint32(at + abi.READ_OFFSET_HI, true) * TWO_32;
    if (sizeBytes === 0 || sizeBytes > BLOCK_BYTES || offset >= OFFSET_END) return false;
    // The table's words are signed; node id halves are compared as signed numbers everywhere.
    const nodeLo = view.getInt32(abi.IN_NODEID_LO, true);
    const nodeHi = view.getInt32(abi.IN_NODEID_HI, true);
    const block = Math.floor(offset / BLOCK_BYTES);
    const from = offset - block * BLOCK_BYTES;
    const to = Math.min(from + sizeBytes, BLOCK_BYTES);
    const startedMs = this.#account?.isDue === true ? this.#nowMs() : -1;
    const first = pool.pinResident(nodeLo, nodeHi, block, from, to);
    if (first < 0) return false;
    let second = -1;
    let tells: boolean;
    try {
      const firstBytes = pool.blockBytes(first);
      const parts: Uint8Array[] = [];
      // At or beyond the end of an object that ends in this block: an empty reply. Nothing is known about the block
      // behind a full one, and `from` is below BLOCK_BYTES, so this is never a guess.
      if (from < firstBytes) parts.push(pool.bytes(first, from, Math.min(to, firstBytes)));
      if (from + sizeBytes > BLOCK_BYTES && firstBytes === BLOCK_BYTES) {
        const rest = from + sizeBytes - BLOCK_BYTES;
        second = pool.pinResident(nodeLo, nodeHi, block + 1, 0, rest);
        // Perhaps the object ends with the first block, perhaps the second is not here: the main thread knows.
        if (second < 0) return false;
        parts.push(pool.bytes(second, 0, Math.min(rest, pool.blockBytes(second))));
      }
      this.#replier.data(this.#takeTicket(), parts);
      tells = pool.tellsHits(first);
    } finally {
      pool.unpin(first);
      if (second >= 0) pool.unpin(second);
    }
    Atomics.add(this.#counters, COUNTER_HITS, 1);
    Atomics.add(this.#counters, COUNTER_HIT_KIB, sizeBytes >>> 10);
    if (startedMs >= 0) {
      const pid = view.getInt32(abi.IN_PID, true);
      const uid = view.getInt32(abi.IN_UID, true);
      this.#account?.note({ pid, uid, nodeLo, nodeHi, bytes: sizeBytes }, this.#nowMs() - startedMs);
    }
    // Of each block's beginning and of each line that is crossed, and of all hits where that was asked for.
    const line = Math.floor(offset / ACCESS_LINE_BYTES);
    if (tells || from === 0 || Math.floor((offset + sizeBytes) / ACCESS_LINE_BYTES) !== line) {
      this.#tell(offset, sizeBytes);
    }
    return true;
  }

  #tell(offset: number, sizeBytes: number): void {
    const view = this.#view;
    encodeAccess(
      this.#accessView,
      0,
      view.getUint32(abi.IN_NODEID_LO, true),
      view.getUint32(abi.IN_NODEID_HI, true),
      view.getUint32(abi.IN_HEADER_BYTES + abi.READ_FH_LO, true),
      view.getUint32(abi.IN_HEADER_BYTES + abi.READ_FH_HI, true),
      offset,
      sizeBytes,
    );
    const nowMs = this.#nowMs();
    const quiet = nowMs < this.#quietUntilMs && this.#quietHints < QUIET_HINTS_MAX;
    if (quiet) this.#quietHints++;
    else {
      this.#quietHints = 0;
      this.#quietUntilMs = nowMs + QUIET_MS;
    }
    // A hint: worth nothing when the main thread is that far behind, and certainly not worth waiting.
    this.#ring.push(RECORD_ACCESS, this.#access, () => true, quiet);
  }
}
