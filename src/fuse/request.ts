/**
 * One request between its message and its reply: who asks, how to answer, and whether the kernel has lost interest.
 * It is the RequestContext that handlers get. Its AbortSignal is made when somebody first asks for it, for most requests
 * are answered at once and never need one. Refuses to answer: that is the dispatcher's, exactly once.
 */
import type { RequestContext, RequestTicket } from './handlers.js';
import type { InHeader } from './decode.js';
import type { OpcodeRow } from './opcodes.js';

const TWO_32 = 0x1_0000_0000;

/** Bit 63 says that a request is sent again; the id is the rest. */
const ID_HI_MASK = 0x7fff_ffff;
/** Beyond this the id is no exact number. The kernel counts from 0 by twos, so it does not get there. */
const ID_HI_MAX = 0x1f_ffff;

/** The number under which a request is known to INTERRUPT; -1 when it cannot be one. */
export function requestId(lo: number, hi: number): number {
  const plainHi = hi & ID_HI_MASK;
  return plainHi > ID_HI_MAX ? -1 : lo + plainHi * TWO_32;
}

export function isSentAgain({ uniqueHi }: InHeader): boolean {
  return uniqueHi > ID_HI_MASK;
}

export class PendingRequest implements RequestContext, RequestTicket {
  readonly row: OpcodeRow;
  readonly lo: number;
  readonly hi: number;
  readonly nodeId: number;
  readonly uid: number;
  readonly gid: number;
  readonly pid: number;
  interrupted = false;
  /** The kernel has interrupted it, and its handler has not been told (doomed.ts). */
  isInterruptHeld = false;
  answered = false;
  /** When it was dispatched (the dispatcher's clock). */
  startedMs = 0;
  /** It was not answered at once. */
  wasParked = false;
  /** What a READ asks for, or a WRITE brings. */
  payloadBytes = 0;
  /** When a READ began to wait (the dispatcher's clock). */
  parkedMs = 0;
  /** Told once, when the kernel interrupts a READ that another thread is to answer. */
  onInterrupt: (() => void) | undefined;
  #controller: AbortController | undefined;

  constructor(row: OpcodeRow, header: InHeader) {
    this.row = row;
    this.lo = header.uniqueLo;
    this.hi = header.uniqueHi;
    this.nodeId = header.nodeId;
    this.uid = header.uid;
    this.gid = header.gid;
    this.pid = header.pid;
  }

  get isResent(): boolean {
    return this.hi > ID_HI_MASK;
  }

  get id(): number {
    return requestId(this.lo, this.hi);
  }

  get signal(): AbortSignal {
    if (this.#controller === undefined) {
      this.#controller = new AbortController();
      if (this.interrupted) this.#controller.abort();
    }
    return this.#controller.signal;
  }

  /** INTERRUPT came before it. `isHeld`: its handler is not told yet. */
  cameInterrupted(isHeld: boolean): void {
    if (isHeld) this.isInterruptHeld = true;
    else this.interrupted = true;
  }

  /** The kernel sent INTERRUPT (or the mount ended). Safe to repeat. */
  interrupt(): void {
    if (this.interrupted) return;
    this.interrupted = true;
    this.#controller?.abort();
    const tell = this.onInterrupt;
    this.onInterrupt = undefined;
    tell?.();
  }
}
