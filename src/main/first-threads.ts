/**
 * What the daemon's process does first of all, before it has loaded its own code: V8 gets its settings, and the threads that
 * nearly every mount needs come up. Refuses to load more than that takes.
 */
import { SpareThreads } from './spare-threads.js';
import { settleV8 } from './v8-settings.js';

/** More net threads only where there are more cards or cores; the second reader comes when the mount answers. */
const FIRST_THREADS = { net: 1, reader: 1 };

/** Call once, before anything else. */
export function startFirstThreads(): SpareThreads {
  settleV8();
  return new SpareThreads(FIRST_THREADS);
}
