/**
 * rename of a directory: S3 has none, so every object below it is copied inside the store, several at once, and only when all
 * are there the old ones are deleted, a thousand with a request. An interrupted rename leaves each object in one place or
 * both; asking for the same rename again finishes it (what was copied already is recognised by size and ETag).
 *
 * Bounds: --rename-dir-max objects (E2BIG beyond: a copy of that many through this machine, which EXDEV would make of mv, is
 * nothing to begin without being asked), COPIES_MAX copies and DELETES_MAX deletions under way, 100 bytes an object.
 * Keys that are no file names go along. Files that are open, read or written, go on under their new keys.
 */
import { E2BIG, EEXIST, EINVAL, ENAMETOOLONG, ENOENT, ENOTEMPTY, ErrnoError } from '../../base/errno.js';
import type { ObjectHead } from '../../engine/api.js';
import { DELETE_KEYS_MAX } from '../../engine/write-api.js';
import type { FileNode } from '../inode-table.js';
import { KEY_BYTES_MAX } from '../keymap.js';
import type { NamespaceDeps } from './deps.js';
import type { Directories } from './directories.js';
import { copyObject } from './object-copies.js';
import { inParallel } from './parallel.js';
import type { Place } from './rename-file.js';
import { listTree, type TreeListing } from './tree-listing.js';
import type { UncommittedFile, UncommittedHold } from './written-files.js';

/** 1,000 copies at 20 ms take 0.5 s with 64 at once; S3 takes 3,500 a second for one prefix. */
const COPIES_MAX = 64;
const DELETES_MAX = 4;
/** Renames that failed on the way and may be asked for again. */
const UNFINISHED_MAX = 64;

export interface DirectoryMove {
  readonly from: Place;
  readonly to: Place;
  readonly targetExists: boolean;
  readonly noReplace: boolean;
}

interface Written {
  readonly file: UncommittedFile;
  readonly hold: UncommittedHold;
}

export class DirectoryRename {
  readonly #deps: NamespaceDeps;
  readonly #directories: Directories;
  readonly #keysMax: number;
  readonly #nameChanged: (directoryKey: string, name: string) => void;
  readonly #unfinished = new Set<string>();

  constructor(
    options: { readonly keysMax: number },
    deps: NamespaceDeps & { readonly nameChanged: (directoryKey: string, name: string) => void },
    directories: Directories,
  ) {
    this.#keysMax = options.keysMax;
    this.#deps = deps;
    this.#nameChanged = deps.nameChanged;
    this.#directories = directories;
  }

