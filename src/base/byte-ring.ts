/**
 * A bounded ring of byte records between two threads: one producer, one consumer.
 * It exists because a thread that sits in a blocking read of /dev/fuse cannot be asked to wait for a MessagePort, and
 * because one record costs well under a microsecond here. Refuses to grow: a full ring makes the producer wait, which
 * is the back-pressure that the kernel's own queue then sees.
 *
 * Thread: producer side in one thread, consumer side in one other. Owns: head (producer), tail (consumer).
 * Shared words: HEAD (producer writes), TAIL (consumer writes), IDLE (consumer sets, producer clears), 64 bytes apart.
 * Order: record bytes, then Atomics.store(HEAD). Blocks? The producer, in Atomics.wait on TAIL, when full; the consumer never.
 * A record is `length` (4 bytes), `kind` (4 bytes), payload, padded to 8. A record never wraps: a pad record fills the end.
 */
import { invariant } from './invariant.js';

const HEAD = 0;
const TAIL = 16;
const IDLE = 32;
const CONTROL_WORDS = 48;
const HEADER_BYTES = 8;
const PAD_KIND = -1;

/** Milliseconds a full ring's producer sleeps before it looks again, in case a wake-up was lost. */
const FULL_WAIT_MS = 50;

/** Structured-clonable; the memory itself is shared. */
export interface RingMemory {
  readonly control: SharedArrayBuffer;
  readonly data: SharedArrayBuffer;
}

/** `capacityBytes` is a power of two; the largest record is half of it. */
export function allocateRing(capacityBytes: number): RingMemory {
  invariant(capacityBytes >= 4096 && (capacityBytes & (capacityBytes - 1)) === 0, 'ring capacity is a power of two');
  return { control: new SharedArrayBuffer(CONTROL_WORDS * 4), data: new SharedArrayBuffer(capacityBytes) };
}

/** Positions run freely as unsigned 32-bit numbers; capacity is a power of two, so they wrap consistently. */
export class RingProducer {
  readonly #control: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;
  readonly #capacity: number;
  readonly #wake: () => void;

  /** `wake` tells the consumer's thread that a record waits; called only when the consumer said it is idle. */
  constructor(memory: RingMemory, wake: () => void) {
    this.#control = new Int32Array(memory.control);
    this.#bytes = new Uint8Array(memory.data);
    this.#words = new Int32Array(memory.data);
    this.#capacity = memory.data.byteLength;
    this.#wake = wake;
  }

  /**
   * Appends one record, waiting while the ring is full. `kind` >= 0. Returns false when `giveUp` said so while waiting
   * (checked every FULL_WAIT_MS), true once the record is published. A `quiet` record wakes nobody: it is taken with the
   * next one that does.
   */
  push(kind: number, payload: Uint8Array, giveUp: () => boolean = () => false, quiet = false): boolean {
    const recordBytes = (HEADER_BYTES + payload.length + 7) & ~7;
    if (kind < 0 || recordBytes > this.#capacity / 2) invariant(false, `ring record of ${payload.length} bytes`);
    let head = Atomics.load(this.#control, HEAD) >>> 0;
    for (;;) {
      const tail = Atomics.load(this.#control, TAIL) >>> 0;
      const used = (head - tail) >>> 0;
      const at = head & (this.#capacity - 1);
      const toEnd = this.#capacity - at;
      const needed = recordBytes <= toEnd ? recordBytes : toEnd + recordBytes;
      if (used + needed <= this.#capacity) {
        let start = at;
        if (recordBytes > toEnd) {
          this.#words[at >>> 2] = toEnd - HEADER_BYTES;
          this.#words[(at >>> 2) + 1] = PAD_KIND;
          start = 0;
        }
        this.#words[start >>> 2] = payload.length;
        this.#words[(start >>> 2) + 1] = kind;
        this.#bytes.set(payload, start + HEADER_BYTES);
        head = (head + needed) >>> 0;
        Atomics.store(this.#control, HEAD, head | 0);
        if (quiet) return true;
        if (Atomics.exchange(this.#control, IDLE, 0) === 1) this.#wake();
        return true;
      }
      if (giveUp()) return false;
      Atomics.wait(this.#control, TAIL, tail | 0, FULL_WAIT_MS);
    }
  }
}

export class RingConsumer {
  readonly #control: Int32Array;
  readonly #bytes: Uint8Array;
  readonly #words: Int32Array;
  readonly #capacity: number;

  constructor(memory: RingMemory) {
    this.#control = new Int32Array(memory.control);
    this.#bytes = new Uint8Array(memory.data);
    this.#words = new Int32Array(memory.data);
    this.#capacity = memory.data.byteLength;
  }

  /**
   * Hands at most `limit` records to `take` and returns how many. The payload is borrowed: it is overwritten after
   * `take` returns. Returns 0 only after announcing idleness, so the producer's next record brings a wake-up.
   */
  drain(limit: number, take: (kind: number, payload: Uint8Array) => void): number {
    let count = 0;
    while (count < limit) {
      const tail = Atomics.load(this.#control, TAIL) >>> 0;
      let head = Atomics.load(this.#control, HEAD) >>> 0;
      if (head === tail) {
        if (count > 0) return count;
        Atomics.store(this.#control, IDLE, 1);
        head = Atomics.load(this.#control, HEAD) >>> 0;
        // A record that came between the two looks: the producer may have missed the flag, so take it now.
        if (head === tail) return 0;
        Atomics.store(this.#control, IDLE, 0);
      }
      const at = tail & (this.#capacity - 1);
      const payloadBytes = this.#words[at >>> 2] ?? 0;
      const kind = this.#words[(at >>> 2) + 1] ?? PAD_KIND;
      try {
        if (kind !== PAD_KIND) {
          count++;
          take(kind, this.#bytes.subarray(at + HEADER_BYTES, at + HEADER_BYTES + payloadBytes));
        }
      } finally {
        const recordBytes = (HEADER_BYTES + payloadBytes + 7) & ~7;
        Atomics.store(this.#control, TAIL, (tail + recordBytes) | 0);
        Atomics.notify(this.#control, TAIL);
      }
    }
    return count;
  }
}
