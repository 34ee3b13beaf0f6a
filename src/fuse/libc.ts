/**
 * The few system calls that Node does not offer, through koffi, all in this file: mount(2), umount2(2), socketpair(2),
 * sendmsg(2) and recvmsg(2) with a descriptor in it, flock(2), fallocate(2), getpagesize(3). koffi is loaded at the first call, so that a program that never
 * mounts needs no native code, and its absence is one clear sentence. Refuses to interpret errors: they are returned
 * as positive errno values, 0 for success. The calls that may wait run on koffi's threads, never on ours.
 */
import { createRequire } from 'node:module';
import type Koffi from 'koffi';
import { messageOf } from '../base/thrown.js';
import { MountError } from './mount-error.js';

// mount(2) and umount2(2) flags (include/uapi/linux/mount.h).
export const MS_RDONLY = 1;
export const MS_NOSUID = 2;
export const MS_NODEV = 4;
export const MS_NOEXEC = 8;
export const MS_SYNCHRONOUS = 16;
export const MS_REMOUNT = 32;
export const MS_DIRSYNC = 128;
export const MS_NOSYMFOLLOW = 256;
export const MS_NOATIME = 1024;
export const MS_NODIRATIME = 2048;
export const MS_RELATIME = 1 << 21;
export const MS_STRICTATIME = 1 << 24;
export const MS_LAZYTIME = 1 << 25;
export const MNT_DETACH = 2;
export const UMOUNT_NOFOLLOW = 8;

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0x80000;
const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_CMSG_CLOEXEC = 0x4000_0000;

/** struct cmsghdr on 64-bit Linux: length (8), level (4), type (4), then the descriptor. */
const CMSG_LEVEL = 8;
const CMSG_TYPE = 12;
const CMSG_DATA = 16;
const CMSG_BYTES = 24;

type Callback = (error: unknown, result: number) => void;

interface Calls {
  readonly errno: () => number;
  readonly getpagesize: () => number;
  readonly socketpair: (domain: number, type: number, protocol: number, pair: number[]) => number;
  readonly sendmsg: (fd: number, message: object, flags: number) => number;
  readonly recvmsg: { async: (fd: number, message: object, flags: number, done: Callback) => void };
  readonly mount: {
    async: (source: string, target: string, type: string, flags: number, data: string, done: Callback) => void;
  };
  readonly ioctl: (fd: number, request: number, argument: Uint32Array) => number;
  readonly fallocate: { async: (fd: number, mode: number, offset: number, bytes: number, done: Callback) => void };
  readonly flock: (fd: number, operation: number) => number;
  readonly umount2: { async: (target: string, flags: number, done: Callback) => void };
}

let loaded: Calls | undefined;

function calls(): Calls {
  if (loaded !== undefined) return loaded;
  try {
    const koffi = createRequire(import.meta.url)('koffi') as typeof Koffi;
    // The symbols of the program itself: Node is linked against the system's libc, whatever its name.
    const libc = koffi.load(null);
    const iovec = koffi.struct({ base: 'void *', length: 'size_t' });
    const msghdr = koffi.struct({
      name: 'void *',
      nameLength: 'uint32_t',
      iov: koffi.pointer(iovec),
      iovLength: 'size_t',
      control: 'void *',
      controlLength: 'size_t',
      flags: 'int',
    });
    const func = (name: string, result: string, parameters: unknown[]): unknown =>
      libc.func(name, result, parameters as string[]);
    loaded = {
      errno: () => koffi.errno(),
      getpagesize: func('getpagesize', 'int', []) as Calls['getpagesize'],
      socketpair: libc.func('int socketpair(int, int, int, _Out_ int *)') as unknown as Calls['socketpair'],
      sendmsg: func('sendmsg', 'long', ['int', koffi.pointer(msghdr), 'int']) as Calls['sendmsg'],
      recvmsg: func('recvmsg', 'long', ['int', koffi.inout(koffi.pointer(msghdr)), 'int']) as Calls['recvmsg'],
      mount: func('mount', 'int', ['str', 'str', 'str', 'ulong', 'str']) as Calls['mount'],
      ioctl: func('ioctl', 'int', ['int', 'ulong', 'void *']) as Calls['ioctl'],
      fallocate: func('fallocate', 'int', ['int', 'int', 'int64_t', 'int64_t']) as Calls['fallocate'],
      flock: func('flock', 'int', ['int', 'int']) as Calls['flock'],
      umount2: func('umount2', 'int', ['str', 'int']) as Calls['umount2'],
    };
  } catch (error) {
    throw new MountError(
      'library',
      `the native part of the npm package koffi cannot be loaded: ${messageOf(error)}`,
      'Install mount-s3x again without --omit=optional, on a platform that koffi has a build for.',
      { cause: error },
    );
  }
  return loaded;
}

/** Runs a call on koffi's threads and gives its errno, 0 for success. */
function errnoLater(call: (done: Callback) => void): Promise<number> {
  return new Promise((resolve, reject) => {
    call((error, result) => {
      if (error instanceof Error) reject(error);
      // koffi keeps the errno of the call that it calls back for.
      else resolve(result < 0 ? calls().errno() : 0);
    });
  });
}

