/**
 * Loads the composition root only when a mount really starts: it brings the SDK and the FUSE layer with it, and
 * `--help`, a typing error or `unmount` must not pay for them.
 * Refuses to be imported for anything else.
 */
import type { StartDaemon } from './run-daemon.js';

/** The real startDaemon. */
export async function loadStartDaemon(): Promise<StartDaemon> {
  const { startDaemon } = await import('./daemon.js');
  return startDaemon;
}
