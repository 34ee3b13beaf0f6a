/**
 * rename of a file: a copy inside the store, then the deletion of what it was copied from (on directory buckets one request
 * that does both). No payload passes through here. Others see the new name before the old one goes; an interrupted rename
 * leaves the object under one name or both, never under none.
 *
 * The node goes with the object: what is open goes on under the new key, and the old object is deleted only when nothing
 * that is on its way asks for it. A file that is written and not in the bucket only changes its key. What is replaced stays
 * readable for those who have it open (Orphans).
 * Refuses to undo a copy: when the deletion is refused, both names stay and the error says so.
 */
import { EEXIST, ENOENT, ErrnoError } from '../../base/errno.js';
import type { ObjectHead } from '../../engine/api.js';
import type { SourceObject } from '../../engine/write-api.js';
import type { FileNode } from '../inode-table.js';
import type { NamespaceDeps } from './deps.js';
import type { Directories } from './directories.js';
import { doubt, mayHaveBeenDone } from './doubt.js';
import { copyObject } from './object-copies.js';
import { renameObject } from './object-renames.js';
import type { Present } from './present.js';
import type { Change } from './repeated-changes.js';
import type { UncommittedHold } from './written-files.js';

/** A name in a directory. */
export interface Place {
  /** Full key of the directory. */
  readonly directoryKey: string;
  readonly name: string;
}

export interface FileMove {
  readonly from: Place;
  readonly to: Place;
  readonly source: Extract<Present, { kind: 'file' }>;
  readonly target: Exclude<Present, { kind: 'directory' }>;
  readonly noReplace: boolean;
  readonly change: Change;
}

interface ObjectMove {
  readonly from: Place;
  readonly to: Place;
  readonly noReplace: boolean;
  readonly change: Change;
}

export class FileRename {
  readonly #deps: NamespaceDeps;
  readonly #directories: Directories;

  constructor(deps: NamespaceDeps, directories: Directories) {
    this.#deps = deps;
    this.#directories = directories;
  }

  /** Throws EEXIST, ENOENT, EINTR (nothing happened then), StoreError. */
  async move(move: FileMove, signal: AbortSignal): Promise<void> {
    const { policy, table, uncommitted } = this.#deps;
    const { source, target, noReplace } = move;
    const toKey = move.to.directoryKey + move.to.name;
    if (target.kind === 'file') {
      if (noReplace && !(move.change.mayHaveRun && isSame(source, target))) {
        throw new ErrnoError(EEXIST, `'${toKey}' exists`);
      }
      policy.mayOverwrite('rename', toKey);
    }
    const holds: UncommittedHold[] = [];
    try {
      // Nobody commits either file meanwhile: what was copied would be old, what was replaced would come back.
      const claim = async (node: FileNode | undefined): Promise<UncommittedHold | undefined> => {
        const hold = node && (await uncommitted.claim(node, signal));
        if (hold) holds.push(hold);
        return hold;
      };
      const node = source.written?.node ?? table.currentFile(move.from.directoryKey + move.from.name);
      const sourceHold = await claim(node);
      const targetHold = await claim(table.currentFile(toKey));
      await sourceHold?.leaveKey();
      await this.#keepTarget(toKey, targetHold, signal);
      await this.#move(move, node, sourceHold, signal);
      if (targetHold?.isOpen === true) targetHold.orphaned();
    } finally {
      for (const hold of holds) hold.release();
    }
  }

  /** An earlier daemon copied it, and told whoever has it open: the old name is all that is left to go. */
  async finish(from: Place): Promise<void> {
    const { changes, kept } = this.#deps;
    await this.#deleteCovered(from);
    changes.removed(from.directoryKey + from.name);
    kept.keep(from.directoryKey);
  }

  /** An earlier daemon renamed the object by one request: who has it open goes on under the new key. */
  async found(from: Place, to: Place): Promise<void> {
    const { table, store, changes } = this.#deps;
    const fromKey = from.directoryKey + from.name;
    const node = table.currentFile(fromKey);
    const head = node && (await store.head(to.directoryKey + to.name));
    if (head?.etag === node?.etag && head) await this.repoint(node, fromKey, head, undefined);
    changes.removed(fromKey);
  }

