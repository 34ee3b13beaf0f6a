/**
 * What stands at a name now, for operations that change it: from what is being written, from what is known, else from the
 * store. A file is answered with the version that a copy shall be made of; the copy's own condition catches that it is old.
 * Refuses to make nodes.
 */
import { ENAMETOOLONG, ErrnoError } from '../../base/errno.js';
import type { SourceObject } from '../../engine/write-api.js';
import { isFileName, KEY_BYTES_MAX } from '../keymap.js';
import type { NamespaceDeps } from './deps.js';
import type { UncommittedFile } from './written-files.js';

export type Present =
  /** `object`: what the bucket holds, undefined when only a hold on `written`, which somebody writes, tells. */
  | {
      readonly kind: 'file';
      readonly object: SourceObject | undefined;
      readonly written: UncommittedFile | undefined;
    }
  | { readonly kind: 'directory' }
  | { readonly kind: 'none' };

type PresentDeps = Pick<NamespaceDeps, 'lookup' | 'uncommitted' | 'table'>;

/** Throws StoreError, or EINTR when `signal` aborts. */
export async function presentAt(
  deps: PresentDeps,
  directoryKey: string,
  name: string,
  signal: AbortSignal,
): Promise<Present> {
  const { lookup, uncommitted, table } = deps;
  const key = directoryKey + name;
  const written = uncommitted.find(key);
  // Its hold tells what the bucket has of it.
  if (written?.isUncommitted === true) return { kind: 'file', object: undefined, written };
  const known = lookup.known(directoryKey, name);
  if (!known && !table.knownDirectory(`${key}/`)) {
    // Older than the TTL, but the kernel has just walked to it; whoever copies it says which version he means.
    const node = table.currentFile(key);
    if (node && node.lookups > 0) return { kind: 'file', object: node, written };
  }
  const fact = known ?? (await lookup.ask(directoryKey, name, signal));
  if (fact.kind !== 'file') return { kind: fact.kind };
  const { etag, sizeBytes, storageClass } = fact.head;
  return { kind: 'file', object: { key, etag, sizeBytes, storageClass }, written };
}

/** Throws ENAMETOOLONG for a name that no new object can have: over 255 bytes, or its key (with slash) over 1,024. */
export function checkNewName(directoryKey: string, name: string, isDirectory: boolean): void {
  const keyBytes = Buffer.byteLength(directoryKey) + Buffer.byteLength(name) + (isDirectory ? 1 : 0);
  if (isFileName(name) && keyBytes <= KEY_BYTES_MAX) return;
  throw new ErrnoError(ENAMETOOLONG, `'${directoryKey}${name}' is too long: names have 255 bytes, keys 1,024`);
}
