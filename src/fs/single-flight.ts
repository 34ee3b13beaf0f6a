/**
 * One request for many who want the same answer at the same time.
 * A waiter that is interrupted leaves with EINTR and takes nothing away from the others; the request itself is
 * aborted only when its last waiter has left. Refuses to remember: an answer is shared while it is on its way, caching is
 * for those who know how long it is true.
 */
import { EINTR, ErrnoError } from '../base/errno.js';

interface Flight<T> {
  readonly result: Promise<T>;
  readonly abort: AbortController;
  readonly startedAtMs: number;
  waiters: number;
}

export class SingleFlight<T> {
  readonly #flights = new Map<string, Flight<T>>();

  get size(): number {
    return this.#flights.size;
  }

  /** When the request for `key` that is on its way was started; undefined when there is none. */
  startedAtMs(key: string): number | undefined {
    return this.#flights.get(key)?.startedAtMs;
  }

  /**
   * Joins the request for `key`, or starts one. `signal` is the waiter's own (undefined: it stays to the end).
   * With `joinable` false a request on its way is too old to be of use: a new one is started beside it.
   */
  join(
    key: string,
    nowMs: number,
    signal: AbortSignal | undefined,
    start: (signal: AbortSignal) => Promise<T>,
    joinable = true,
  ): Promise<T> {
    if (signal?.aborted === true) return Promise.reject(new ErrnoError(EINTR));
    let flight = this.#flights.get(key);
    if (!flight || !joinable) {
      const abort = new AbortController();
      const started: Flight<T> = { result: start(abort.signal), abort, startedAtMs: nowMs, waiters: 0 };
      const forget = (): void => {
        if (this.#flights.get(key) === started) this.#flights.delete(key);
      };
      started.result.then(forget, forget);
      this.#flights.set(key, started);
      flight = started;
    }
    flight.waiters++;
    return signal ? this.#leaveOnAbort(key, flight, signal) : flight.result;
  }

  /** Aborts every request on its way. */
  abortAll(): void {
    for (const flight of this.#flights.values()) flight.abort.abort();
    this.#flights.clear();
  }

  #leaveOnAbort(key: string, flight: Flight<T>, signal: AbortSignal): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      const leave = (): void => {
        flight.waiters--;
        if (flight.waiters === 0) {
          // Nobody joins a request that is being aborted.
          if (this.#flights.get(key) === flight) this.#flights.delete(key);
          flight.abort.abort();
        }
        reject(new ErrnoError(EINTR, 'interrupted'));
      };
      signal.addEventListener('abort', leave, { once: true });
      const settled = (): void => signal.removeEventListener('abort', leave);
      flight.result.then(
        (value) => {
          settled();
          resolve(value);
        },
        (error: unknown) => {
          settled();
          reject(error instanceof Error ? error : new Error(String(error)));
        },
      );
    });
  }
}
