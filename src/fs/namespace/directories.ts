/**
 * mkdir and rmdir. A directory is made by its marker, an empty object `dir/`, as the console of S3 and most tools make
 * them; it exists by any key below it, so rmdir asks the store (LIST of two keys) and not what is remembered.
 * A directory that loses its last name through this mount stays: it is remembered, and gets a marker when a listing at hand
 * shows that the name was the last (KeptDirectories). Refuses to remove what is not empty.
 */
import { EEXIST, ENOTEMPTY, ErrnoError } from '../../base/errno.js';
import { ListingProgress } from '../../engine/listing/progress.js';
import type { Entry } from '../../fuse/handlers.js';
import type { NamespaceDeps } from './deps.js';
import { doubt, mayHaveBeenDone } from './doubt.js';
import { emptyPage } from './empty-page.js';
import { isPrecondition, MARKER_TYPE } from './markers.js';
import { encodeLearned } from './posix-metadata.js';
import { checkNewName } from './present.js';
import type { Made } from './remembered-attributes.js';

const S_IFDIR = 0o040000;

/** `owner` where that counts; it is kept with the marker where all of it is (--posix-metadata). */
export type MadeBy = Pick<Made, 'mode' | 'owner'>;

export class Directories {
  readonly #deps: NamespaceDeps;

  constructor(deps: NamespaceDeps) {
    this.#deps = deps;
  }

  /** Throws EEXIST, ENAMETOOLONG, StoreError. */
  async make(
    directoryKey: string,
    name: string,
    { mode, owner, mayHaveRun = false }: MadeBy & { readonly mayHaveRun?: boolean },
    signal: AbortSignal,
  ): Promise<Entry> {
    const { policy, writer, lookup, uncommitted, changes, names, listings, table, entries, attributes, remembered } =
      this.#deps;
    policy.mayWrite('mkdir');
    checkNewName(directoryKey, name, true);
    const path = directoryKey + name;
    const key = `${path}/`;
    const { uid, gid } = owner ?? {};
    const kept = remembered.isKept && {
      userMetadata: encodeLearned({ type: S_IFDIR, mode: mode & 0o7777, uid, gid, mtimeMs: this.#deps.wallMs() }),
    };
    const known = lookup.known(directoryKey, name);
    const isOurs = mayHaveRun && known?.kind === 'directory';
    if ((known && known.kind !== 'none' && !isOurs) || uncommitted.find(path)) {
      throw new ErrnoError(EEXIST, `'${path}' exists`);
    }
    try {
      await writer.put(key, [], { contentType: MARKER_TYPE, ...kept }, { ifNoneMatch: true }, signal);
    } catch (error) {
      // Whatever the store did of it: what is known of the name is void.
      if (mayHaveBeenDone(error)) doubt(this.#deps, directoryKey, name);
      else names.distrust(path);
      if (!isPrecondition(error)) throw error;
      // The marker may be that of the daemon before this one, and files may be in it by now.
      if (!mayHaveRun) throw new ErrnoError(EEXIST, `'${key}' exists`);
    }
    const sentAtMs = changes.madeDirectory(key);
    // What said that there was no such directory said also that it was empty: its first files need not be asked for.
    if (known && !mayHaveRun) listings.insert(emptyPage(key, Math.max(known.sentAtMs, changes.floorMs(key))));
    const node = table.directoryOf(key);
    remembered.made(node, { mode, usual: attributes.directoryMode, owner });
    table.remember(node);
    return entries.entry(node, sentAtMs);
  }

  /** Throws ENOTEMPTY, StoreError. */
  async remove(directoryKey: string, name: string, signal: AbortSignal): Promise<void> {
    const { policy, writer, names, changes, kept, uncommitted } = this.#deps;
    const path = directoryKey + name;
    const key = `${path}/`;
    policy.mayDelete('rmdir', key);
    for (const { isUncommitted } of uncommitted.below(key)) {
      if (isUncommitted) throw new ErrnoError(ENOTEMPTY, `a file in '${key}' is being written`);
    }
    const since = changes.total;
    const held = await this.look(key, signal);
    // A file of it that was written may have been committed while the question was under way.
    if (held === 'more' || changes.changedBelow(key, since)) throw new ErrnoError(ENOTEMPTY, `'${key}' is not empty`);
    const marked = this.leaving(directoryKey, name, signal);
    try {
      if (held === 'marker') await writer.delete(key, signal);
    } catch (error) {
      if (mayHaveBeenDone(error)) doubt(this.#deps, directoryKey, name);
      else names.distrust(path);
      throw error;
    }
    changes.removedDirectory(key);
    kept.forget(key);
    kept.keep(directoryKey);
    await marked;
  }

  /** What the bucket holds below a directory's key, asked now. */
  async look(key: string, signal: AbortSignal): Promise<'nothing' | 'marker' | 'more'> {
    const { store } = this.#deps;
    const progress = new ListingProgress(key);
    let isMarked = false;
    let token: string | undefined;
    // Pages may be empty (deleted versions), and stores that repeat themselves give the marker on several.
    do {
      const page = await store.list(
        { prefix: key, keysMax: 2, ...(token === undefined ? {} : { continuationToken: token }) },
        signal,
      );
      // The least and the greatest of one or two.
      if ((page.firstKey ?? '') !== '' || (page.lastKey ?? '') !== '') return 'more';
      isMarked ||= page.keys > 0;
      progress.took(page);
      token = page.nextToken;
    } while (token !== undefined);
    return isMarked ? 'marker' : 'nothing';
  }

  /**
   * A name of the directory is about to go, with its last key: if a listing at hand shows no other name, a marker is put.
   * Never rejects: without the marker the directory is remembered all the same.
   */
  async leaving(directoryKey: string, name: string, signal?: AbortSignal): Promise<void> {
    const { writer, faults, table } = this.#deps;
    if (directoryKey === table.root.key || !this.#isLast(directoryKey, name)) return;
    try {
      await writer.put(directoryKey, [], { contentType: MARKER_TYPE }, { ifNoneMatch: true }, signal);
    } catch (error) {
      if (!isPrecondition(error)) faults.report('marker', directoryKey, error);
    }
  }

  #isLast(directoryKey: string, name: string): boolean {
    const { listings, changes, ownNames } = this.#deps;
    const pages = listings.whole(directoryKey);
    if (!pages || pages.some((page) => page.hasMarker || page.hiddenKeys > 0)) return false;
    const rows = pages.reduce((sum, page) => sum + page.rows, 0);
    // Each row but one must have been removed by us since: seldom so, and most often told by counting.
    if (rows > changes.count(directoryKey) + 1) return false;
    for (const page of pages) {
      for (let row = 0; row < page.rows; row++) {
        const other = page.name(row);
        if (other !== name && !ownNames.isRemoved(directoryKey, other, page.isDirectory(row), page.sentAtMs))
          return false;
      }
    }
    return ownNames.of(directoryKey).every((own) => own.name === name);
  }
}
