/**
 * Handlers that note every call and answer with fixed values, so that a test sees exactly what was decoded and chooses
 * what is encoded. A result may be a promise or an error to throw.
 */
import type {
  Attributes,
  DirectoryItem,
  DirectorySink,
  Entry,
  FuseHandlers,
  ReadReply,
  RequestContext,
} from '../../src/fuse/handlers.js';

export const ATTRIBUTES: Attributes = {
  ino: 0x1_0000_0007,
  sizeBytes: 0x2_0000_0001,
  mode: 0o100644,
  nlink: 1,
  uid: 1000,
  gid: 1001,
  mtimeMs: 1_700_000_000_123.5,
  ctimeMs: -1500,
  atimeMs: 0,
  rdev: 0,
  blockSizeBytes: 1 << 20,
};

export const ENTRY: Entry = {
  nodeId: 0x3_0000_0009,
  generation: 5,
  attributes: ATTRIBUTES,
  entryTtlMs: 1500,
  attributesTtlMs: Infinity,
};

export interface DirectoryStep {
  readonly item: DirectoryItem;
  readonly entry?: Entry;
}

export class RecordingHandlers implements FuseHandlers {
  /** `method arg arg`, bytes as hex, in the order of calls. */
  readonly calls: string[] = [];
  readonly contexts: RequestContext[] = [];
  /** The last READ's reply. */
  reply: ReadReply | undefined;
  /** Answers, by method; an Error is thrown. */
  results: Record<string, unknown> = {
    lookup: ENTRY,
    getattr: { attributes: ATTRIBUTES, ttlMs: 2500 },
    setattr: { attributes: ATTRIBUTES, ttlMs: 0 },
    readlink: 'over/there',
    symlink: ENTRY,
    mknod: ENTRY,
    mkdir: ENTRY,
    link: ENTRY,
    open: { handle: 0x4_0000_0003, keepCache: true, noFlush: true },
    create: { entry: ENTRY, open: { handle: 8, directIo: true, parallelDirectWrites: true } },
    read: [Buffer.from('abc'), Buffer.from('de')],
    write: 3,
    lseek: 0x5_0000_0001,
    opendir: { handle: 9, cacheDirectory: true, keepCache: true },
    readdir: [
      { item: { name: '.', ino: 1, type: 4, nextOffset: 1 } },
      { item: { name: 'häh', ino: 7, type: 8, nextOffset: 0x1_0000_0002 }, entry: ENTRY },
    ] satisfies DirectoryStep[],
    statfs: { blockSizeBytes: 4096, blocks: 1000, blocksFree: 600, files: 50, filesFree: 20, nameBytesMax: 255 },
    getxattr: Buffer.from('value'),
    listxattr: ['user.a', 'user.bc'],
  };

  #take(method: string, context: RequestContext, values: readonly unknown[]): unknown {
    this.contexts.push(context);
    this.calls.push([method, ...values.map(show)].join(' '));
    const result = this.results[method];
    if (result instanceof Error) throw result;
    return result;
  }

  lookup = (c: RequestContext, ...v: unknown[]): Entry => this.#take('lookup', c, v) as Entry;
  getattr = (c: RequestContext, ...v: unknown[]): never => this.#take('getattr', c, v) as never;
  setattr = (c: RequestContext, ...v: unknown[]): never => this.#take('setattr', c, v) as never;
  readlink = (c: RequestContext, ...v: unknown[]): never => this.#take('readlink', c, v) as never;
  symlink = (c: RequestContext, ...v: unknown[]): never => this.#take('symlink', c, v) as never;
  mknod = (c: RequestContext, ...v: unknown[]): never => this.#take('mknod', c, v) as never;
  mkdir = (c: RequestContext, ...v: unknown[]): never => this.#take('mkdir', c, v) as never;
  unlink = (c: RequestContext, ...v: unknown[]): never => this.#take('unlink', c, v) as never;
  rmdir = (c: RequestContext, ...v: unknown[]): never => this.#take('rmdir', c, v) as never;
  rename = (c: RequestContext, ...v: unknown[]): never => this.#take('rename', c, v) as never;
  link = (c: RequestContext, ...v: unknown[]): never => this.#take('link', c, v) as never;
  open = (c: RequestContext, ...v: unknown[]): never => this.#take('open', c, v) as never;
  create = (c: RequestContext, ...v: unknown[]): never => this.#take('create', c, v) as never;
  // The loan is told only when there is one.
  write = (c: RequestContext, ...v: unknown[]): never =>
    this.#take('write', c, v[5] === undefined ? v.slice(0, 5) : v) as never;
  flush = (c: RequestContext, ...v: unknown[]): never => this.#take('flush', c, v) as never;
  release = (c: RequestContext, ...v: unknown[]): never => this.#take('release', c, v) as never;
  fsync = (c: RequestContext, ...v: unknown[]): never => this.#take('fsync', c, v) as never;
  fallocate = (c: RequestContext, ...v: unknown[]): never => this.#take('fallocate', c, v) as never;
  lseek = (c: RequestContext, ...v: unknown[]): never => this.#take('lseek', c, v) as never;
  opendir = (c: RequestContext, ...v: unknown[]): never => this.#take('opendir', c, v) as never;
  releasedir = (c: RequestContext, ...v: unknown[]): never => this.#take('releasedir', c, v) as never;
  fsyncdir = (c: RequestContext, ...v: unknown[]): never => this.#take('fsyncdir', c, v) as never;
  statfs = (c: RequestContext, ...v: unknown[]): never => this.#take('statfs', c, v) as never;
  getxattr = (c: RequestContext, ...v: unknown[]): never => this.#take('getxattr', c, v) as never;
  setxattr = (c: RequestContext, ...v: unknown[]): never => this.#take('setxattr', c, v) as never;
  listxattr = (c: RequestContext, ...v: unknown[]): never => this.#take('listxattr', c, v) as never;
  removexattr = (c: RequestContext, ...v: unknown[]): never => this.#take('removexattr', c, v) as never;
  access = (c: RequestContext, ...v: unknown[]): never => this.#take('access', c, v) as never;

  forget(nodeId: number, count: number): void {
    this.calls.push(`forget ${nodeId} ${count}`);
    const result = this.results['forget'];
    if (result instanceof Error) throw result;
  }

  read(c: RequestContext, nodeId: number, handle: number, offset: number, sizeBytes: number, reply: ReadReply): void {
    this.reply = reply;
    const result = this.#take('read', c, [nodeId, handle, offset, sizeBytes]);
    if (Array.isArray(result)) reply.data(result as Uint8Array[]);
    else if (typeof result === 'number') reply.error(result);
  }

  readdir(
    c: RequestContext,
    nodeId: number,
    handle: number,
    offset: number,
    sink: DirectorySink,
  ): void | Promise<void> {
    const result = this.#take(sink.plus ? 'readdirplus' : 'readdir', c, [nodeId, handle, offset]);
    const fill = (): void => {
      for (const { item, entry } of this.results['readdir'] as DirectoryStep[]) {
        if (!sink.add(item, sink.plus ? entry : undefined)) return;
      }
    };
    if (result instanceof Promise) return result.then(fill);
    fill();
    return undefined;
  }

  destroy(): void {
    this.calls.push('destroy');
  }
}

function show(value: unknown): string {
  if (value instanceof Uint8Array) return `<${Buffer.from(value).toString('hex')}>`;
  return value === undefined ? '-' : JSON.stringify(value);
}
