/**
 * The main thread's end of the rings: takes the reader threads' records and hands them on, a bounded batch a turn of the
 * event loop, so that sockets and timers get their share while requests pour in. Stops when the dispatcher has no room.
 * Refuses to wait: the main thread never blocks.
 *
 * Thread: main. Owns: the consumer side of every ring. Shared words: the rings'. Blocks? Never.
 */
import type { RingConsumer } from '../base/byte-ring.js';
import type { FuseDispatcher } from './dispatcher.js';
import {
  LENT_HEAD_BYTES,
  RECORD_ACCESS,
  RECORD_ENDED,
  RECORD_LENT_WRITE,
  RECORD_REQUEST,
  RECORD_SLOT_BACK,
  RECORD_TROUBLE,
  decodeAccess,
  newAccessRecord,
  type AccessRecord,
} from './ring-records.js';

/** Records of one ring taken in one turn. Guessed: about a millisecond of work. */
export const PUMP_BATCH = 128;

/**
 * 'idle': empty, and the next record brings a wake-up; 'emptied': there were less than a batch, call again for that; 'more': call
 * again in a later turn; 'full': call again when the dispatcher has room.
 */
export type PumpResult = 'idle' | 'emptied' | 'more' | 'full';

export interface PumpCallbacks {
  /**
   * A reader thread answered a READ by itself. `access` is borrowed. It may come after the RELEASE of its handle, which
   * travelled through another thread's ring.
   */
  readonly onAccess: (access: Readonly<AccessRecord>) => void;
  /** The thread of this ring has ended: `errno` 0 after an unmount. Once for each ring. */
  readonly onEnded: (errno: number) => void;
  /** A sentence for the log. */
  readonly onTrouble: (message: string) => void;
}

const access = newAccessRecord();

/** Hands at most PUMP_BATCH records on. InvariantErrors of the dispatcher come out. */
export function pumpRing(consumer: RingConsumer, dispatcher: FuseDispatcher, callbacks: PumpCallbacks): PumpResult {
  const { room } = dispatcher;
  if (room === 0) return 'full';
  const limit = Math.min(PUMP_BATCH, room);
  const count = consumer.drain(limit, (kind, payload) => {
    switch (kind) {
      case RECORD_REQUEST:
        dispatcher.dispatch(payload);
        break;
      case RECORD_LENT_WRITE:
        dispatcher.dispatchLent(payload.subarray(0, LENT_HEAD_BYTES), u32At(payload, LENT_HEAD_BYTES));
        break;
      case RECORD_SLOT_BACK:
        dispatcher.slotBack(u32At(payload, 0));
        break;
      case RECORD_ACCESS:
        decodeAccess(payload, access);
        callbacks.onAccess(access);
        break;
      case RECORD_ENDED:
        callbacks.onEnded(u32At(payload, 0));
        break;
      case RECORD_TROUBLE:
        callbacks.onTrouble(Buffer.from(payload).toString('utf8'));
        break;
      default:
        callbacks.onTrouble(`a reader thread sent a record of unknown kind ${kind}`);
    }
  });
  if (count === 0) return 'idle';
  if (dispatcher.room === 0) return 'full';
  return count < limit ? 'emptied' : 'more';
}

function u32At(payload: Uint8Array, at: number): number {
  return new DataView(payload.buffer, payload.byteOffset, payload.byteLength).getUint32(at, true);
}

/**
 * Pumps several rings fairly. Call `wake` when a ring's producer says so, when the dispatcher has room again (its
 * onRoom), and once at start; further turns are scheduled from here.
 */
export class RingPump {
  readonly #consumers: readonly RingConsumer[];
  readonly #dispatcher: FuseDispatcher;
  readonly #callbacks: PumpCallbacks;
  #scheduled = false;

  constructor(consumers: readonly RingConsumer[], dispatcher: FuseDispatcher, callbacks: PumpCallbacks) {
    this.#consumers = consumers;
    this.#dispatcher = dispatcher;
    this.#callbacks = callbacks;
  }

  /** Any number of times; the records are served in a turn of their own, never inside this call. */
  wake(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#turn();
    });
  }

  /**
   * A producer's word came, in a turn of the event loop of its own: the records are served in this one, which saves a turn
   * for each request of a caller that waits for every answer.
   */
  woken(): void {
    if (!this.#scheduled) this.#turn();
  }

  #turn(): void {
    let more = false;
    for (const consumer of this.#consumers) {
      // 'full' waits for onRoom; the rings keep what they hold.
      let result = pumpRing(consumer, this.#dispatcher, this.#callbacks);
      // Most often that was all, and the second look says so to the producer: no turn of its own for that.
      if (result === 'emptied') result = pumpRing(consumer, this.#dispatcher, this.#callbacks);
      if (result === 'emptied' || result === 'more') more = true;
    }
    if (more) this.wake();
  }
}
