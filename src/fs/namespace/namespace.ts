/**
 * Everything that changes names: mkdir, rmdir, unlink, rename. Finds out what stands where, applies the rules of rename(2) and
 * leaves the work to Directories, Removal, FileRename and DirectoryRename. Each change is known to lookups and listings when
 * its answer is given (OwnChanges).
 * The kernel holds the directories' locks while one of these is under way, so there are no two in one directory at a time;
 * what is below a directory that is renamed is kept out of here (NameLocks). Commits of written files run beside them and are
 * held back where they would interfere (UncommittedFiles).
 */
import { EEXIST, EINVAL, EISDIR, ENOENT, ENOTDIR, ErrnoError } from '../../base/errno.js';
import { invariant } from '../../base/invariant.js';
import type { DeleteProgress, DeleteTreeResult } from '../../engine/writing/delete-tree.js';
import type { Entry } from '../../fuse/handlers.js';
import type { DirectoryNode } from '../inode-table.js';
import type { NamespaceDeps } from './deps.js';
import { Directories, type MadeBy } from './directories.js';
import { checkNewName, presentAt } from './present.js';
import { NameLocks } from './name-locks.js';
import { Removal } from './removal.js';
import type { Asker, Change, RepeatedChanges } from './repeated-changes.js';
import { DirectoryRename } from './rename-directory.js';
import { FileRename, type Place } from './rename-file.js';
import { TreeRemoval } from './tree-removal.js';

const RENAME_NOREPLACE = 1;

export interface NamespaceOptions {
  /** --rename-dir-max */
  readonly renameDirectoryKeysMax: number;
}

export class Namespace {
  readonly #deps: NamespaceDeps;
  readonly #directories: Directories;
  readonly #removal: Removal;
  readonly #files: FileRename;
  readonly #trees: DirectoryRename;
  readonly #removedTrees: TreeRemoval;
  readonly #locks = new NameLocks();
  readonly #repeated: RepeatedChanges;

  constructor(options: NamespaceOptions, deps: NamespaceDeps) {
    this.#deps = deps;
    this.#repeated = deps.repeated;
    this.#directories = new Directories(deps);
    this.#removal = new Removal(deps, this.#directories);
    this.#removedTrees = new TreeRemoval(deps, this.#directories);
    this.#files = new FileRename(deps, this.#directories);
    this.#trees = new DirectoryRename(
      { keysMax: options.renameDirectoryKeysMax },
      { ...deps, files: this.#files },
      this.#directories,
    );
  }

  async mkdir(parent: DirectoryNode, name: string, made: MadeBy, asker: Asker): Promise<Entry> {
    const entry = await this.#repeated.once(asker, true, ({ mayHaveRun }) =>
      this.#locked([[parent, name]], asker.signal, () =>
        this.#directories.make(parent.key, name, { ...made, mayHaveRun }, asker.signal),
      ),
    );
    invariant(entry !== undefined, 'what makes something answers it');
    return entry;
  }

  rmdir(parent: DirectoryNode, name: string, asker: Asker): Promise<void> {
    return this.#repeated.once(asker, false, () =>
      this.#locked([[parent, name]], asker.signal, () => this.#directories.remove(parent.key, name, asker.signal)),
    );
  }

  unlink(parent: DirectoryNode, name: string, asker: Asker): Promise<void> {
    return this.#repeated.once(asker, false, () =>
      this.#locked([[parent, name]], asker.signal, () => this.#removal.unlink(parent.key, name, asker.signal)),
    );
  }

  /** `path`: of a directory, relative to the mount; '' empties the root. */
  removeTree(path: string, progress: (state: DeleteProgress) => void, signal: AbortSignal): Promise<DeleteTreeResult> {
    const slash = path.lastIndexOf('/');
    const directoryKey = this.#deps.table.root.key + path.slice(0, slash + 1);
    const name = path.slice(slash + 1);
    const key = name === '' ? directoryKey : `${directoryKey}${name}/`;
    return this.#locks.run(
      () => [key],
      true,
      () => this.#removedTrees.remove(directoryKey, name, progress, signal),
      signal,
    );
  }

  /** `flags`: RENAME_NOREPLACE; EINVAL for exchange and whiteout, which no store can do. */
  async rename(
    parent: DirectoryNode,
    name: string,
    newParent: DirectoryNode,
    newName: string,
    flags: number,
    asker: Asker,
  ): Promise<void> {
    const isTree = this.#deps.table.knownDirectory(`${parent.key}${name}/`) !== undefined;
    const places = [
      [parent, name],
      [newParent, newName],
    ] as const;
    const work = (change: Change): Promise<void> => {
      const from = { directoryKey: parent.key, name };
      const to = { directoryKey: newParent.key, name: newName };
      return this.#rename(from, to, flags, change, asker.signal);
    };
    return this.#repeated.once(asker, false, (change) =>
      this.#locked(places, asker.signal, () => work(change), isTree),
    );
  }

  #locked<T>(
    places: readonly (readonly [DirectoryNode, string])[],
    signal: AbortSignal,
    work: () => Promise<T>,
    isTree = false,
  ): Promise<T> {
    return this.#locks.run(() => places.map(([parent, name]) => `${parent.key}${name}/`), isTree, work, signal);
  }

  async #rename(from: Place, to: Place, flags: number, change: Change, signal: AbortSignal): Promise<void> {
    const { policy } = this.#deps;
    const fromKey = from.directoryKey + from.name;
    const toKey = to.directoryKey + to.name;
    policy.mayDelete('rename', fromKey);
    if ((flags & ~RENAME_NOREPLACE) !== 0) throw new ErrnoError(EINVAL, `rename with flags ${flags}`);
    const noReplace = (flags & RENAME_NOREPLACE) !== 0;
    const [source, target] = await Promise.all([
      presentAt(this.#deps, from.directoryKey, from.name, signal),
      presentAt(this.#deps, to.directoryKey, to.name, signal),
    ]);
    if (source.kind === 'none') {
      // All of it was done by the daemon before this one.
      if (change.mayHaveRun && target.kind !== 'none') {
        if (target.kind === 'file') await this.#files.found(from, to);
        return;
      }
      throw new ErrnoError(ENOENT, `no '${fromKey}'`);
    }
    if (change.wasCopied && source.kind === 'file' && target.kind === 'file') return this.#files.finish(from);
    if (fromKey === toKey) {
      if (noReplace) throw new ErrnoError(EEXIST, `'${toKey}' exists`);
      return;
    }
    checkNewName(to.directoryKey, to.name, source.kind === 'directory');
    if (source.kind === 'directory') {
      if (target.kind === 'file') throw new ErrnoError(ENOTDIR, `'${toKey}' is a file`);
      const { mayHaveRun } = change;
      return this.#trees.move({ from, to, targetExists: target.kind === 'directory', noReplace, mayHaveRun }, signal);
    }
    if (target.kind === 'directory') throw new ErrnoError(noReplace ? EEXIST : EISDIR, `'${toKey}' is a directory`);
    return this.#files.move({ from, to, source, target, noReplace, change }, signal);
  }
}
