/**
 * A file's node as it begins, and whether a version of the object is the one that it was made for. All begin here, with the
 * same fields in the same order: lookups of a million files see one shape. Pure; who may change what later says nodes.ts.
 */
import type { ObjectHead } from '../engine/api.js';
import { bareEtag, isStrongEtag, mayBeSameVersion } from '../engine/etag.js';
import type { FileNode } from './nodes.js';

/** The current version of `head.key`, which nobody has looked up or opened. `ino`: of the key. */
export function newFileNode(nodeId: number, ino: number, head: ObjectHead, validatedAtMs: number): FileNode {
  return {
    kind: 'file',
    nodeId,
    ino,
    lookups: 0,
    opens: 0,
    key: head.key,
    etag: head.etag,
    sizeBytes: head.sizeBytes,
    lastModifiedMs: head.lastModifiedMs,
    mtimeMs: undefined,
    storageClass: head.storageClass,
    restored: head.restored,
    validatedAtMs,
    current: true,
    wasOpened: false,
    reserved: false,
    wasReserved: false,
  };
}

/**
 * Is this what the node was made for? The size is compared too: stores exist whose ETags are not hashes of the content.
 * Where one of them has no ETag, as listings of some stores, or a weak one, LastModified stands in, in whole seconds: HEAD has
 * no finer ones, LIST may.
 */
export function isVersion(node: FileNode, head: ObjectHead): boolean {
  if (node.sizeBytes !== head.sizeBytes) return false;
  if (isStrongEtag(node.etag) && isStrongEtag(head.etag)) {
    return node.etag === head.etag || bareEtag(node.etag) === bareEtag(head.etag);
  }
  const isSameSecond = Math.floor(node.lastModifiedMs / 1000) === Math.floor(head.lastModifiedMs / 1000);
  return isSameSecond && mayBeSameVersion(node.etag, head.etag);
}
