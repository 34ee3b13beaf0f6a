/**
 * How each request is served: decode its body, call its handler, say what kind of reply the result becomes. One function
 * an opcode, in one table that must cover every row of opcodes.ts (checked at load).
 *
 * Here also stands what is answered without a handler. ENOSYS is remembered by the kernel for most requests ("sticky"),
 * so each use of it below is one where what the kernel then does by itself is right:
 *   GETLK SETLK SETLKW     never sent: locks are the kernel's own, which is what a single machine needs
 *   BMAP COPY_FILE_RANGE(_64) TMPFILE STATX LSEEK FALLOCATE SYNCFS   the kernel falls back (copying through READ and
 *                          WRITE, EOPNOTSUPP, GETATTR, "all is data") which is what would be answered each time
 *   SETUPMAPPING REMOVEMAPPING   DAX windows of virtiofs; never negotiated
 *   POLL                   the kernel then says "always ready", as for every regular file
 *   IOCTL                  ENOTTY, what ioctl(2) promises for "no such request on this file"; never remembered, so
 *                          reader threads answer it by themselves (kernel fact 25, docs/KERNEL.md)
 *   FSYNC, FSYNCDIR        see below: ENOSYS would make fsync(2) a silent success for ever
 *   LINK SYMLINK MKNOD     EPERM, what link(2), symlink(2) and mknod(2) promise where the file system has no such thing
 *   INTERRUPT              never answered at all (ENOSYS would turn interrupts off)
 * Everything else without a handler is plain ENOSYS: create, unlink, rename, ... are not remembered in a harmful way, and
 * a read-only file system answers EROFS in its handlers (or the kernel does, for a mount with `ro`).
 */
import {
  EBADF,
  EFBIG,
  EILSEQ,
  EINVAL,
  EIO,
  ENODATA,
  ENOENT,
  ENOSYS,
  ENOTTY,
  ENXIO,
  EPERM,
  ESTALE,
  ErrnoError,
} from '../base/errno.js';
import { invariant } from '../base/invariant.js';
import * as abi from './abi.js';
import {
  OUT_OF_RANGE,
  decodeFallocate,
  decodeGetattrHandle,
  decodeRead,
  decodeSetattr,
  decodeU64,
  decodeWrite,
  newFallocateIn,
  newReadIn,
  newSetattrIn,
  newWriteIn,
  type SetattrIn,
} from './decode.js';
import type {
  AttributeChanges,
  AttributesReply,
  Entry,
  FileSystemStatistics,
  FuseHandlers,
  MaybePromise,
  OpenReply,
} from './handlers.js';
import type { Message } from './message.js';
import type { Negotiated } from './negotiate.js';
import { OPCODE_END, OPCODE_ROWS } from './opcodes.js';
import type { PendingRequest } from './request.js';

/** What the operations need of the dispatcher: the handlers, and one way of answering for each kind of result. */
export interface Desk {
  readonly handlers: FuseHandlers;
  readonly negotiated: Negotiated;
  answerStatus(request: PendingRequest, result: MaybePromise<void>): void;
  answerEntry(request: PendingRequest, result: MaybePromise<Entry>): void;
  answerAttributes(request: PendingRequest, result: MaybePromise<AttributesReply>): void;
  answerOpen(request: PendingRequest, flags: number, result: MaybePromise<OpenReply>): void;
  answerCreate(request: PendingRequest, flags: number, result: MaybePromise<{ entry: Entry; open: OpenReply }>): void;
  answerStatistics(request: PendingRequest, result: MaybePromise<FileSystemStatistics>): void;
  answerText(request: PendingRequest, result: MaybePromise<string>): void;
  /** `sizeBytes` 0 asks for the length only. */
  answerXattr(request: PendingRequest, sizeBytes: number, result: MaybePromise<Uint8Array>): void;
  answerOffset(request: PendingRequest, result: MaybePromise<number>): void;
  answerError(request: PendingRequest, errno: number): void;
  read(request: PendingRequest, handle: number, offset: number, sizeBytes: number): void;
  readDirectory(request: PendingRequest, handle: number, offset: number, sizeBytes: number, plus: boolean): void;
  write(request: PendingRequest, handle: number, offset: number, data: Uint8Array, writeFlags: number): void;
  forget(nodeId: number, count: number): void;
  malformed(): void;
  interrupt(lo: number, hi: number): void;
  destroy(): void;
}

export type Serve = (desk: Desk, request: PendingRequest, message: Message) => void;