  /** Who reads what is about to be replaced goes on reading it. */
  async #keepTarget(toKey: string, hold: UncommittedHold | undefined, signal: AbortSignal): Promise<void> {
    const { table, orphans } = this.#deps;
    const node = table.currentFile(toKey);
    if (hold?.isOpen === true) await hold.keepBase(signal);
    else if (node && hold?.isInUse !== false) await orphans.keep(node, signal);
  }

  async #move(
    { from, to, source, target, noReplace, change }: FileMove,
    node: FileNode | undefined,
    hold: UncommittedHold | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const { table, changes, kept, remembered } = this.#deps;
    const fromKey = from.directoryKey + from.name;
    const toKey = to.directoryKey + to.name;
    // A commit that was waited for may have put the object there, as another version.
    const base = hold?.base;
    const object = hold ? base && { ...base, storageClass: node?.storageClass ?? '' } : source.object;
    if (object) {
      // Of a copy that is there, after all, the condition would not hold.
      const mustBeNew = noReplace && target.kind === 'none';
      const moved = { from, to, noReplace: mustBeNew, change };
      await this.#moveObject({ ...object, key: fromKey }, moved, hold, signal);
    } else if (node && hold) {
      if (hold.covers) await this.#deleteCovered(from, signal);
      table.moveFile(node, toKey, undefined, this.#deps.freshness.nowMs());
      remembered.moved(fromKey, toKey, undefined);
      await hold.moved(toKey, undefined, target.kind === 'file');
    }
    changes.removed(fromKey);
    kept.keep(from.directoryKey);
  }

  /** What an earlier rename put the file over goes with the name: nobody will replace it. */
  async #deleteCovered(from: Place, signal?: AbortSignal): Promise<void> {
    const { writer, names, faults } = this.#deps;
    const key = from.directoryKey + from.name;
    const marked = this.#directories.leaving(from.directoryKey, from.name, signal);
    try {
      await writer.delete(key, signal);
    } catch (error) {
      if (mayHaveBeenDone(error)) doubt(this.#deps, from.directoryKey, from.name);
      else names.distrust(key);
      faults.report('rename', key, error);
      throw error;
    } finally {
      await marked;
    }
  }

  async #moveObject(
    known: SourceObject,
    { from, to, noReplace, change }: ObjectMove,
    hold: UncommittedHold | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const toKey = to.directoryKey + to.name;
    const { writer, names, faults, table, prefetcher } = this.#deps;
    const marked = this.#directories.leaving(from.directoryKey, from.name, signal);
    try {
      if (writer.capabilities.renames) {
        await this.#renameObject(known, { from, to, noReplace, change }, hold, signal);
        return;
      }
      const { source, head } = await copyObject(this.#deps, known, toKey, { noReplace }, signal);
      const node = table.currentFile(known.key);
      const before: ObjectHead = {
        ...head,
        key: known.key,
        etag: source.etag,
        lastModifiedMs: node?.lastModifiedMs ?? head.lastModifiedMs,
      };
      change.copied();
      await this.repoint(node, known.key, head, hold);
      if (node) await prefetcher.settled(node.nodeId);
      try {
        await writer.delete(known.key, signal);
      } catch (error) {
        // The object has two names now; those who have it open stay with the first, where that is there for sure.
        if (!mayHaveBeenDone(error)) await this.repoint(node, toKey, before, hold);
        throw error;
      }
    } catch (error) {
      if (mayHaveBeenDone(error)) {
        doubt(this.#deps, to.directoryKey, to.name);
        doubt(this.#deps, from.directoryKey, from.name);
      } else {
        names.distrust(toKey);
        names.distrust(known.key);
      }
      faults.report('rename', known.key, error);
      throw error;
    } finally {
      await marked;
    }
  }

  async #renameObject(
    known: SourceObject,
    { to, noReplace, change }: ObjectMove,
    hold: UncommittedHold | undefined,
    signal: AbortSignal,
  ): Promise<void> {
    const toKey = to.directoryKey + to.name;
    const { table, store } = this.#deps;
    const renamed = async (): Promise<void> => {
      const node = table.currentFile(known.key);
      const head = await store.head(toKey);
      if (head) await this.repoint(node, known.key, head, hold);
    };
    try {
      await renameObject(this.#deps, known, toKey, { noReplace }, renamed, signal);
    } catch (error) {
      // The daemon before this one asked for it, and it was done.
      const isGone = error instanceof ErrnoError && error.errno === ENOENT;
      const there = isGone && change.mayHaveRun ? await store.head(toKey, signal) : undefined;
      if (there?.etag !== known.etag) throw error;
      await renamed();
    }
  }

  /** The object is at `head.key` now. */
  async repoint(
    node: FileNode | undefined,
    fromKey: string,
    head: ObjectHead,
    hold: UncommittedHold | undefined,
  ): Promise<void> {
    const { table, changes, remembered } = this.#deps;
    const atMs = changes.wrote(head);
    if (node) {
      if (hold?.isUncommitted === true) table.moveFile(node, head.key, undefined, atMs);
      else table.moveFile(node, head.key, head, atMs);
    }
    remembered.moved(fromKey, head.key, head.etag);
    await hold?.moved(head.key, head);
  }
}

/** As far as can be told: a copy of an object of several parts has another ETag. */
function isSame(source: FileMove['source'], target: FileMove['target']): boolean {
  const [one, other] = [source.object, target.kind === 'file' ? target.object : undefined];
  return one !== undefined && one.etag === other?.etag && one.sizeBytes === other.sizeBytes;
}
