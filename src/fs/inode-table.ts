/**
 * The nodes that the kernel knows, with exact lookup counts. A directory has one node; a file has one node for each
 * version of its object (KERNEL fact 11), so that pages of two versions can never be mixed: the newest is the *current* one,
 * which lookups answer, an older one goes on serving the handles and mappings that were opened with it.
 * A node lives while the kernel remembers it (lookups), a handle is open, or it is reserved for a LOOKUP to come; its id is never given again.
 * A file that is known from a listing only is no object but a row of its page (listed-files.ts) until more is asked of it.
 * Refuses to talk to the store or to judge age: callers say what they learned and when they asked.
 */
import { EISDIR, ENOTDIR, ErrnoError, ESTALE } from '../base/errno.js';
import { invariant } from '../base/invariant.js';
import type { ObjectHead } from '../engine/api.js';
import { isStrongEtag } from '../engine/etag.js';
import { isVersion, newFileNode } from './file-node.js';
import { inoOfKey, ROOT_INO } from './ino.js';
import { ListedFiles, type Slab } from './listed-files.js';
import type { ListingPage } from './listing-page.js';
import { NodeIndex } from './node-index.js';
import type { DirectoryNode, FileNode, Node, NodeView } from './nodes.js';
import type { DirectoryRecord, DirectoryRecords } from './restore/directory-records.js';
import type { FileVersionRecord } from './restore/handle-records.js';
import type { KnownFiles } from './restore/known-files.js';

export type { DirectoryNode, FileNode, Node, NodeView } from './nodes.js';

/** The root's node id, fixed by the kernel. */
export const ROOT_NODE_ID = 1;

/** A node as an object with its strings and its places in the tables (measured). */
const NODE_BYTES = 420;

export interface InodeTableOptions {
  /** Full key prefix of the root. */
  readonly rootKey: string;
  /** First id to give (2 or more). A daemon that takes over from another starts above all ids of that one. */
  readonly firstNodeId: number;
}

export interface InodeTableDeps {
  /** A file's version is gone from the table: nobody can read it any more. */
  readonly forgotten: (nodeId: number) => void;
  /** More is remembered of the path with this inode number than listings say: it needs a node. */
  readonly isRemembered?: (ino: number) => boolean;
  /** An open file has another key or is another version, by our own doing. */
  readonly changed?: (node: FileNode) => void;
  /** What a successor must know of directories. */
  readonly records?: DirectoryRecords;
  /** What it must know of files, on a mount without opens. */
  readonly known?: KnownFiles | undefined;
}

export class InodeTable {
  readonly #nodes = new Map<number, Node>();
  readonly #listed = new ListedFiles();
  /** Current files, objects and listed ones. */
  readonly #current = new NodeIndex();
  readonly #directories = new Map<string, DirectoryNode>();
  readonly #forgotten: (nodeId: number) => void;
  readonly #isRemembered: (ino: number) => boolean;
  readonly #changed: (node: FileNode) => void;
  readonly #records: DirectoryRecords | undefined;
  readonly #known: KnownFiles | undefined;
  readonly root: DirectoryNode;
  #nextNodeId: number;

  constructor(options: InodeTableOptions, deps: InodeTableDeps) {
    invariant(options.firstNodeId > ROOT_NODE_ID, `first node id ${options.firstNodeId}`);
    this.#forgotten = deps.forgotten;
    this.#isRemembered = deps.isRemembered ?? (() => false);
    this.#changed = deps.changed ?? (() => undefined);
    this.#records = deps.records;
    this.#known = deps.known;
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
    return this.#nodes.size - 1 + this.#listed.size;
  }

  /** What the nodes cost in memory, about; pages of listed ones may be in the listing cache too. */
  get bytes(): number {
    return this.#nodes.size * NODE_BYTES + this.#listed.bytes + this.#current.bytes;
  }

  /** The next id that would be given: what a successor must start above. */
  get nextNodeId(): number {
    return this.#nextNodeId;
  }

