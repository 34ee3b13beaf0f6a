/**
 * unlink: synchronous, and what S3 answered; EINTR leaves the name in doubt (doubt.ts). A file that is only being written is dropped without a request; one that is open
 * for reading is kept for its handles first (Orphans). The directory stays (Directories.leaving).
 * Refuses directories: the kernel sends rmdir for those.
 */
import { EISDIR, ErrnoError } from '../../base/errno.js';
import type { NamespaceDeps } from './deps.js';
import type { Directories } from './directories.js';
import { doubt, mayHaveBeenDone } from './doubt.js';

export class Removal {
  readonly #deps: NamespaceDeps;
  readonly #directories: Directories;

  constructor(deps: NamespaceDeps, directories: Directories) {
    this.#deps = deps;
    this.#directories = directories;
  }

  /** Throws EISDIR, EINTR, StoreError. */
  async unlink(directoryKey: string, name: string, signal: AbortSignal): Promise<void> {
    const { policy, table, uncommitted, orphans } = this.#deps;
    const key = directoryKey + name;
    policy.mayDelete('unlink', key);
    if (table.knownDirectory(`${key}/`) && !table.currentFile(key))
      throw new ErrnoError(EISDIR, `'${key}' is a directory`);
    const node = table.currentFile(key);
    if (!node) return this.#delete(directoryKey, name, signal);
    // Nobody commits the file meanwhile: it would come back.
    const hold = await uncommitted.claim(node, signal);
    try {
      if (hold.base) {
        if (hold.isOpen) await hold.keepBase(signal);
        else if (hold.isInUse) await orphans.keep(node, signal);
        await this.#delete(directoryKey, name, signal);
      } else if (hold.covers) await this.#delete(directoryKey, name, signal);
      else this.#gone(directoryKey, name);
      if (hold.isOpen) hold.orphaned();
    } finally {
      hold.release();
    }
  }

  async #delete(directoryKey: string, name: string, signal: AbortSignal): Promise<void> {
    const { writer, names, faults } = this.#deps;
    const key = directoryKey + name;
    const marked = this.#directories.leaving(directoryKey, name, signal);
    try {
      await writer.delete(key, signal);
    } catch (error) {
      if (mayHaveBeenDone(error)) doubt(this.#deps, directoryKey, name);
      else names.distrust(key);
      faults.report('unlink', key, error);
      throw error;
    } finally {
      await marked;
    }
    this.#gone(directoryKey, name);
  }

  #gone(directoryKey: string, name: string): void {
    const { table, changes, kept, remembered } = this.#deps;
    const key = directoryKey + name;
    const node = table.currentFile(key);
    if (node) table.retire(node);
    changes.removed(key);
    kept.keep(directoryKey);
    remembered.removed(key);
  }
}
