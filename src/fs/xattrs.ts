/**
 * What S3 knows of an object beyond stat(2), as extended attributes that can be asked for by name:
 * `getfattr -n user.s3.etag FILE`. They are not listed: cp -a and rsync -X copy whatever is listed, and nobody wants the ETag
 * of the source on the copy (CephFS hides its own for the same reason).
 * Pure; refuses every other name with ENODATA, never ENOSYS, which the kernel would remember for all files.
 */
import { ENODATA, ErrnoError } from '../base/errno.js';
import type { Node } from './inode-table.js';

/** The value of `name` as UTF-8. Throws ENODATA. */
export function extendedAttribute(node: Node, name: string): Uint8Array {
  const value = read(node, name);
  if (value === undefined) throw new ErrnoError(ENODATA, `no attribute ${name}`);
  return Buffer.from(value);
}

function read(node: Node, name: string): string | undefined {
  if (name === 'user.s3.key') return node.key;
  if (node.kind !== 'file') return undefined;
  switch (name) {
    case 'user.s3.etag':
      // Without the quotes, as every tool shows it.
      return node.etag.replace(/^"(.*)"$/, '$1');
    case 'user.s3.storage_class':
      return node.storageClass === '' ? 'STANDARD' : node.storageClass;
    default:
      return undefined;
  }
}
