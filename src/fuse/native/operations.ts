/**
 * FuseHandlers as fuse-native's operations: paths are walked to nodes, promises become callbacks, errors negative errno
 * values. What libfuse 2 cannot express is left out (see mount.ts). The binding does not say who asks, so every request
 * carries our own user and pid 0; it knows no INTERRUPT, so signals are never aborted. READs are answered into the
 * binding's buffer, on this thread: there is no ticket to hand over.
 * Refuses to hold more than the open files: fuse-native's handles are small numbers, so ours are kept in a table here.
 */
import { EBADF, EINVAL, EIO, ENOSYS, ErrnoError } from '../../base/errno.js';
import { InvariantError, invariant } from '../../base/invariant.js';
import type { Log } from '../../base/log.js';
import type {
  AttributeChanges,
  Attributes,
  DirectoryItem,
  FuseHandlers,
  ReadHandover,
  ReadReply,
  RequestContext,
} from '../handlers.js';
import type { NativeOperations, NativeStat } from './library.js';
import { PathWalker, type WalkedNode } from './paths.js';

/** Entries taken from the handlers at a time; a listing ends with a batch that is empty. */
const DIRECTORY_BATCH = 1024;

/** open(2)'s O_RDWR | O_CREAT: fuse-native does not pass create's flags. */
const CREATE_FLAGS = 0o102;

/** The binding's times are unsigned. */
const EARLIEST_MS = 0;

interface OpenFile {
  readonly node: WalkedNode;
  readonly handle: number;
  readonly flags: number;
}

function ownContext(): RequestContext {
  return {
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
    pid: 0,
    signal: new AbortController().signal,
  };
}

function toStat(attributes: Attributes): NativeStat {
  return {
    mode: attributes.mode,
    uid: attributes.uid,
    gid: attributes.gid,
    size: attributes.sizeBytes,
    nlink: attributes.nlink,
    // The binding has 32 bits for it; libfuse makes up its own without use_ino anyway.
    ino: attributes.ino % 0x1_0000_0000,
    rdev: attributes.rdev,
    blksize: attributes.blockSizeBytes,
    blocks: Math.ceil(attributes.sizeBytes / 512),
    atime: Math.max(EARLIEST_MS, attributes.atimeMs),
    mtime: Math.max(EARLIEST_MS, attributes.mtimeMs),
    ctime: Math.max(EARLIEST_MS, attributes.ctimeMs),
  };
}

/** One READ into the binding's buffer. */
class NativeRead implements ReadReply {
  readonly ticket = undefined;
  readonly #into: Buffer;
  readonly #sizeBytes: number;
  readonly #done: (result: number) => void;
  #answered = false;

  constructor(into: Buffer, sizeBytes: number, done: (result: number) => void) {
    this.#into = into;
    this.#sizeBytes = sizeBytes;
    this.#done = done;
  }

  get open(): boolean {
    return !this.#answered;
  }

