/**
 * What the dispatcher is told when it is made, what it needs, and what it counts: types only.
 */
import type { Clock } from '../base/clock.js';
import type { Log } from '../base/log.js';
import type { FuseHandlers, RequestTicket } from './handlers.js';
import type { Negotiated } from './negotiate.js';
import type { SlotLender } from './slot-loans.js';
import type { ReplyWriter } from './transport.js';

export interface DispatcherOptions {
  readonly inFlightMax?: number;
  readonly writeBytesInFlightMax?: number;
  /**
   * allow_root: only this user (the one who mounted) and root are served; the kernel knows only allow_other. Requests
   * about what is open already are let through, for descriptors may be passed on.
   */
  readonly ownerUid?: number;
  /** Requests that are answered EIO unserved, because two daemons died of them. */
  readonly refused?: readonly RequestTicket[];
  /** Daemons died of a request and nobody knows which: these first, one at a time (trial.ts). */
  readonly trial?: readonly RequestTicket[];
}

/** Learns which request the main thread is busy with, so that a death can be laid at its door. */
export interface DispatchWitness {
  /** `opcode` 0: with none. */
  atHand(opcode: number, uniqueLo: number, uniqueHi: number): void;
  /** During a trial: all that wait for their answer, in the order in which they began. */
  inService(requests: readonly RequestTicket[]): void;
}

export interface DispatcherDeps {
  readonly handlers: FuseHandlers;
  readonly writer: ReplyWriter;
  readonly negotiated: Negotiated;
  readonly log: Log;
  readonly clock?: Clock;
  /** Has the thread of this pid been told to end? Absent: only the kernel's INTERRUPTs count (slow-reads.ts). */
  readonly isToldToEnd?: (pid: number) => boolean;
  /** Is it being killed? Absent: who waits for a commit waits to its end, and whoever else is interrupted by any signal (doomed.ts). */
  readonly isBeingKilled?: (pid: number) => boolean;
  /** Pool slots for reader threads, in which large WRITEs arrive. */
  readonly lender?: SlotLender;
  readonly witness?: DispatchWitness;
  /** Before a request is served that names this node: undefined when there is nothing to wait for. Never rejects. */
  readonly prepare?: (nodeId: number) => Promise<void> | undefined;
  /** Called when `room` was 0 and is not any more: pump again. */
  readonly onRoom?: () => void;
}

/** A request that waits for its answer. */
export interface UnansweredRequest {
  readonly operation: string;
  readonly nodeId: number;
  readonly ageMs: number;
  readonly pid: number;
  readonly id: number;
  readonly isResent: boolean;
  /** A READ whose bytes another thread is to write. */
  readonly isHandedOver: boolean;
}

export interface DispatcherStats {
  readonly requests: number;
  /** Requests by the opcode's name; names never seen are left out. */
  readonly requestsByName: Readonly<Record<string, number>>;
  readonly inFlight: number;
  readonly inFlightPeak: number;
  readonly writeBytesInFlight: number;
  /** Payload of all WRITEs. */
  readonly writeBytes: number;
  /** Replies with an errno. */
  readonly errors: number;
  /** Replies whose request was gone. */
  readonly gone: number;
  /** Messages that no kernel should send. */
  readonly malformed: number;
  readonly unknownOpcodes: number;
  readonly interrupts: number;
  readonly earlyInterrupts: number;
}