const readIn = newReadIn();
const writeIn = newWriteIn();
const setattrIn = newSetattrIn();
const fallocateIn = newFallocateIn();

/** A handle as we gave it out; anything else was never ours. */
function handleAt(view: DataView, at: number): number {
  return checkHandle(decodeU64(view, at));
}

function checkHandle(handle: number): number {
  if (handle === OUT_OF_RANGE) throw new ErrnoError(EBADF, 'a handle that was never given out');
  return handle;
}

function checkNode(nodeId: number): number {
  if (nodeId === OUT_OF_RANGE) throw new ErrnoError(ESTALE, 'a node id that was never given out');
  return nodeId;
}

const refuse =
  (errno: number): Serve =>
  (desk, request) =>
    desk.answerError(request, errno);

const serve: (Serve | undefined)[] = new Array<Serve | undefined>(OPCODE_END).fill(undefined);

serve[abi.FUSE_LOOKUP] = (desk, request, message) =>
  // A name that is not UTF-8 is no object's (see names.ts).
  desk.answerEntry(request, desk.handlers.lookup(request, request.nodeId, message.name(ENOENT)));

serve[abi.FUSE_FORGET] = (desk, request, message) => {
  const count = decodeU64(message.view, message.bodyAt);
  desk.forget(request.nodeId, count === OUT_OF_RANGE ? Number.MAX_SAFE_INTEGER : count);
};

serve[abi.FUSE_BATCH_FORGET] = (desk, _request, message) => {
  const { view } = message;
  const count = view.getUint32(message.bodyAt, true);
  let at = message.bodyAt + 8;
  for (let index = 0; index < count; index++, at += abi.FORGET_ONE_BYTES) {
    if (at + abi.FORGET_ONE_BYTES > message.bodyEnd) {
      desk.malformed();
      return;
    }
    const lookups = decodeU64(view, at + 8);
    desk.forget(decodeU64(view, at), lookups === OUT_OF_RANGE ? Number.MAX_SAFE_INTEGER : lookups);
  }
};

serve[abi.FUSE_INTERRUPT] = (desk, _request, message) =>
  desk.interrupt(message.view.getUint32(message.bodyAt, true), message.view.getUint32(message.bodyAt + 4, true));

// The answer to FUSE_NOTIFY_RETRIEVE, which is never sent.
serve[abi.FUSE_NOTIFY_REPLY] = (desk) => desk.malformed();

serve[abi.FUSE_GETATTR] = (desk, request, message) => {
  const handle = decodeGetattrHandle(message.view, message.bodyAt);
  if (handle !== undefined) checkHandle(handle);
  desk.answerAttributes(request, desk.handlers.getattr(request, request.nodeId, handle));
};

serve[abi.FUSE_SETATTR] = (desk, request, message) => {
  decodeSetattr(message.view, message.bodyAt, setattrIn);
  const changes = attributeChanges(setattrIn);
  const result = desk.handlers.setattr?.(request, request.nodeId, changes);
  if (result === undefined) desk.answerError(request, ENOSYS);
  else desk.answerAttributes(request, result);
};

function attributeChanges(fields: SetattrIn): AttributeChanges {
  const { valid } = fields;
  const changes: { -readonly [K in keyof AttributeChanges]: AttributeChanges[K] } = {};
  if (valid & abi.FATTR_MODE) changes.mode = fields.mode;
  if (valid & abi.FATTR_UID) changes.uid = fields.uid;
  if (valid & abi.FATTR_GID) changes.gid = fields.gid;
  if (valid & abi.FATTR_SIZE) {
    if (fields.sizeBytes === OUT_OF_RANGE) throw new ErrnoError(EFBIG);
    changes.sizeBytes = fields.sizeBytes;
  }
  if (valid & abi.FATTR_ATIME) changes.atimeMs = valid & abi.FATTR_ATIME_NOW ? 'now' : fields.atimeMs;
  if (valid & abi.FATTR_MTIME) changes.mtimeMs = valid & abi.FATTR_MTIME_NOW ? 'now' : fields.mtimeMs;
  if (valid & abi.FATTR_CTIME) changes.ctimeMs = fields.ctimeMs;
  if (valid & abi.FATTR_FH) changes.handle = checkHandle(fields.handle);
  if (valid & abi.FATTR_KILL_SUIDGID) changes.killSuidGid = true;
  return changes;
}