  /** The node, undefined for an id that is not ours (any more). */
  find(nodeId: number): Node | undefined {
    return this.#nodes.get(nodeId) ?? this.#objectOf(nodeId);
  }

  /** The file, if a handle of it is open. */
  openFile(nodeId: number): FileNode | undefined {
    const node = this.#nodes.get(nodeId);
    return node?.kind === 'file' && node.opens > 0 ? node : undefined;
  }

  /** The node's attributes, without making an object of it. `ino`: its inode number, if known. ESTALE as `node`. */
  view(nodeId: number, ino?: number): NodeView {
    const node = this.#nodes.get(nodeId);
    if (node) return node;
    const slab = this.#listed.slabOf(nodeId);
    if (!slab) return this.node(nodeId);
    const row = nodeId - slab.firstNodeId;
    const { page } = slab;
    const ofPath = ino ?? inoOfKey(page.directoryKey + page.name(row));
    if (this.#isRemembered(ofPath)) return this.node(nodeId);
    return {
      kind: 'file',
      nodeId,
      ino: ofPath,
      sizeBytes: page.sizeBytes(row),
      lastModifiedMs: page.lastModifiedMs(row),
    };
  }

  /** ESTALE for an id that is not ours (a daemon before this one gave it): the kernel then looks the path up again. */
  node(nodeId: number): Node {
    const node = this.find(nodeId);
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

  /** A directory that an earlier daemon told the kernel of. */
  inheritDirectory({ nodeId, lookups, key }: DirectoryRecord): void {
    const node: DirectoryNode = {
      kind: 'directory',
      nodeId,
      ino: inoOfKey(key),
      key,
      kernelCopy: '',
      lookups,
      opens: 0,
      isInherited: true,
    };
    this.#nodes.set(nodeId, node);
    this.#directories.set(key, node);
  }

  /**
   * A file that an earlier daemon told the kernel of. Without opens or lookups it must get some in the same turn. Whether it is
   * still what the bucket holds is for the next lookup to find.
   */
  inheritFile(version: FileVersionRecord): FileNode {
    const { nodeId, lookups, mtimeMs } = version;
    const { key, etag, sizeBytes, lastModifiedMs, storageClass, restored } = version;
    const head = { key, etag, sizeBytes, lastModifiedMs, storageClass, restored };
    const node = this.inherited(nodeId, head, true, -Infinity);
    node.lookups = Math.max(node.lookups, lookups);
    node.mtimeMs ??= mtimeMs;
    return node;
  }

  /**
   * The node of the version that a request sent at `sentAtMs` saw. A different version that was seen later stays the
   * current one and is answered instead: late answers never bring back the past. As for directories, `remember` or
   * `discard` must follow.
   */
  fileOf(head: ObjectHead, sentAtMs: number): FileNode {
    const ino = inoOfKey(head.key);
    const known = this.#currentOf(head.key, ino);
    if (known) {
      if (isVersion(known, head)) {
        this.confirm(known, head, sentAtMs);
        return known;
      }
      if (known.validatedAtMs > sentAtMs) return known;
      this.outdate(known);
    }
    const node = newFileNode(this.#nextNodeId++, ino, head, sentAtMs);
    this.#nodes.set(node.nodeId, node);
    this.#current.add(ino, node.nodeId);
    return node;
  }

  /**
   * The node id of a file's row, by the same rules as `fileOf`. `ino` is that of its key. `rememberListed` or
   * `discardListed` must follow in the same turn. `view` shows what the node says, which may be younger than the row.
   */
  listed(page: ListingPage, row: number, ino: number): number {
    for (let id = this.#current.first(ino); id !== 0; id = this.#current.next()) {
      const node = this.#nodes.get(id);
      if (node?.key === page.directoryKey + page.name(row)) return this.fileOf(page.head(row), page.sentAtMs).nodeId;
      const slab = node ? undefined : this.#listed.slabOf(id);
      if (!slab) continue;
      if (slab.page === page && id === slab.firstNodeId + row) return id;
      if (!slab.page.hasSameName(id - slab.firstNodeId, page, row)) continue;
      return this.#listedAgain(id, slab, page, row, ino);
    }
    return this.#beginListed(page, row, ino);
  }

  rememberListed(nodeId: number): void {
    const node = this.#nodes.get(nodeId);
    if (node) return this.remember(node);
    const slab = this.#listed.slabOf(nodeId);
    if (slab) this.#listed.remember(slab, nodeId - slab.firstNodeId);
  }

  discardListed(nodeId: number): void {
    const node = this.#nodes.get(nodeId);
    if (node) return this.discard(node);
    const slab = this.#listed.slabOf(nodeId);
    const row = nodeId - (slab?.firstNodeId ?? 0);
    if (slab && this.#listed.lookups(slab, row) === 0) this.#endListed(slab, row, false);
  }

  /** The version was seen again: what may change without a new ETag (a restore, a copy onto itself) is taken over. */
  confirm(node: FileNode, head: ObjectHead, sentAtMs: number): void {
    if (sentAtMs < node.validatedAtMs) return;
    node.validatedAtMs = sentAtMs;
    // A HEAD may have the ETag that the listing lacks.
    if (head.etag !== '' && !isStrongEtag(node.etag)) node.etag = head.etag;
    node.lastModifiedMs = head.lastModifiedMs;
    node.storageClass = head.storageClass;
    node.restored = head.restored;
  }

  /** The version is no longer what the bucket holds: the next lookup gets another node. */
  retire(node: FileNode): void {
    node.current = false;
    node.isOutdated = false;
    this.#current.remove(node.ino, node.nodeId);
  }

  /** As `retire`: somebody else replaced or removed the object. */
  outdate(node: FileNode): void {
    this.retire(node);
    node.isOutdated = true;
  }

  /** The open file is this version from now on, which begins with all bytes of the one that it was. `shown` must follow. */
  grew(node: FileNode, head: ObjectHead, sentAtMs: number): void {
    node.shown = { etag: node.etag, sizeBytes: node.sizeBytes };
    node.etag = head.etag;
    node.sizeBytes = head.sizeBytes;
    this.confirm(node, head, Math.max(sentAtMs, node.validatedAtMs));
  }

  /** The kernel has dropped the end of the version before. */
  shown(node: FileNode): void {
    node.shown = undefined;
    this.#changed(node);
  }

  /**
   * The object has another key now, by a rename of ours: its node goes with it, and so do handles, pages and blocks. What
   * was at that key is no longer current. `head`: what a copy gave; absent for a file that is not in the bucket.
   */
  moveFile(node: FileNode, key: string, head: ObjectHead | undefined, atMs: number): void {
    const replaced = this.currentFile(key);
    if (replaced && replaced !== node) this.retire(replaced);
    if (node.current) this.#current.remove(node.ino, node.nodeId);
    node.key = key;
    node.ino = inoOfKey(key);
    node.current = true;
    this.#current.add(node.ino, node.nodeId);
    if (head) {
      node.etag = head.etag;
      node.lastModifiedMs = head.lastModifiedMs;
      node.storageClass = head.storageClass;
      node.validatedAtMs = Math.max(node.validatedAtMs, atMs);
    }
    if (node.opens > 0) this.#changed(node);
  }

  /** The directory and those below it have other keys now; files are moved one by one. A directory of that key is replaced. */
  moveDirectories(fromKey: string, toKey: string): void {
    // An empty directory that was there keeps its node until the kernel forgets it, under a key that nobody looks up.
    for (const [key, node] of [...this.#directories]) {
      if (!key.startsWith(fromKey)) continue;
      this.#directories.delete(key);
      node.key = toKey + key.slice(fromKey.length);
      node.ino = inoOfKey(node.key);
      node.kernelCopy = '';
      this.#directories.set(node.key, node);
      this.#records?.moved(node);
    }
  }

  /** Current files that have a node and whose key begins with `prefix`, as objects. */
  filesBelow(prefix: string): FileNode[] {
    for (const nodeId of this.#listed.below(prefix)) this.#objectOf(nodeId);
    const files: FileNode[] = [];
    for (const node of this.#nodes.values()) {
      if (node.kind === 'file' && node.current && node.key.startsWith(prefix)) files.push(node);
    }
    return files;
  }

  /** A node for a file that is not in the bucket yet; the current one of its key from now on. As for `fileOf`, `remember` must follow. */
  createLocal(key: string, nowMs: number): FileNode {
    const known = this.#currentOf(key, inoOfKey(key));
    if (known) this.retire(known);
    const head = { key, etag: '', sizeBytes: 0, lastModifiedMs: nowMs, storageClass: '', restored: false };
    return this.fileOf(head, Infinity);
  }

  /** The node is of a file that the bucket does not have, and never had. */
  isLocal(node: FileNode): boolean {
    return node.etag === '' && this.isHeld(node);
  }

  /** The node holds bytes that the bucket does not, until `becomes` or `retire`. */
  isHeld(node: FileNode): boolean {
    return node.validatedAtMs === Infinity;
  }

  /** From now on it does. */
  hold(node: FileNode): void {
    node.validatedAtMs = Infinity;
  }

  /**
   * What the node holds is this object since `answeredAtMs`, by a commit of ours: same node, another version. Its pages in the
   * kernel's cache are what was written, so they are this version's.
   */
  becomes(node: FileNode, head: ObjectHead, answeredAtMs: number): void {
    node.etag = head.etag;
    node.sizeBytes = head.sizeBytes;
    node.lastModifiedMs = head.lastModifiedMs;
    node.storageClass = head.storageClass;
    node.restored = head.restored;
    node.validatedAtMs = answeredAtMs;
    if (node.opens > 0) this.#changed(node);
    if (node.current) return;
    // Somebody else's version was seen meanwhile; ours replaced it.
    const other = this.#currentOf(node.key, node.ino);
    if (other) this.retire(other);
    node.current = true;
    this.#current.add(node.ino, node.nodeId);
  }

  /**
   * A file's node as a process before this one had it, under the same id; the one that is there already, if it is. Of several
   * versions of a key the youngest node is the current one.
   */
  inherited(nodeId: number, head: ObjectHead, isCurrent: boolean, validatedAtMs: number): FileNode {
    const known = this.find(nodeId);
    if (known?.kind === 'file') return known;
    const ino = inoOfKey(head.key);
    const other = isCurrent ? this.#currentOf(head.key, ino) : undefined;
    const node = newFileNode(nodeId, ino, head, validatedAtMs);
    node.current = isCurrent && !(other && other.nodeId > nodeId);
    node.wasOpened = true;
    node.isInherited = true;
    if (other && node.current) this.retire(other);
    this.#nodes.set(nodeId, node);
    if (node.current) this.#current.add(ino, nodeId);
    return node;
  }

  /** A node id that is no node's and never will be: under which bytes may be cached that the kernel shall not find. */
  privateId(): number {
    return this.#nextNodeId++;
  }

  /** The newest version that is known of the object, if it has a node. */
  currentFile(key: string): FileNode | undefined {
    return this.#currentOf(key, inoOfKey(key));
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
    if (node.kind === 'file') this.#known?.told(node);
    else if (node !== this.root) this.#records?.counted(node);
  }

  /** An entry that did not go to the kernel after all: a node made for it vanishes. */
  discard(node: Node): void {
    this.#reap(node);
  }

  /** The kernel drops `count` lookups. Ids of an earlier daemon are ignored; false when more were dropped than given. */
  forget(nodeId: number, count: number): boolean {
    const node = this.#nodes.get(nodeId);
    if (!node) return this.#forgetListed(nodeId, count);
    if (node === this.root) return true;
    const exact = node.lookups >= count || node.isInherited === true;
    node.lookups = Math.max(0, node.lookups - count);
    if (node.kind === 'directory' && node.lookups > 0) this.#records?.counted(node);
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
      this.#records?.gone(node.nodeId);
      if (this.#directories.get(node.key) === node) this.#directories.delete(node.key);
      return;
    }
    this.#known?.gone(node.nodeId);
    if (node.current) this.#current.remove(node.ino, node.nodeId);
    if (node.wasOpened || node.wasReserved) this.#forgotten(node.nodeId);
  }

  #currentOf(key: string, ino: number): FileNode | undefined {
    for (let id = this.#current.first(ino); id !== 0; id = this.#current.next()) {
      const node = this.#nodes.get(id);
      if (node) {
        if (node.kind === 'file' && node.key === key) return node;
        continue;
      }
      const slab = this.#listed.slabOf(id);
      if (slab && slab.page.directoryKey + slab.page.name(id - slab.firstNodeId) === key) return this.#objectOf(id);
    }
    return undefined;
  }

  /** Makes an object of a listed node, with the same id; undefined for all other ids. */
  #objectOf(nodeId: number): FileNode | undefined {
    const slab = this.#listed.slabOf(nodeId);
    if (!slab) return undefined;
    const row = nodeId - slab.firstNodeId;
    const head = slab.page.head(row);
    const node = newFileNode(nodeId, inoOfKey(head.key), head, this.#listed.seen(slab, row));
    node.lookups = this.#listed.lookups(slab, row);
    this.#nodes.set(nodeId, node);
    if (this.#listed.end(slab, row, true)) this.#dissolve(slab);
    return node;
  }

  /** The row's name has a listed node already. */
  #listedAgain(id: number, slab: Slab, page: ListingPage, row: number, ino: number): number {
    const known = id - slab.firstNodeId;
    if (slab.page.isSameVersion(known, page, row)) {
      if (slab.page.hasSameDetails(known, page, row)) this.#listed.seenAgain(slab, known, page.sentAtMs);
      else this.fileOf(page.head(row), page.sentAtMs);
      return id;
    }
    if (this.#listed.seen(slab, known) > page.sentAtMs) return id;
    const old = this.#objectOf(id);
    if (old) this.outdate(old);
    return this.#beginListed(page, row, ino);
  }

  #beginListed(page: ListingPage, row: number, ino: number): number {
    let slab = this.#listed.slabOfPage(page);
    if (!slab) {
      slab = this.#listed.open(page, this.#nextNodeId);
      this.#nextNodeId += page.rows;
      this.#known?.pageOpened(slab.firstNodeId, page);
    }
    // The row's id was given and taken back once: another one.
    if (!this.#listed.begin(slab, row)) return this.fileOf(page.head(row), page.sentAtMs).nodeId;
    const nodeId = slab.firstNodeId + row;
    this.#known?.began(nodeId);
    this.#current.add(ino, nodeId);
    return nodeId;
  }

  #forgetListed(nodeId: number, count: number): boolean {
    const slab = this.#listed.slabOf(nodeId);
    if (!slab) return true;
    const row = nodeId - slab.firstNodeId;
    const exact = this.#listed.forget(slab, row, count);
    if (this.#listed.lookups(slab, row) === 0) this.#endListed(slab, row, true);
    return exact;
  }

  #endListed(slab: Slab, row: number, spent: boolean): void {
    this.#current.remove(inoOfKey(slab.page.directoryKey + slab.page.name(row)), slab.firstNodeId + row);
    this.#known?.gone(slab.firstNodeId + row);
    if (this.#listed.end(slab, row, spent)) this.#dissolve(slab);
  }

  /** The few that are left of a page become objects, so that the page can go. */
  #dissolve(slab: Slab): void {
    for (let row = 0; row < slab.counts.length && slab.live > 0; row++) {
      const nodeId = slab.firstNodeId + row;
      if (this.#listed.slabOf(nodeId) === slab) this.#objectOf(nodeId);
    }
  }
}
