/**
 * The real daemon, with ways to break it: SIGPWR and its main thread never comes back, SIGXCPU and it dies of an error that
 * nobody catches, SIGXFSZ and every request that waits is past its deadline; and names that it dies of when they are looked up
 * (POISON_*): in the request's own turn, in its promise, and in a turn that nobody can tell the request of. For tests of the supervisor, which takes any
 * file as the daemon's (`upgrade`).
 */
import { invariant, InvariantError } from '../../src/base/invariant.js';
import { S3FileSystem } from '../../src/fs/file-system.js';
import { serveInBackground } from '../../src/main/daemon-process.js';
import { REQUEST_DEADLINE_MS } from '../../src/main/supervisor/hang-watch.js';
import { DaemonPage } from '../../src/main/supervisor/page.js';
import { POISON_LATER, POISON_NOW, POISON_PROMISE } from './poison.js';

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

// eslint-disable-next-line @typescript-eslint/unbound-method -- called with the file system below
const { lookup } = S3FileSystem.prototype;
S3FileSystem.prototype.lookup = function (context, parent, name) {
  if (name === POISON_NOW) invariant(false, `made to crash by ${name}`);
  if (name === POISON_PROMISE) return Promise.reject(new InvariantError(`made to crash by ${name}`));
  if (name === POISON_LATER) {
    setTimeout(() => {
      throw new Error(`made to crash by ${name}`);
    }, 50);
    return new Promise(() => undefined);
  }
  return lookup.call(this, context, parent, name);
};

/** Its name is looked for in the report. */
function spinForEver(): never {
  for (;;) Math.hypot(3, 4);
}

serveInBackground();