serve[abi.FUSE_READLINK] = (desk, request) => {
  const result = desk.handlers.readlink?.(request, request.nodeId);
  // EINVAL is readlink(2)'s word for "not a symbolic link".
  if (result === undefined) desk.answerError(request, EINVAL);
  else desk.answerText(request, result);
};

serve[abi.FUSE_SYMLINK] = (desk, request, message) => {
  const name = message.name(EILSEQ);
  const target = message.string(EILSEQ, abi.SYMLINK_BYTES_MAX);
  const result = desk.handlers.symlink?.(request, request.nodeId, name, target);
  if (result === undefined) desk.answerError(request, EPERM);
  else desk.answerEntry(request, result);
};

serve[abi.FUSE_MKNOD] = (desk, request, message) => {
  const mode = message.view.getUint32(message.bodyAt, true);
  const rdev = message.view.getUint32(message.bodyAt + 4, true);
  message.skip(16);
  const result = desk.handlers.mknod?.(request, request.nodeId, message.name(EILSEQ), mode, rdev);
  if (result === undefined) desk.answerError(request, EPERM);
  else desk.answerEntry(request, result);
};

serve[abi.FUSE_MKDIR] = (desk, request, message) => {
  const mode = message.view.getUint32(message.bodyAt, true);
  message.skip(8);
  const result = desk.handlers.mkdir?.(request, request.nodeId, message.name(EILSEQ), mode);
  if (result === undefined) desk.answerError(request, ENOSYS);
  else desk.answerEntry(request, result);
};

serve[abi.FUSE_UNLINK] = (desk, request, message) => {
  const { handlers } = desk;
  const name = message.name(ENOENT);
  if (handlers.unlink === undefined) desk.answerError(request, ENOSYS);
  else desk.answerStatus(request, handlers.unlink(request, request.nodeId, name));
};

serve[abi.FUSE_RMDIR] = (desk, request, message) => {
  const { handlers } = desk;
  const name = message.name(ENOENT);
  if (handlers.rmdir === undefined) desk.answerError(request, ENOSYS);
  else desk.answerStatus(request, handlers.rmdir(request, request.nodeId, name));
};

function rename(desk: Desk, request: PendingRequest, message: Message, bodyBytes: number, flags: number): void {
  const newParent = checkNode(decodeU64(message.view, message.bodyAt));
  message.skip(bodyBytes);
  const name = message.name(ENOENT);
  const newName = message.name(EILSEQ);
  const { handlers } = desk;
  if (handlers.rename === undefined) desk.answerError(request, ENOSYS);
  else {
    const result = handlers.rename(request, request.nodeId, name, newParent, newName, flags);
    desk.answerStatus(request, result);
  }
}

serve[abi.FUSE_RENAME] = (desk, request, message) => rename(desk, request, message, 8, 0);

serve[abi.FUSE_RENAME2] = (desk, request, message) =>
  rename(desk, request, message, 16, message.view.getUint32(message.bodyAt + 8, true));

serve[abi.FUSE_LINK] = (desk, request, message) => {
  const nodeId = checkNode(decodeU64(message.view, message.bodyAt));
  message.skip(8);
  const result = desk.handlers.link?.(request, nodeId, request.nodeId, message.name(EILSEQ));
  if (result === undefined) desk.answerError(request, EPERM);
  else desk.answerEntry(request, result);
};

serve[abi.FUSE_OPEN] = (desk, request, message) => {
  const flags = message.view.getUint32(message.bodyAt, true);
  desk.answerOpen(request, flags, desk.handlers.open(request, request.nodeId, flags));
};

serve[abi.FUSE_OPENDIR] = (desk, request, message) => {
  const flags = message.view.getUint32(message.bodyAt, true);
  desk.answerOpen(request, flags, desk.handlers.opendir(request, request.nodeId, flags));
};

serve[abi.FUSE_CREATE] = (desk, request, message) => {
  const flags = message.view.getUint32(message.bodyAt, true);
  const mode = message.view.getUint32(message.bodyAt + 4, true);
  message.skip(16);
  const result = desk.handlers.create?.(request, request.nodeId, message.name(EILSEQ), mode, flags);
  // The kernel then tries MKNOD and OPEN.
  if (result === undefined) desk.answerError(request, ENOSYS);
  else desk.answerCreate(request, flags, result);
};

serve[abi.FUSE_READ] = (desk, request, message) => {
  decodeRead(message.view, message.bodyAt, readIn);
  const { offset, sizeBytes } = readIn;
  desk.read(request, checkHandle(readIn.handle), offset, sizeBytes);
};

