/**
 * A server-side copy of an object under another key, for renames: of the version that is there when the copy is made, which
 * may be younger than the one that is known. Refuses to delete the source: the caller does, once the copy is there.
 */
import { EEXIST, ErrnoError } from '../../base/errno.js';
import type { ObjectHead, ObjectStore } from '../../engine/api.js';
import { StoreError } from '../../engine/store-error.js';
import type { ObjectWriter, SourceObject } from '../../engine/write-api.js';
import { withLatest } from './latest-version.js';
import { MARKER_TYPE } from './markers.js';

export interface CopiedObject {
  /** What was copied. */
  readonly source: SourceObject;
  /** What is at the new key. */
  readonly head: ObjectHead;
}

/**
 * Copies `known`, or the version that has replaced it. `noReplace`: EEXIST when there is something at the new key.
 * Throws ENOENT when the source is gone, StoreError.
 */
export async function copyObject(
  deps: { readonly writer: ObjectWriter; readonly store: ObjectStore },
  known: SourceObject,
  key: string,
  options: { readonly noReplace: boolean },
  signal?: AbortSignal,
): Promise<CopiedObject> {
  const { writer, store } = deps;
  const { noReplace } = options;
  if (noReplace && !writer.capabilities.conditionalCopies && (await store.head(key, signal))) {
    throw new ErrnoError(EEXIST, `'${key}' exists`);
  }
  const condition = noReplace && writer.capabilities.conditionalCopies ? { ifNoneMatch: true } : {};
  const copied = async (source: SourceObject): Promise<CopiedObject> => {
    try {
      const { key: from, etag, sizeBytes, storageClass = '' } = source;
      const head = await writer.copy({ key: from, etag, sizeBytes, storageClass }, key, { condition }, signal);
      return { source, head };
    } catch (error) {
      // versitygw keeps markers as directories, which it does not copy.
      const isMarker = error instanceof StoreError && error.code === 'DirectoryObjectContainsData';
      if (!isMarker || source.sizeBytes !== 0) throw error;
      return { source, head: await writer.put(key, [], { contentType: MARKER_TYPE }, condition, signal) };
    }
  };
  return withLatest(store, known, { key, noReplace }, copied, signal);
}
