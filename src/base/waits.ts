/**
 * Waiting for time, and for something else but not for ever. Timers do not keep the process alive, and none is left behind.
 * Refuses to cancel what is waited for: it goes on, and who started it knows how to end it.
 */
import { systemClock, type Clock, type Timer } from './clock.js';

/** `signal` ends it early; it resolves all the same. */
export function pause(clock: Clock, waitMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) {
      resolve();
      return;
    }
    const onAbort = (): void => {
      timer.cancel();
      resolve();
    };
    const timer = clock.after(waitMs, () => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    });
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

/** What `promise` comes to, or `late` when that takes longer than `waitMs`. Rejects as it does. */
export async function within<T, L>(
  promise: Promise<T>,
  waitMs: number,
  late: L,
  clock: Clock = systemClock,
): Promise<T | L> {
  let timer: Timer | undefined;
  const silence = new Promise<L>((resolve) => (timer = clock.after(waitMs, () => resolve(late))));
  try {
    return await Promise.race([promise, silence]);
  } finally {
    timer?.cancel();
  }
}
