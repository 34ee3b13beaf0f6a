/**
 * How the daemon's process ends, in the two ways that really end it.
 * While a worker thread sits in a blocking read of /dev/fuse, process.exit() and an uncaught exception wait for that
 * thread for ever (KERNEL fact 2). So a fatal error logs its line synchronously and kills the process with SIGKILL, and
 * a clean end calls _exit(2), which asks no thread. Refuses to carry on after an error nobody caught.
 */
import { createRequire } from 'node:module';
import type * as Koffi from 'koffi';
import type { Log } from '../base/log.js';
import { messageOf } from '../base/thrown.js';

/** Ends this process at once, as the kernel does it; no handler of ours runs any more. */
export function killSelf(): void {
  process.kill(process.pid, 'SIGKILL');
}

/**
 * Installs handlers for uncaughtException and unhandledRejection: one error line (the log's sinks write synchronously),
 * `beforeDeath` (short, synchronous, may throw; hears the reason in words), then `die`. Returns what takes them away again.
 */
export function installFatalHandlers(
  log: Log,
  beforeDeath: (reason: string) => void = () => undefined,
  die = killSelf,
): () => void {
  let dying = false;
  const fatal = (what: string, error: unknown): void => {
    if (dying) return;
    dying = true;
    try {
      log.error({ err: error }, `${what}: the daemon ends`);
    } catch {
      // nothing may stop the end
    }
    try {
      beforeDeath(`${what}: ${messageOf(error)}`);
    } catch {
      // likewise
    }
    die();
  };
  const onException = (error: unknown): void => fatal('uncaught exception', error);
  const onRejection = (reason: unknown): void => fatal('unhandled rejection', reason);
  process.on('uncaughtException', onException);
  process.on('unhandledRejection', onRejection);
  return () => {
    process.off('uncaughtException', onException);
    process.off('unhandledRejection', onRejection);
  };
}

/** Ends the process with `exitCode` without waiting for any thread. The mount must be gone and the log written. */
export function endProcess(exitCode: number): void {
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
    const exitNow = koffi.load(null).func('void _exit(int status)') as unknown as (status: number) => void;
    exitNow(exitCode);
  } catch {
    process.exit(exitCode);
  }
}
