/**
 * From paths, which libfuse 2 speaks, to node ids, which FuseHandlers speak. Each operation walks its path from the root
 * with LOOKUPs and gives them back with FORGETs when it is over; an open file keeps its own until it is released. So the
 * lookup counts are exact, as with the kernel, at the price of a walk an operation (libfuse and the kernel cache names
 * and attributes for a second in front of it). Refuses to cache: a cache of paths would have to follow renames.
 */
import { ENAMETOOLONG, ENOENT, ErrnoError } from '../../base/errno.js';
import { FUSE_ROOT_ID, NAME_BYTES_MAX } from '../abi.js';
import type { FuseHandlers, RequestContext } from '../handlers.js';

/** A node that was looked up, to be given back with `drop`. The root costs nothing. */
export interface WalkedNode {
  readonly nodeId: number;
  drop(): void;
}

const ROOT: WalkedNode = { nodeId: FUSE_ROOT_ID, drop: () => undefined };

export class PathWalker {
  readonly #handlers: FuseHandlers;
  readonly #context: RequestContext;

  constructor(handlers: FuseHandlers, context: RequestContext) {
    this.#handlers = handlers;
    this.#context = context;
  }

  /** The node of an absolute path. `@gives` one lookup of it. Throws ErrnoError. */
  async walk(path: string): Promise<WalkedNode> {
    let node = ROOT;
    for (const name of path.split('/')) {
      if (name === '') continue;
      const parent = node;
      try {
        node = await this.#step(parent.nodeId, name);
      } finally {
        parent.drop();
      }
    }
    return node;
  }

  /** The directory that holds the last name of a path, and that name. */
  async walkParent(path: string): Promise<{ readonly parent: WalkedNode; readonly name: string }> {
    const cut = path.lastIndexOf('/');
    const name = path.slice(cut + 1);
    if (Buffer.byteLength(name) > NAME_BYTES_MAX) throw new ErrnoError(ENAMETOOLONG);
    return { parent: await this.walk(path.slice(0, cut)), name };
  }

  /** A lookup that an operation (CREATE, MKDIR) brought along. */
  adopt(nodeId: number): WalkedNode {
    return { nodeId, drop: () => this.#handlers.forget(nodeId, 1) };
  }

  async #step(parent: number, name: string): Promise<WalkedNode> {
    if (Buffer.byteLength(name) > NAME_BYTES_MAX) throw new ErrnoError(ENAMETOOLONG);
    // libfuse's binding turns bytes that are not UTF-8 into this character; no such object can be meant.
    if (name.includes('\ufffd')) throw new ErrnoError(ENOENT);
    const { nodeId } = await this.#handlers.lookup(this.#context, parent, name);
    if (nodeId === 0) throw new ErrnoError(ENOENT);
    return this.adopt(nodeId);
  }
}
