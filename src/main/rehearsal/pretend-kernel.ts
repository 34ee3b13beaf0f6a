/**
 * A kernel that a rehearsal plays: requests go through a ring and its pump into a dispatcher, as a reader thread would bring
 * them, and each answer settles the promise of its request. Replies are written for real, where nobody reads them.
 * Refuses to wait longer than its owner: a request without an answer stays a promise that nobody settles.
 */
import { RingConsumer, RingProducer, allocateRing } from '../../base/byte-ring.js';
import { invariant } from '../../base/invariant.js';
import { systemClock } from '../../base/clock.js';
import { silentLog } from '../../base/log.js';
import * as abi from '../../fuse/abi.js';
import { newInitIn } from '../../fuse/decode.js';
import { DevFuseTransport } from '../../fuse/dev-fuse.js';
import { FuseDispatcher } from '../../fuse/dispatcher.js';
import type { FuseHandlers } from '../../fuse/handlers.js';
import { negotiate, type Negotiated } from '../../fuse/negotiate.js';
import { RECORD_LENT_WRITE, RECORD_REQUEST } from '../../fuse/ring-records.js';
import { RingPump } from '../../fuse/ring-pump.js';
import type { LoanTaker, SlotLender } from '../../fuse/slot-loans.js';

const RING_BYTES = 64 * 1024;
const PAGE_BYTES = 4096;

/** Fields of a request's body, in order: a number takes four bytes, a bigint eight, a text its bytes and a zero. */
export type BodyField = number | bigint | string | Uint8Array;

export interface PretendKernelDeps {
  readonly handlers: FuseHandlers;
  readonly lender: SlotLender;
  readonly taker: LoanTaker;
  /** Where replies go: a descriptor of /dev/null. */
  readonly device: number;
}

export class PretendKernel {
  readonly #deps: PretendKernelDeps;
  readonly #producer: RingProducer;
  readonly #pump: RingPump;
  readonly #waiting = new Map<number, (reply: DataView) => void>();
  #unique = 0;

  constructor(deps: PretendKernelDeps) {
    this.#deps = deps;
    const device = new DevFuseTransport(deps.device);
    const ring = allocateRing(RING_BYTES);
    this.#producer = new RingProducer(ring, () => this.#pump.wake());
    const dispatcher = new FuseDispatcher(
      {},
      {
        handlers: deps.handlers,
        writer: {
          writev: (parts) => {
            this.#replied(parts);
            return device.writev(parts);
          },
        },
        negotiated: everything(),
        log: silentLog,
        clock: systemClock,
        lender: deps.lender,
        onRoom: () => this.#pump.wake(),
      },
    );
    this.#pump = new RingPump([new RingConsumer(ring)], dispatcher, {
      onAccess: () => undefined,
      onEnded: () => undefined,
      onTrouble: () => undefined,
    });
  }

  /** The reply's body; rejects when it is an errno. */
  async ask(opcode: number, nodeId: number, ...body: readonly BodyField[]): Promise<DataView> {
    const unique = ++this.#unique;
    const reply = new Promise<DataView>((resolve) => this.#waiting.set(unique, resolve));
    this.#push(RECORD_REQUEST, encode(opcode, unique, nodeId, body));
    return bodyOf(await reply, opcode);
  }

  /** A WRITE whose bytes came in a slot of the pool; false when none was at hand. */
  async writeLent(nodeId: number, handle: bigint, offset: number, bytes: number): Promise<boolean> {
    const head = [handle, BigInt(offset), bytes, 0, 0n, 1, 0] as const;
    const slot = this.#deps.taker.take();
    if (slot < 0) return false;
    const unique = ++this.#unique;
    const reply = new Promise<DataView>((resolve) => this.#waiting.set(unique, resolve));
    const message = encode(abi.FUSE_WRITE, unique, nodeId, [...head, slot]);
    new DataView(message.buffer).setUint32(abi.IN_LEN, message.length - 4 + bytes, true);
    this.#push(RECORD_LENT_WRITE, message);
    bodyOf(await reply, abi.FUSE_WRITE);
    return true;
  }

  /** The READ of this number was answered, without a word to the dispatcher's writer. */
  answeredElsewhere(unique: number): void {
    this.#settle(unique, new DataView(new ArrayBuffer(abi.OUT_HEADER_BYTES)));
  }

  /** A request that has no answer. */
  tell(opcode: number, nodeId: number, ...body: readonly BodyField[]): void {
    this.#push(RECORD_REQUEST, encode(opcode, ++this.#unique, nodeId, body));
  }

  #push(kind: number, message: Uint8Array): void {
    // The ring is never full: there is one request at a time.
    invariant(
      this.#producer.push(kind, message, () => true),
      'a rehearsal asks one thing at a time',
    );
    this.#pump.wake();
  }

  #replied(parts: readonly Uint8Array[]): void {
    const bytes = new Uint8Array(Buffer.concat(parts));
    const reply = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#settle(reply.getUint32(OUT_UNIQUE, true), reply);
  }

  #settle(unique: number, reply: DataView): void {
    const settle = this.#waiting.get(unique);
    this.#waiting.delete(unique);
    // In a turn of its own, as the next request of a program would come.
    if (settle) setImmediate(settle, reply);
  }
}

const OUT_ERROR = 4;
const OUT_UNIQUE = 8;

function bodyOf(reply: DataView, opcode: number): DataView {
  const errno = -reply.getInt32(OUT_ERROR, true);
  if (errno !== 0) throw new Error(`opcode ${opcode} was answered with errno ${errno}`);
  return new DataView(reply.buffer, reply.byteOffset + abi.OUT_HEADER_BYTES);
}

function encode(opcode: number, unique: number, nodeId: number, body: readonly BodyField[]): Uint8Array {
  const parts = body.map((field) => {
    if (typeof field === 'string') return Buffer.from(`${field}\0`);
    if (field instanceof Uint8Array) return field;
    const bytes = Buffer.alloc(typeof field === 'bigint' ? 8 : 4);
    if (typeof field === 'bigint') bytes.writeBigUInt64LE(field);
    else bytes.writeUInt32LE(field);
    return bytes;
  });
  const rest = Buffer.concat(parts);
  const bytes = new Uint8Array(abi.IN_HEADER_BYTES + rest.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(abi.IN_LEN, bytes.length, true);
  view.setUint32(abi.IN_OPCODE, opcode, true);
  view.setUint32(abi.IN_UNIQUE_LO, unique, true);
  view.setUint32(abi.IN_NODEID_LO, nodeId, true);
  view.setUint32(abi.IN_PID, process.pid, true);
  bytes.set(rest, abi.IN_HEADER_BYTES);
  return bytes;
}

/** A kernel that can all that we ask for. */
function everything(): Negotiated {
  const init = { ...newInitIn(), major: abi.FUSE_KERNEL_VERSION, minor: abi.FUSE_KERNEL_MINOR_VERSION };
  const step = negotiate({ ...init, flags: -1, flags2: -1 }, { readOnly: false, pageBytes: PAGE_BYTES });
  invariant(step.type === 'agreed', 'a kernel of our own version is served');
  return step.negotiated;
}