serve[abi.FUSE_WRITE] = (desk, request, message) => {
  decodeWrite(message.view, message.bodyAt, writeIn);
  message.skip(abi.WRITE_IN_BYTES);
  const data = message.payload(writeIn.sizeBytes);
  if (writeIn.offset === OUT_OF_RANGE) throw new ErrnoError(EFBIG);
  desk.write(request, checkHandle(writeIn.handle), writeIn.offset, data, writeIn.writeFlags);
};

serve[abi.FUSE_STATFS] = (desk, request) =>
  desk.answerStatistics(request, desk.handlers.statfs(request, request.nodeId));

serve[abi.FUSE_RELEASE] = (desk, request, message) => {
  const handle = handleAt(message.view, message.bodyAt);
  const flags = message.view.getUint32(message.bodyAt + 8, true);
  desk.answerStatus(request, desk.handlers.release(request, request.nodeId, handle, flags));
};

serve[abi.FUSE_RELEASEDIR] = (desk, request, message) => {
  const handle = handleAt(message.view, message.bodyAt);
  desk.answerStatus(request, desk.handlers.releasedir(request, request.nodeId, handle));
};

serve[abi.FUSE_FLUSH] = (desk, request, message) => {
  const { handlers } = desk;
  // FLUSH is not close: fork, dup and redirections send one too, and so does a writer that was killed; the handler
  // decides by context.pid (kernel facts 17 and 18, docs/KERNEL.md). ENOSYS is remembered as "close needs no FLUSH",
  // which is true of handlers without one.
  if (handlers.flush === undefined) desk.answerError(request, ENOSYS);
  else {
    const handle = handleAt(message.view, message.bodyAt);
    desk.answerStatus(request, handlers.flush(request, request.nodeId, handle));
  }
};

serve[abi.FUSE_FSYNC] = (desk, request, message) => {
  const { handlers } = desk;
  // ENOSYS is remembered as "fsync succeeds". That is right where nothing can be written; where something can, fsync
  // would promise durability that nobody provided: EINVAL, fsync(2)'s word for a file without synchronization.
  if (handlers.fsync === undefined) desk.answerError(request, handlers.write === undefined ? ENOSYS : EINVAL);
  else {
    const handle = handleAt(message.view, message.bodyAt);
    const dataOnly = (message.view.getUint32(message.bodyAt + 8, true) & abi.FUSE_FSYNC_FDATASYNC) !== 0;
    desk.answerStatus(request, handlers.fsync(request, request.nodeId, handle, dataOnly));
  }
};

serve[abi.FUSE_FSYNCDIR] = (desk, request, message) => {
  const { handlers } = desk;
  if (handlers.fsyncdir === undefined) desk.answerError(request, handlers.write === undefined ? ENOSYS : EINVAL);
  else {
    const handle = handleAt(message.view, message.bodyAt);
    desk.answerStatus(request, handlers.fsyncdir(request, request.nodeId, handle));
  }
};

function readDirectory(desk: Desk, request: PendingRequest, message: Message, plus: boolean): void {
  decodeRead(message.view, message.bodyAt, readIn);
  const { offset, sizeBytes } = readIn;
  if (offset === OUT_OF_RANGE) throw new ErrnoError(EINVAL, 'a directory offset that was never given out');
  desk.readDirectory(request, checkHandle(readIn.handle), offset, sizeBytes, plus);
}

serve[abi.FUSE_READDIR] = (desk, request, message) => readDirectory(desk, request, message, false);
serve[abi.FUSE_READDIRPLUS] = (desk, request, message) => readDirectory(desk, request, message, true);

serve[abi.FUSE_GETXATTR] = (desk, request, message) => {
  const sizeBytes = message.view.getUint32(message.bodyAt, true);
  message.skip(8);
  const name = message.string(ENODATA, abi.NAME_BYTES_MAX);
  const result = desk.handlers.getxattr?.(request, request.nodeId, name);
  if (result === undefined) desk.answerError(request, ENOSYS);
  else desk.answerXattr(request, sizeBytes, result);
};

serve[abi.FUSE_LISTXATTR] = (desk, request, message) => {
  const sizeBytes = message.view.getUint32(message.bodyAt, true);
  const result = desk.handlers.listxattr?.(request, request.nodeId);
  if (result === undefined) desk.answerError(request, ENOSYS);
  else if (result instanceof Promise) desk.answerXattr(request, sizeBytes, result.then(joinNames));
  else desk.answerXattr(request, sizeBytes, joinNames(result));
};

