/**
 * The main thread's side of LISTs that net threads carry out: numbers them, spreads them over the threads, ends them at
 * their deadline or when nobody waits any more, and turns failures into StoreError.
 * With HEAD beside it (calls/object-heads.ts) this is the ObjectStore that a mount uses (MountedStore).
 * Bounds: LISTS_MAX of each thread; CALL_DEADLINE_MS for all attempts of one. Refuses to retry: net threads do.
 */
import { EINTR } from '../../base/errno.js';
import type { Clock, Timer } from '../../base/clock.js';
import { invariant } from '../../base/invariant.js';
import type { ListRequest, NetEvent, ObjectHead, ObjectStore } from '../api.js';
import type { NetPort } from '../data-plane.js';
import { errnoForS3 } from '../s3-errno.js';
import { StoreError } from '../store-error.js';
import { ThreadLoads } from '../thread-loads.js';
import type { ListColumns } from './columns.js';
import { listRemedy } from './list-answer.js';

/** All attempts of one LIST together; what a process in uninterruptible wait may cost its user. Guessed. */
const CALL_DEADLINE_MS = 60_000;

export interface ListPlaneOptions {
  readonly bucket: string;
  /** The store tells the restore state of archived objects in listings, when asked. */
  readonly asksRestore: boolean;
}

export interface ListPlaneDeps {
  readonly ports: readonly NetPort[];
  readonly clock: Clock;
}

interface Pending {
  readonly thread: number;
  readonly prefix: string;
  readonly timer: Timer;
  settle(result: ListColumns | StoreError): void;
}

export class ListPlane {
  readonly #options: ListPlaneOptions;
  readonly #deps: ListPlaneDeps;
  readonly #pending = new Map<number, Pending>();
  readonly #loads: ThreadLoads;
  #nextListId = 1;
  #isClosed = false;

  constructor(options: ListPlaneOptions, deps: ListPlaneDeps) {
    invariant(deps.ports.length > 0, 'listings need a net thread');
    this.#options = options;
    this.#deps = deps;
    this.#loads = new ThreadLoads(deps.ports.length);
  }

  /** LISTs under way. */
  get size(): number {
    return this.#pending.size;
  }

  /** New LISTs go to the first so many net threads. */
  setActiveThreads(threads: number): void {
    this.#loads.setActive(threads);
  }

  /** One page. Throws StoreError only (EINTR when `signal` aborts). */
  list(request: ListRequest, signal?: AbortSignal): Promise<ListColumns> {
    return new Promise<ListColumns>((resolve, reject) => {
      if (signal?.aborted === true || this.#isClosed) {
        reject(this.#cancelled(request.prefix));
        return;
      }
      const listId = this.#nextListId++;
      const thread = this.#loads.least();
      const { clock, ports } = this.#deps;
      const onAbort = (): void => this.#abandon(listId, this.#cancelled(request.prefix));
      const timer = clock.after(CALL_DEADLINE_MS, () => this.#abandon(listId, this.#tooLate(request.prefix)));
      this.#pending.set(listId, {
        thread,
        prefix: request.prefix,
        timer,
        settle: (result) => {
          signal?.removeEventListener('abort', onAbort);
          if (result instanceof StoreError) reject(result);
          else resolve(result);
        },
      });
      this.#loads.add(thread, 1);
      signal?.addEventListener('abort', onAbort, { once: true });
      ports[thread]?.post({ type: 'list', list: { listId, request, asksRestore: this.#options.asksRestore } });
    });
  }

  /** An event of a net thread; false when it is none of ours. */
  handle(event: NetEvent): boolean {
    if (event.type === 'listed') {
      this.#end(event.listId)?.settle(event.columns);
      return true;
    }
    if (event.type !== 'listFailed') return false;
    const pending = this.#end(event.listId);
    if (!pending) return true;
    const { errno, code, status, message } = event;
    const resource = this.#resource(pending.prefix);
    const remedy = listRemedy(code, status, this.#resource(''));
    const detail = message === '' || message === code ? '' : `: ${message}`;
    pending.settle(
      new StoreError({
        errno,
        code,
        status,
        resource,
        message: `ListObjectsV2 ${resource}: ${code}${status === 0 ? '' : ` (${status})`}${detail}`,
        ...(remedy === undefined ? {} : { remedy }),
      }),
    );
    return true;
  }

  /** Ends all as cancelled. */
  close(): void {
    this.#isClosed = true;
    for (const [listId, { prefix }] of [...this.#pending]) this.#abandon(listId, this.#cancelled(prefix));
  }

  #abandon(listId: number, error: StoreError): void {
    const pending = this.#end(listId);
    if (!pending) return;
    this.#deps.ports[pending.thread]?.post({ type: 'cancelList', listId });
    pending.settle(error);
  }

  #end(listId: number): Pending | undefined {
    const pending = this.#pending.get(listId);
    if (!pending) return undefined;
    this.#pending.delete(listId);
    pending.timer.cancel();
    this.#loads.add(pending.thread, -1);
    return pending;
  }

  #resource(prefix: string): string {
    return `s3://${this.#options.bucket}/${prefix}`;
  }

  #cancelled(prefix: string): StoreError {
    const resource = this.#resource(prefix);
    const message = `ListObjectsV2 ${resource}: cancelled`;
    return new StoreError({ errno: EINTR, code: 'Cancelled', status: 0, resource, message });
  }

  #tooLate(prefix: string): StoreError {
    const resource = this.#resource(prefix);
    const message = `ListObjectsV2 ${resource}: no answer within ${CALL_DEADLINE_MS / 1000} s`;
    return new StoreError({ errno: errnoForS3(0, 'Timeout'), code: 'Timeout', status: 0, resource, message });
  }
}

/** Where a mount asks: HEAD and LIST. */
export class MountedStore implements ObjectStore {
  readonly #heads: Pick<ObjectStore, 'head' | 'close'>;
  readonly #lists: ListPlane;

  constructor(heads: Pick<ObjectStore, 'head' | 'close'>, lists: ListPlane) {
    this.#heads = heads;
    this.#lists = lists;
  }

  head(key: string, signal?: AbortSignal): Promise<ObjectHead | undefined> {
    return this.#heads.head(key, signal);
  }

  list(request: ListRequest, signal?: AbortSignal): Promise<ListColumns> {
    return this.#lists.list(request, signal);
  }

  close(): void {
    this.#lists.close();
    this.#heads.close();
  }
}