  data(parts: readonly Uint8Array[]): void {
    let end = 0;
    for (const part of parts) {
      invariant(end + part.length <= this.#sizeBytes, `a READ of ${this.#sizeBytes} bytes was answered with more`);
      this.#into.set(part, end);
      end += part.length;
    }
    this.#answer(end);
  }

  error(errno: number): void {
    this.#answer(-(errno > 0 ? errno : EIO));
  }

  handedOver(): ReadHandover {
    throw new InvariantError('broken invariant: a READ without a ticket was handed over');
  }

  #answer(result: number): void {
    invariant(!this.#answered, 'a READ was answered twice');
    this.#answered = true;
    this.#done(result);
  }
}

/** Operations that serve `handlers`. Operations without a handler are left out. */
export function nativeOperations(handlers: FuseHandlers, log: Log): NativeOperations {
  const context = ownContext();
  const walker = new PathWalker(handlers, context);
  const files = new Map<number, OpenFile>();
  let nextFile = 1;

  /** A negative errno; an unknown throw is EIO and one line. A broken invariant goes on to end the process. */
  const failure = (operation: string, path: string, error: unknown): number => {
    if (error instanceof InvariantError) throw error;
    if (error instanceof ErrnoError) return -error.errno;
    log.error({ operation, path, err: error }, `${operation} failed with EIO: its handler threw ${String(error)}`);
    return -EIO;
  };

  /** Runs an operation and reports; `run` resolves to what `done` gets after the 0. */
  const run = <T>(
    operation: string,
    path: string,
    work: () => Promise<T>,
    done: (result: number, value?: T) => void,
  ): void => {
    // A rejection in here is a broken invariant: unhandled, it ends the process.
    void work().then(
      (value) => done(0, value),
      (error: unknown) => done(failure(operation, path, error)),
    );
  };

  /** Runs `work` with the node of a path, and gives the node back. */
  const withNode = async <T>(path: string, work: (nodeId: number) => T | Promise<T>): Promise<T> => {
    const node = await walker.walk(path);
    try {
      return await work(node.nodeId);
    } finally {
      node.drop();
    }
  };

  const withParent = async <T>(path: string, work: (parent: number, name: string) => T | Promise<T>): Promise<T> => {
    const { parent, name } = await walker.walkParent(path);
    try {
      return await work(parent.nodeId, name);
    } finally {
      parent.drop();
    }
  };

  const fileOf = (file: number): OpenFile => {
    const open = files.get(file);
    if (open === undefined) throw new ErrnoError(EBADF);
    return open;
  };

  const keep = (node: WalkedNode, handle: number, flags: number): number => {
    const file = nextFile++;
    files.set(file, { node, handle, flags });
    return file;
  };

  const operations: NativeOperations = {
    getattr: (path, done) =>
      run(
        'getattr',
        path,
        () => withNode(path, async (nodeId) => toStat((await handlers.getattr(context, nodeId, undefined)).attributes)),
        done,
      ),

    readdir: (path, done) =>
      run(
        'readdir',
        path,
        () =>
          withNode(path, async (nodeId) => {
            const { handle } = await handlers.opendir(context, nodeId, 0);
            try {
              return await listAll(handlers, context, nodeId, handle);
            } finally {
              await handlers.releasedir(context, nodeId, handle);
            }
          }),
        done,
      ),

    open: (path, flags, done) =>
      run(
        'open',
        path,
        async () => {
          const node = await walker.walk(path);
          try {
            const { handle } = await handlers.open(context, node.nodeId, flags);
            return keep(node, handle, flags);
          } catch (error) {
            node.drop();
            throw error;
          }
        },
        done,
      ),

    read: (path, file, into, sizeBytes, offset, done) => {
      const reply = new NativeRead(into, sizeBytes, done);
      try {
        const { node, handle } = fileOf(file);
        handlers.read(context, node.nodeId, handle, offset, sizeBytes, reply);
      } catch (error) {
        const result = failure('read', path, error);
        if (reply.open) reply.error(-result);
      }
    },

    release: (path, file, done) =>
      run(
        'release',
        path,
        async () => {
          const { node, handle, flags } = fileOf(file);
          files.delete(file);
          try {
            await handlers.release(context, node.nodeId, handle, flags);
          } finally {
            node.drop();
          }
        },
        done,
      ),

    statfs: (path, done) =>
      run(
        'statfs',
        path,
        async () => {
          const found = await handlers.statfs(context, 1);
          // The binding has 32 bits for each number.
          const clamp = (value: number): number => Math.min(value, 0xffff_ffff);
          return {
            bsize: found.blockSizeBytes,
            frsize: found.blockSizeBytes,
            blocks: clamp(found.blocks),
            bfree: clamp(found.blocksFree),
            bavail: clamp(found.blocksFree),
            files: clamp(found.files),
            ffree: clamp(found.filesFree),
            favail: clamp(found.filesFree),
            namemax: found.nameBytesMax,
          };
        },
        done,
      ),
  };

  const setattr = (operation: string, path: string, changes: AttributeChanges, done: (result: number) => void): void =>
    run(
      operation,
      path,
      () =>
        withNode(path, async (nodeId) => {
          if (handlers.setattr === undefined) throw new ErrnoError(ENOSYS);
          await handlers.setattr(context, nodeId, changes);
        }),
      done,
    );

  if (handlers.setattr !== undefined) {
    operations.truncate = (path, sizeBytes, done) => setattr('truncate', path, { sizeBytes }, done);
    operations.ftruncate = (path, file, sizeBytes, done) =>
      run(
        'ftruncate',
        path,
        async () => {
          const { node, handle } = fileOf(file);
          await handlers.setattr?.(context, node.nodeId, { sizeBytes, handle });
        },
        done,
      );
    operations.chmod = (path, mode, done) => setattr('chmod', path, { mode }, done);
    operations.chown = (path, uid, gid, done) => {
      // -1 keeps the one that is.
      const changes = { ...(uid === 0xffff_ffff ? {} : { uid }), ...(gid === 0xffff_ffff ? {} : { gid }) };
      setattr('chown', path, changes, done);
    };
    // The binding (2.2.6) passes the access time twice and loses the other: setting a wrong mtime would be worse than none.
    operations.utimens = (path, atimeMs, _mtimeMs, done) => setattr('utimens', path, { atimeMs }, done);
  }
  if (handlers.readlink !== undefined) {
    operations.readlink = (path, done) =>
      run(
        'readlink',
        path,
        () =>
          withNode(path, (nodeId) => {
            if (handlers.readlink === undefined) throw new ErrnoError(EINVAL);
            return handlers.readlink(context, nodeId);
          }),
        done,
      );
  }
  if (handlers.write !== undefined) {
    operations.write = (path, file, from, sizeBytes, offset, done) => {
      const work = async (): Promise<number> => {
        const { node, handle } = fileOf(file);
        return (await handlers.write?.(context, node.nodeId, handle, offset, from.subarray(0, sizeBytes), 0)) ?? 0;
      };
      void work().then(done, (error: unknown) => done(failure('write', path, error)));
    };
  }
  if (handlers.create !== undefined) {
    operations.create = (path, mode, done) =>
      run(
        'create',
        path,
        () =>
          withParent(path, async (parent, name) => {
            const created = await handlers.create?.(context, parent, name, mode, CREATE_FLAGS);
            if (created === undefined) throw new ErrnoError(ENOSYS);
            return keep(walker.adopt(created.entry.nodeId), created.open.handle, CREATE_FLAGS);
          }),
        done,
      );
  }
  if (handlers.flush !== undefined) {
    operations.flush = (path, file, done) =>
      run(
        'flush',
        path,
        async () => {
          const { node, handle } = fileOf(file);
          await handlers.flush?.(context, node.nodeId, handle);
        },
        done,
      );
  }
  if (handlers.fsync !== undefined) {
    operations.fsync = (path, dataOnly, file, done) =>
      run(
        'fsync',
        path,
        async () => {
          const { node, handle } = fileOf(file);
          await handlers.fsync?.(context, node.nodeId, handle, dataOnly !== 0);
        },
        done,
      );
  }

  /** Operations that make a name and give a lookup of it. */
  const making = (
    operation: string,
    path: string,
    make: (parent: number, name: string) => Promise<number | undefined>,
    done: (result: number) => void,
  ): void =>
    run(
      operation,
      path,
      () =>
        withParent(path, async (parent, name) => {
          const nodeId = await make(parent, name);
          if (nodeId !== undefined) walker.adopt(nodeId).drop();
        }),
      done,
    );

  if (handlers.mkdir !== undefined) {
    operations.mkdir = (path, mode, done) =>
      making(
        'mkdir',
        path,
        async (parent, name) => (await handlers.mkdir?.(context, parent, name, mode))?.nodeId,
        done,
      );
  }
  if (handlers.mknod !== undefined) {
    operations.mknod = (path, mode, rdev, done) =>
      making(
        'mknod',
        path,
        async (parent, name) => (await handlers.mknod?.(context, parent, name, mode, rdev))?.nodeId,
        done,
      );
  }
  if (handlers.symlink !== undefined) {
    operations.symlink = (target, path, done) =>
      making(
        'symlink',
        path,
        async (parent, name) => (await handlers.symlink?.(context, parent, name, target))?.nodeId,
        done,
      );
  }
  if (handlers.link !== undefined) {
    operations.link = (path, newPath, done) =>
      making(
        'link',
        newPath,
        (parent, name) =>
          withNode(path, async (nodeId) => (await handlers.link?.(context, nodeId, parent, name))?.nodeId),
        done,
      );
  }
  if (handlers.unlink !== undefined) {
    operations.unlink = (path, done) =>
      run('unlink', path, () => withParent(path, (parent, name) => handlers.unlink?.(context, parent, name)), done);
  }
  if (handlers.rmdir !== undefined) {
    operations.rmdir = (path, done) =>
      run('rmdir', path, () => withParent(path, (parent, name) => handlers.rmdir?.(context, parent, name)), done);
  }
  if (handlers.rename !== undefined) {
    operations.rename = (path, newPath, done) =>
      run(
        'rename',
        path,
        () =>
          withParent(path, (parent, name) =>
            withParent(newPath, (newParent, newName) =>
              handlers.rename?.(context, parent, name, newParent, newName, 0),
            ),
          ),
        done,
      );
  }
  return operations;
}

/** All names of a directory. fuse-native wants them at once, so their memory is the listing's. */
async function listAll(
  handlers: FuseHandlers,
  context: RequestContext,
  nodeId: number,
  handle: number,
): Promise<string[]> {
  const names: string[] = [];
  let offset = 0;
  for (;;) {
    const batch: DirectoryItem[] = [];
    await handlers.readdir(context, nodeId, handle, offset, {
      plus: false,
      add: (item) => batch.length < DIRECTORY_BATCH && batch.push(item) > 0,
    });
    const last = batch.at(-1);
    if (last === undefined) return names;
    for (const { name } of batch) names.push(name);
    offset = last.nextOffset;
  }
}
