/**
 * What the namespace needs to know of files that are being written (src/fs/writing), and what it tells them: types only,
 * so that either side is tested without the other.
 *
 * A file is *uncommitted* from its first change (or its creation) until a commit that left nothing behind: the bucket holds
 * no object of its key, or an older one. Lookups answer such a file's node before anything that the store says, and readdir
 * shows its name.
 * Rename and unlink take a *hold*: while it lasts no commit of the file begins, and none is under way.
 */
import { EROFS, ErrnoError } from '../../base/errno.js';
import type { ObjectHead } from '../../engine/api.js';
import type { SourceObject } from '../../engine/write-api.js';
import type { MaybePromise } from '../../fuse/handlers.js';
import type { FileNode } from '../inode-table.js';

export interface UncommittedFile {
  readonly node: FileNode;
  /** False for a file that is only open for writing: the bucket holds its content. Lookups and readdir pass it by. */
  readonly isUncommitted: boolean;
  /** Full key; where a commit would put the object. */
  readonly key: string;
  /**
   * Waits for the commit that is under way and keeps others from beginning until `release` is called. EINTR when `signal`
   * aborts. A commit that fails meanwhile is the committer's business.
   */
  hold(signal: AbortSignal): Promise<UncommittedHold>;
}

export interface UncommittedHold {
  /**
   * Still uncommitted? If not, the object in the bucket is all there is; `moved` and `orphaned` are told all the same, for
   * what is written next.
   */
  readonly isUncommitted: boolean;
  /** The object of the key that the bucket holds, which the file was opened from or last committed as; undefined: none. */
  readonly base: SourceObject | undefined;
  /** It was renamed over an object that stays in the bucket until the commit: to be deleted when this name goes before that. */
  readonly covers: boolean;
  /**
   * The file gets another name next: what of it is on its way to the bucket under this one does not stay so. Throws what the
   * store says. May commit, so that `base` is another afterwards.
   */
  leaveKey(): Promise<void>;
  /**
   * The object of the key is about to be deleted or replaced: fetches what the file's open handles will need of its unchanged
   * bytes, as far as the bounds for that allow. Never fails: what could not be had is ESTALE when it is read.
   */
  keepBase(signal: AbortSignal): Promise<void>;
  /**
   * The file has another name: `node.key` was changed already. `base` is the object that the bucket holds under the new key,
   * when the old object was moved there; undefined when there was none. A commit replaces whatever is at the new key then:
   * `covers` says that there is something (without it: if there was under the old name).
   * Resolves when nothing asks for the object of the old key any more: it is deleted next.
   */
  moved(key: string, base: ObjectHead | undefined, covers?: boolean): MaybePromise<void>;
  /** The name is gone: the file is never committed, its handles go on reading and writing until they are closed. */
  orphaned(): void;
  /** Somebody has the file open for writing now. */
  readonly isOpen: boolean;
  /** Somebody has it open in whatever way; a claim of the namespace's own, which counts as an open of the node, is none. */
  readonly isInUse: boolean;
  release(): void;
}

/**
 * The registry of uncommitted files, and of those that are open for writing: a rename must tell these too where the object is
 * that they will change.
 */
export interface UncommittedFiles {
  /** The file of this full key. */
  find(key: string): UncommittedFile | undefined;
  /** All whose key begins with `prefix`; with a directory's key those in it and below. */
  below(prefix: string): Iterable<UncommittedFile>;
  /**
   * A hold on a file whether anybody writes it or not: who opens it for writing meanwhile waits with his commit. EINTR when
   * `signal` aborts.
   */
  claim(node: FileNode, signal: AbortSignal): Promise<UncommittedHold>;
}

/** Of a mount that writes nothing. */
export const noUncommittedFiles: UncommittedFiles = {
  find: () => undefined,
  below: () => [],
  claim: () => Promise.reject(new ErrnoError(EROFS, 'nothing is written')),
};
