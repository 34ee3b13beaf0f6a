/**
 * A call as an errand of a net thread: signed, its body summed up once, sent from where it lies, its answer kept small.
 * Counts the attempts whose answer was lost: the store may have done what it was asked, and who called must look before
 * it says otherwise.
 *
 * Thread: a net thread. Borrows: the slots of the body, until `called` or `callFailed` is posted.
 * Refuses to know operations: what an answer means to a file is the main thread's business.
 */
import { invariant } from '../../base/invariant.js';
import type { PoolView } from '../../base/pool/pool-view.js';
import type { CallAnswer, CallCommand, DataTarget, NetEvent } from '../api.js';
import type { Connection } from '../net/connection.js';
import type { Failure } from '../net/failure.js';
import { DEFAULT_READ_DEADLINE_MS, UNREACHED_UPLOAD_MS } from '../net/limits.js';
import type { StoreOperation } from '../net/request-ledger.js';
import type { RequestSigner } from '../signing/request-signer.js';
import type { ChecksumName } from '../checksum/running-checksum.js';
import { CallTransfer } from './call-transfer.js';
import type { Attempt, AttemptEnded, Errand } from './errand-runner.js';
import { bodyViews, sumInSteps, sumOf, type BodyView } from './request-body.js';

/** Calls of one thread at a time; the main thread bounds each kind below that (guessed: a tree that is deleted, at most). */
export const CALLS_MAX = 4096;

export interface CallErrandDeps {
  readonly signer: RequestSigner;
  readonly target: DataTarget;
  readonly pool: PoolView;
  post(event: NetEvent): void;
}

export class CallErrand implements Errand {
  readonly id: number;
  readonly priority: number;
  readonly deadlineMs: number;
  readonly isDrained: boolean;
  readonly #command: CallCommand;
  readonly #deps: CallErrandDeps;
  readonly #views: readonly BodyView[];
  #checksum: string | undefined;
  #lostAnswers = 0;
  /**
   * The next attempt asks before it sends the body. Not the first one: that would cost each body a round trip. But a server
   * that refuses a body unread and closes makes our side drop its answer (a reset), again and again.
   */
  #asksFirst = false;
  /** Most bytes of the body that any attempt has sent: only more than that is progress. */
  #sentMost = 0;
  #answer: Pick<CallAnswer, 'status' | 'headers' | 'body'> | undefined;
  /** The attempt under way. */
  #transfer: CallTransfer | undefined;

  constructor(command: CallCommand, deps: CallErrandDeps) {
    this.id = command.callId;
    this.priority = command.priority;
    this.deadlineMs = command.deadlineMs;
    this.isDrained = isDrained(command);
    this.#command = command;
    this.#deps = deps;
    this.#views = bodyViews(command.body, deps.pool);
  }

  /** What lasts is worth waiting for: at most half of its deadline, so that an attempt is left for a store that came back. */
  get patienceMs(): number {
    return Math.min(Math.max(this.deadlineMs / 2, DEFAULT_READ_DEADLINE_MS), UNREACHED_UPLOAD_MS);
  }

  get name(): string {
    return this.#command.method;
  }

  get operation(): StoreOperation {
    return operationOf(this.#command);
  }

  get key(): string {
    return this.#command.key;
  }

  get fields(): object {
    const { key, query } = this.#command;
    return query === '' ? { key } : { key, query };
  }

  /** The checksum of a body that is read from a file takes a while. */
  prepare(): Generator<void, void> | undefined {
    const { checksum } = this.#command;
    if (checksum === undefined || this.#views.every((view) => view instanceof Uint8Array)) return undefined;
    return this.#sumUp(checksum);
  }

  *#sumUp(name: ChecksumName): Generator<void, void> {
    const sum = yield* sumInSteps(this.#views, name);
    this.#checksum = sum.toString('base64');
  }

  attempt(connection: Connection, ended: AttemptEnded, progress: () => void): Attempt {
    const { signer, target } = this.#deps;
    const { checksum } = this.#command;
    if (checksum !== undefined) this.#checksum ??= sumOf(this.#views, checksum).toString('base64');
    const transfer = new CallTransfer(this.#command, this.#views, this.#checksum, this.#asksFirst, connection, {
      signer,
      target,
      sent: (bytes) => {
        if (bytes <= this.#sentMost) return;
        this.#sentMost = bytes;
        progress();
      },
      answered: (answer, head) => {
        this.#transfer = undefined;
        this.#answer = answer;
        ended(undefined, head);
      },
      failed: (failure, head) => {
        this.#transfer = undefined;
        if (transfer.wasSent && mayHaveBeenDone(failure)) this.#lostAnswers++;
        // A used connection that was closed meanwhile says nothing about the body.
        const wasRefused = transfer.wasCutShort && failure.remedy !== 'now';
        this.#asksFirst = wasRefused || (this.#asksFirst && failure.status !== 417);
        // A server that does not know how to be asked.
        ended(failure.status === 417 ? { ...failure, remedy: 'backoff' } : failure, head);
      },
    });
    this.#transfer = transfer;
    return transfer;
  }

  finished(): void {
    invariant(this.#answer !== undefined, 'a call is finished when it is answered');
    const checksum = this.#checksum === undefined ? {} : { checksum: this.#checksum };
    const answer = { ...this.#answer, lostAnswers: this.#lostAnswers, ...checksum };
    this.#deps.post({ type: 'called', callId: this.id, answer });
  }

  failed({ errno, code, status, message }: Failure): void {
    // Given up while its answer was waited for.
    if (this.#transfer?.wasSent === true) this.#lostAnswers++;
    this.#transfer = undefined;
    const lostAnswers = this.#lostAnswers;
    const md5 = lostAnswers > 0 && this.#command.wantsMd5 ? sumOf(this.#views, 'MD5').toString('hex') : undefined;
    this.#deps.post({
      type: 'callFailed',
      callId: this.id,
      errno,
      code,
      status,
      message,
      lostAnswers,
      ...(this.#checksum === undefined ? {} : { checksum: this.#checksum }),
      ...(md5 === undefined ? {} : { md5 }),
    });
  }
}

/**
 * Cancelled without a word, for it holds no body: a lookup gives its HEAD up whenever the LIST beside it knows the name to
 * be a directory, and would close a connection each time.
 */
export function isDrained({ method }: Pick<CallCommand, 'method'>): boolean {
  return method === 'HEAD';
}

/** What stores count it as. What is deleted by a list of keys is deleted, whatever the method. */
export function operationOf({
  method,
  key,
  query,
  headers,
}: Pick<CallCommand, 'method' | 'key' | 'query' | 'headers'>): StoreOperation {
  switch (method) {
    case 'GET':
      return key === '' ? 'list' : 'get';
    case 'HEAD':
      return 'head';
    case 'DELETE':
      return 'delete';
    case 'POST':
      return /(^|&)delete(=|&|$)/.test(query) ? 'delete' : 'post';
    case 'PUT':
      return headers.some(([name]) => name === 'x-amz-copy-source') ? 'copy' : 'put';
  }
}

/** An answer that says no is an answer, and so is "not now"; other trouble of a server's own may come after the deed. */
function mayHaveBeenDone({ status }: Failure): boolean {
  return status === 0 || (status >= 500 && status !== 501 && status !== 503 && status !== 507);
}
