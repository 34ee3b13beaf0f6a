/**
 * Changes of which nobody knows whether the store made them: the request was sent, and its answer did not come, or was not
 * waited for because whoever asked is being ended. Then nothing is claimed of the name, neither the old nor the new: what
 * was known of it is forgotten here and in the kernel, and whoever looks next asks the store.
 */
import { EINTR, ErrnoError } from '../../base/errno.js';
import { StoreError } from '../../engine/store-error.js';
import type { NamespaceDeps } from './deps.js';

/** The store may have done what it was asked. */
export function mayHaveBeenDone(error: unknown): boolean {
  if (error instanceof StoreError) return error.errno === EINTR || error.status === 0 || error.status >= 500;
  return error instanceof ErrnoError && error.errno === EINTR;
}

export function doubt(
  { names, changes, nameChanged }: Pick<NamespaceDeps, 'names' | 'changes' | 'nameChanged'>,
  directoryKey: string,
  name: string,
): void {
  changes.doubted(directoryKey + name);
  names.distrust(directoryKey + name);
  nameChanged(directoryKey, name);
}