/** Bytes of a memory page. */
export function pageBytes(): number {
  return calls().getpagesize();
}

export async function mount(
  source: string,
  target: string,
  type: string,
  flags: number,
  data: string,
): Promise<number> {
  const { mount: call } = calls();
  return errnoLater((done) => call.async(source, target, type, flags, data, done));
}

/** May wait for the file system's own answers: never call it where those are given. */
const FALLOC_FL_KEEP_SIZE = 0x01;
const FALLOC_FL_PUNCH_HOLE = 0x02;

/** Gives the disk blocks of a range of a file back; fails where the file system cannot do that. */
export async function punchHole(fd: number, offset: number, bytes: number): Promise<void> {
  const { fallocate: call } = calls();
  const mode = FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE;
  const errno = await errnoLater((done) => call.async(fd, mode, offset, bytes, done));
  if (errno !== 0) throw new Error(`fallocate failed with errno ${errno}`);
}

const LOCK_SH = 1;
const LOCK_EX = 2;
const LOCK_NB = 4;
const LOCK_UN = 8;
const EWOULDBLOCK = 11;

/**
 * Locks a file for as long as this descriptor, which nobody else has, is open: the end of the process ends it, too. False
 * where that cannot be had at once.
 */
export function lockWhileOpen(fd: number): boolean {
  return calls().flock(fd, LOCK_SH | LOCK_NB) === 0;
}

/** Does some process of this machine, in whatever container, have the file locked by `lockWhileOpen`? */
export function isLocked(fd: number): boolean {
  const { flock, errno } = calls();
  if (flock(fd, LOCK_EX | LOCK_NB) !== 0) return errno() === EWOULDBLOCK;
  flock(fd, LOCK_UN);
  return false;
}

export async function umount2(target: string, flags: number): Promise<number> {
  const { umount2: call } = calls();
  return errnoLater((done) => call.async(target, flags, done));
}

/** _IOR(229, 0, uint32_t), include/uapi/linux/fuse.h. */
const FUSE_DEV_IOC_CLONE = 0x8004_e500;

/** Makes `fresh`, a new descriptor of /dev/fuse, one more of the connection of `fd`. Returns 0 or the errno. */
export function cloneConnection(fresh: number, fd: number): number {
  const { ioctl, errno } = calls();
  return ioctl(fresh, FUSE_DEV_IOC_CLONE, Uint32Array.of(fd)) === 0 ? 0 : errno();
}

/** Two connected sockets, closed on exec. Throws MountError when the system has none left. */
export function socketPair(): [number, number] {
  const pair = [-1, -1];
  const { socketpair, errno } = calls();
  const result = socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair);
  const [left, right] = pair;
  if (result !== 0 || left === undefined || right === undefined) {
    throw new MountError('other', `socketpair failed with errno ${errno()}`, 'Raise the limit of open files.');
  }
  return [left, right];
}

/** struct msghdr of `data` with `control` beside it. */
function messageHeader(data: Buffer, control: Buffer): object {
  return {
    name: null,
    nameLength: 0,
    iov: [{ base: data, length: data.length }],
    iovLength: 1,
    control,
    controlLength: control.length,
    flags: 0,
  };
}

/**
 * Waits for one message on a socket and takes the descriptor that travels in it (closed on exec). Undefined when the
 * other side closed, or sent none.
 */
export async function receiveDescriptor(socket: number): Promise<number | undefined> {
  const data = Buffer.alloc(1);
  const control = Buffer.alloc(CMSG_BYTES);
  const message = messageHeader(data, control);
  const { recvmsg } = calls();
  let received = 0;
  const errno = await errnoLater((done) =>
    recvmsg.async(socket, message, MSG_CMSG_CLOEXEC, (error, result) => {
      received = result;
      done(error, result);
    }),
  );
  if (errno !== 0 || received < 1) return undefined;
  if (control.readInt32LE(CMSG_LEVEL) !== SOL_SOCKET || control.readInt32LE(CMSG_TYPE) !== SCM_RIGHTS) return undefined;
  return control.readInt32LE(CMSG_DATA);
}

/** Sends one byte with a descriptor on a socket: the other side gets a copy of it. Returns 0 or the errno. Does not wait for it to be taken. */
export function sendDescriptor(socket: number, fd: number): number {
  const control = Buffer.alloc(CMSG_BYTES);
  control.writeBigUInt64LE(BigInt(CMSG_DATA + 4), 0);
  control.writeInt32LE(SOL_SOCKET, CMSG_LEVEL);
  control.writeInt32LE(SCM_RIGHTS, CMSG_TYPE);
  control.writeInt32LE(fd, CMSG_DATA);
  const data = Buffer.alloc(1);
  const { sendmsg, errno } = calls();
  return sendmsg(socket, messageHeader(data, control), 0) === 1 ? 0 : errno();
}
