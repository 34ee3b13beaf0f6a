/**
 * What chmod, chown, utimens and setxattr said, remembered while the mount lives: S3 objects have a size and a time and nothing
 * else, but `cp -p`, tar and git must not fail, and must see what they have just set.
 * Remembered by key, for one version of the object: our own commits and renames carry it on, a version that somebody else put
 * there has none of it. A write takes back the times that were set.
 *
 * Bounds: ENTRIES_MAX files and directories, the longest unused forgotten; XATTR_BYTES_MAX a file and XATTRS_BYTES_MAX in all
 * (ENOSPC beyond). Refuses to know metadata of the bucket: see posix-metadata.ts.
 */
import { LRUCache } from 'lru-cache';
import { EEXIST, ENODATA, ENOSPC, EOPNOTSUPP, EPERM, ErrnoError } from '../../base/errno.js';
import type { ObjectHead } from '../../engine/api.js';
import { mayBeSameVersion } from '../../engine/etag.js';
import type { AttributeChanges, Attributes } from '../../fuse/handlers.js';
import type { Owner } from '../attributes.js';
import { inoOfKey, ROOT_INO } from '../ino.js';
import type { DirectoryNode, Node } from '../inode-table.js';
import type { AttributeRecords } from '../restore/attribute-records.js';

/** About 300 bytes each. */
const ENTRIES_MAX = 16_384;
/** What the kernel allows for one value, here for all of one file; ext4 has 4 KiB. */
const XATTR_BYTES_MAX = 64 * 1024;
const XATTRS_BYTES_MAX = 4 * 1024 * 1024;

const XATTR_CREATE = 1;
const XATTR_REPLACE = 2;
const PERMISSIONS = 0o7777;
/** Two changes of a directory within one millisecond have two times; a double keeps microseconds of today. */
const CHANGE_STEP_MS = 0.001;
const S_ISUID = 0o4000;
const S_ISGID = 0o2000;
const S_IXGRP = 0o010;

/** What the object's own metadata says; undefined where it says nothing. */
export interface Learned {
  /** S_IFLNK for a symbolic link, else undefined. */
  readonly type: number | undefined;
  /** Permission bits. */
  readonly mode: number | undefined;
  readonly uid: number | undefined;
  readonly gid: number | undefined;
  readonly mtimeMs: number | undefined;
}

export const NOTHING_LEARNED: Learned = {
  type: undefined,
  mode: undefined,
  uid: undefined,
  gid: undefined,
  mtimeMs: undefined,
};

/** What is remembered of one file or directory; absent: as the mount's options and the object say. */
export interface Remembered {
  /** The version it belongs to; undefined for a directory. */
  etag: string | undefined;
  /** S_IFLNK for a symbolic link. */
  type: number | undefined;
  mode: number | undefined;
  uid: number | undefined;
  gid: number | undefined;
  atimeMs: number | undefined;
  mtimeMs: number | undefined;
  ctimeMs: number | undefined;
  xattrs: Map<string, Uint8Array> | undefined;
}

/** How a file or directory was made. */
export interface Made {
  readonly mode: number;
  /** What it would show without. */
  readonly usual: number;
  /** Who made it, where that counts (--posix-metadata, --allow-other); else the mount's own owner has it. */
  readonly owner?: Partial<Owner> | undefined;
}

export interface RememberedAttributesDeps {
  readonly wallMs: () => number;
  /** What an earlier daemon remembered is remembered on. */
  readonly records?: AttributeRecords;
}

export class RememberedAttributes {
  readonly #entries: LRUCache<string, Remembered>;
  /** Inode numbers of what is remembered, counted: what everybody asks first. */
  readonly #inos = new Map<number, number>();
  readonly #rootKey: string;
  /** --posix-metadata: what is remembered is kept with the objects too. */
  readonly isKept: boolean;
  readonly #wallMs: () => number;
  readonly #records: AttributeRecords | undefined;
  #xattrBytes = 0;

