/**
 * rename of a directory: S3 has none, so every object below it is copied inside the store, several at once, and only when all
 * are there the old ones are deleted, a thousand with a request. An interrupted rename leaves each object in one place or
 * both; asking for the same rename again finishes it (what was copied already is recognised by size and ETag).
 *
 * Bounds: --rename-dir-max objects (E2BIG beyond: a copy of that many through this machine, which EXDEV would make of mv, is
 * nothing to begin without being asked), COPIES_MAX copies and DELETES_MAX deletions under way, 100 bytes an object.
 * Where the store renames objects each goes by one request (rename-tree.ts). Keys that are no file names go along. Files that are open, read or written, go on under their new keys.
 */
import { E2BIG, EBUSY, EEXIST, EINVAL, ENAMETOOLONG, ENOENT, ENOTEMPTY, ErrnoError } from '../../base/errno.js';
import type { ObjectHead } from '../../engine/api.js';
import { DELETE_KEYS_MAX } from '../../engine/write-api.js';
import type { FileNode } from '../inode-table.js';
import { KEY_BYTES_MAX } from '../keymap.js';
import type { NamespaceDeps } from './deps.js';
import type { Directories } from './directories.js';
import { copyObject } from './object-copies.js';
import { inParallel } from '../parallel.js';
import type { FileRename, Place } from './rename-file.js';
import { renameTree } from './rename-tree.js';
import { listTree, type TreeListing } from './tree-listing.js';
import type { UncommittedFile, UncommittedFiles, UncommittedHold } from './written-files.js';

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
  /** An earlier daemon began with it: what is in the new place may be its copies. */
  readonly mayHaveRun: boolean;
}

/** Looks at a tree that is changed while it is copied. */
const ROUNDS_MAX = 16;

interface CopiedTree {
  /** The last one: what is there now. */
  readonly listing: TreeListing;
  /** What is at the new keys, by the old ones. */
  readonly heads: ReadonlyMap<string, ObjectHead>;
}

interface Written {
  readonly file: UncommittedFile;
  readonly hold: UncommittedHold;
}

export class DirectoryRename {
  readonly #deps: NamespaceDeps & { readonly files: FileRename };
  readonly #directories: Directories;
  readonly #keysMax: number;
  readonly #unfinished = new Set<string>();

  constructor(
    options: { readonly keysMax: number },
    deps: NamespaceDeps & { readonly files: FileRename },
    directories: Directories,
  ) {
    this.#keysMax = options.keysMax;
    this.#deps = deps;
    this.#directories = directories;
  }

  /** Throws EINVAL, EEXIST, ENOTEMPTY, E2BIG, ENAMETOOLONG, EINTR, StoreError. */
  async move(move: DirectoryMove, signal: AbortSignal): Promise<void> {
    const fromKey = `${move.from.directoryKey}${move.from.name}/`;
    const toKey = `${move.to.directoryKey}${move.to.name}/`;
    if (toKey.startsWith(fromKey)) throw new ErrnoError(EINVAL, `'${toKey}' lies in '${fromKey}'`);
    if (move.mayHaveRun) this.#begun(fromKey, toKey);
    if (move.targetExists && move.noReplace && !move.mayHaveRun) throw new ErrnoError(EEXIST, `'${toKey}' exists`);
    const written = new Map<FileNode, Written>();
    try {
      if (this.#deps.writer.capabilities.renames) await this.#renameAll(move, fromKey, toKey, written, signal);
      else await this.#move(move, fromKey, toKey, written, signal);
    } finally {
      for (const { hold } of written.values()) hold.release();
    }
  }

  async #move(
    { from, to, targetExists }: DirectoryMove,
    fromKey: string,
    toKey: string,
    written: Map<FileNode, Written>,
    signal: AbortSignal,
  ): Promise<void> {
    const { names, faults, kept, changes } = this.#deps;
    let tree: CopiedTree;
    try {
      tree = await this.#copyTree(fromKey, toKey, targetExists, written, signal);
    } catch (error) {
      names.distrust(toKey.slice(0, -1));
      faults.report('rename', fromKey, error);
      throw error;
    }
    await this.#repoint(fromKey, toKey, tree.heads, written);
    try {
      const marked = this.#directories.leaving(from.directoryKey, from.name, signal);
      await this.#deleteAll(tree.listing.keys(), signal);
      await marked;
      this.#unfinished.delete(`${fromKey}\0${toKey}`);
    } catch (error) {
      this.#begun(fromKey, toKey);
      // Some are in both places. What is open has moved.
      changes.removedTree(fromKey, false);
      this.#stopped({ from, to }, fromKey, error);
      throw error;
    }
    // Once more: listings that were asked for since the copies counted show what was deleted only then.
    changes.removedTree(fromKey, true);
    kept.keep(from.directoryKey);
    // Nothing of it may be in the bucket: a directory that we emptied.
    if (tree.listing.size === 0) kept.keep(toKey);
  }

