/**
 * One attempt of one LIST on one connection: sign, send, scan the answer as it comes.
 * Ends exactly once, with columns or a Failure; after `abort` it says nothing more. Bounded by LIST_BODY_BYTES_MAX.
 */
import { invariant } from '../../base/invariant.js';
import type { DataTarget, ListCommand } from '../api.js';
import type { Connection } from '../net/connection.js';
import type { Exchange } from '../net/exchange.js';
import { parseS3Error } from '../net/error-body.js';
import { transportFailure, type Failure } from '../net/failure.js';
import type { ResponseHead } from '../net/http-head.js';
import type { RequestSigner } from '../signing/request-signer.js';
import type { ListColumns } from './columns.js';
import { failureFromListAnswer, failureFromListing } from './list-answer.js';
import { listRequest } from './list-request.js';
import { ListingError, ListScanner } from './xml-scanner.js';

/**
 * Longest listing that is read: 1,000 keys of 1,024 bytes, each byte encoded as three and with all optional fields, are 5 MB.
 * A store may send more keys than it was asked for; one that does not end is cut here.
 */
export const LIST_BODY_BYTES_MAX = 16 * 1024 * 1024;

export interface ListTransferDeps {
  readonly signer: RequestSigner;
  readonly target: DataTarget;
  /** Some of the listing came. */
  progress(): void;
  ended(result: ListColumns | Failure, head: ResponseHead | undefined): void;
}

export class ListTransfer implements Exchange {
  readonly connection: Connection;
  readonly #command: ListCommand;
  readonly #deps: ListTransferDeps;
  readonly #scanner = new ListScanner();
  #head: ResponseHead | undefined;
  #bytes = 0;
  #isOver = false;

  constructor(command: ListCommand, connection: Connection, deps: ListTransferDeps) {
    this.#command = command;
    this.connection = connection;
    this.#deps = deps;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  start(): void {
    const { signer, target } = this.#deps;
    this.connection.start(listRequest(signer, target, this.#command), this);
  }

  /** Ends it without a word; closes the connection unless it is idle (the owner gives it back). */
  abort(): void {
    this.#isOver = true;
    if (!this.connection.isIdle) this.connection.destroy();
  }

  head(head: ResponseHead): 'body' | 'text' {
    this.#head = head;
    return head.status === 200 ? 'body' : 'text';
  }

  body(chunk: Buffer): Failure | undefined {
    this.#bytes += chunk.length;
    this.#deps.progress();
    if (this.#bytes > LIST_BODY_BYTES_MAX) {
      return transportFailure('BrokenListing', `a listing of more than ${LIST_BODY_BYTES_MAX} bytes`);
    }
    return this.#scan(() => this.#scanner.push(chunk));
  }

  done(): void {
    let columns: ListColumns | undefined;
    const { prefix, delimiter } = this.#command.request;
    const failure = this.#scan(() => (columns = this.#scanner.finish(prefix, delimiter === undefined)));
    if (failure) this.#end(failure);
    else if (columns) this.#end(columns);
  }

  text(body: Buffer): void {
    const head = this.#head;
    invariant(head !== undefined, 'an error text follows a head');
    this.#end(failureFromListAnswer(head, parseS3Error(body)));
  }

  failed(failure: Failure): void {
    this.#end(failure);
  }

  view(): Uint8Array {
    invariant(false, 'a listing has no slots');
  }

  filled(): void {
    invariant(false, 'a listing has no slots');
  }

  #scan(step: () => void): Failure | undefined {
    try {
      step();
      return undefined;
    } catch (error) {
      if (error instanceof ListingError) return failureFromListing(error);
      throw error;
    }
  }

  #end(result: ListColumns | Failure): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#deps.ended(result, this.#head);
  }
}
