/**
 * One attempt of one fetch on one connection: sign, send, check the head, let the body land.
 * It knows both sides and keeps neither: the connection is given back or gone when it ends, the fetch lives on.
 * Ends exactly once, with `ended(undefined)` or a Failure; after `abort` it says nothing more.
 */
import { invariant } from '../../base/invariant.js';
import type { RequestSigner } from '../signing/request-signer.js';
import type { Connection, Exchange } from './connection.js';
import { parseS3Error } from './error-body.js';
import { transportFailure, type Failure } from './failure.js';
import type { Fetch } from './fetch.js';
import type { ResponseHead } from './http-head.js';
import { checkPayloadHead, failureFromAnswer, type Asked } from './response-check.js';

export interface TransferDeps {
  readonly signer: RequestSigner;
  nowMs(): number;
  /** Bytes were published: READs that wait for them can be answered. */
  arrived(fetch: Fetch): void;
  /** The attempt is over; `head` is the answer's, when there was one. */
  ended(transfer: Transfer, failure: Failure | undefined, head: ResponseHead | undefined): void;
}

export class Transfer implements Exchange {
  readonly fetch: Fetch;
  readonly connection: Connection;
  readonly #deps: TransferDeps;
  #asked: Asked;
  #head: ResponseHead | undefined;
  #sentMs = 0;
  #isOver = false;

  constructor(fetch: Fetch, connection: Connection, deps: TransferDeps) {
    this.fetch = fetch;
    this.connection = connection;
    this.#deps = deps;
    this.#asked = fetch.asked();
  }

  /** Nothing more will be said about this attempt. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Signs and sends the request; the outcome comes through `ended`. */
  start(): void {
    this.fetch.beginAttempt();
    const wasFresh = this.connection.isFresh;
    const request = this.#deps.signer.get(this.#asked);
    if (this.connection.isClosed) {
      const failure = transportFailure('EarlyClose', 'the server closed the connection before the request');
      this.#end(wasFresh ? failure : { ...failure, remedy: 'now' });
      return;
    }
    this.#sentMs = this.#deps.nowMs();
    this.fetch.startedMs ??= this.#sentMs;
    this.connection.start(request, this);
  }

  /** Ends it without a word; closes the connection unless it is idle (the owner gives it back). */
  abort(): void {
    this.#isOver = true;
    if (!this.connection.isIdle) this.connection.destroy();
  }

  head(head: ResponseHead): 'slots' | 'text' | Failure {
    this.#head = head;
    if (head.status !== 200 && head.status !== 206) return 'text';
    const failure = checkPayloadHead(head, this.#asked);
    if (failure !== undefined) return failure;
    this.fetch.firstByteMs ??= this.#deps.nowMs() - this.#sentMs;
    return 'slots';
  }

  view(remainingBytes: number): Uint8Array {
    invariant(remainingBytes === this.fetch.missingBytes, 'the body is exactly what the fetch misses');
    return this.fetch.view(remainingBytes);
  }

  filled(bytes: number): void {
    this.fetch.landed(bytes);
    this.#deps.arrived(this.fetch);
  }

  done(): void {
    this.#end(undefined);
  }

  text(body: Buffer): void {
    const head = this.#head;
    invariant(head !== undefined, 'an error text follows a head');
    this.#end(failureFromAnswer(head, parseS3Error(body), this.#asked));
  }

  failed(failure: Failure): void {
    this.#end(failure);
  }

  #end(failure: Failure | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#deps.ended(this, failure, this.#head);
  }
}
