/**
 * The main thread's side of calls that net threads carry out: numbers them, gives each to the thread with the least to
 * send, and turns events into promises.
 * A cancelled call settles only when its net thread has let go of its body: until then the slots are not the caller's. A HEAD
 * has none and settles at once.
 *
 * Thread: main. Bounds: CALLS_MAX of each thread; every call ends by its deadline, or because the net thread ended.
 * Refuses to retry and to know operations: net threads do the first, the writer the second.
 */
import { EINTR } from '../../base/errno.js';
import { invariant } from '../../base/invariant.js';
import type { CallAnswer, CallCommand, NetEvent } from '../api.js';
import type { NetPort } from '../data-plane.js';
import { ThreadLoads } from '../thread-loads.js';
import type { BodyPiece } from '../write-api.js';
import { isDrained } from './call-errand.js';
import { bodyBytes } from './request-body.js';

/** Why a call did not get its answer, as the net thread says it. */
export interface CallFailure {
  readonly errno: number;
  readonly code: string;
  readonly status: number;
  readonly message: string;
  readonly lostAnswers: number;
  readonly checksum?: string;
  readonly md5?: string;
}

export type CallResult =
  | { readonly kind: 'answer'; readonly answer: CallAnswer }
  | { readonly kind: 'failure'; readonly failure: CallFailure };

export type CallRequest = Omit<CallCommand, 'callId'>;

interface Pending {
  readonly thread: number;
  readonly bytes: number;
  settle(result: CallResult): void;
}

/** A request without a body weighs as much as so many bytes when threads are compared (guessed). */
const CALL_BYTES = 16_384;

export class CallPlane {
  readonly #ports: readonly NetPort[];
  readonly #pending = new Map<number, Pending>();
  readonly #loads: ThreadLoads;
  #nextCallId = 1;
  #isClosed = false;

  constructor(ports: readonly NetPort[]) {
    invariant(ports.length > 0, 'calls need a net thread');
    this.#ports = ports;
    this.#loads = new ThreadLoads(ports.length);
  }

  /** Calls under way. */
  get size(): number {
    return this.#pending.size;
  }

  /** New calls go to the first so many net threads. */
  setActiveThreads(threads: number): void {
    this.#loads.setActive(threads);
  }

  /** Never rejects; a failure of code Cancelled (EINTR) when `signal` aborts or the plane closes. */
  call(request: CallRequest, signal?: AbortSignal): Promise<CallResult> {
    if (signal?.aborted === true || this.#isClosed) return Promise.resolve({ kind: 'failure', failure: cancelled });
    return new Promise<CallResult>((resolve) => {
      const callId = this.#nextCallId++;
      const thread = this.#loads.least();
      const bytes = CALL_BYTES + bodyBytes(request.body);
      const onAbort = (): void => {
        this.#ports[thread]?.post({ type: 'cancelCall', callId });
        // Those have no body, and nobody says that they are over.
        if (isDrained(request)) this.#end(callId, { kind: 'failure', failure: cancelled });
      };
      this.#pending.set(callId, {
        thread,
        bytes,
        settle: (result) => {
          signal?.removeEventListener('abort', onAbort);
          resolve(result);
        },
      });
      this.#loads.add(thread, bytes);
      signal?.addEventListener('abort', onAbort, { once: true });
      const body = request.body.map(owned);
      this.#ports[thread]?.post({ type: 'call', call: { ...request, body, callId } });
    });
  }

  /** An event of a net thread; false when it is none of ours. */
  handle(event: NetEvent): boolean {
    if (event.type === 'called') {
      this.#end(event.callId, { kind: 'answer', answer: event.answer });
      return true;
    }
    if (event.type !== 'callFailed') return false;
    const isCancelled = event.code === 'Cancelled';
    this.#end(event.callId, { kind: 'failure', failure: isCancelled ? { ...event, errno: EINTR } : event });
    return true;
  }

  /** The net threads are gone: ends what they did not answer, and refuses what comes now. */
  close(): void {
    this.#isClosed = true;
    for (const callId of [...this.#pending.keys()]) this.#end(callId, { kind: 'failure', failure: cancelled });
  }

  #end(callId: number, result: CallResult): void {
    const pending = this.#pending.get(callId);
    if (!pending) return;
    this.#pending.delete(callId);
    this.#loads.add(pending.thread, -pending.bytes);
    pending.settle(result);
  }
}

const cancelled: CallFailure = { errno: EINTR, code: 'Cancelled', status: 0, message: 'cancelled', lostAnswers: 0 };

/** Bytes of their own: the caller may use its buffer again, and a message takes all of the memory behind a view along. */
function owned(piece: BodyPiece): BodyPiece {
  return piece instanceof Uint8Array ? new Uint8Array(piece) : piece;
}
