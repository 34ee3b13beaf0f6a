/**
 * The nodes that the kernel knows, with exact lookup counts. A directory has one node; a file has one node for each
 * version of its object (KERNEL fact 11), so that pages of two versions can never be mixed: the newest is the *current* one,
 * which lookups answer, an older one goes on serving the handles and mappings that were opened with it.
 * A node lives while the kernel remembers it (lookups), a handle is open, or it is reserved for a LOOKUP to come; its id is never given again.
 * Refuses to talk to the store or to judge age: callers say what they learned and when they asked.
 */
import { EISDIR, ENOTDIR, ErrnoError, ESTALE } from '../base/errno.js';
import { invariant } from '../base/invariant.js';
import type { ObjectHead } from '../engine/api.js';
import { inoOfKey, ROOT_INO } from './ino.js';

/** The root's node id, fixed by the kernel. */
export const ROOT_NODE_ID = 1;

interface NodeBase {
  readonly nodeId: number;
  /** st_ino: of the path, the same for all versions. */
  readonly ino: number;
  /** Lookups that the kernel has not forgotten. Written by the table only. */
  lookups: number;
  /** Open handles. Written by the table only. */
  opens: number;
}

export interface DirectoryNode extends NodeBase {
  readonly kind: 'directory';
  /** Full key prefix: '' or ends with a slash. */
  readonly key: string;
  /** Serial numbers of the pages that the kernel was last allowed to keep a copy of; '' = none. */
  kernelCopy: string;
}

export interface FileNode extends NodeBase {
  readonly kind: 'file';
  readonly key: string;
  /** Quotes included. */
  readonly etag: string;
  readonly sizeBytes: number;
  lastModifiedMs: number;
  storageClass: string;
  restored: boolean;
  /** When the newest request was sent that saw this version in the bucket (monotonic clock). */
  validatedAtMs: number;
  /** False once another version is known, or this one is known to be gone. */
  current: boolean;
  /** A handle was open, or it was read without one: the prefetcher may hold blocks. */
  wasOpened: boolean;
  /** Fetched ahead: it lives without lookups, for the LOOKUP that is expected. Written by the table only. */
  reserved: boolean;
  /** It was reserved once: the prefetcher may hold blocks. */
  wasReserved: boolean;
}

export type Node = DirectoryNode | FileNode;

export interface InodeTableOptions {
  /** Full key prefix of the root. */
  readonly rootKey: string;
  /** First id to give (2 or more). A daemon that takes over from another starts above all ids of that one. */
  readonly firstNodeId: number;
}

export interface InodeTableDeps {
  /** A file's version is gone from the table: nobody can read it any more. */
  readonly forgotten: (nodeId: number) => void;
}

export class InodeTable {
  readonly #nodes = new Map<number, Node>();
  readonly #currentFiles = new Map<string, FileNode>();
  readonly #directories = new Map<string, DirectoryNode>();
  readonly #forgotten: (nodeId: number) => void;
  readonly root: DirectoryNode;
  #nextNodeId: number;

  constructor(options: InodeTableOptions, deps: InodeTableDeps) {
    invariant(options.firstNodeId > ROOT_NODE_ID, `first node id ${options.firstNodeId}`);
    this.#forgotten = deps.forgotten;
    this.#nextNodeId = options.firstNodeId;
    this.root = {
      kind: 'directory',
      nodeId: ROOT_NODE_ID,
      ino: ROOT_INO,
      key: options.rootKey,
      kernelCopy: '',
      lookups: 0,
      opens: 0,
    };
    this.#nodes.set(ROOT_NODE_ID, this.root);
    this.#directories.set(options.rootKey, this.root);
  }

  /** Nodes without the root: 0 when the kernel has forgotten all and nothing is open. */
  get size(): number {
    return this.#nodes.size - 1;
  }

  /** The next id that would be given: what a successor must start above. */
  get nextNodeId(): number {
    return this.#nextNodeId;
  }

  /** The node, undefined for an id that is not ours (any more). */
  find(nodeId: number): Node | undefined {
    return this.#nodes.get(nodeId);
  }

  /** ESTALE for an id that is not ours (a daemon before this one gave it): the kernel then looks the path up again. */
  node(nodeId: number): Node {
    const node = this.#nodes.get(nodeId);
    if (!node) throw new ErrnoError(ESTALE, `node ${nodeId} is not known`);
    return node;
  }

  directory(nodeId: number): DirectoryNode {
    const node = this.node(nodeId);
    if (node.kind !== 'directory') throw new ErrnoError(ENOTDIR, `${node.key} is a file`);
    return node;
  }

  file(nodeId: number): FileNode {
    const node = this.node(nodeId);
    if (node.kind !== 'file') throw new ErrnoError(EISDIR, `${node.key} is a directory`);
    return node;
  }

  /** The node of a directory that the kernel knows already. */
  knownDirectory(key: string): DirectoryNode | undefined {
    return this.#directories.get(key);
  }

