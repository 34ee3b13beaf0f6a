/**
 * What stat(2) shows: an object's size and LastModified, the mount's own owner and permission bits, and nothing invented
 * beyond that. S3 knows no owner, no mode and no access time; atime and ctime repeat LastModified. A directory's time moves
 * with our own changes of its names, as Python's import and others who keep a listing need it.
 * Pure: from a node to numbers, no requests.
 */
import type { Attributes, FileSystemStatistics } from '../fuse/handlers.js';
import { NAME_BYTES_MAX } from './keymap.js';
import type { FileNode, Node, NodeView } from './inode-table.js';
import type { RememberedAttributes } from './namespace/remembered-attributes.js';

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

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

export interface AttributeOptions {
  readonly uid: number;
  readonly gid: number;
  /** Which of the two is the maker's for what is made while others than they may come in. */
  readonly makersOwn?: { readonly uid: boolean; readonly gid: boolean };
  /** Permission bits. */
  readonly dirMode: number;
  readonly fileMode: number;
}

export class AttributeMaker {
  readonly #options: AttributeOptions;
  readonly #mountedAtMs: number;
  readonly #remembered: RememberedAttributes | undefined;

  /**
   * Directories have no time in S3: they show `mountedAtMs` (since 1970), so that it does not change under a tool.
   * `remembered`: what chmod and others said of nodes stands over what the object says.
   */
  constructor(options: AttributeOptions, mountedAtMs: number, remembered?: RememberedAttributes) {
    this.#options = options;
    this.#mountedAtMs = mountedAtMs;
    this.#remembered = remembered;
  }

  /** Permission bits that files and directories show where nobody said otherwise. */
  get fileMode(): number {
    return this.#options.fileMode & 0o7777;
  }

  get directoryMode(): number {
    return this.#options.dirMode & 0o7777;
  }

  /**
   * Who owns what such a process makes; undefined where that is who owns everything. What a job made it must be able to open
   * again, whatever its umask.
   */
  ownerOfNew({ uid, gid }: Owner): Partial<Owner> | undefined {
    const { makersOwn, uid: usualUid, gid: usualGid } = this.#options;
    const isOther = makersOwn?.uid === true && uid !== usualUid;
    const isOtherGroup = makersOwn?.gid === true && gid !== usualGid;
    if (!isOther && !isOtherGroup) return undefined;
    return { ...(isOther && { uid }), ...(isOtherGroup && { gid }) };
  }

  of(node: NodeView): Attributes {
    const attributes = node.kind === 'file' ? this.#file(node) : this.#directory(node);
    if (!this.#remembered || !isNode(node)) return attributes;
    if (!node.learned && !this.#remembered.mayHave(node.ino)) return attributes;
    return this.#remembered.apply(node, attributes);
  }

  #file(
    node: Pick<FileNode, 'ino' | 'sizeBytes' | 'lastModifiedMs'> &
      Partial<Pick<FileNode, 'mtimeMs' | 'shown' | 'current' | 'isOutdated'>>,
  ): Attributes {
    const atMs = node.mtimeMs ?? node.lastModifiedMs;
    // We removed it, or put another in its place; of what others do to the bucket a reader learns by ESTALE.
    const links = node.current === false && node.isOutdated !== true ? 0 : 1;
    return this.#make(
      node.ino,
      S_IFREG | this.fileMode,
      links,
      node.shown?.sizeBytes ?? node.sizeBytes,
      wholeSecondsMs(atMs),
    );
  }

  #directory({ ino, changedAtMs }: { readonly ino: number; readonly changedAtMs?: number | undefined }): Attributes {
    const atMs = changedAtMs ?? wholeSecondsMs(this.#mountedAtMs);
    return this.#make(ino, S_IFDIR | this.directoryMode, 2, 0, atMs);
  }

  /** What a negative entry carries: nobody looks at it. */
  nothing(): Attributes {
    return this.#make(0, 0, 0, 0, 0);
  }

  #make(ino: number, mode: number, nlink: number, sizeBytes: number, timeMs: number): Attributes {
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

/**
 * HEAD tells whole seconds, LIST of some stores milliseconds: tar and rsync must not see a file's time change because it was
 * listed now and asked for singly before.
 */
const wholeSecondsMs = (timeMs: number): number => Math.floor(timeMs / 1000) * 1000;

/** A row of a listing has no key at hand; the table makes nodes of those that something is remembered of. */
function isNode(view: NodeView): view is Node {
  return 'key' in view;
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
