/**
 * What a name is, as the kernel is told: one entry, and one lookup counted for it, with how long it may believe that.
 * Answers at once, but for what --posix-metadata keeps with the object. Refuses to find out what a name is: lookup.ts.
 */
import { ENOENT, ErrnoError } from '../base/errno.js';
import type { Entry, MaybePromise, RequestContext } from '../fuse/handlers.js';
import { inoOfKey } from './ino.js';
import type { FileNode } from './inode-table.js';
import type { KnownName } from './known-names.js';
import type { FileSystemParts } from './parts.js';

export class NameReplies {
  readonly #parts: Pick<FileSystemParts, 'table' | 'entries' | 'freshness' | 'posix'>;

  constructor(parts: Pick<FileSystemParts, 'table' | 'entries' | 'freshness' | 'posix'>) {
    this.#parts = parts;
  }

  /** The entry of a node that holds what the bucket does not. */
  held(node: FileNode): Entry {
    this.#parts.table.remember(node);
    return this.#parts.entries.entry(node, this.#parts.freshness.nowMs());
  }

  /** What was found; with --posix-metadata what is kept with the object comes first. Throws ENOENT for a name that is none. */
  found(context: RequestContext, directoryKey: string, name: string, fact: KnownName): MaybePromise<Entry> {
    const entry = this.#answer(directoryKey, name, fact);
    const { posix, table, entries } = this.#parts;
    if (!posix || entry.nodeId === 0) return entry;
    const node = table.node(entry.nodeId);
    if (!posix.needs(node)) return entries.entry(node, fact.sentAtMs);
    return posix.load(node, context.signal).then(
      () => entries.entry(node, fact.sentAtMs),
      (error: unknown) => {
        table.forget(node.nodeId, 1);
        throw error;
      },
    );
  }

  #answer(directoryKey: string, name: string, fact: KnownName): Entry {
    const { table, entries, freshness } = this.#parts;
    if (fact.kind === 'none') {
      const ttlMs = freshness.negativeRemainingMs(fact.sentAtMs);
      if (ttlMs === 0) throw new ErrnoError(ENOENT, `no '${directoryKey}${name}'`);
      return entries.nothing(ttlMs);
    }
    if (fact.kind === 'file' && fact.page && fact.row !== undefined) {
      const ino = inoOfKey(directoryKey + name);
      const nodeId = table.listed(fact.page, fact.row, ino);
      table.rememberListed(nodeId);
      return entries.entry(table.view(nodeId, ino), fact.sentAtMs);
    }
    const node =
      fact.kind === 'directory' ? table.directoryOf(`${directoryKey}${name}/`) : table.fileOf(fact.head, fact.sentAtMs);
    table.remember(node);
    return entries.entry(node, fact.sentAtMs);
  }
}