  /** The node of a directory. New ones have no lookups: `remember` or `discard` must follow in the same turn. */
  directoryOf(key: string): DirectoryNode {
    const known = this.#directories.get(key);
    if (known) return known;
    const node: DirectoryNode = {
      kind: 'directory',
      nodeId: this.#nextNodeId++,
      ino: inoOfKey(key),
      key,
      kernelCopy: '',
      lookups: 0,
      opens: 0,
    };
    this.#nodes.set(node.nodeId, node);
    this.#directories.set(key, node);
    return node;
  }

  /**
   * The node of the version that a request sent at `sentAtMs` saw. A different version that was seen later stays the
   * current one and is answered instead: late answers never bring back the past. As for directories, `remember` or
   * `discard` must follow.
   */
  fileOf(head: ObjectHead, sentAtMs: number): FileNode {
    const known = this.#currentFiles.get(head.key);
    if (known) {
      if (isVersion(known, head)) {
        this.confirm(known, head, sentAtMs);
        return known;
      }
      if (known.validatedAtMs > sentAtMs) return known;
      this.retire(known);
    }
    const node: FileNode = {
      kind: 'file',
      nodeId: this.#nextNodeId++,
      ino: inoOfKey(head.key),
      lookups: 0,
      opens: 0,
      key: head.key,
      etag: head.etag,
      sizeBytes: head.sizeBytes,
      lastModifiedMs: head.lastModifiedMs,
      storageClass: head.storageClass,
      restored: head.restored,
      validatedAtMs: sentAtMs,
      current: true,
      wasOpened: false,
      reserved: false,
      wasReserved: false,
    };
    this.#nodes.set(node.nodeId, node);
    this.#currentFiles.set(node.key, node);
    return node;
  }

  /** The version was seen again: what may change without a new ETag (a restore, a copy onto itself) is taken over. */
  confirm(node: FileNode, head: ObjectHead, sentAtMs: number): void {
    if (sentAtMs < node.validatedAtMs) return;
    node.validatedAtMs = sentAtMs;
    node.lastModifiedMs = head.lastModifiedMs;
    node.storageClass = head.storageClass;
    node.restored = head.restored;
  }

  /** The version is no longer what the bucket holds: the next lookup gets another node. */
  retire(node: FileNode): void {
    node.current = false;
    if (this.#currentFiles.get(node.key) === node) this.#currentFiles.delete(node.key);
  }

  /** The newest version that is known of the object, if it has a node. */
  currentFile(key: string): FileNode | undefined {
    return this.#currentFiles.get(key);
  }

  /** The node lives until `unreserve`, whether the kernel knows it or not. The caller bounds how many do. */
  reserve(node: FileNode): void {
    node.reserved = true;
    node.wasReserved = true;
  }

  unreserve(node: FileNode): void {
    node.reserved = false;
    this.#reap(node);
  }

  /** Counts one lookup: exactly one for each entry that went to the kernel. */
  remember(node: Node): void {
    node.lookups++;
  }

  /** An entry that did not go to the kernel after all: a node made for it vanishes. */
  discard(node: Node): void {
    this.#reap(node);
  }

  /** The kernel drops `count` lookups. Ids of an earlier daemon are ignored; false when more were dropped than given. */
  forget(nodeId: number, count: number): boolean {
    const node = this.#nodes.get(nodeId);
    if (!node || node === this.root) return true;
    const exact = node.lookups >= count;
    node.lookups = Math.max(0, node.lookups - count);
    this.#reap(node);
    return exact;
  }

  opened(node: Node): void {
    node.opens++;
    if (node.kind === 'file') node.wasOpened = true;
  }

  /** The node is read without a handle (`--immutable`). */
  noteRead(node: FileNode): void {
    node.wasOpened = true;
  }

  closed(node: Node): void {
    invariant(node.opens > 0, `node ${node.nodeId} closed more often than opened`);
    node.opens--;
    this.#reap(node);
  }

  #reap(node: Node): void {
    if (node.lookups > 0 || node.opens > 0 || node === this.root) return;
    if (node.kind === 'file' && node.reserved) return;
    if (!this.#nodes.delete(node.nodeId)) return;
    if (node.kind === 'directory') {
      this.#directories.delete(node.key);
      return;
    }
    if (this.#currentFiles.get(node.key) === node) this.#currentFiles.delete(node.key);
    if (node.wasOpened || node.wasReserved) this.#forgotten(node.nodeId);
  }
}

/**
 * Is this what the node was made for? The size is compared too: stores exist whose ETags are not hashes of the content.
 * Where there is no ETag at all, LastModified stands in, in whole seconds: HEAD has no finer ones, LIST may.
 */
export function isVersion(node: FileNode, head: ObjectHead): boolean {
  if (node.etag !== head.etag || node.sizeBytes !== head.sizeBytes) return false;
  return head.etag !== '' || Math.floor(node.lastModifiedMs / 1000) === Math.floor(head.lastModifiedMs / 1000);
}
