/**
 * A kernel that caches, for tests of freshness: names with their time to live, attributes, and pages by node, as Linux keeps
 * them; paths are walked, ESTALE is tried once more with every name looked up anew, and lookup counts are kept.
 * What it answers is what an application sees. Refuses to evict by itself: the test says when (`drop`).
 */
import { ENOENT, ENOTDIR, ErrnoError, ESTALE } from '../../src/base/errno.js';
import type { Clock } from '../../src/base/clock.js';
import type { S3FileSystem } from '../../src/fs/file-system.js';
import type { Attributes, Entry } from '../../src/fuse/handlers.js';
import { context, ROOT } from './memory-store-kernel.js';

interface Dentry {
  /** 0 = the name does not exist. */
  readonly nodeId: number;
  readonly untilMs: number;
}

interface Inode {
  lookups: number;
  attributes: Attributes;
  untilMs: number;
  /** Bytes of the whole file, once read. */
  pages: string | undefined;
  opens: number;
}

export interface OpenFile {
  readonly nodeId: number;
  readonly handle: number;
}

export class CachingKernel {
  readonly #fs: S3FileSystem;
  readonly #clock: Clock;
  readonly #dentries = new Map<string, Dentry>();
  readonly #inodes = new Map<number, Inode>();
  /** A node's size changed under it: two versions would share its pages. */
  readonly mixed: string[] = [];

  constructor(fs: S3FileSystem, clock: Clock) {
    this.#fs = fs;
    this.#clock = clock;
  }

  stat(path: string): Promise<Attributes> {
    return this.#retried(path, (nodeId) => Promise.resolve(this.fstat(nodeId)));
  }

  fstat(nodeId: number): Attributes {
    const inode = this.#inode(nodeId);
    if (this.#clock.nowMs() >= inode.untilMs) {
      const { attributes, ttlMs } = this.#fs.getattr(context(), nodeId);
      this.#take(nodeId, attributes, ttlMs);
    }
    return inode.attributes;
  }

  open(path: string): Promise<OpenFile> {
    return this.#retried(path, async (nodeId) => {
      const { handle, keepCache } = await this.#fs.open(context(), nodeId, 0);
      const inode = this.#inode(nodeId);
      inode.opens++;
      if (keepCache !== true) inode.pages = undefined;
      return { nodeId, handle };
    });
  }

  /** The whole file, or a negative errno. */
  read({ nodeId, handle }: OpenFile): string | number {
    const inode = this.#inode(nodeId);
    if (inode.pages !== undefined) return inode.pages;
    let answer: string | number = 0;
    this.#fs.read(context(), nodeId, handle, 0, inode.attributes.sizeBytes, {
      ticket: undefined,
      data: (parts) => (answer = Buffer.concat(parts).toString()),
      error: (errno) => (answer = -errno),
      handedOver: () => ({ finished: () => undefined }),
    });
    if (typeof answer === 'string') inode.pages = answer;
    return answer;
  }

  close({ nodeId, handle }: OpenFile): void {
    this.#fs.release(context(), nodeId, handle);
    this.#inode(nodeId).opens--;
  }

  /** Names of a directory, with attributes taken in as READDIRPLUS brings them. */
  readdir(path: string): Promise<string[]> {
    return this.#retried(path, async (nodeId) => {
      const { handle } = this.#fs.opendir(context(), nodeId);
      const names: string[] = [];
      try {
        await this.#fs.readdir(context(), nodeId, handle, 0, {
          plus: true,
          add: ({ name }, entry) => {
            if (name === '.' || name === '..') return true;
            names.push(name);
            if (entry) this.#takeEntry(nodeId, name, entry);
            return true;
          },
        });
      } finally {
        this.#fs.releasedir(context(), nodeId, handle);
      }
      return names;
    });
  }

  /** Gives up names and pages; nodes without names and handles are forgotten. Only while no call is under way. */
  drop(share: () => boolean): void {
    for (const name of [...this.#dentries.keys()]) if (share()) this.#dentries.delete(name);
    for (const inode of this.#inodes.values()) if (share()) inode.pages = undefined;
    const named = new Set([...this.#dentries.values()].map(({ nodeId }) => nodeId));
    const parents = new Set([...this.#dentries.keys()].map((name) => Number(name.split('/')[0])));
    for (const [nodeId, inode] of [...this.#inodes]) {
      if (inode.opens > 0 || named.has(nodeId) || parents.has(nodeId)) continue;
      this.#inodes.delete(nodeId);
      this.#fs.forget(nodeId, inode.lookups);
    }
  }

  async #retried<T>(path: string, use: (nodeId: number) => Promise<T>): Promise<T> {
    try {
      return await use(await this.#walk(path, false));
    } catch (error) {
      if (!(error instanceof ErrnoError) || error.errno !== ESTALE) throw error;
      return use(await this.#walk(path, true));
    }
  }

  async #walk(path: string, anew: boolean): Promise<number> {
    let nodeId = ROOT;
    for (const name of path === '' ? [] : path.split('/')) {
      if (nodeId !== ROOT && !isDirectory(this.#inode(nodeId).attributes)) throw new ErrnoError(ENOTDIR);
      const known = this.#dentries.get(`${nodeId}/${name}`);
      const valid = known !== undefined && this.#clock.nowMs() < known.untilMs && !anew;
      nodeId = valid ? known.nodeId : await this.#lookup(nodeId, name);
      if (nodeId === 0) throw new ErrnoError(ENOENT);
    }
    return nodeId;
  }

  async #lookup(parent: number, name: string): Promise<number> {
    let entry: Entry;
    try {
      entry = await this.#fs.lookup(context(), parent, name);
    } catch (error) {
      if (error instanceof ErrnoError && error.errno === ENOENT) this.#dentries.delete(`${parent}/${name}`);
      throw error;
    }
    this.#takeEntry(parent, name, entry);
    return entry.nodeId;
  }

  #takeEntry(parent: number, name: string, entry: Entry): void {
    this.#dentries.set(`${parent}/${name}`, {
      nodeId: entry.nodeId,
      untilMs: this.#clock.nowMs() + entry.entryTtlMs,
    });
    if (entry.nodeId === 0) return;
    this.#take(entry.nodeId, entry.attributes, entry.attributesTtlMs);
    this.#inode(entry.nodeId).lookups++;
  }

  #take(nodeId: number, attributes: Attributes, ttlMs: number): void {
    const untilMs = this.#clock.nowMs() + ttlMs;
    const inode = this.#inodes.get(nodeId);
    if (!inode) {
      this.#inodes.set(nodeId, { lookups: 0, attributes, untilMs, pages: undefined, opens: 0 });
      return;
    }
    if (inode.attributes.sizeBytes !== attributes.sizeBytes) this.mixed.push(`node ${nodeId}`);
    inode.attributes = attributes;
    inode.untilMs = untilMs;
  }

  #inode(nodeId: number): Inode {
    const inode = this.#inodes.get(nodeId);
    if (!inode) throw new ErrnoError(ESTALE);
    return inode;
  }
}

export function isDirectory(attributes: Attributes): boolean {
  return (attributes.mode & 0o170000) === 0o040000;
}
