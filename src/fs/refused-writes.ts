/**
 * Everything that would change the bucket, refused with EROFS. A base class, so that the file system itself reads as what
 * it does; writing will replace these methods one by one.
 * Present as methods, not left out: a handler that is missing answers ENOSYS, which the kernel remembers and turns into
 * other errors or, for some operations, into silent success.
 */
import { EROFS, ErrnoError } from '../base/errno.js';
import type { AttributesReply, Entry, OpenReply } from '../fuse/handlers.js';

export abstract class RefusedWrites {
  /** Says once in a while in the log why a write was refused. */
  protected abstract refused(operation: string): void;

  /** Throws; typed so that it can be returned. */
  protected refuse(operation: string): never {
    this.refused(operation);
    throw new ErrnoError(EROFS, `${operation}: the mount cannot write`);
  }

  setattr(): AttributesReply {
    return this.refuse('setattr');
  }

  symlink(): Entry {
    return this.refuse('symlink');
  }

  mknod(): Entry {
    return this.refuse('mknod');
  }

  mkdir(): Entry {
    return this.refuse('mkdir');
  }

  unlink(): void {
    this.refuse('unlink');
  }

  rmdir(): void {
    this.refuse('rmdir');
  }

  rename(): void {
    this.refuse('rename');
  }

  link(): Entry {
    return this.refuse('link');
  }

  create(): { entry: Entry; open: OpenReply } {
    return this.refuse('create');
  }

  write(): number {
    return this.refuse('write');
  }

  fallocate(): void {
    this.refuse('fallocate');
  }

  setxattr(): void {
    this.refuse('setxattr');
  }

  removexattr(): void {
    this.refuse('removexattr');
  }
}
