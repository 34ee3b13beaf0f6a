/**
 * An object under another key by one request of the store (RenameObject, directory buckets): of the version that is there then,
 * which may be younger than the one that is known. The object stays what it is: ETag, metadata, last modified.
 * Source: "Renaming objects in directory buckets" of the Amazon S3 user guide.
 *
 * From the store's deed until its answer nothing is at the key that readers know: their requests are held back meanwhile, and
 * go to the new key once `renamed` has told the nodes (Prefetcher.hold).
 * Refuses markers: keys that end in a slash cannot be renamed.
 */
import { EEXIST, EIO, ENOENT, ErrnoError, ESTALE } from '../../base/errno.js';
import type { ObjectStore } from '../../engine/api.js';
import type { ObjectWriter, SourceObject } from '../../engine/write-api.js';
import type { Prefetcher } from '../../prefetch/api.js';
import { isPrecondition } from './markers.js';

/** A source that changes each time it is renamed is given up after so many. */
const ATTEMPTS_MAX = 4;

export interface ObjectRenameDeps {
  readonly writer: ObjectWriter;
  readonly store: ObjectStore;
  readonly prefetcher: Pick<Prefetcher, 'hold'>;
}

/**
 * Renames `known`, or the version that has replaced it, and calls `renamed` before anybody reads on. `noReplace`: EEXIST when
 * there is something at the new key. Throws ENOENT when the source is gone, StoreError.
 */
export async function renameObject(
  deps: ObjectRenameDeps,
  known: SourceObject,
  key: string,
  options: { readonly noReplace: boolean },
  renamed: () => Promise<void>,
  signal?: AbortSignal,
): Promise<void> {
  const resume = await deps.prefetcher.hold(known.key);
  try {
    await renameLatest(deps, known, key, options.noReplace ? { ifNoneMatch: true } : {}, signal);
    await renamed();
  } finally {
    resume();
  }
}

async function renameLatest(
  { writer, store }: ObjectRenameDeps,
  known: SourceObject,
  key: string,
  condition: { readonly ifNoneMatch?: boolean },
  signal: AbortSignal | undefined,
): Promise<void> {
  let source = known;
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    try {
      await writer.renameObject(source, key, condition, signal);
      return;
    } catch (error) {
      const isGone = error instanceof ErrnoError && error.errno === ENOENT;
      if (isGone) throw new ErrnoError(ENOENT, `no '${source.key}'`, { cause: error });
      if (!isPrecondition(error)) throw error;
      if (condition.ifNoneMatch === true && (await store.head(key, signal))) {
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