  /** Object by object, where the store renames them. */
  async #renameAll(
    { from, to, targetExists }: DirectoryMove,
    fromKey: string,
    toKey: string,
    written: Map<FileNode, Written>,
    signal: AbortSignal,
  ): Promise<void> {
    const { names, kept, changes, files } = this.#deps;
    try {
      if (targetExists) await this.#checkTarget(fromKey, toKey, signal);
      this.#begun(fromKey, toKey);
      const marked = this.#directories.leaving(from.directoryKey, from.name, signal);
      let size = 0;
      const list = async (): Promise<TreeListing> => {
        await this.#holdWritten(fromKey, written, signal);
        const listing = await this.#list(fromKey, toKey, signal);
        size += listing.size;
        return listing;
      };
      // What holds them here would keep their objects from being claimed one by one.
      const claimed = { ...this.#deps, uncommitted: heldOr(this.#deps.uncommitted, written) };
      const deleteAll = (keys: Iterable<string>): Promise<void> => this.#deleteAll(keys, signal);
      await renameTree({ namespace: claimed, files, deleteAll }, fromKey, toKey, list, signal);
      await marked;
      await this.#repoint(fromKey, toKey, new Map(), written, true);
      this.#unfinished.delete(`${fromKey}\0${toKey}`);
      kept.keep(from.directoryKey);
      if (size === 0) kept.keep(toKey);
    } catch (error) {
      // Some are in each place.
      changes.removedTree(fromKey, false);
      changes.removedTree(toKey, false);
      names.distrust(toKey.slice(0, -1));
      this.#stopped({ from, to }, fromKey, error);
      throw error;
    }
  }

  /** It stopped in the middle: both names are looked up anew. */
  #stopped({ from, to }: Pick<DirectoryMove, 'from' | 'to'>, fromKey: string, error: unknown): void {
    const { names, faults, nameChanged } = this.#deps;
    names.distrust(fromKey.slice(0, -1));
    nameChanged(from.directoryKey, from.name);
    nameChanged(to.directoryKey, to.name);
    faults.report('rename', fromKey, error);
  }

  /** Throws ENOTEMPTY unless the directory is empty, or what an earlier attempt of ours moved. */
  async #checkTarget(fromKey: string, toKey: string, signal: AbortSignal): Promise<void> {
    if (this.#unfinished.has(`${fromKey}\0${toKey}`)) return;
    const { store, uncommitted } = this.#deps;
    const notEmpty = new ErrnoError(ENOTEMPTY, `'${toKey}' is not empty`);
    for (const { isUncommitted } of uncommitted.below(toKey)) if (isUncommitted) throw notEmpty;
    const target = await listTree(store, toKey, 1, signal);
    if (!target) throw notEmpty;
    for (const key of target.keys()) if (key !== toKey) throw notEmpty;
  }

  /** Commits of what is being written below wait from now on. */
  async #holdWritten(fromKey: string, written: Map<FileNode, Written>, signal: AbortSignal): Promise<void> {
    for (const file of [...this.#deps.uncommitted.below(fromKey)]) {
      if (written.has(file.node)) continue;
      const hold = await file.hold(signal);
      written.set(file.node, { file, hold });
      await hold.leaveKey();
    }
  }

  /**
   * Copies all that is there, until nothing was changed through this mount since it was listed: files are written while this
   * goes on. When it returns, every file that is being written is held, and nothing has run since the last look.
   */
  async #copyTree(
    fromKey: string,
    toKey: string,
    targetExists: boolean,
    written: Map<FileNode, Written>,
    signal: AbortSignal,
  ): Promise<CopiedTree> {
    const { changes, uncommitted } = this.#deps;
    const heads = new Map<string, ObjectHead>();
    /** ETag of the version that was copied, by its key. */
    const copied = new Map<string, string>();
    for (let round = 0; round < ROUNDS_MAX; round++) {
      await this.#holdWritten(fromKey, written, signal);
      const since = changes.total;
      const listing = await this.#list(fromKey, toKey, signal);
      if (round === 0 && targetExists) await this.#takeOver(listing, toKey, copied, heads, signal);
      // From here on an attempt that fails has left something behind.
      this.#begun(fromKey, toKey);
      await this.#copyAll(listing, toKey, copied, heads, signal);
      await this.#dropCopies(listing, toKey, copied, heads, signal);
      const newcomer = [...uncommitted.below(fromKey)].some(({ node }) => !written.has(node));
      if (!newcomer && !changes.changedBelow(fromKey, since)) return { listing, heads };
    }
    throw new ErrnoError(EBUSY, `'${fromKey}' is changed all the time`);
  }

  async #list(fromKey: string, toKey: string, signal: AbortSignal): Promise<TreeListing> {
    const listing = await listTree(this.#deps.store, fromKey, this.#keysMax, signal);
    if (!listing) throw this.#tooLarge(fromKey);
    const moreBytes = Buffer.byteLength(toKey) - Buffer.byteLength(fromKey);
    for (const key of listing.keys()) {
      if (Buffer.byteLength(key) + moreBytes <= KEY_BYTES_MAX) continue;
      throw new ErrnoError(ENAMETOOLONG, `'${key}' would have more than 1,024 bytes below '${toKey}'`);
    }
    return listing;
  }

  /** What an earlier attempt copied counts as copied. Throws ENOTEMPTY for a target that is something else. */
  async #takeOver(
    listing: TreeListing,
    toKey: string,
    copied: Map<string, string>,
    heads: Map<string, ObjectHead>,
    signal: AbortSignal,
  ): Promise<void> {
    const { store, uncommitted } = this.#deps;
    const notEmpty = new ErrnoError(ENOTEMPTY, `'${toKey}' is not empty`);
    for (const { isUncommitted } of uncommitted.below(toKey)) if (isUncommitted) throw notEmpty;
    const there = new Map<string, ObjectHead>();
    const target = await listTree(store, toKey, this.#keysMax, signal);
    if (!target) throw notEmpty;
    for (const head of target.objects()) if (head.key !== toKey) there.set(head.key.slice(toKey.length), head);
    if (there.size === 0) return;
    const isOurs = this.#unfinished.has(`${listing.prefix}\0${toKey}`);
    const held = there.size;
    let files = 0;
    let common = 0;
    let hasBytes = false;
    for (const { key, etag, sizeBytes } of listing.objects()) {
      const name = key.slice(listing.prefix.length);
      if (name !== '') files++;
      const other = there.get(name);
      if (!other) continue;
      common++;
      if (sizeBytes > 0) hasBytes = true;
      if (other.etag === etag && other.sizeBytes === sizeBytes) {
        copied.set(key, etag);
        heads.set(key, other);
      } else if (!isOurs) throw notEmpty;
    }
    // Until the deletions begin the target holds nothing else; from then on it holds all that is left to delete. That empty
    // files have the same names says nothing.
    if (!isOurs && (!hasBytes || common === 0 || (common !== held && common !== files))) throw notEmpty;
  }

  async #copyAll(
    listing: TreeListing,
    toKey: string,
    copied: Map<string, string>,
    heads: Map<string, ObjectHead>,
    signal: AbortSignal,
  ): Promise<void> {
    await inParallel(listing.objects(), COPIES_MAX, async (object) => {
      const { key } = object;
      if (copied.get(key) === object.etag && heads.has(key)) return;
      try {
        const copy = await copyObject(
          this.#deps,
          object,
          toKey + key.slice(listing.prefix.length),
          { noReplace: false },
          signal,
        );
        copied.set(key, copy.source.etag);
        heads.set(key, copy.head);
      } catch (error) {
        // Somebody else deleted it since it was listed.
        if (!(error instanceof ErrnoError && error.errno === ENOENT)) throw error;
      }
    });
  }

  /** What was removed while this goes on has no copy either. */
  async #dropCopies(
    listing: TreeListing,
    toKey: string,
    copied: Map<string, string>,
    heads: Map<string, ObjectHead>,
    signal: AbortSignal,
  ): Promise<void> {
    const gone = new Set(copied.keys());
    for (const key of listing.keys()) gone.delete(key);
    if (gone.size === 0) return;
    await this.#deleteAll(
      [...gone].map((key) => toKey + key.slice(listing.prefix.length)),
      signal,
    );
    for (const key of gone) {
      copied.delete(key);
      heads.delete(key);
    }
  }

  /**
   * All is there: nodes, open files and what is known of names go to the new keys, in one turn. `wereMoved`: those whose
   * objects were in the bucket have gone already.
   */
  async #repoint(
    fromKey: string,
    toKey: string,
    heads: ReadonlyMap<string, ObjectHead>,
    written: ReadonlyMap<FileNode, Written>,
    wereMoved = false,
  ): Promise<void> {
    const { table, changes, kept, remembered, prefetcher } = this.#deps;
    const atMs = changes.movedDirectory(fromKey, toKey);
    const nodes = table.filesBelow(fromKey);
    if (!wereMoved) for (const replaced of table.filesBelow(toKey)) table.retire(replaced);
    table.moveDirectories(fromKey, toKey);
    remembered.movedTree(fromKey, toKey, heads);
    kept.move(fromKey, toKey);
    const moved: Promise<void>[] = [];
    for (const node of nodes) {
      const head = heads.get(node.key);
      const key = toKey + node.key.slice(fromKey.length);
      const hold = written.get(node)?.hold;
      if (hold?.isUncommitted === true) table.moveFile(node, key, undefined, atMs);
      else if (head) table.moveFile(node, key, head, atMs);
      else table.retire(node);
      if (hold) moved.push(Promise.resolve(hold.moved(key, head)));
    }
    await Promise.all(moved);
    const open = nodes.filter((node) => node.opens > 0 || node.reserved);
    await Promise.all(open.map((node) => prefetcher.settled(node.nodeId)));
  }

  async #deleteAll(keys: Iterable<string>, signal: AbortSignal): Promise<void> {
    await inParallel(batches(keys), DELETES_MAX, async (batch) => {
      const failures = await this.#deps.writer.deleteMany(batch, signal);
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

/** Claims of files that are held already are those holds, which end with the rename. */
function heldOr(uncommitted: UncommittedFiles, written: ReadonlyMap<FileNode, Written>): UncommittedFiles {
  return {
    find: (key) => uncommitted.find(key),
    below: (prefix) => uncommitted.below(prefix),
    claim: async (node, signal) => {
      const held = written.get(node)?.hold;
      return held ? lastingHold(held) : await uncommitted.claim(node, signal);
    },
  };
}

function lastingHold(hold: UncommittedHold): UncommittedHold {
  return {
    get isUncommitted() {
      return hold.isUncommitted;
    },
    get base() {
      return hold.base;
    },
    get covers() {
      return hold.covers;
    },
    get isOpen() {
      return hold.isOpen;
    },
    get isInUse() {
      return hold.isInUse;
    },
    leaveKey: () => Promise.resolve(),
    keepBase: (signal) => hold.keepBase(signal),
    moved: (key, base, covers) => hold.moved(key, base, covers),
    orphaned: () => hold.orphaned(),
    release: () => undefined,
  };
}

function* batches(keys: Iterable<string>): Generator<readonly string[]> {
  let batch: string[] = [];
  for (const key of keys) {
    batch.push(key);
    if (batch.length < DELETE_KEYS_MAX) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
