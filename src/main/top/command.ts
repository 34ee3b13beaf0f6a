/**
 * `top` on the control socket: one report, or one an interval until the client hangs up. Looking begins with the first client and
 * ends with the last. Refuses intervals below a tenth of a second: each costs the daemon a look through its tables.
 */
import type { Clock } from '../../base/clock.js';
import { EINVAL, EOPNOTSUPP, ErrnoError } from '../../base/errno.js';
import type { ControlHandler } from '../control-socket.js';
import type { KernelWatch } from '../kernel-side.js';
import { TopWatch, type TopWatchDeps } from './watch.js';

const INTERVAL_MS_MIN = 100;
const INTERVAL_MS_MAX = 3_600_000;

/** `kernel` undefined: this binding cannot say. */
export function topCommand(
  deps: Omit<TopWatchDeps, 'kernel'> & { readonly kernel: KernelWatch | undefined },
): ControlHandler {
  const { kernel, clock } = deps;
  const watch = kernel && new TopWatch({ ...deps, kernel });
  return async ({ intervalMs, once }, progress, signal) => {
    if (!watch) throw new ErrnoError(EOPNOTSUPP, 'with --fuse-binding native the mount does not know who reads');
    if (typeof intervalMs !== 'number' || !(intervalMs >= INTERVAL_MS_MIN && intervalMs <= INTERVAL_MS_MAX)) {
      throw new ErrnoError(EINVAL, `top wants intervalMs from ${INTERVAL_MS_MIN} to ${INTERVAL_MS_MAX}`);
    }
    const watcher = watch.begin();
    try {
      for (;;) {
        await pause(clock, intervalMs, signal);
        if (signal.aborted) return null;
        if (once === true) return watcher.report();
        progress(watcher.report());
      }
    } finally {
      watcher.end();
    }
  };
}

/** Also over when the client has gone. */
function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) {
      resolve();
      return;
    }
    const done = (): void => {
      timer.cancel();
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = clock.after(ms, done);
    signal.addEventListener('abort', done, { once: true });
  });
}
