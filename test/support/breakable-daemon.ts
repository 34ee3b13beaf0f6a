/**
 * The real daemon, with ways to break it: SIGPWR and its main thread never comes back, SIGXCPU and it dies of an error that
 * nobody catches. For tests of the supervisor, which takes any file as the daemon's (`upgrade`).
 */
import { serveInBackground } from '../../src/main/daemon-process.js';

process.on('SIGPWR', () => {
  spinForEver();
});
process.on('SIGXCPU', () => {
  throw new Error('made to crash');
});

/** Its name is looked for in the report. */
function spinForEver(): never {
  for (;;) Math.hypot(3, 4);
}

serveInBackground();
