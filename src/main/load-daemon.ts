/**
 * Loads the composition root only when a mount really starts: it brings the SDK and the FUSE layer with it, and
 * `--help`, a typing error or `unmount` must not pay for them (about half a second).
 * Refuses to be imported for anything else.
 */
import type { StartDaemon } from './run-daemon.js';

/** The real startDaemon. */
export async function loadStartDaemon(): Promise<StartDaemon> {
  const module = (await import(new URL('./daemon.js', import.meta.url).href)) as { readonly startDaemon: StartDaemon };
  return module.startDaemon;
}
