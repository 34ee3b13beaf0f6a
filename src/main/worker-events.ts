/**
 * Waiting for a word from a worker, with a bound, and failing at once when the worker dies first.
 * Refuses to wait for ever.
 */
import type { Worker } from 'node:worker_threads';

/** Resolves at the first message for which `is` is true; rejects when the worker fails, ends or stays silent. */
export function untilMessage<T>(
  worker: Worker,
  what: string,
  waitMs: number,
  is: (message: T) => boolean,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      worker.off('message', onMessage);
      worker.off('error', onError);
      worker.off('exit', onExit);
    };
    const onMessage = (message: T): void => {
      if (!is(message)) return;
      stop();
      resolve();
    };
    const fail = (reason: string, cause?: unknown): void => {
      stop();
      reject(new Error(reason, { cause }));
    };
    const onError = (error: unknown): void => fail(`${what}: ${asError(error).message}`, error);
    const onExit = (): void => fail(`${what}: the thread ended`);
    const timer = setTimeout(() => fail(`${what}: nothing within ${waitMs / 1000} s`), waitMs);
    worker.on('message', onMessage);
    worker.on('error', onError);
    worker.on('exit', onExit);
  });
}

export function asError(error: unknown): Error {
  return error instanceof Error ? error : new Error(String(error));
}
