/**
 * What the file system knows of a directory or a file that the kernel knows: types only. inode-table.ts makes them, and says who
 * may change what. Refuses to do anything.
 */
import type { ErrnoError } from '../base/errno.js';
import type { Learned } from './namespace/remembered-attributes.js';

interface NodeBase {
  readonly nodeId: number;
  /** st_ino: of the path, the same for all versions. Written by the table only, when the path changes. */
  ino: number;
  /** Lookups that the kernel has not forgotten. Written by the table only. */
  lookups: number;
  /** Open handles. Written by the table only. */
  opens: number;
  /** An earlier daemon told the kernel of it: how often is not known exactly. */
  isInherited?: boolean;
  /** What was shown last of what is kept with the object (--posix-metadata), for as long as the kernel knows the node. */
  learned?: Learned;
}

export interface DirectoryNode extends NodeBase {
  readonly kind: 'directory';
  /** Full key prefix: '' or ends with a slash. Written by the table only. */
  key: string;
  /** Serial numbers of the pages that the kernel was last allowed to keep a copy of; '' = none. */
  kernelCopy: string;
  /** When this mount last changed a name in it, unless utimens spoke after that. Never the same twice. */
  changedAtMs?: number | undefined;
}

export interface FileNode extends NodeBase {
  readonly kind: 'file';
  /** Written by the table only: a rename of ours moves the node with all that is open. */
  key: string;
  /**
   * Quotes included; '' until a file that was made here is in the bucket. Changed by our own commits (`becomes`), and by
   * copies inside the store, which may have another one for the same bytes.
   */
  etag: string;
  /** Of a file that is being written, what was written so far. */
  sizeBytes: number;
  /**
   * What stat(2) shows instead, and what a successor is told, while the kernel still has the old end of a version that grew
   * (growing-files.ts). Written by the table only.
   */
  shown?: { readonly etag: string; readonly sizeBytes: number } | undefined;
  lastModifiedMs: number;
  /** When it was last written here, or what utimens said: shown instead of lastModifiedMs while the node lives. */
  mtimeMs: number | undefined;
  storageClass: string;
  restored: boolean;
  /**
   * When the newest request was sent that saw this version in the bucket (monotonic clock). Infinity while it holds what
   * the bucket does not: no lookup or listing then makes another node of the name.
   */
  validatedAtMs: number;
  /** False once another version is known, or this one is known to be gone. */
  current: boolean;
  /** Bytes of it died with an earlier daemon, and its size with them: what stat(2) of its handles answers. */
  lost?: ErrnoError;
  /** Not current because the bucket has a version that is not of our making. Written by the table only. */
  isOutdated?: boolean;
  /** A handle was open, or it was read without one: the prefetcher may hold blocks. */
  wasOpened: boolean;
  /** Fetched ahead: it lives without lookups, for the LOOKUP that is expected. Written by the table only. */
  reserved: boolean;
  /** It was reserved once: the prefetcher may hold blocks. */
  wasReserved: boolean;
}

export type Node = DirectoryNode | FileNode;

/** What stat(2) shows of a node. */
export type NodeView =
  | (Pick<DirectoryNode, 'kind' | 'nodeId' | 'ino'> & Partial<Pick<DirectoryNode, 'changedAtMs'>>)
  | (Pick<FileNode, 'kind' | 'nodeId' | 'ino' | 'sizeBytes' | 'lastModifiedMs'> &
      Partial<Pick<FileNode, 'mtimeMs' | 'shown' | 'current' | 'isOutdated' | 'lost'>>);