  /** Throws EINVAL, EEXIST, ENOTEMPTY, E2BIG, ENAMETOOLONG, EINTR, StoreError. */
  async move(move: DirectoryMove, signal: AbortSignal): Promise<void> {
    const fromKey = `${move.from.directoryKey}${move.from.name}/`;
    const toKey = `${move.to.directoryKey}${move.to.name}/`;
    if (toKey.startsWith(fromKey)) throw new ErrnoError(EINVAL, `'${toKey}' lies in '${fromKey}'`);
    if (move.targetExists && move.noReplace) throw new ErrnoError(EEXIST, `'${toKey}' exists`);
    const written: Written[] = [];
    try {
      for (const file of [...this.#deps.uncommitted.below(fromKey)])
        written.push({ file, hold: await file.hold(signal) });
      await this.#move(move, fromKey, toKey, written, signal);
    } finally {
      for (const { hold } of written) hold.release();
    }
  }

  async #move(
    { from, to, targetExists }: DirectoryMove,
    fromKey: string,
    toKey: string,
    written: readonly Written[],
    signal: AbortSignal,
  ): Promise<void> {
    const { store, names, faults } = this.#deps;
    const listing = await listTree(store, fromKey, this.#keysMax, signal);
    if (!listing) throw this.#tooLarge(fromKey);
    for (const { key } of listing.objects()) {
      if (Buffer.byteLength(key) - Buffer.byteLength(fromKey) + Buffer.byteLength(toKey) <= KEY_BYTES_MAX) continue;
      throw new ErrnoError(ENAMETOOLONG, `'${key}' would have more than 1,024 bytes below '${toKey}'`);
    }
    const done = targetExists ? await this.#alreadyThere(listing, toKey, signal) : new Map<string, ObjectHead>();
    const nodes = new Map<string, FileNode>();
    for (const node of this.#deps.table.filesBelow(fromKey)) nodes.set(node.key, node);
    const heads = new Map<string, ObjectHead>();
    try {
      await this.#copyAll(
        listing,
        toKey,
        done,
        (key, head) => {
          if (nodes.has(key)) heads.set(key, head);
        },
        signal,
      );
    } catch (error) {
      this.#begun(fromKey, toKey);
      names.distrust(toKey.slice(0, -1));
      faults.report('rename', fromKey, error);
      throw error;
    }
    await this.#repoint(fromKey, toKey, nodes, heads, written);
    try {
      const marked = this.#directories.leaving(from.directoryKey, from.name);
      await this.#deleteAll(listing);
      await marked;
      this.#unfinished.delete(`${fromKey}\0${toKey}`);
    } catch (error) {
      this.#begun(fromKey, toKey);
      // Some are in both places. What is open has moved; both names are looked up anew.
      names.distrust(fromKey.slice(0, -1));
      this.#nameChanged(from.directoryKey, from.name);
      this.#nameChanged(to.directoryKey, to.name);
      faults.report('rename', fromKey, error);
      throw error;
    }
    this.#deps.kept.keep(from.directoryKey);
    // Nothing of it may be in the bucket: a directory that we emptied.
    if (listing.size === 0) this.#deps.kept.keep(toKey);
  }

  /** What an earlier attempt copied, by its key below the target. Throws ENOTEMPTY for a target that is something else. */
  async #alreadyThere(listing: TreeListing, toKey: string, signal: AbortSignal): Promise<Map<string, ObjectHead>> {
    const { store, uncommitted } = this.#deps;
    const notEmpty = new ErrnoError(ENOTEMPTY, `'${toKey}' is not empty`);
    for (const { isUncommitted } of uncommitted.below(toKey)) if (isUncommitted) throw notEmpty;
    const there = new Map<string, ObjectHead>();
    const target = await listTree(store, toKey, this.#keysMax, signal);
    if (!target) throw notEmpty;
    for (const head of target.objects()) if (head.key !== toKey) there.set(head.key.slice(toKey.length), head);
    if (there.size === 0) return there;
    const isOurs = this.#unfinished.has(`${listing.prefix}\0${toKey}`);
    const held = there.size;
    let files = 0;
    let common = 0;
    for (const { key, etag, sizeBytes } of listing.objects()) {
      const name = key.slice(listing.prefix.length);
      if (name !== '') files++;
      const other = there.get(name);
      if (!other) continue;
      common++;
      if (other.etag === etag && other.sizeBytes === sizeBytes) continue;
      if (!isOurs) throw notEmpty;
      there.delete(name);
    }
    // Until the deletions begin the target holds nothing else; from then on it holds all that is left to delete.
    if (!isOurs && (common === 0 || (common !== held && common !== files))) throw notEmpty;
    return there;
  }

  async #copyAll(
    listing: TreeListing,
    toKey: string,
    done: ReadonlyMap<string, ObjectHead>,
    copied: (key: string, head: ObjectHead) => void,
    signal: AbortSignal,
  ): Promise<void> {
    await inParallel(listing.objects(), COPIES_MAX, async (object) => {
      const name = object.key.slice(listing.prefix.length);
      const there = done.get(name);
      if (there) {
        copied(object.key, there);
        return;
      }
      try {
        const { head } = await copyObject(this.#deps, object, toKey + name, { noReplace: false }, signal);
        copied(object.key, head);
      } catch (error) {
        // Somebody else deleted it since it was listed.
        if (!(error instanceof ErrnoError && error.errno === ENOENT)) throw error;
      }
    });
  }

  /** All is there: nodes, open files and what is known of names go to the new keys. */
  async #repoint(
    fromKey: string,
    toKey: string,
    nodes: ReadonlyMap<string, FileNode>,
    heads: ReadonlyMap<string, ObjectHead>,
    written: readonly Written[],
  ): Promise<void> {
    const { table, changes, kept, remembered, prefetcher } = this.#deps;
    const atMs = changes.movedDirectory(fromKey, toKey);
    table.moveDirectories(fromKey, toKey);
    remembered.movedTree(fromKey, toKey, heads);
    kept.move(fromKey, toKey);
    const uncommitted = new Set<FileNode>();
    for (const { file, hold } of written) if (hold.isUncommitted) uncommitted.add(file.node);
    for (const [key, node] of nodes) {
      const head = heads.get(key);
      if (uncommitted.has(node)) table.moveFile(node, toKey + key.slice(fromKey.length), undefined, atMs);
      else if (head) table.moveFile(node, head.key, head, atMs);
      else table.retire(node);
    }
    for (const { file, hold } of written) {
      await hold.moved(file.node.key, heads.get(fromKey + file.node.key.slice(toKey.length)));
    }
    const open = [...nodes.values()].filter((node) => node.opens > 0 || node.reserved);
    await Promise.all(open.map((node) => prefetcher.settled(node.nodeId)));
  }

  async #deleteAll(listing: TreeListing): Promise<void> {
    await inParallel(batches(listing), DELETES_MAX, async (keys) => {
      const failures = await this.#deps.writer.deleteMany(keys);
      const first = failures[0];
      if (!first) return;
      throw new ErrnoError(
        first.errno,
        `${failures.length} objects were copied and could not be deleted, the first '${first.key}': ${first.message}`,
      );
    });
  }

  #tooLarge(fromKey: string): ErrnoError {
    this.#deps.faults.problem('rename-dir-max', { key: fromKey, keysMax: this.#keysMax }, [
      `rename of '${fromKey}' is refused with E2BIG: there are more than ${this.#keysMax} objects below it`,
      'raise --rename-dir-max, or move what is in it one by one',
    ]);
    return new ErrnoError(E2BIG, `more than ${this.#keysMax} objects below '${fromKey}'`);
  }

  #begun(fromKey: string, toKey: string): void {
    if (this.#unfinished.size >= UNFINISHED_MAX) this.#unfinished.clear();
    this.#unfinished.add(`${fromKey}\0${toKey}`);
  }
}

function* batches(listing: TreeListing): Generator<readonly string[]> {
  let keys: string[] = [];
  for (const { key } of listing.objects()) {
    keys.push(key);
    if (keys.length < DELETE_KEYS_MAX) continue;
    yield keys;
    keys = [];
  }
  if (keys.length > 0) yield keys;
}
