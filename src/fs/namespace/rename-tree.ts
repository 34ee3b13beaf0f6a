/**
 * rename of a directory where the store renames objects (directory buckets): each object below it goes by one request of its
 * own, several at once, its node, its readers and its writers with it. No object is ever in both places or in none; the
 * directory is, while this goes on. An interrupted rename leaves some objects in each; asking again moves the rest.
 * Markers cannot be renamed: they are made anew, and the old ones deleted last.
 *
 * Bounds: RENAMES_MAX requests under way. Refuses to judge whether it may be done: DirectoryRename does.
 */
import { EBUSY, EINTR, ENOENT, ErrnoError } from '../../base/errno.js';
import type { ObjectHead } from '../../engine/api.js';
import type { NamespaceDeps } from './deps.js';
import { MARKER_TYPE } from './markers.js';
import { renameObject } from './object-renames.js';
import { inParallel } from '../parallel.js';
import type { FileRename } from './rename-file.js';
import type { TreeListing } from './tree-listing.js';

const RENAMES_MAX = 64;
/** Looks at a tree that files are added to while it is renamed. */
const ROUNDS_MAX = 16;

export interface TreeRenameDeps {
  readonly namespace: NamespaceDeps;
  readonly files: FileRename;
  readonly deleteAll: (keys: Iterable<string>) => Promise<void>;
}

/**
 * Moves all that is below `fromKey`; `list` looks anew. When it returns, nothing but what only writers hold is there.
 * Throws EINTR, EBUSY, StoreError.
 */
export async function renameTree(
  deps: TreeRenameDeps,
  fromKey: string,
  toKey: string,
  list: () => Promise<TreeListing>,
  signal: AbortSignal,
): Promise<void> {
  const { writer } = deps.namespace;
  const markers = new Set<string>();
  for (let round = 0; round < ROUNDS_MAX; round++) {
    const listing = await list();
    let moved = 0;
    await inParallel(listing.objects(), RENAMES_MAX, async (object) => {
      if (signal.aborted) throw new ErrnoError(EINTR, 'interrupted');
      const newKey = toKey + object.key.slice(fromKey.length);
      if (object.key.endsWith('/') && object.sizeBytes === 0) {
        if (markers.has(object.key)) return;
        await writer.put(newKey, [], { contentType: MARKER_TYPE }, {}, signal);
        markers.add(object.key);
        return;
      }
      moved++;
      await moveObject(deps, object, newKey, signal);
    });
    if (moved > 0) continue;
    await deps.deleteAll(markers);
    return;
  }
  throw new ErrnoError(EBUSY, `'${fromKey}' is changed all the time`);
}

async function moveObject(
  { namespace, files }: TreeRenameDeps,
  object: ObjectHead,
  newKey: string,
  signal: AbortSignal,
): Promise<void> {
  const { table, uncommitted, store, changes } = namespace;
  const node = table.currentFile(object.key);
  // Nobody commits it meanwhile.
  const hold = node && (await uncommitted.claim(node, signal));
  try {
    await hold?.leaveKey();
    const known = hold?.base ?? object;
    await renameObject(namespace, { ...known, key: object.key }, newKey, { noReplace: false }, async () => {
      if (node === undefined) return;
      const head = await store.head(newKey);
      if (head) await files.repoint(node, object.key, head, hold);
      changes.removed(object.key);
    });
  } catch (error) {
    // Somebody else deleted it since it was listed.
    if (!(error instanceof ErrnoError && error.errno === ENOENT)) throw error;
  } finally {
    hold?.release();
  }
}
