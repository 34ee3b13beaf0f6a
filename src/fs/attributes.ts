/**
 * What stat(2) shows: an object's size and LastModified, the mount's own owner and permission bits, and nothing invented
 * beyond that. S3 knows no owner, no mode and no access time; atime and ctime repeat LastModified.
 * Pure: from a node to numbers, no requests.
 */
import type { Attributes, FileSystemStatistics } from '../fuse/handlers.js';
import { NAME_BYTES_MAX } from './keymap.js';
import type { FileNode, NodeView } from './inode-table.js';

const S_IFDIR = 0o040000;
const S_IFREG = 0o100000;

/** Types in directory entries (dirent.h). */
export const DT_DIR = 4;
export const DT_REG = 8;

/**
 * st_blksize, which C's stdio and Python's open() take as the size of their buffer. Not larger: a buffered reader that
 * seeks reads this much for each small read. Not smaller: 128 KiB is what cp and cat use by themselves.
 */
const BLOCK_SIZE_BYTES = 128 * 1024;

/** Classes whose objects must be restored before a GET works. GLACIER_IR is not one of them. */
export const ARCHIVE_CLASSES: ReadonlySet<string> = new Set(['GLACIER', 'DEEP_ARCHIVE']);

export interface AttributeOptions {
  readonly uid: number;
  readonly gid: number;
  /** Permission bits. */
  readonly dirMode: number;
  readonly fileMode: number;
}

export class AttributeMaker {
  readonly #options: AttributeOptions;
  readonly #mountedAtMs: number;

  /** Directories have no time in S3: they show `mountedAtMs` (since 1970), so that it does not change under a tool. */
  constructor(options: AttributeOptions, mountedAtMs: number) {
    this.#options = options;
    this.#mountedAtMs = mountedAtMs;
  }

  of(node: NodeView): Attributes {
    return node.kind === 'file' ? this.#file(node) : this.#directory(node);
  }

  #file(
    node: Pick<FileNode, 'ino' | 'sizeBytes' | 'lastModifiedMs'> & { readonly mtimeMs?: number | undefined },
  ): Attributes {
    const atMs = node.mtimeMs ?? node.lastModifiedMs;
    return this.#make(node.ino, S_IFREG | (this.#options.fileMode & 0o7777), 1, node.sizeBytes, atMs);
  }

  #directory(node: { readonly ino: number }): Attributes {
    return this.#make(node.ino, S_IFDIR | (this.#options.dirMode & 0o7777), 2, 0, this.#mountedAtMs);
  }

  /** What a negative entry carries: nobody looks at it. */
  nothing(): Attributes {
    return this.#make(0, 0, 0, 0, 0);
  }

  #make(ino: number, mode: number, nlink: number, sizeBytes: number, atMs: number): Attributes {
    // HEAD tells whole seconds, LIST of some stores milliseconds: tar and rsync must not see a file's time change
    // because it was listed now and asked for singly before.
    const timeMs = Math.floor(atMs / 1000) * 1000;
    return {
      ino,
      sizeBytes,
      mode,
      nlink,
      uid: this.#options.uid,
      gid: this.#options.gid,
      mtimeMs: timeMs,
      ctimeMs: timeMs,
      atimeMs: timeMs,
      rdev: 0,
      blockSizeBytes: BLOCK_SIZE_BYTES,
    };
  }
}

/** A bucket has no end: 4 PiB and four thousand million files, all free, so that no tool refuses to start. */
export const statistics: FileSystemStatistics = {
  blockSizeBytes: 4096,
  blocks: 2 ** 40,
  blocksFree: 2 ** 40,
  files: 2 ** 32,
  filesFree: 2 ** 32,
  nameBytesMax: NAME_BYTES_MAX,
};
