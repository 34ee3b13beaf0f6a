/**
 * The answer to one READ, given exactly once: with bytes from here, with an errno, or by another thread that was handed
 * the ticket. Refuses a second answer, and more bytes than were asked for, as broken invariants: the kernel would have
 * taken the first reply for another request's, or refused the second while somebody waits.
 */
import { EIO } from '../base/errno.js';
import { invariant } from '../base/invariant.js';
import type { ReadHandover, ReadReply, RequestTicket } from './handlers.js';
import type { Replier } from './reply.js';
import type { PendingRequest } from './request.js';

/** What a READ needs of the dispatcher. */
export interface ReadDesk {
  readonly replier: Replier;
  /** From now on INTERRUPT finds the request. */
  park(request: PendingRequest): void;
  /** The request is over. `errno` 0 for success. */
  finish(request: PendingRequest, errno: number): void;
}

type State = 'open' | 'handed over' | 'over';

export class PendingRead implements ReadReply, ReadHandover {
  readonly ticket: RequestTicket;
  readonly #request: PendingRequest;
  readonly #sizeBytes: number;
  readonly #desk: ReadDesk;
  #state: State = 'open';

  constructor(request: PendingRequest, sizeBytes: number, desk: ReadDesk) {
    this.ticket = request;
    this.#request = request;
    this.#sizeBytes = sizeBytes;
    this.#desk = desk;
  }

  /** Nobody has answered yet. */
  get open(): boolean {
    return this.#state === 'open';
  }

  data(parts: readonly Uint8Array[]): void {
    invariant(this.#state === 'open', `a READ was answered with data after it was ${this.#state}`);
    let bytes = 0;
    for (const part of parts) bytes += part.length;
    invariant(bytes <= this.#sizeBytes, `a READ of ${this.#sizeBytes} bytes was answered with ${bytes}`);
    this.#over(0);
    this.#desk.replier.data(this.ticket, parts);
  }

  error(errno: number): void {
    invariant(this.#state === 'open', `a READ was answered with an error after it was ${this.#state}`);
    const answer = errno > 0 ? errno : EIO;
    this.#over(answer);
    this.#desk.replier.error(this.ticket, answer);
  }

  handedOver(onInterrupt: () => void): ReadHandover {
    invariant(this.#state === 'open', `a READ was handed over after it was ${this.#state}`);
    this.#state = 'handed over';
    this.#desk.park(this.#request);
    if (this.#request.interrupted) onInterrupt();
    else this.#request.onInterrupt = onInterrupt;
    return this;
  }

  /** ReadHandover: the other thread has answered. */
  finished(): void {
    invariant(this.#state === 'handed over', `a READ was finished after it was ${this.#state}`);
    this.#over(0);
  }

  #over(errno: number): void {
    this.#state = 'over';
    this.#request.onInterrupt = undefined;
    this.#desk.finish(this.#request, errno);
  }
}
