/**
 * Error numbers of the kernel, and the error type that carries one.
 * File-system code throws ErrnoError with the number that the system call shall return and a sentence for the log;
 * which S3 failure becomes which number is decided in src/engine's table only, not here.
 * Refuses to guess: an unknown throw in a handler is turned into EIO by the dispatcher, not by this file.
 */
import { constants } from 'node:os';

const { errno } = constants;

export const EPERM = errno.EPERM;
export const ENOENT = errno.ENOENT;
export const EINTR = errno.EINTR;
export const EIO = errno.EIO;
export const ENXIO = errno.ENXIO;
export const E2BIG = errno.E2BIG;
export const EBADF = errno.EBADF;
export const EAGAIN = errno.EAGAIN;
export const ENOMEM = errno.ENOMEM;
export const EACCES = errno.EACCES;
export const EBUSY = errno.EBUSY;
export const EEXIST = errno.EEXIST;
export const EXDEV = errno.EXDEV;
export const ENODEV = errno.ENODEV;
export const ENOTDIR = errno.ENOTDIR;
export const EISDIR = errno.EISDIR;
export const EINVAL = errno.EINVAL;
export const ENFILE = errno.ENFILE;
export const EMFILE = errno.EMFILE;
export const ENOTTY = errno.ENOTTY;
export const EFBIG = errno.EFBIG;
export const ENOSPC = errno.ENOSPC;
export const EROFS = errno.EROFS;
export const ERANGE = errno.ERANGE;
export const ENAMETOOLONG = errno.ENAMETOOLONG;
export const ENOSYS = errno.ENOSYS;
export const ENOTEMPTY = errno.ENOTEMPTY;
export const ENODATA = errno.ENODATA;
export const EPROTO = errno.EPROTO;
export const EOVERFLOW = errno.EOVERFLOW;
export const EILSEQ = errno.EILSEQ;
export const EOPNOTSUPP = errno.EOPNOTSUPP;
export const ECANCELED = errno.ECANCELED;
export const ECONNABORTED = errno.ECONNABORTED;
export const ENOTCONN = errno.ENOTCONN;
export const ETIMEDOUT = errno.ETIMEDOUT;
export const ESTALE = errno.ESTALE;
export const EDQUOT = errno.EDQUOT;

const names = new Map<number, string>();
for (const [name, value] of Object.entries(errno)) if (!names.has(value)) names.set(value, name);
// Linux has two names for these numbers; the ones people look for are these.
names.set(errno.EAGAIN, 'EAGAIN');
names.set(errno.EOPNOTSUPP, 'EOPNOTSUPP');

/** The kernel's name of an error number, `errno N` for one it does not know. */
export function errnoName(value: number): string {
  return names.get(value) ?? `errno ${value}`;
}

/** An operating failure that a system call shall report as `errno` (positive). `message` is for the log. */
export class ErrnoError extends Error {
  override readonly name = 'ErrnoError';
  readonly errno: number;
  constructor(errnoValue: number, message?: string, options?: ErrorOptions) {
    super(message ?? errnoName(errnoValue), options);
    this.errno = errnoValue;
  }
}
