/**
 * Waiting for a child process' end, for a time. The wait holds this process: who ends children waits for them.
 * Refuses to end any.
 */
import type { ChildProcess } from 'node:child_process';

/** One that could not be started has ended, too. */
export function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
}

/** False when it is still there after `waitMs`. */
export function endsWithin(child: ChildProcess, waitMs: number): Promise<boolean> {
  if (hasEnded(child)) return Promise.resolve(true);
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      child.off('exit', onExit);
      resolve(false);
    }, waitMs);
    const onExit = (): void => {
      clearTimeout(timer);
      resolve(true);
    };
    child.once('exit', onExit);
  });
}
