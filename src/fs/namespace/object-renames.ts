/**
 * An object under another key by one request of the store (RenameObject, directory buckets): of the version that is there then,
 * which may be younger than the one that is known. The object stays what it is: ETag, metadata, last modified.
 * Source: "Renaming objects in directory buckets" of the Amazon S3 user guide.
 *
 * From the store's deed until its answer nothing is at the key that readers know: their requests are held back meanwhile, and
 * go to the new key once `renamed` has told the nodes (Prefetcher.hold).
 * Refuses markers: keys that end in a slash cannot be renamed.
 */
import type { ObjectStore } from '../../engine/api.js';
import type { ObjectWriter, SourceObject } from '../../engine/write-api.js';
import type { Prefetcher } from '../../prefetch/api.js';
import { withLatest } from './latest-version.js';

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
    const condition = options.noReplace ? { ifNoneMatch: true } : {};
    const rename = (source: SourceObject): Promise<void> => deps.writer.renameObject(source, key, condition, signal);
    await withLatest(deps.store, known, { key, noReplace: options.noReplace }, rename, signal);
    await renamed();
  } finally {
    resume();
  }
}
