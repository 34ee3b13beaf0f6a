/**
 * A server-side copy of an object under another key, for renames: of the version that is there when the copy is made, which
 * may be younger than the one that is known. Refuses to delete the source: the caller does, once the copy is there.
 */
import { EEXIST, EIO, ENOENT, ErrnoError, ESTALE } from '../../base/errno.js';
import type { ObjectHead, ObjectStore } from '../../engine/api.js';
import { StoreError } from '../../engine/store-error.js';
import type { ObjectWriter, SourceObject } from '../../engine/write-api.js';
import { isPrecondition, MARKER_TYPE } from './markers.js';

/** A source that changes each time it is copied is given up after so many. */
const ATTEMPTS_MAX = 4;

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
  let source = known;
  for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
    try {
      const { key: from, etag, sizeBytes } = source;
      return { source, head: await writer.copy({ key: from, etag, sizeBytes }, key, { condition }, signal) };
    } catch (error) {
      if (isGone(error)) throw new ErrnoError(ENOENT, `no '${source.key}'`, { cause: error });
      // versitygw keeps markers as directories, which it does not copy.
      if (error instanceof StoreError && error.code === 'DirectoryObjectContainsData' && source.sizeBytes === 0) {
        return { source, head: await writer.put(key, [], { contentType: MARKER_TYPE }, condition, signal) };
      }
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

function isGone(error: unknown): boolean {
  return error instanceof ErrnoError && error.errno === ENOENT;
}
