/**
 * Keeps operations on names out of a directory that is being renamed: the kernel locks the directories of the two names, not
 * what is below. Everything else runs side by side, as the kernel allows.
 * An operation that had to wait finds other keys afterwards: they are asked for again when it begins.
 * Bounded by the requests that the kernel has under way. Refuses to be held across operations.
 */
import { EINTR, ErrnoError } from '../../base/errno.js';

interface Running {
  readonly paths: readonly string[];
  readonly isTree: boolean;
  readonly done: Promise<void>;
}

export class NameLocks {
  readonly #running = new Set<Running>();

  /**
   * `pathsOf`: full keys of what is changed, each with a slash at its end. `isTree`: with all that is below. Throws EINTR when
   * `signal` aborts before its turn has come.
   */
  async run<T>(
    pathsOf: () => readonly string[],
    isTree: boolean,
    work: () => Promise<T>,
    signal: AbortSignal,
  ): Promise<T> {
    let paths = pathsOf();
    for (;;) {
      const blockers = [...this.#running].filter((other) => conflicts({ paths, isTree }, other));
      if (blockers.length === 0) break;
      await unlessAborted(Promise.all(blockers.map(({ done }) => done)), signal);
      paths = pathsOf();
    }
    let end = (): void => undefined;
    const running = { paths, isTree, done: new Promise<void>((resolve) => (end = resolve)) };
    this.#running.add(running);
    try {
      return await work();
    } finally {
      this.#running.delete(running);
      end();
    }
  }
}

function unlessAborted(work: Promise<unknown>, signal: AbortSignal): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const leave = (): void => reject(new ErrnoError(EINTR, 'interrupted'));
    if (signal.aborted) {
      leave();
      return;
    }
    signal.addEventListener('abort', leave, { once: true });
    void work.then(() => {
      signal.removeEventListener('abort', leave);
      resolve();
    });
  });
}

function conflicts(a: Pick<Running, 'paths' | 'isTree'>, b: Pick<Running, 'paths' | 'isTree'>): boolean {
  const inside = (paths: readonly string[], trees: readonly string[]): boolean =>
    paths.some((path) => trees.some((tree) => path.startsWith(tree)));
  return (b.isTree && inside(a.paths, b.paths)) || (a.isTree && inside(b.paths, a.paths));
}
