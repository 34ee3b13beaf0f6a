/**
 * A small file system in memory behind FuseHandlers: the contract suite's subject. Plain and complete rather than fast,
 * it counts lookups and handles so that a test can demand that every one was given back. Some names have effects:
 * `throws` (its handler throws), `endless` (its LOOKUP
 * waits until it is interrupted), `stuck` (its READs wait for the test). Refuses nothing that POSIX allows.
 */
import {
  EBADF,
  EEXIST,
  EINTR,
  EINVAL,
  EISDIR,
  ENODATA,
  ENOENT,
  ENOTDIR,
  ENOTEMPTY,
  ENXIO,
  ESTALE,
  ErrnoError,
} from '../../src/base/errno.js';
import type {
  AttributeChanges,
  Attributes,
  AttributesReply,
  DirectorySink,
  Entry,
  FileSystemStatistics,
  FuseHandlers,
  MaybePromise,
  OpenReply,
  ReadReply,
  RequestContext,
  WriteLoan,
} from '../../src/fuse/handlers.js';

export interface MemoryNode {
  readonly id: number;
  mode: number;
  uid: number;
  gid: number;
  mtimeMs: number;
  atimeMs: number;
  ctimeMs: number;
  data: Buffer;
  target: string;
  readonly children: Map<string, MemoryNode>;
  readonly xattrs: Map<string, Uint8Array>;
  nlink: number;
  lookups: number;
  /** The name it was made under: some have effects. */
  label: string;
}

const S_IFMT = 0o170000;
const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;
const S_IFLNK = 0o120000;
const TTL_MS = 1000;
const O_TRUNC = 0o1000;

export class MemoryFs implements FuseHandlers {
  readonly nodes = new Map<number, MemoryNode>();
  readonly root: MemoryNode;
  readonly handles = new Map<number, { node: MemoryNode; directory: boolean }>();
  /** Operations in the order they came, e.g. `lookup a`. */
  readonly calls: string[] = [];
  ttlMs = TTL_MS;
  /** Answer everything in a later turn, as a real store would. */
  later = false;
  destroyed = 0;
  /** What OPEN and OPENDIR say besides the handle. */
  openFlags: Omit<OpenReply, 'handle'> = {};
  /** Answers the READs of `stuck`, each once. */
  readonly stuck: (() => void)[] = [];
  /** READs of `stuck` are ordinary from now on. */
  unstuck = false;
  #nextNode = 2;
  #nextHandle = 1;

  constructor(uid = process.getuid?.() ?? 0, gid = process.getgid?.() ?? 0) {
    this.root = this.#make(1, S_IFDIR | 0o755, uid, gid);
    this.nodes.set(1, this.root);
  }

