/**
 * Loads the composition root only when a mount really starts: it brings the SDK and the FUSE layer with it, and
 * `--help`, a typing error or `unmount` must not pay for them.
 * Refuses to be imported for anything else.
 */
import { preloadStore } from '../engine/store/load.js';
import { startFirstThreads } from './first-threads.js';
import type { StartDaemon } from './run-daemon.js';
import type { SpareThreads } from './spare-threads.js';

/** The real startDaemon, which works with `threads`. Call it once. */
export async function loadStartDaemon(threads: SpareThreads = startFirstThreads()): Promise<StartDaemon> {
  preloadStore();
  const { startDaemon } = await import('./daemon.js');
  return (config, deps) => startDaemon(config, { ...deps, threads });
}
