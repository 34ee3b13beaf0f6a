/**
 * Everything that would change the bucket, refused. A base class, so that the file system itself reads as what it does; it
 * overrides what it can do when something may be written.
 * Present as methods, not left out: a handler that is missing answers ENOSYS, which the kernel remembers and turns into
 * other errors or, for some operations, into silent success.
 */
import { EOPNOTSUPP, ErrnoError } from '../base/errno.js';
import type { AttributesReply, Entry, MaybePromise, OpenReply } from '../fuse/handlers.js';

export abstract class RefusedWrites {
  /** Throws when nothing can be written here, with the errno and the line in the log that say so. */
  protected abstract mayWrite(operation: string): void;

  /** Throws; typed so that it can be returned. */
  protected refuse(operation: string): never {
    this.mayWrite(operation);
    throw new ErrnoError(EOPNOTSUPP, `${operation} is not supported`);
  }

  setattr(..._request: unknown[]): MaybePromise<AttributesReply> {
    return this.refuse('setattr');
  }

  symlink(..._request: unknown[]): MaybePromise<Entry> {
    return this.refuse('symlink');
  }

  mknod(..._request: unknown[]): MaybePromise<Entry> {
    return this.refuse('mknod');
  }

  mkdir(..._request: unknown[]): MaybePromise<Entry> {
    return this.refuse('mkdir');
  }

  unlink(..._request: unknown[]): MaybePromise<void> {
    this.refuse('unlink');
  }

  rmdir(..._request: unknown[]): MaybePromise<void> {
    this.refuse('rmdir');
  }

  rename(..._request: unknown[]): MaybePromise<void> {
    this.refuse('rename');
  }

  link(..._request: unknown[]): MaybePromise<Entry> {
    return this.refuse('link');
  }

  create(..._request: unknown[]): MaybePromise<{ entry: Entry; open: OpenReply }> {
    return this.refuse('create');
  }

  write(..._request: unknown[]): MaybePromise<number> {
    return this.refuse('write');
  }

  fallocate(..._request: unknown[]): MaybePromise<void> {
    this.refuse('fallocate');
  }

  setxattr(..._request: unknown[]): MaybePromise<void> {
    this.refuse('setxattr');
  }

  removexattr(..._request: unknown[]): MaybePromise<void> {
    this.refuse('removexattr');
  }
}
