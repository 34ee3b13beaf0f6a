/**
 * The contract's client over the fake kernel: does what a VFS does, one request after the other, through the naive codec,
 * and gives every lookup back at once. It asks for listings with READDIRPLUS in small pieces, which no mount lets one do.
 */
import { errnoName } from '../../../src/base/errno.js';
import type { FuseDispatcher } from '../../../src/fuse/dispatcher.js';
import {
  decodeDirents,
  decodeStruct,
  encodeRequest,
  sizeOf,
  type Fields,
  type Reply,
} from '../../support/fake-kernel-codec.js';
import type { FakeKernel } from '../../support/fake-kernel.js';
import { pathBytes, type Client, type ClientStat } from './contract.js';

const O_RDONLY = 0;
const O_WRONLY = 1;
const O_TRUNC = 0o1000;
const FATTR_MODE = 1;
const FATTR_SIZE = 8;
const FATTR_TIMES = 0x30;
const NUL = Buffer.from([0]);

/** Large enough for one entry, small enough that listings take many requests. */
const LISTING_BYTES = 4096;

export function fakeClient(kernel: FakeKernel, dispatcher: FuseDispatcher): Client {
  let unique = 0;

  const send = (name: string, node: bigint, body: Fields, tail: readonly (string | Uint8Array)[]): bigint => {
    unique += 2;
    const header = { unique, nodeid: node, uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 };
    dispatcher.dispatch(kernel.sent(encodeRequest(name, header, body, tail)));
    return BigInt(unique);
  };

  const call = async (
    name: string,
    node: bigint,
    body: Fields = {},
    tail: readonly (string | Uint8Array)[] = [],
  ): Promise<Buffer> => {
    const id = send(name, node, body, tail);
    let reply: Reply | undefined;
    while ((reply = kernel.replies.pop()) === undefined) await new Promise((resolve) => setImmediate(resolve));
    if (reply.unique !== id) throw new Error('a reply to another request');
    if (reply.errno !== 0) throw Object.assign(new Error(errnoName(reply.errno)), { code: errnoName(reply.errno) });
    return reply.body;
  };

  const forget = (node: bigint): void => {
    kernel.withdraw(send('FORGET', node, { nlookup: 1 }, []));
  };

  const tailOf = (name: Buffer): Uint8Array => Buffer.concat([name, NUL]);

  const split = (path: Buffer): Buffer[] => {
    const names: Buffer[] = [];
    let from = 0;
    for (let at = 0; at <= path.length; at++) {
      if (at < path.length && path[at] !== 0x2f) continue;
      const name = path.subarray(from, at);
      if (name.length > 0 && name.toString() !== '.') names.push(name);
      from = at + 1;
    }
    return names;
  };

  const S_IFMT = 0o170000n;
  const walk = async (names: readonly Buffer[]): Promise<{ node: bigint; attributes: Record<string, bigint> }> => {
    let node = 1n;
    let attributes: Record<string, bigint> = {};
    for (const name of names) {
      try {
        if (node !== 1n && ((attributes['attr.mode'] ?? 0n) & S_IFMT) !== 0o040000n) {
          throw Object.assign(new Error('ENOTDIR'), { code: 'ENOTDIR' });
        }
        attributes = decodeStruct('entry_out', await call('LOOKUP', node, {}, [tailOf(name)]));
      } finally {
        if (node !== 1n) forget(node);
      }
      node = attributes['nodeid'] ?? 0n;
    }
    return { node, attributes };
  };

  const withNode = async <T>(path: string, work: (node: bigint) => Promise<T>): Promise<T> => {
    const { node } = await walk(split(pathBytes(path)));
    try {
      return await work(node);
    } finally {
      if (node !== 1n) forget(node);
    }
  };

  const withParent = async <T>(path: string, work: (parent: bigint, name: Buffer) => Promise<T>): Promise<T> => {
    const names = split(pathBytes(path));
    const name = names.pop() ?? Buffer.alloc(0);
    const { node } = await walk(names);
    try {
      return await work(node, name);
    } finally {
      if (node !== 1n) forget(node);
    }
  };

  const withOpen = async <T>(node: bigint, flags: number, work: (fh: bigint) => Promise<T>): Promise<T> => {
    const fh = decodeStruct('open_out', await call('OPEN', node, { flags }))['fh'] ?? 0n;
    try {
      return await work(fh);
    } finally {
      await call('FLUSH', node, { fh });
      await call('RELEASE', node, { fh, flags });
    }
  };

  const making = (path: string, request: string, body: Fields, tail: readonly string[] = []): Promise<void> =>
    withParent(path, async (parent, name) => {
      const entry = decodeStruct('entry_out', await call(request, parent, body, [tailOf(name), ...tail]));
      forget(entry['nodeid'] ?? 0n);
    });

  const writeAll = async (node: bigint, fh: bigint, offset: number, data: Buffer): Promise<void> => {
    for (let at = 0; at < data.length; at += 131072) {
      const part = data.subarray(at, at + 131072);
      const body = await call('WRITE', node, { fh, offset: offset + at, size: part.length }, [part]);
      if (decodeStruct('write_out', body)['size'] !== BigInt(part.length)) throw new Error('a short write');
    }
  };

  const statOf = async (node: bigint): Promise<ClientStat> => {
    const got = decodeStruct('attr_out', await call('GETATTR', node));
    const number = (field: string): number => Number(got[`attr.${field}`]);
    return {
      ino: number('ino'),
      size: number('size'),
      mode: number('mode'),
      nlink: number('nlink'),
      mtimeMs: number('mtime') * 1000 + number('mtimensec') / 1e6,
    };
  };

  const readAt = (path: string, offset: number, sizeBytes: number): Promise<Buffer> =>
    withNode(path, (node) => withOpen(node, O_RDONLY, (fh) => call('READ', node, { fh, offset, size: sizeBytes })));

  return {
    stat: (path) => withNode(path, statOf),
    readAt,
    readFile: (path) =>
      withNode(path, async (node) => {
        const { size } = await statOf(node);
        return withOpen(node, O_RDONLY, async (fh) => {
          const parts: Buffer[] = [];
          for (let at = 0; at < Math.max(1, size); at += 131072) {
            parts.push(await call('READ', node, { fh, offset: at, size: 131072 }));
          }
          return Buffer.concat(parts);
        });
      }),
    writeFile: async (path, data) => {
      try {
        await withNode(path, (node) => withOpen(node, O_WRONLY | O_TRUNC, (fh) => writeAll(node, fh, 0, data)));
      } catch (error) {
        if ((error as { code?: string }).code !== 'ENOENT') throw error;
        await withParent(path, async (parent, name) => {
          const body = await call('CREATE', parent, { flags: O_WRONLY, mode: 0o100644 }, [tailOf(name)]);
          const node = decodeStruct('entry_out', body)['nodeid'] ?? 0n;
          const fh = decodeStruct('open_out', body, sizeOf('entry_out'))['fh'] ?? 0n;
          await writeAll(node, fh, 0, data);
          await call('FLUSH', node, { fh });
          await call('RELEASE', node, { fh });
          forget(node);
        });
      }
    },
    writeAt: (path, offset, data) =>
      withNode(path, (node) => withOpen(node, O_WRONLY, (fh) => writeAll(node, fh, offset, data))),
    readdir: (path) =>
      withNode(path, async (node) => {
        const fh = decodeStruct('open_out', await call('OPENDIR', node))['fh'] ?? 0n;
        const names: string[] = [];
        for (let offset = 0n, plus = true; ; plus = !plus) {
          const body = await call(plus ? 'READDIRPLUS' : 'READDIR', node, { fh, offset, size: LISTING_BYTES });
          const found = decodeDirents(body, plus);
          for (const { name, dirent, entry } of found) {
            if (name !== '.' && name !== '..') names.push(name);
            offset = dirent['off'] ?? 0n;
            if (entry?.['nodeid']) forget(entry['nodeid']);
          }
          if (found.length === 0) break;
        }
        await call('RELEASEDIR', node, { fh });
        return names;
      }),
    mkdir: (path) => making(path, 'MKDIR', { mode: 0o755 }),
    symlink: (target, path) => making(path, 'SYMLINK', {}, [target]),
    link: (from, to) => withNode(from, (node) => making(to, 'LINK', { oldnodeid: node })),
    rmdir: (path) => withParent(path, async (parent, name) => void (await call('RMDIR', parent, {}, [tailOf(name)]))),
    unlink: (path) => withParent(path, async (parent, name) => void (await call('UNLINK', parent, {}, [tailOf(name)]))),
    rename: (from, to) =>
      withParent(from, (parent, name) =>
        withParent(
          to,
          async (newdir, newName) => void (await call('RENAME2', parent, { newdir }, [tailOf(name), tailOf(newName)])),
        ),
      ),
    truncate: (path, size) =>
      withNode(path, async (node) => void (await call('SETATTR', node, { valid: FATTR_SIZE, size }))),
    chmod: (path, mode) =>
      withNode(path, async (node) => void (await call('SETATTR', node, { valid: FATTR_MODE, mode: 0o100000 | mode }))),
    utimes: (path, atimeMs, mtimeMs) =>
      withNode(path, async (node) => {
        await call('SETATTR', node, {
          valid: FATTR_TIMES,
          atime: Math.floor(atimeMs / 1000),
          mtime: Math.floor(mtimeMs / 1000),
          mtimensec: (mtimeMs - Math.floor(mtimeMs / 1000) * 1000) * 1e6,
        });
      }),
    readlink: (path) => withNode(path, async (node) => (await call('READLINK', node)).toString()),
    statfs: async () => {
      const got = decodeStruct('statfs_out', await call('STATFS', 1n));
      return { blocks: Number(got['blocks']), bfree: Number(got['bfree']) };
    },
    fsync: (path) =>
      withNode(path, (node) => withOpen(node, O_RDONLY, async (fh) => void (await call('FSYNC', node, { fh })))),
  };
}
