/**
 * One attempt of one fetch on one connection: sign, send, check the head, let the body land.
 * It knows both sides and keeps neither: the connection is given back or gone when it ends, the fetch lives on.
 * Two attempts of one fetch may be under way (a hedge); the one that has `leads` called for it is the only one that
 * gets views from then on, because the owner aborts the other in that call.
 * Ends exactly once, with `ended(undefined)` or a Failure; after `abort` it says nothing more.
 */
import { invariant } from '../../base/invariant.js';
import type { RequestSigner } from '../signing/request-signer.js';
import type { Connection } from './connection.js';
import type { Exchange } from './exchange.js';
import { parseS3Error } from './error-body.js';
import { transportFailure, unreached, type Failure } from './failure.js';
import type { Fetch } from './fetch.js';
import type { ResponseHead } from './http-head.js';
import type { StoreOperation } from './request-ledger.js';
import { checkPayloadHead, failureFromAnswer, type Asked } from './response-check.js';

export interface TransferDeps {
  readonly signer: RequestSigner;
  nowMs(): number;
  /** Somebody waits for its bytes now. */
  isUrgent(): boolean;
  /** Its answer is good and its bytes come next: a rival must be aborted before this returns. */
  leads(transfer: Transfer): void;
  /** Bytes came; if `isPublished`, READs that wait for them can be answered. */
  arrived(transfer: Transfer, isPublished: boolean): void;
  /** The attempt is over; `head` is the answer's, when there was one. */
  ended(transfer: Transfer, failure: Failure | undefined, head: ResponseHead | undefined): void;
}

const NO_BYTES = new Uint8Array(0);
const NO_BODY = Buffer.alloc(0);

export class Transfer implements Exchange {
  readonly fetch: Fetch;
  readonly connection: Connection;
  readonly #deps: TransferDeps;
  readonly #asked: Asked;
  /** Where the next body byte belongs. */
  #offset: number;
  #view: Uint8Array = NO_BYTES;
  #head: ResponseHead | undefined;
  #isOver = false;
  /** When the request was written. */
  sentMs = 0;
  /** Small, and sent because somebody waits: its first byte tells how long the line is (link-queue.ts). */
  isProbe = false;
  /** When its good answer began; undefined before. */
  headMs: number | undefined;
  /** Where the rate was looked at last: see late-watch.ts. */
  mark = { offset: 0, ms: 0 };

  constructor(fetch: Fetch, asked: Asked, connection: Connection, deps: TransferDeps) {
    this.fetch = fetch;
    this.connection = connection;
    this.#deps = deps;
    this.#asked = asked;
    this.#offset = asked.startOffset;
  }

  /** Nothing more will be said about this attempt. */
  get isOver(): boolean {
    return this.#isOver;
  }

  get isUrgent(): boolean {
    return this.#deps.isUrgent();
  }

  /** First body byte that has not come. */
  get offset(): number {
    return this.#offset;
  }

  get bodyBytes(): number {
    return this.#asked.endOffset - this.#asked.startOffset;
  }

  /** What it counts as. */
  get operation(): StoreOperation {
    return this.#asked.form === 'layout' ? 'head' : 'get';
  }

  /** Body bytes that have not come. */
  get missingBytes(): number {
    return this.#asked.endOffset - this.#offset;
  }

  /** Signs and sends the request; the outcome comes through `ended`. */
  start(): void {
    const wasFresh = this.connection.isFresh;
    const request = this.#deps.signer.get(this.#asked);
    this.sentMs = this.#deps.nowMs();
    if (this.connection.isClosed) {
      const failure = transportFailure('EarlyClose', 'the server closed the connection before the request');
      this.#end(wasFresh ? unreached(failure) : { ...failure, remedy: 'now' });
      return;
    }
    this.fetch.startedMs ??= this.sentMs;
    this.connection.start(request, this);
  }

  /** Ends it without a word; closes the connection unless it is idle (the owner gives it back). */
  abort(): void {
    this.#isOver = true;
    if (!this.connection.isIdle) this.connection.destroy();
  }

  head(head: ResponseHead): 'slots' | 'payload' | 'text' | 'none' | Failure {
    this.#head = head;
    const isLayout = this.#asked.form === 'layout';
    // A store that knows no parts of an object (S3Proxy): that, too, says how it is cut.
    const knowsNoParts = isLayout && head.status === 501;
    if (head.status !== 200 && head.status !== 206 && !knowsNoParts) {
      return isLayout ? failureFromAnswer(head, parseS3Error(NO_BODY), this.#asked) : 'text';
    }
    const failure = knowsNoParts
      ? undefined
      : (checkPayloadHead(head, this.#asked) ?? this.fetch.begin(this.#asked, head));
    if (failure !== undefined) return failure;
    const nowMs = this.#deps.nowMs();
    this.headMs = nowMs;
    this.mark = { offset: this.#offset, ms: nowMs };
    this.#deps.leads(this);
    if (isLayout) return 'none';
    this.fetch.firstByteMs ??= nowMs - this.sentMs;
    return head.framing.kind === 'length' ? 'slots' : 'payload';
  }

  /** Of an answer without a Content-Length, which a proxy has made of one that had it: copied, and counted here. */
  body(bytes: Buffer): Failure | 'last' | undefined {
    if (bytes.length > this.missingBytes) {
      return transportFailure('ContentLengthMismatch', `more than the ${this.bodyBytes} bytes that were asked for`);
    }
    for (let at = 0; at < bytes.length && !this.#isOver;) {
      const view = this.view(this.missingBytes);
      const count = Math.min(view.length, bytes.length - at);
      view.set(bytes.subarray(at, at + count));
      at += count;
      this.filled(count);
    }
    // The end of the connection would say no more; the end of the chunks leaves it for another request.
    return this.missingBytes === 0 && this.#head?.framing.kind === 'close' ? 'last' : undefined;
  }

  view(remainingBytes: number): Uint8Array {
    invariant(remainingBytes === this.missingBytes, 'the body is exactly what was asked for');
    this.#view = this.fetch.view(this.#offset, remainingBytes);
    return this.#view;
  }

  filled(bytes: number): void {
    const isPublished = this.fetch.landed(this.#offset, this.#view, bytes);
    this.#offset += bytes;
    this.#deps.arrived(this, isPublished);
  }

  done(): void {
    if (this.#asked.form === 'layout' && this.#head !== undefined) {
      this.fetch.learn(this.#head);
      this.#end(undefined);
      return;
    }
    if (this.missingBytes > 0) {
      this.connection.destroy();
      this.#end(transportFailure('EarlyClose', `the body ended with ${this.missingBytes} bytes missing`));
      return;
    }
    const failure = this.fetch.unitLanded();
    // Whatever spoils bytes may sit on this way.
    if (failure !== undefined) this.connection.destroy();
    if (failure === undefined) this.#deps.arrived(this, true);
    this.#end(failure);
  }

  text(body: Buffer): void {
    const head = this.#head;
    invariant(head !== undefined, 'an error text follows a head');
    this.#end(failureFromAnswer(head, parseS3Error(body), this.#asked));
  }

  failed(failure: Failure): void {
    // Only the mark behind the last chunk did not come.
    if (this.missingBytes === 0 && this.#head?.framing.kind === 'chunked' && this.headMs !== undefined) this.done();
    else this.#end(failure);
  }

  #end(failure: Failure | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#deps.ended(this, failure, this.#head);
  }
}
