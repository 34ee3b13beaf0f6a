/**
 * One attempt of one call on one connection: sign, send head and body, keep the answer.
 * Ends exactly once, with an answer or a Failure; after `abort` it says nothing more. The answer is bounded by the
 * command's answerBytesMax, an error's text by the connection.
 */
import { invariant } from '../../base/invariant.js';
import { PRIORITY_WAITING, type CallAnswer, type CallCommand, type DataTarget } from '../api.js';
import type { Connection } from '../net/connection.js';
import type { Exchange } from '../net/exchange.js';
import { transportFailure, type Failure } from '../net/failure.js';
import type { ResponseHead } from '../net/http-head.js';
import { objectPath } from '../signing/object-path.js';
import type { RequestSigner } from '../signing/request-signer.js';
import type { HeaderField } from '../signing/signature.js';
import { failureFromCallAnswer } from './call-answer.js';
import type { Attempt } from './errand-runner.js';
import { PiecedBody, type BodyView } from './request-body.js';

export interface CallTransferDeps {
  readonly signer: RequestSigner;
  readonly target: DataTarget;
  /** So many bytes of the body have left. */
  sent(bytes: number): void;
  answered(answer: Pick<CallAnswer, 'status' | 'headers' | 'body'>, head: ResponseHead): void;
  failed(failure: Failure, head: ResponseHead | undefined): void;
}

const NO_BODY = Buffer.alloc(0);

export class CallTransfer implements Exchange, Attempt {
  readonly connection: Connection;
  readonly answerMs: number;
  readonly asksFirst: boolean;
  readonly #command: CallCommand;
  readonly #body: PiecedBody;
  readonly #checksum: string | undefined;
  readonly #deps: CallTransferDeps;
  readonly #parts: Buffer[] = [];
  #bytes = 0;
  #head: ResponseHead | undefined;
  #isOver = false;
  #isStarted = false;

  constructor(
    command: CallCommand,
    views: readonly BodyView[],
    checksum: string | undefined,
    asksFirst: boolean,
    connection: Connection,
    deps: CallTransferDeps,
  ) {
    this.#command = command;
    this.#body = new PiecedBody(views);
    this.#checksum = checksum;
    this.connection = connection;
    this.answerMs = command.answerMs;
    this.asksFirst = asksFirst;
    this.#deps = deps;
  }

  get isUrgent(): boolean {
    return this.#command.priority === PRIORITY_WAITING;
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  /** The store may have got the whole request. */
  get wasSent(): boolean {
    return this.#isStarted && this.#body.isRead;
  }

  /** Its connection broke while the body was on its way: the server may have said why, unheard. */
  get wasCutShort(): boolean {
    return this.#isStarted && !this.#body.isRead && this.#head === undefined;
  }

  start(): void {
    const { signer, target } = this.#deps;
    const { method, key, query, headers, checksum } = this.#command;
    const { bytes } = this.#body;
    const fields: HeaderField[] = [...headers];
    if (bytes > 0 || method === 'PUT' || method === 'POST') fields.push(['content-length', String(bytes)]);
    if (this.#checksum !== undefined && checksum !== undefined) {
      fields.push([`x-amz-checksum-${checksum.toLowerCase()}`, this.#checksum]);
    }
    const path = objectPath(target.basePath, key);
    if (this.connection.isClosed) {
      this.#fail(transportFailure('EarlyClose', 'the server closed the connection before the request', 'now'));
      return;
    }
    this.#isStarted = true;
    let request = signer.request(method, path, query, fields);
    // Not signed: it is for the next hop.
    if (this.asksFirst) request = `${request.slice(0, -2)}expect: 100-continue\r\n\r\n`;
    this.connection.start(request, this, this.#body);
  }

  abort(): void {
    this.#isOver = true;
    if (!this.connection.isIdle) this.connection.destroy();
  }

  sent(): void {
    this.#deps.sent(this.#body.readBytes);
  }

  head(head: ResponseHead): 'body' | 'text' | 'none' {
    this.#head = head;
    // Whatever its status: the answer to a HEAD has no body.
    if (this.#command.method === 'HEAD') return 'none';
    return head.status >= 200 && head.status < 300 ? 'body' : 'text';
  }

  body(chunk: Buffer): Failure | undefined {
    this.#bytes += chunk.length;
    const most = this.#command.answerBytesMax;
    if (this.#bytes > most) return transportFailure('BrokenAnswer', `an answer of more than ${most} bytes`);
    this.#parts.push(Buffer.from(chunk));
    return undefined;
  }

  done(): void {
    this.#answered(Buffer.concat(this.#parts));
  }

  text(body: Buffer): void {
    this.#answered(body);
  }

  failed(failure: Failure): void {
    this.#fail(failure);
  }

  view(): Uint8Array {
    invariant(false, 'a call has no slots to fill');
  }

  filled(): void {
    invariant(false, 'a call has no slots to fill');
  }

  #answered(body: Buffer): void {
    if (this.#isOver) return;
    const head = this.#head;
    invariant(head !== undefined, 'an answer has a head');
    const failure = failureFromCallAnswer(this.#command, head, body);
    if (failure !== undefined) {
      this.#fail(failure);
      return;
    }
    this.#isOver = true;
    const headers: Record<string, string> = {};
    for (const name of this.#command.answerHeaders) {
      if (name.endsWith('*')) Object.assign(headers, Object.fromEntries(head.allWith(name.slice(0, -1))));
      const value = head.get(name);
      if (value !== undefined) headers[name] = value;
    }
    const text = this.#command.method === 'HEAD' ? NO_BODY : body;
    this.#deps.answered({ status: head.status, headers, body: text.toString('utf8') }, head);
  }

  #fail(failure: Failure): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#deps.failed(failure, this.#head);
  }
}
