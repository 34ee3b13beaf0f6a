/**
 * A request about the version of an object that is there when it is made, which may be younger than the one that is known: what is
 * refused because of it is asked again with the version that is there now. Refuses to go on for ever with one that is replaced
 * all the time.
 */
import { EEXIST, EIO, ENOENT, ErrnoError, ESTALE } from '../../base/errno.js';
import type { ObjectStore } from '../../engine/api.js';
import type { SourceObject } from '../../engine/write-api.js';
import { isPrecondition } from './markers.js';

/** A source that changes each time is given up after so many. */
const ATTEMPTS_MAX = 4;

/**
 * Asks with `known`, or the version that has replaced it. `noReplace`: EEXIST when there is something at `key`.
 * Throws ENOENT when the source is gone, ESTALE, and what `ask` throws.
 */
export async function withLatest<Answer>(
  store: ObjectStore,
  known: SourceObject,
  target: { readonly key: string; readonly noReplace: boolean },
  ask: (source: SourceObject) => Promise<Answer>,
  signal?: AbortSignal,
): Promise<Answer> {
  const { key, noReplace } = target;
  let source = known;
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    try {
      return await ask(source);
    } catch (error) {
      const isGone = error instanceof ErrnoError && error.errno === ENOENT;
      if (isGone) throw new ErrnoError(ENOENT, `no '${source.key}'`, { cause: error });
      if (!isPrecondition(error)) throw error;
      if (noReplace && (await store.head(key, signal))) {
        throw new ErrnoError(EEXIST, `'${key}' exists`, { cause: error });
      }
      const head = await store.head(source.key, signal);
      if (!head) throw new ErrnoError(ENOENT, `no '${source.key}'`, { cause: error });
      if (head.etag === source.etag && attempt > 1)
        throw new ErrnoError(EIO, 'a condition that cannot be met', { cause: error });
      source = head;
    }
  }
  throw new ErrnoError(ESTALE, `'${known.key}' is replaced all the time`);
}
