/**
 * A LIST as an errand of a net thread: which request it is, and what becomes of its answer.
 * Refuses to know directories; its retries are the runner's business.
 */
import { PRIORITY_WAITING, type DataTarget, type ListCommand, type NetEvent } from '../api.js';
import type { Attempt, AttemptEnded, Errand } from '../calls/errand-runner.js';
import type { Connection } from '../net/connection.js';
import type { Failure } from '../net/failure.js';
import { DEFAULT_READ_DEADLINE_MS } from '../net/limits.js';
import type { RequestSigner } from '../signing/request-signer.js';
import type { ListColumns } from './columns.js';
import { ListTransfer } from './list-transfer.js';

/** LISTs of one thread at a time: the file system asks for a few at once for each directory that is being read. */
export const LISTS_MAX = 1024;

export interface ListErrandDeps {
  readonly signer: RequestSigner;
  readonly target: DataTarget;
  post(event: NetEvent): void;
}

export class ListErrand implements Errand {
  readonly id: number;
  readonly priority = PRIORITY_WAITING;
  /** Without a byte; the main thread's deadline ends one that drips (it sends cancelList). */
  readonly deadlineMs = DEFAULT_READ_DEADLINE_MS;
  readonly patienceMs = DEFAULT_READ_DEADLINE_MS;
  readonly isDrained = true;
  readonly name = 'list';
  readonly operation = 'list';
  readonly #command: ListCommand;
  readonly #deps: ListErrandDeps;
  #columns: ListColumns | undefined;

  constructor(command: ListCommand, deps: ListErrandDeps) {
    this.id = command.listId;
    this.#command = command;
    this.#deps = deps;
  }

  get key(): string {
    return this.#command.request.prefix;
  }

  get fields(): object {
    return { prefix: this.#command.request.prefix };
  }

  attempt(connection: Connection, ended: AttemptEnded, progress: () => void): Attempt {
    const { signer, target } = this.#deps;
    return new ListTransfer(this.#command, connection, {
      signer,
      target,
      progress,
      ended: (result, head) => {
        if ('rows' in result) {
          this.#columns = result;
          ended(undefined, head);
        } else {
          ended(result, head);
        }
      },
    });
  }

  finished(): void {
    const columns = this.#columns;
    if (columns !== undefined) this.#deps.post({ type: 'listed', listId: this.id, columns });
  }

  failed({ errno, code, status, message }: Failure): void {
    this.#deps.post({ type: 'listFailed', listId: this.id, errno, code, status, message });
  }
}