  constructor(
    options: { readonly rootKey: string; readonly isKept?: boolean; readonly entriesMax?: number },
    deps: RememberedAttributesDeps,
  ) {
    this.#rootKey = options.rootKey;
    this.isKept = options.isKept ?? false;
    this.#wallMs = deps.wallMs;
    this.#entries = new LRUCache<string, Remembered>({
      max: options.entriesMax ?? ENTRIES_MAX,
      dispose: (entry, key) => this.#disposed(key, entry),
      noDisposeOnSet: true,
    });
    for (const { key, entry } of deps.records?.all() ?? []) this.#put(key, entry);
    this.#records = deps.records;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** May something be remembered of the path with this inode number? */
  mayHave(ino: number): boolean {
    return this.#inos.has(ino);
  }

  /** What is remembered of the node. */
  of(node: Node): Remembered | undefined {
    if (!this.#inos.has(node.ino)) return undefined;
    const entry = this.#entries.get(node.key);
    if (!entry || node.kind === 'directory' || entry.etag === node.etag) return entry;
    // Listings of some stores have no ETag: it may have been learned since, or not be known yet.
    const isNew = node.etag === '' && node.validatedAtMs === Infinity;
    if (!isNew && entry.etag !== undefined && mayBeSameVersion(entry.etag, node.etag)) return entry;
    // Somebody else put another version there.
    this.#entries.delete(node.key);
    return undefined;
  }

  /** Puts what is remembered over what the object says. */
  apply(node: Node, attributes: Attributes): Attributes {
    const entry = this.of(node) ?? (node.learned && { ...newEntry(undefined), ...node.learned });
    if (!entry) return attributes;
    const { type, mode, uid, gid, atimeMs, mtimeMs, ctimeMs } = entry;
    const changedAtMs = node.kind === 'directory' ? node.changedAtMs : undefined;
    if (this.isKept) node.learned = { type, mode, uid, gid, mtimeMs };
    const bits = mode === undefined ? attributes.mode & PERMISSIONS : mode;
    return {
      ...attributes,
      mode: (type ?? attributes.mode & ~PERMISSIONS) | bits,
      uid: uid ?? attributes.uid,
      gid: gid ?? attributes.gid,
      mtimeMs: (changedAtMs === undefined ? mtimeMs : undefined) ?? attributes.mtimeMs,
      atimeMs: atimeMs ?? mtimeMs ?? attributes.atimeMs,
      ctimeMs: Math.max(ctimeMs ?? 0, attributes.ctimeMs),
    };
  }

  /** Is all known of this version that its object says? For --posix-metadata; `etag` undefined for a directory. */
  knows(key: string, etag: string | undefined): boolean {
    const entry = this.#entries.peek(key);
    return entry?.etag === etag && entry !== undefined;
  }

  /** What the object's metadata says of this version. */
  learn(key: string, etag: string | undefined, learned: Learned): void {
    const { type, mode, uid, gid, mtimeMs } = learned;
    this.#entries.delete(key);
    this.#put(key, { ...newEntry(etag), type, mode, uid, gid, mtimeMs });
  }

  /** A file or directory was made with this mode; `usual` is what it would show without. */
  made(node: Node, { mode, usual, owner }: Made): void {
    this.#entries.delete(node.key);
    if ((mode & PERMISSIONS) === (usual & PERMISSIONS) && !owner) return;
    const entry = this.#entry(node);
    entry.mode = mode & PERMISSIONS;
    if (owner) {
      entry.uid = owner.uid;
      entry.gid = owner.gid;
    }
    this.#records?.changed(node.key, entry);
  }

  /** chmod, chown, utimens: everything of `changes` but the size. `shown` is what stat(2) shows now. */
  change(node: Node, changes: AttributeChanges, shown: Attributes): void {
    const { mode, uid, gid, atimeMs, mtimeMs, killSuidGid } = changes;
    const clears = killSuidGid === true && (shown.mode & (S_ISUID | S_ISGID)) !== 0;
    if ([mode, uid, gid, atimeMs, mtimeMs].every((value) => value === undefined) && !clears) return;
    const entry = this.#entry(node);
    const nowMs = this.#wallMs();
    if (mode !== undefined) entry.mode = mode & PERMISSIONS;
    else if (clears) entry.mode = withoutSuid(shown.mode & PERMISSIONS);
    if (uid !== undefined) entry.uid = uid;
    if (gid !== undefined) entry.gid = gid;
    if (atimeMs !== undefined) entry.atimeMs = atimeMs === 'now' ? nowMs : atimeMs;
    if (mtimeMs !== undefined) {
      entry.mtimeMs = mtimeMs === 'now' ? nowMs : mtimeMs;
      if (node.kind === 'directory') node.changedAtMs = undefined;
    }
    entry.ctimeMs = nowMs;
    this.#records?.changed(node.key, entry);
  }

  /**
   * Names in the directory were made, removed or moved by us: its time is another, for those who kept a listing of it and look at
   * nothing else (Python's import).
   */
  namesChanged(directory: DirectoryNode): void {
    directory.changedAtMs = Math.max(this.#wallMs(), (directory.changedAtMs ?? 0) + CHANGE_STEP_MS);
  }

  /** The file was written or cut: times that were set are void. */
  written(node: Node): void {
    const entry = this.of(node);
    if (!entry || (entry.atimeMs === undefined && entry.mtimeMs === undefined)) return;
    entry.atimeMs = undefined;
    entry.mtimeMs = undefined;
    this.#records?.changed(node.key, entry);
  }

  /** Our own commit made this the version of its key. `mtimeMs`: the time that is kept with it. */
  committed(head: ObjectHead, mtimeMs?: number): void {
    const entry = this.#entries.peek(head.key);
    if (!entry) return;
    entry.etag = head.etag;
    if (mtimeMs !== undefined) entry.mtimeMs = mtimeMs;
    this.#records?.changed(head.key, entry);
  }

  /** A rename of ours; `etag` is the moved version's, undefined when it stayed the same. */
  moved(fromKey: string, toKey: string, etag: string | undefined): void {
    const entry = this.#entries.peek(fromKey);
    this.removed(toKey);
    if (!entry) return;
    const moved = { ...entry, etag: etag ?? entry.etag };
    this.#put(toKey, moved);
    this.#records?.changed(toKey, moved);
    // Without its attributes, which live on.
    entry.xattrs = undefined;
    this.#entries.delete(fromKey);
  }

  /** A directory and all below it; `heads` by the old keys. */
  movedTree(fromKey: string, toKey: string, heads: ReadonlyMap<string, ObjectHead>): void {
    if (this.size === 0) return;
    for (const key of [...this.#entries.keys()]) {
      if (key.startsWith(fromKey)) this.moved(key, toKey + key.slice(fromKey.length), heads.get(key)?.etag);
    }
  }

  removed(key: string): void {
    this.#entries.delete(key);
  }

  /** Throws ENODATA. */
  xattr(node: Node, name: string): Uint8Array {
    const value = this.of(node)?.xattrs?.get(name);
    if (!value) throw new ErrnoError(ENODATA, `no attribute ${name}`);
    return value;
  }

  xattrNames(node: Node): readonly string[] {
    return [...(this.of(node)?.xattrs?.keys() ?? [])];
  }

  /** Throws EOPNOTSUPP, EPERM, EEXIST, ENODATA, ENOSPC. `flags`: XATTR_CREATE, XATTR_REPLACE. */
  setXattr(node: Node, name: string, value: Uint8Array, flags: number): void {
    checkXattrName(name);
    const known = this.of(node)?.xattrs;
    const old = known?.get(name);
    if ((flags & XATTR_CREATE) !== 0 && old) throw new ErrnoError(EEXIST, `${name} exists`);
    if ((flags & XATTR_REPLACE) !== 0 && !old) throw new ErrnoError(ENODATA, `no attribute ${name}`);
    const moreBytes = name.length + value.length - (old ? name.length + old.length : 0);
    if (bytesOf(known) + moreBytes > XATTR_BYTES_MAX || this.#xattrBytes + moreBytes > XATTRS_BYTES_MAX) {
      throw new ErrnoError(ENOSPC, `no room to remember ${name} (${value.length} bytes)`);
    }
    const entry = this.#entry(node);
    (entry.xattrs ??= new Map()).set(name, value);
    entry.ctimeMs = this.#wallMs();
    this.#xattrBytes += moreBytes;
    this.#records?.changed(node.key, entry);
  }

  /** Throws EOPNOTSUPP, EPERM, ENODATA. */
  removeXattr(node: Node, name: string): void {
    checkXattrName(name);
    const xattrs = this.of(node)?.xattrs;
    const old = xattrs?.get(name);
    if (!xattrs || !old) throw new ErrnoError(ENODATA, `no attribute ${name}`);
    xattrs.delete(name);
    this.#xattrBytes -= name.length + old.length;
    const entry = this.of(node);
    if (entry) this.#records?.changed(node.key, entry);
  }

  clear(): void {
    this.#entries.clear();
  }

  #entry(node: Node): Remembered {
    const known = this.of(node);
    if (known) return known;
    const entry = newEntry(node.kind === 'file' ? node.etag : undefined);
    this.#put(node.key, entry);
    return entry;
  }

  #put(key: string, entry: Remembered): void {
    this.#entries.set(key, entry);
    const ino = this.#ino(key);
    this.#inos.set(ino, (this.#inos.get(ino) ?? 0) + 1);
    this.#xattrBytes += bytesOf(entry.xattrs);
  }

  #ino(key: string): number {
    return key === this.#rootKey ? ROOT_INO : inoOfKey(key);
  }

  #disposed(key: string, entry: Remembered): void {
    this.#records?.gone(key);
    this.#xattrBytes -= bytesOf(entry.xattrs);
    const ino = this.#ino(key);
    const left = (this.#inos.get(ino) ?? 1) - 1;
    if (left > 0) this.#inos.set(ino, left);
    else this.#inos.delete(ino);
  }
}

function newEntry(etag: string | undefined): Remembered {
  return {
    etag,
    type: undefined,
    mode: undefined,
    uid: undefined,
    gid: undefined,
    atimeMs: undefined,
    mtimeMs: undefined,
    ctimeMs: undefined,
    xattrs: undefined,
  };
}

/** Only user.*, like local file systems for who is not root; what S3 says of an object (user.s3.*) is not to be set. */
function checkXattrName(name: string): void {
  if (name.startsWith('user.s3.')) throw new ErrnoError(EPERM, `${name} is what S3 says`);
  if (!name.startsWith('user.')) throw new ErrnoError(EOPNOTSUPP, `only user.* attributes: ${name}`);
}

function withoutSuid(mode: number): number {
  // A set-group bit without group execution is no such bit: it asks for mandatory locks.
  return mode & ~S_ISUID & ((mode & S_IXGRP) !== 0 ? ~S_ISGID : ~0);
}

function bytesOf(xattrs: ReadonlyMap<string, Uint8Array> | undefined): number {
  let bytes = 0;
  for (const [name, value] of xattrs ?? []) bytes += name.length + value.length;
  return bytes;
}