/** listxattr(2)'s format: every name followed by a NUL. */
function joinNames(names: readonly string[]): Uint8Array {
  return Buffer.from(names.map((name) => `${name}\0`).join(''));
}

serve[abi.FUSE_SETXATTR] = (desk, request, message) => {
  const sizeBytes = message.view.getUint32(message.bodyAt, true);
  const flags = message.view.getUint32(message.bodyAt + 4, true);
  const bodyBytes = desk.negotiated.hasSetxattrExt ? abi.SETXATTR_IN_BYTES : abi.SETXATTR_IN_COMPAT_BYTES;
  if (message.bodyBytes < bodyBytes) throw new ErrnoError(EIO, 'SETXATTR is shorter than negotiated');
  message.skip(bodyBytes);
  const name = message.string(EILSEQ, abi.NAME_BYTES_MAX);
  const value = message.payload(sizeBytes);
  const { handlers } = desk;
  if (handlers.setxattr === undefined) desk.answerError(request, ENOSYS);
  // A copy: attribute values are small, and handlers may keep them.
  else desk.answerStatus(request, handlers.setxattr(request, request.nodeId, name, Buffer.from(value), flags));
};

serve[abi.FUSE_REMOVEXATTR] = (desk, request, message) => {
  const name = message.string(ENODATA, abi.NAME_BYTES_MAX);
  const { handlers } = desk;
  if (handlers.removexattr === undefined) desk.answerError(request, ENOSYS);
  else desk.answerStatus(request, handlers.removexattr(request, request.nodeId, name));
};

serve[abi.FUSE_ACCESS] = (desk, request, message) => {
  const { handlers } = desk;
  // Not sent with default_permissions, with which we always mount; ENOSYS then means "no objection".
  if (handlers.access === undefined) desk.answerError(request, ENOSYS);
  else {
    const mask = message.view.getUint32(message.bodyAt, true);
    desk.answerStatus(request, handlers.access(request, request.nodeId, mask));
  }
};

serve[abi.FUSE_FALLOCATE] = (desk, request, message) => {
  decodeFallocate(message.view, message.bodyAt, fallocateIn);
  const { handlers } = desk;
  if (handlers.fallocate === undefined) {
    desk.answerError(request, ENOSYS);
    return;
  }
  const { offset, lengthBytes, mode } = fallocateIn;
  if (offset === OUT_OF_RANGE || lengthBytes === OUT_OF_RANGE) throw new ErrnoError(EFBIG);
  const handle = checkHandle(fallocateIn.handle);
  desk.answerStatus(request, handlers.fallocate(request, request.nodeId, handle, offset, lengthBytes, mode));
};

serve[abi.FUSE_LSEEK] = (desk, request, message) => {
  const offset = decodeU64(message.view, message.bodyAt + 8);
  const whence = message.view.getUint32(message.bodyAt + 16, true);
  const result =
    offset === OUT_OF_RANGE
      ? undefined
      : desk.handlers.lseek?.(request, request.nodeId, handleAt(message.view, message.bodyAt), offset, whence);
  if (result !== undefined) desk.answerOffset(request, result);
  // ENXIO is lseek(2)'s word for an offset beyond the end (or before the beginning).
  else desk.answerError(request, desk.handlers.lseek === undefined ? ENOSYS : ENXIO);
};

serve[abi.FUSE_DESTROY] = (desk, request) => {
  desk.destroy();
  desk.answerStatus(request, undefined);
};

// INIT was answered by session.ts and comes only once.
serve[abi.FUSE_INIT] = refuse(EIO);
serve[abi.FUSE_IOCTL] = refuse(ENOTTY);
for (const opcode of [
  abi.FUSE_GETLK,
  abi.FUSE_SETLK,
  abi.FUSE_SETLKW,
  abi.FUSE_BMAP,
  abi.FUSE_POLL,
  abi.FUSE_COPY_FILE_RANGE,
  abi.FUSE_SETUPMAPPING,
  abi.FUSE_REMOVEMAPPING,
  abi.FUSE_SYNCFS,
  abi.FUSE_TMPFILE,
  abi.FUSE_STATX,
  abi.FUSE_COPY_FILE_RANGE_64,
]) {
  serve[opcode] = refuse(ENOSYS);
}

for (const { opcode, name } of OPCODE_ROWS) invariant(serve[opcode] !== undefined, `nobody serves ${name}`);

/** How an opcode that has a row is served. */
export function serveOf(opcode: number): Serve | undefined {
  return serve[opcode];
}
