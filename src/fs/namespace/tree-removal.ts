/**
 * `mount-s3x rm -r` on a mount: everything below a directory's key deleted in batches (engine's deleteTree), and then known
 * here and in the kernel as one change: the tree is gone, whatever listings and lookups that were asked for before said of it.
 * Files below that are open go on as after unlink(2); those that are only being written are dropped without a request.
 * Whatever happens on the way, nothing that was learned of the tree before counts afterwards.
 * Refuses to judge whether the tree should go: the command line asked.
 */
import type { DeleteProgress, DeleteTreeResult } from '../../engine/writing/delete-tree.js';
import { deleteTree } from '../../engine/writing/delete-tree.js';
import type { FileNode } from '../inode-table.js';
import type { NamespaceDeps } from './deps.js';
import type { Directories } from './directories.js';
import type { UncommittedHold } from './written-files.js';

export class TreeRemoval {
  readonly #deps: NamespaceDeps;
  readonly #directories: Directories;

  constructor(deps: NamespaceDeps, directories: Directories) {
    this.#deps = deps;
    this.#directories = directories;
  }

  /** `name` '' is the root of the mount, which stays. Throws EPERM, EINTR, StoreError; keys that stay are in the result. */
  async remove(
    directoryKey: string,
    name: string,
    progress: (state: DeleteProgress) => void,
    signal: AbortSignal,
  ): Promise<DeleteTreeResult> {
    const { policy, table, store, writer, uncommitted, orphans, faults } = this.#deps;
    const prefix = name === '' ? directoryKey : `${directoryKey}${name}/`;
    policy.mayDelete('rm -r', prefix);
    const held: { readonly node: FileNode; readonly hold: UncommittedHold }[] = [];
    let isGone = false;
    try {
      for (const node of table.filesBelow(prefix)) {
        if (node.opens === 0 && !uncommitted.find(node.key)) continue;
        const hold = await uncommitted.claim(node, signal);
        held.push({ node, hold });
        if (!hold.base) continue;
        if (hold.isOpen) await hold.keepBase(signal);
        else if (hold.isInUse) await orphans.keep(node, signal);
      }
      const marked = name === '' ? undefined : this.#directories.leaving(directoryKey, name);
      const result = await deleteTree(prefix, { store, writer, progress }, signal);
      await marked;
      isGone = result.failed === 0;
      const stays = new Set(result.failures.map(({ key }) => key));
      for (const { node, hold } of held) {
        if (hold.isOpen && !stays.has(node.key)) hold.orphaned();
      }
      return result;
    } catch (error) {
      faults.report('rm', prefix, error);
      throw error;
    } finally {
      this.#forget(directoryKey, name, prefix, isGone);
      for (const { hold } of held) hold.release();
    }
  }

  #forget(directoryKey: string, name: string, prefix: string, isGone: boolean): void {
    const { table, changes, kept, remembered } = this.#deps;
    for (const node of table.filesBelow(prefix)) {
      table.retire(node);
      if (isGone) remembered.removed(node.key);
    }
    changes.removedTree(prefix, isGone && name !== '');
    if (isGone) {
      kept.forget(prefix);
      if (name !== '') kept.keep(directoryKey);
    }
    // One word to the kernel drops the directory and all that it knows below.
    if (name !== '') this.#deps.nameChanged(directoryKey, name);
  }
}
