/**
 * Loads the optional npm package fuse-native, which binds libfuse 2, and says clearly what is missing when it cannot:
 * the package itself prints nothing useful. Also the types of the part of it that we use; it has none of its own.
 * Refuses to paper over its limits; those are listed in mount.ts.
 */
import { createRequire } from 'node:module';
import { messageOf } from '../../base/thrown.js';
import { MountError } from '../mount-error.js';

/** A negative errno, or 0; READ and WRITE answer the bytes instead. */
export type Done = (result: number) => void;

/** struct stat as fuse-native wants it; times in milliseconds or Dates. */
export interface NativeStat {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly nlink: number;
  readonly ino: number;
  readonly rdev: number;
  readonly blksize: number;
  readonly blocks: number;
  readonly atime: number;
  readonly mtime: number;
  readonly ctime: number;
}

export interface NativeStatfs {
  readonly bsize: number;
  readonly frsize: number;
  readonly blocks: number;
  readonly bfree: number;
  readonly bavail: number;
  readonly files: number;
  readonly ffree: number;
  readonly favail: number;
  readonly namemax: number;
}

/** Operations by path; handles are 32-bit and not 0. Those left out are not offered to the kernel. */
export interface NativeOperations {
  getattr(path: string, done: (result: number, stat?: NativeStat) => void): void;
  readdir(path: string, done: (result: number, names?: string[]) => void): void;
  open(path: string, flags: number, done: (result: number, handle?: number) => void): void;
  read(path: string, handle: number, into: Buffer, sizeBytes: number, offset: number, done: Done): void;
  release(path: string, handle: number, done: Done): void;
  statfs(path: string, done: (result: number, statfs?: NativeStatfs) => void): void;
  readlink?(path: string, done: (result: number, target?: string) => void): void;
  create?(path: string, mode: number, done: (result: number, handle?: number) => void): void;
  write?(path: string, handle: number, from: Buffer, sizeBytes: number, offset: number, done: Done): void;
  truncate?(path: string, sizeBytes: number, done: Done): void;
  ftruncate?(path: string, handle: number, sizeBytes: number, done: Done): void;
  chmod?(path: string, mode: number, done: Done): void;
  chown?(path: string, uid: number, gid: number, done: Done): void;
  utimens?(path: string, atimeMs: number, mtimeMs: number, done: Done): void;
  flush?(path: string, handle: number, done: Done): void;
  fsync?(path: string, dataOnly: number, handle: number, done: Done): void;
  mknod?(path: string, mode: number, rdev: number, done: Done): void;
  mkdir?(path: string, mode: number, done: Done): void;
  unlink?(path: string, done: Done): void;
  rmdir?(path: string, done: Done): void;
  rename?(path: string, newPath: string, done: Done): void;
  link?(path: string, newPath: string, done: Done): void;
  symlink?(target: string, path: string, done: Done): void;
}

export interface NativeOptions {
  readonly timeout: false;
  readonly defaultPermissions: boolean;
  readonly allowOther: boolean;
  readonly fsname: string;
  readonly subtype: string;
}

export interface NativeFuse {
  mount(done: (error: Error | null | undefined) => void): void;
}

export type NativeFuseClass = new (
  mountPoint: string,
  operations: NativeOperations,
  options: NativeOptions,
) => NativeFuse;

/** Throws MountError ('library') when the package or libfuse.so.2 is missing. */
export function loadFuseNative(load: (name: string) => unknown = createRequire(import.meta.url)): NativeFuseClass {
  try {
    return load('fuse-native') as NativeFuseClass;
  } catch (error) {
    const message = messageOf(error);
    if (message.includes('libfuse.so.2')) {
      throw new MountError(
        'library',
        '--fuse-binding native needs libfuse.so.2, which is not installed',
        'Install the package libfuse2 (Debian 13 and Ubuntu 24.04: libfuse2t64), or leave the option out.',
        { cause: error },
      );
    }
    throw new MountError(
      'library',
      `--fuse-binding native needs the optional npm package fuse-native, which cannot be loaded: ${message.split('\n')[0] ?? ''}`,
      'Install mount-s3x again without --omit=optional, on x86-64 Linux, or leave the option out.',
      { cause: error },
    );
  }
}
