/**
 * One at a time, in the order of asking: what changes a written file as a whole (a WRITE that has to wait, a truncation, a
 * commit, a rename's hold) takes a turn. Whoever finds it free and needs no wait may act at once.
 * Bounded by the requests that the kernel has under way for the file. Refuses to be re-entered.
 */
import { EINTR, ErrnoError } from '../../base/errno.js';

export class Turns {
  #last: Promise<void> = Promise.resolve();
  #pending = 0;

  /** Nobody has a turn or waits for one. */
  get isFree(): boolean {
    return this.#pending === 0;
  }

  /** Runs `work` in its turn. EINTR when `signal` aborts before that. */
  async run<T>(work: () => T | Promise<T>, signal?: AbortSignal): Promise<T> {
    const end = await this.take(signal);
    try {
      return await work();
    } finally {
      end();
    }
  }

  /** The turn, until the returned function is called, once. EINTR when `signal` aborts before it comes. */
  async take(signal?: AbortSignal): Promise<() => void> {
    const before = this.#last;
    let end = (): void => undefined;
    this.#pending++;
    this.#last = new Promise((resolve) => {
      end = (): void => {
        this.#pending--;
        resolve();
      };
    });
    try {
      await unlessAborted(before, signal);
    } catch (error) {
      // The others' order stays: this turn passes as soon as it comes.
      void before.then(end);
      throw error;
    }
    return end;
  }
}

/** Waits for `work`, or throws EINTR as soon as `signal` aborts. */
export function unlessAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(new ErrnoError(EINTR));
    if (signal.aborted) {
      onAbort();
      return;
    }
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