  #make(id: number, mode: number, uid: number, gid: number): MemoryNode {
    const now = Date.now();
    return {
      id,
      mode,
      uid,
      gid,
      mtimeMs: now,
      atimeMs: now,
      ctimeMs: now,
      data: Buffer.alloc(0),
      target: '',
      children: new Map(),
      xattrs: new Map(),
      nlink: (mode & S_IFMT) === S_IFDIR ? 2 : 1,
      lookups: 0,
      label: '',
    };
  }

  /** Adds a node by path before or while mounted; parents must exist. */
  put(path: string, content: Buffer | string, mode = 0o644): MemoryNode {
    const names = path.split('/');
    const last = names.pop() ?? '';
    let parent = this.root;
    for (const name of names) parent = this.#child(parent, name);
    const directory = content === 'directory';
    const node = this.#make(
      this.#nextNode++,
      directory ? S_IFDIR | 0o755 : S_IFREG | mode,
      this.root.uid,
      this.root.gid,
    );
    if (!directory) node.data = Buffer.from(content);
    this.nodes.set(node.id, node);
    parent.children.set(last, node);
    node.label = last;
    return node;
  }

  /** Lookups that the kernel has not given back, the root's left out. */
  get lookups(): number {
    let sum = 0;
    for (const node of this.nodes.values()) if (node !== this.root) sum += node.lookups;
    return sum;
  }

  #answer<T>(run: () => T): MaybePromise<T> {
    if (!this.later) return run();
    return new Promise((resolve, reject) => {
      setImmediate(() => {
        try {
          resolve(run());
        } catch (error) {
          reject(error instanceof Error ? error : new Error(String(error)));
        }
      });
    });
  }

  #node(id: number): MemoryNode {
    const node = this.nodes.get(id);
    if (node === undefined) throw new ErrnoError(ESTALE);
    return node;
  }

  #directory(id: number): MemoryNode {
    const node = this.#node(id);
    if ((node.mode & S_IFMT) !== S_IFDIR) throw new ErrnoError(ENOTDIR);
    return node;
  }

  #child(parent: MemoryNode, name: string): MemoryNode {
    const node = parent.children.get(name);
    if (node === undefined) throw new ErrnoError(ENOENT);
    return node;
  }

  #handle(handle: number): MemoryNode {
    const found = this.handles.get(handle);
    if (found === undefined) throw new ErrnoError(EBADF);
    return found.node;
  }

  #attributes(node: MemoryNode): Attributes {
    return {
      ino: node.id,
      sizeBytes: (node.mode & S_IFMT) === S_IFLNK ? Buffer.byteLength(node.target) : node.data.length,
      mode: node.mode,
      nlink: node.nlink,
      uid: node.uid,
      gid: node.gid,
      mtimeMs: node.mtimeMs,
      ctimeMs: node.ctimeMs,
      atimeMs: node.atimeMs,
      rdev: 0,
      blockSizeBytes: 4096,
    };
  }

  #entry(node: MemoryNode): Entry {
    node.lookups++;
    return {
      nodeId: node.id,
      generation: 0,
      attributes: this.#attributes(node),
      entryTtlMs: this.ttlMs,
      attributesTtlMs: this.ttlMs,
    };
  }

  #touch(node: MemoryNode): void {
    node.mtimeMs = node.ctimeMs = Date.now();
  }

  #add(parent: number, name: string, mode: number, context: RequestContext): MemoryNode {
    const directory = this.#directory(parent);
    if (directory.children.has(name)) throw new ErrnoError(EEXIST);
    const node = this.#make(this.#nextNode++, mode, context.uid, context.gid);
    this.nodes.set(node.id, node);
    directory.children.set(name, node);
    node.label = name;
    this.#touch(directory);
    return node;
  }

  #dropIfUnused(node: MemoryNode): void {
    if (node === this.root || node.lookups > 0 || node.nlink > 0) return;
    this.nodes.delete(node.id);
  }

  lookup(context: RequestContext, parent: number, name: string): MaybePromise<Entry> {
    this.calls.push(`lookup ${name}`);
    if (name === 'endless') {
      return new Promise((_resolve, reject) => {
        context.signal.addEventListener('abort', () => reject(new ErrnoError(EINTR)));
      });
    }
    if (name === 'throws') throw new TypeError('the handler of `throws` has a bug');
    if (name === 'throws-later') return Promise.reject(new TypeError('the handler of `throws-later` has a bug'));
    return this.#answer(() => this.#entry(this.#child(this.#directory(parent), name)));
  }

  forget(nodeId: number, count: number): void {
    const node = this.nodes.get(nodeId);
    if (node === undefined) return;
    node.lookups -= count;
    if (node.lookups < 0 && node !== this.root) throw new Error(`node ${nodeId} forgotten more often than looked up`);
    this.#dropIfUnused(node);
  }

  getattr(_context: RequestContext, nodeId: number): MaybePromise<AttributesReply> {
    return this.#answer(() => ({ attributes: this.#attributes(this.#node(nodeId)), ttlMs: this.ttlMs }));
  }

  setattr(_context: RequestContext, nodeId: number, changes: AttributeChanges): MaybePromise<AttributesReply> {
    return this.#answer(() => {
      const node = this.#node(nodeId);
      if (changes.mode !== undefined) node.mode = (node.mode & S_IFMT) | (changes.mode & 0o7777);
      if (changes.uid !== undefined) node.uid = changes.uid;
      if (changes.gid !== undefined) node.gid = changes.gid;
      if (changes.sizeBytes !== undefined) {
        const data = Buffer.alloc(changes.sizeBytes);
        node.data.copy(data);
        node.data = data;
        this.#touch(node);
      }
      const time = (value: number | 'now'): number => (value === 'now' ? Date.now() : value);
      if (changes.atimeMs !== undefined) node.atimeMs = time(changes.atimeMs);
      if (changes.mtimeMs !== undefined) node.mtimeMs = time(changes.mtimeMs);
      return { attributes: this.#attributes(node), ttlMs: this.ttlMs };
    });
  }

  readlink(_context: RequestContext, nodeId: number): MaybePromise<string> {
    return this.#answer(() => {
      const node = this.#node(nodeId);
      if ((node.mode & S_IFMT) !== S_IFLNK) throw new ErrnoError(EINVAL);
      return node.target;
    });
  }

  symlink(context: RequestContext, parent: number, name: string, target: string): MaybePromise<Entry> {
    return this.#answer(() => {
      const node = this.#add(parent, name, S_IFLNK | 0o777, context);
      node.target = target;
      return this.#entry(node);
    });
  }

  mknod(context: RequestContext, parent: number, name: string, mode: number): MaybePromise<Entry> {
    return this.#answer(() => this.#entry(this.#add(parent, name, mode, context)));
  }

  mkdir(context: RequestContext, parent: number, name: string, mode: number): MaybePromise<Entry> {
    return this.#answer(() => this.#entry(this.#add(parent, name, S_IFDIR | (mode & 0o7777), context)));
  }

  unlink(_context: RequestContext, parent: number, name: string): MaybePromise<void> {
    return this.#answer(() => {
      const directory = this.#directory(parent);
      const node = this.#child(directory, name);
      if ((node.mode & S_IFMT) === S_IFDIR) throw new ErrnoError(EISDIR);
      directory.children.delete(name);
      this.#touch(directory);
      node.nlink--;
      this.#dropIfUnused(node);
    });
  }

  rmdir(_context: RequestContext, parent: number, name: string): MaybePromise<void> {
    return this.#answer(() => {
      const directory = this.#directory(parent);
      const node = this.#child(directory, name);
      if ((node.mode & S_IFMT) !== S_IFDIR) throw new ErrnoError(ENOTDIR);
      if (node.children.size > 0) throw new ErrnoError(ENOTEMPTY);
      directory.children.delete(name);
      this.#touch(directory);
      node.nlink = 0;
      this.#dropIfUnused(node);
    });
  }

  rename(
    _context: RequestContext,
    parent: number,
    name: string,
    newParent: number,
    newName: string,
    flags: number,
  ): MaybePromise<void> {
    return this.#answer(() => {
      const from = this.#directory(parent);
      const to = this.#directory(newParent);
      const node = this.#child(from, name);
      const replaced = to.children.get(newName);
      if ((flags & 1) !== 0 && replaced !== undefined) throw new ErrnoError(EEXIST);
      if ((flags & ~1) !== 0) throw new ErrnoError(EINVAL);
      if (replaced !== undefined && replaced !== node) {
        if (replaced.children.size > 0) throw new ErrnoError(ENOTEMPTY);
        replaced.nlink = 0;
        this.#dropIfUnused(replaced);
      }
      from.children.delete(name);
      to.children.set(newName, node);
      this.#touch(from);
      this.#touch(to);
    });
  }

  link(_context: RequestContext, nodeId: number, newParent: number, newName: string): MaybePromise<Entry> {
    return this.#answer(() => {
      const node = this.#node(nodeId);
      const directory = this.#directory(newParent);
      if (directory.children.has(newName)) throw new ErrnoError(EEXIST);
      directory.children.set(newName, node);
      node.nlink++;
      return this.#entry(node);
    });
  }

  #open(node: MemoryNode, directory: boolean): OpenReply {
    const handle = this.#nextHandle++;
    this.handles.set(handle, { node, directory });
    return { handle, ...this.openFlags };
  }

  open(_context: RequestContext, nodeId: number, flags: number): MaybePromise<OpenReply> {
    return this.#answer(() => {
      const node = this.#node(nodeId);
      if (flags & O_TRUNC) node.data = Buffer.alloc(0);
      return this.#open(node, false);
    });
  }

  create(
    context: RequestContext,
    parent: number,
    name: string,
    mode: number,
  ): MaybePromise<{ entry: Entry; open: OpenReply }> {
    return this.#answer(() => {
      const node = this.#add(parent, name, S_IFREG | (mode & 0o7777), context);
      return { entry: this.#entry(node), open: this.#open(node, false) };
    });
  }

  read(
    _context: RequestContext,
    nodeId: number,
    handle: number,
    offset: number,
    sizeBytes: number,
    reply: ReadReply,
  ): void {
    this.calls.push(`read ${nodeId} ${offset} ${sizeBytes}`);
    const node = this.#handle(handle);
    if (node.label === 'throws-read') throw new TypeError('the handler of `throws-read` has a bug');
    if (node.label === 'stuck' && !this.unstuck) {
      this.stuck.push(() => reply.data([node.data.subarray(offset, offset + sizeBytes)]));
      return;
    }
    const give = (): void => reply.data([node.data.subarray(offset, offset + sizeBytes)]);
    if (this.later) setImmediate(give);
    else give();
  }

  write(
    _context: RequestContext,
    _nodeId: number,
    handle: number,
    offset: number,
    data: Uint8Array,
    _flags?: number,
    _loan?: WriteLoan,
  ): MaybePromise<number> {
    return this.#answer(() => {
      const node = this.#handle(handle);
      if (offset + data.length > node.data.length) {
        const grown = Buffer.alloc(offset + data.length);
        node.data.copy(grown);
        node.data = grown;
      }
      node.data.set(data, offset);
      this.#touch(node);
      return data.length;
    });
  }

  flush(_context: RequestContext, _nodeId: number, handle: number): MaybePromise<void> {
    this.calls.push('flush');
    return this.#answer(() => void this.#handle(handle));
  }

  release(_context: RequestContext, _nodeId: number, handle: number): MaybePromise<void> {
    this.calls.push('release');
    return this.#answer(() => {
      if (!this.handles.delete(handle)) throw new ErrnoError(EBADF);
    });
  }

  fsync(_context: RequestContext, _nodeId: number, handle: number, dataOnly: boolean): MaybePromise<void> {
    this.calls.push(dataOnly ? 'fdatasync' : 'fsync');
    return this.#answer(() => void this.#handle(handle));
  }

  fsyncdir(_context: RequestContext, _nodeId: number, handle: number): MaybePromise<void> {
    return this.#answer(() => void this.#handle(handle));
  }

  fallocate(
    _context: RequestContext,
    _nodeId: number,
    handle: number,
    offset: number,
    lengthBytes: number,
  ): MaybePromise<void> {
    return this.#answer(() => {
      const node = this.#handle(handle);
      if (offset + lengthBytes <= node.data.length) return;
      node.data = Buffer.concat([node.data, Buffer.alloc(offset + lengthBytes - node.data.length)]);
    });
  }

  lseek(
    _context: RequestContext,
    _nodeId: number,
    handle: number,
    offset: number,
    whence: number,
  ): MaybePromise<number> {
    return this.#answer(() => {
      const node = this.#handle(handle);
      if (offset >= node.data.length) throw new ErrnoError(ENXIO);
      return whence === 4 ? node.data.length : offset;
    });
  }

  opendir(_context: RequestContext, nodeId: number): MaybePromise<OpenReply> {
    return this.#answer(() => this.#open(this.#directory(nodeId), true));
  }

  readdir(
    _context: RequestContext,
    nodeId: number,
    handle: number,
    offset: number,
    sink: DirectorySink,
  ): MaybePromise<void> {
    this.calls.push(`${sink.plus ? 'readdirplus' : 'readdir'} ${nodeId} ${offset}`);
    return this.#answer(() => {
      const directory = this.#handle(handle);
      const items: [string, MemoryNode][] = [['.', directory], ['..', directory], ...directory.children];
      for (let index = offset; index < items.length; index++) {
        const item = items[index];
        if (item === undefined) break;
        const [name, node] = item;
        const before = node.lookups;
        const entry = sink.plus && index >= 2 ? this.#entry(node) : undefined;
        const fits = sink.add({ name, ino: node.id, type: (node.mode & S_IFMT) >>> 12, nextOffset: index + 1 }, entry);
        if (!fits) {
          node.lookups = before;
          break;
        }
      }
    });
  }

  releasedir(_context: RequestContext, _nodeId: number, handle: number): MaybePromise<void> {
    return this.#answer(() => {
      if (!this.handles.delete(handle)) throw new ErrnoError(EBADF);
    });
  }

  statfs(): MaybePromise<FileSystemStatistics> {
    return this.#answer(() => ({
      blockSizeBytes: 4096,
      blocks: 1_000_000,
      blocksFree: 500_000,
      files: 1000,
      filesFree: 900,
      nameBytesMax: 255,
    }));
  }

  getxattr(_context: RequestContext, nodeId: number, name: string): MaybePromise<Uint8Array> {
    return this.#answer(() => {
      const value = this.#node(nodeId).xattrs.get(name);
      if (value === undefined) throw new ErrnoError(ENODATA);
      return value;
    });
  }

  setxattr(_context: RequestContext, nodeId: number, name: string, value: Uint8Array): MaybePromise<void> {
    return this.#answer(() => void this.#node(nodeId).xattrs.set(name, value));
  }

  listxattr(_context: RequestContext, nodeId: number): MaybePromise<readonly string[]> {
    return this.#answer(() => [...this.#node(nodeId).xattrs.keys()]);
  }

  removexattr(_context: RequestContext, nodeId: number, name: string): MaybePromise<void> {
    return this.#answer(() => {
      if (!this.#node(nodeId).xattrs.delete(name)) throw new ErrnoError(ENODATA);
    });
  }

  destroy(): void {
    this.destroyed++;
  }
}
