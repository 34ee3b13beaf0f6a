/**
 * The real daemon, with ways to break it: SIGPWR and its main thread never comes back, SIGXCPU and it dies of an error that
 * nobody catches, SIGXFSZ and every request that waits is past its deadline. For tests of the supervisor, which takes any
 * file as the daemon's (`upgrade`).
 */
import { serveInBackground } from '../../src/main/daemon-process.js';
import { REQUEST_DEADLINE_MS } from '../../src/main/supervisor/hang-watch.js';
import { DaemonPage } from '../../src/main/supervisor/page.js';

process.on('SIGPWR', () => {
  spinForEver();
});
process.on('SIGXCPU', () => {
  throw new Error('made to crash');
});
process.on('SIGXFSZ', () => {
  // eslint-disable-next-line @typescript-eslint/unbound-method -- called with the page below
  const { beat } = DaemonPage.prototype;
  DaemonPage.prototype.beat = function (oldestRequestMs) {
    beat.call(this, oldestRequestMs === 0 ? 0 : REQUEST_DEADLINE_MS + oldestRequestMs);
  };
});

/** Its name is looked for in the report. */
function spinForEver(): never {
  for (;;) Math.hypot(3, 4);
}

serveInBackground();
