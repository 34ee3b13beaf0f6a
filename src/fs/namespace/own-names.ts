/**
 * The names of a directory that exist by this mount's own doing, for readdir: changed by us within the TTL (a listing at hand
 * may be older), directories that we emptied and keep, files that are written and not in the bucket yet.
 * A change that is older than the TTL is left out: every listing that may be used is younger and tells by itself.
 * Refuses to know pages: the stream leaves out the rows that are named here.
 */
import type { OwnName, OwnNames } from '../directory-stream.js';
import type { Freshness } from '../freshness.js';
import type { KeptDirectories } from './kept-directories.js';
import type { OwnChanges } from './own-changes.js';
import type { UncommittedFiles } from './written-files.js';

const NONE: readonly OwnName[] = [];

export interface DirectoryOwnNamesDeps {
  readonly changes: OwnChanges;
  readonly kept: KeptDirectories;
  readonly uncommitted: UncommittedFiles;
  readonly freshness: Freshness;
}

export class DirectoryOwnNames implements OwnNames {
  readonly #deps: DirectoryOwnNamesDeps;

  constructor(deps: DirectoryOwnNamesDeps) {
    this.#deps = deps;
  }

  of(directoryKey: string): readonly OwnName[] {
    const { changes, kept, uncommitted, freshness } = this.#deps;
    let own: Map<string, boolean> | undefined;
    const add = (name: string, isDirectory: boolean): void => void (own ??= new Map()).set(name, isDirectory);
    for (const name of kept.names(directoryKey)) add(name, true);
    for (const [name, existedAtMs] of changes.existing(directoryKey))
      if (freshness.isFresh(existedAtMs)) add(name, true);
    for (const [name, { kind, sentAtMs }] of changes.names(directoryKey)) {
      if (kind !== 'none' && freshness.isFresh(sentAtMs)) add(name, kind === 'directory');
    }
    for (const { key, isUncommitted } of uncommitted.below(directoryKey)) {
      const name = key.slice(directoryKey.length);
      if (isUncommitted && !name.includes('/')) add(name, false);
    }
    return own ? [...own].map(([name, isDirectory]) => ({ name, isDirectory })) : NONE;
  }

  serial(directoryKey: string): number {
    return this.#deps.changes.serial(directoryKey);
  }

  isRemoved(directoryKey: string, name: string, isDirectory: boolean, sentAtMs: number): boolean {
    const own = this.#deps.changes.find(directoryKey, name);
    if (!own || own.sentAtMs < sentAtMs) return false;
    return isDirectory ? own.kind !== 'directory' : own.kind !== 'file';
  }

  floorMs(directoryKey: string): number {
    return this.#deps.changes.floorMs(directoryKey);
  }
}
