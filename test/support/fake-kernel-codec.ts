/**
 * A second, naive codec of the FUSE protocol, as the oracle for src/fuse: structures are written down as the kernel's
 * header has them (field name and C type), and encoded field by field with BigInt. Slow and obvious on purpose; it shares
 * no code and no number with src/fuse, opcodes included.
 */

type FieldType = 'u16' | 'u32' | 'i32' | 'u64' | 'i64';
export type Fields = Record<string, number | bigint>;

const WIDTHS: Record<FieldType, number> = { u16: 2, u32: 4, i32: 4, u64: 8, i64: 8 };

/** include/uapi/linux/fuse.h, padding included. */
const STRUCTS: Record<string, string> = {
  in_header: 'len:u32 opcode:u32 unique:u64 nodeid:u64 uid:u32 gid:u32 pid:u32 total_extlen:u16 padding:u16',
  out_header: 'len:u32 error:i32 unique:u64',
  attr:
    'ino:u64 size:u64 blocks:u64 atime:i64 mtime:i64 ctime:i64 atimensec:u32 mtimensec:u32 ctimensec:u32 mode:u32 ' +
    'nlink:u32 uid:u32 gid:u32 rdev:u32 blksize:u32 flags:u32',
  entry_out:
    'nodeid:u64 generation:u64 entry_valid:u64 attr_valid:u64 entry_valid_nsec:u32 attr_valid_nsec:u32 attr:attr',
  attr_out: 'attr_valid:u64 attr_valid_nsec:u32 dummy:u32 attr:attr',
  open_out: 'fh:u64 open_flags:u32 backing_id:i32',
  write_out: 'size:u32 padding:u32',
  lseek_out: 'offset:u64',
  statfs_out:
    'blocks:u64 bfree:u64 bavail:u64 files:u64 ffree:u64 bsize:u32 namelen:u32 frsize:u32 padding:u32 ' +
    's0:u32 s1:u32 s2:u32 s3:u32 s4:u32 s5:u32',
  init_out:
    'major:u32 minor:u32 max_readahead:u32 flags:u32 max_background:u16 congestion_threshold:u16 max_write:u32 ' +
    'time_gran:u32 max_pages:u16 map_alignment:u16 flags2:u32 max_stack_depth:u32 request_timeout:u16 ' +
    'u0:u16 u1:u16 u2:u16 u3:u16 u4:u16 u5:u16 u6:u16 u7:u16 u8:u16 u9:u16 u10:u16',
  dirent: 'ino:u64 off:u64 namelen:u32 type:u32',
  init_in:
    'major:u32 minor:u32 max_readahead:u32 flags:u32 flags2:u32 u0:u32 u1:u32 u2:u32 u3:u32 u4:u32 u5:u32 u6:u32 ' +
    'u7:u32 u8:u32 u9:u32 u10:u32',
  init_in_compat: 'major:u32 minor:u32 max_readahead:u32 flags:u32',
  forget_in: 'nlookup:u64',
  forget_one: 'nodeid:u64 nlookup:u64',
  batch_forget_in: 'count:u32 dummy:u32',
  getattr_in: 'getattr_flags:u32 dummy:u32 fh:u64',
  setattr_in:
    'valid:u32 padding:u32 fh:u64 size:u64 lock_owner:u64 atime:i64 mtime:i64 ctime:i64 atimensec:u32 mtimensec:u32 ' +
    'ctimensec:u32 mode:u32 unused4:u32 uid:u32 gid:u32 unused5:u32',
  mknod_in: 'mode:u32 rdev:u32 umask:u32 padding:u32',
  mkdir_in: 'mode:u32 umask:u32',
  rename_in: 'newdir:u64',
  rename2_in: 'newdir:u64 flags:u32 padding:u32',
  link_in: 'oldnodeid:u64',
  open_in: 'flags:u32 open_flags:u32',
  create_in: 'flags:u32 mode:u32 umask:u32 open_flags:u32',
  release_in: 'fh:u64 flags:u32 release_flags:u32 lock_owner:u64',
  flush_in: 'fh:u64 unused:u32 padding:u32 lock_owner:u64',
  read_in: 'fh:u64 offset:u64 size:u32 read_flags:u32 lock_owner:u64 flags:u32 padding:u32',
  write_in: 'fh:u64 offset:u64 size:u32 write_flags:u32 lock_owner:u64 flags:u32 padding:u32',
  fsync_in: 'fh:u64 fsync_flags:u32 padding:u32',
  setxattr_in: 'size:u32 flags:u32 setxattr_flags:u32 padding:u32',
  setxattr_in_compat: 'size:u32 flags:u32',
  getxattr_in: 'size:u32 padding:u32',
  lk_in: 'fh:u64 owner:u64 start:u64 end:u64 type:u32 pid:u32 lk_flags:u32 padding:u32',
  access_in: 'mask:u32 padding:u32',
  interrupt_in: 'unique:u64',
  bmap_in: 'block:u64 blocksize:u32 padding:u32',
  ioctl_in: 'fh:u64 flags:u32 cmd:u32 arg:u64 in_size:u32 out_size:u32',
  poll_in: 'fh:u64 kh:u64 flags:u32 events:u32',
  fallocate_in: 'fh:u64 offset:u64 length:u64 mode:u32 padding:u32',
  lseek_in: 'fh:u64 offset:i64 whence:u32 padding:u32',
  copy_file_range_in: 'fh_in:u64 off_in:u64 nodeid_out:u64 fh_out:u64 off_out:u64 len:u64 flags:u64',
  setupmapping_in: 'fh:u64 foffset:u64 len:u64 flags:u64 moffset:u64',
  removemapping_in: 'count:u32',
  syncfs_in: 'padding:u64',
  statx_in: 'getattr_flags:u32 reserved:u32 fh:u64 sx_flags:u32 sx_mask:u32',
  retrieve_in: 'dummy1:u64 offset:u64 size:u32 dummy2:u32 dummy3:u64 dummy4:u64',
  empty: '',
  notify_inval_inode_out: 'ino:u64 off:i64 len:i64',
  notify_inval_entry_out: 'parent:u64 namelen:u32 flags:u32',
  notify_delete_out: 'parent:u64 child:u64 namelen:u32 padding:u32',
  notify_store_out: 'nodeid:u64 offset:u64 size:u32 padding:u32',
};

interface Field {
  readonly name: string;
  readonly type: FieldType;
}

/** The fields of a structure, nested ones spliced in under their own names with the prefix `attr.`. */
export function fieldsOf(struct: string): Field[] {
  const text = STRUCTS[struct];
  if (text === undefined) throw new Error(`no structure ${struct}`);
  return text
    .split(' ')
    .filter((part) => part !== '')
    .flatMap((part) => {
      const [name = '', type = ''] = part.split(':');
      if (type === 'attr') return fieldsOf('attr').map((field) => ({ ...field, name: `attr.${field.name}` }));
      return [{ name, type: type as FieldType }];
    });
}

export function sizeOf(struct: string): number {
  return fieldsOf(struct).reduce((sum, { type }) => sum + WIDTHS[type], 0);
}

/** Fields left out are 0. */
export function encodeStruct(struct: string, values: Fields): Buffer {
  for (const name of Object.keys(values)) {
    if (!fieldsOf(struct).some((field) => field.name === name)) throw new Error(`${struct} has no ${name}`);
  }
  return Buffer.concat(
    fieldsOf(struct).map(({ name, type }) => {
      const bytes = Buffer.alloc(WIDTHS[type]);
      const value = BigInt(values[name] ?? 0);
      for (let at = 0; at < bytes.length; at++) bytes[at] = Number((value >> BigInt(8 * at)) & 0xffn);
      return bytes;
    }),
  );
}

export function decodeStruct(struct: string, bytes: Uint8Array, at = 0): Record<string, bigint> {
  const result: Record<string, bigint> = {};
  for (const { name, type } of fieldsOf(struct)) {
    let value = 0n;
    for (let index = 0; index < WIDTHS[type]; index++) value |= BigInt(bytes[at + index] ?? 0) << BigInt(8 * index);
    if (type.startsWith('i')) value = BigInt.asIntN(8 * WIDTHS[type], value);
    result[name] = value;
    at += WIDTHS[type];
  }
  return result;
}

/** [opcode, structure of the body]; FUSE_STATX and others that we refuse included. */
export const REQUESTS: Record<string, readonly [opcode: number, struct: string]> = {
  LOOKUP: [1, 'empty'],
  FORGET: [2, 'forget_in'],
  GETATTR: [3, 'getattr_in'],
  SETATTR: [4, 'setattr_in'],
  READLINK: [5, 'empty'],
  SYMLINK: [6, 'empty'],
  MKNOD: [8, 'mknod_in'],
  MKDIR: [9, 'mkdir_in'],
  UNLINK: [10, 'empty'],
  RMDIR: [11, 'empty'],
  RENAME: [12, 'rename_in'],
  LINK: [13, 'link_in'],
  OPEN: [14, 'open_in'],
  READ: [15, 'read_in'],
  WRITE: [16, 'write_in'],
  STATFS: [17, 'empty'],
  RELEASE: [18, 'release_in'],
  FSYNC: [20, 'fsync_in'],
  SETXATTR: [21, 'setxattr_in'],
  GETXATTR: [22, 'getxattr_in'],
  LISTXATTR: [23, 'getxattr_in'],
  REMOVEXATTR: [24, 'empty'],
  FLUSH: [25, 'flush_in'],
  INIT: [26, 'init_in'],
  OPENDIR: [27, 'open_in'],
  READDIR: [28, 'read_in'],
  RELEASEDIR: [29, 'release_in'],
  FSYNCDIR: [30, 'fsync_in'],
  GETLK: [31, 'lk_in'],
  SETLK: [32, 'lk_in'],
  SETLKW: [33, 'lk_in'],
  ACCESS: [34, 'access_in'],
  CREATE: [35, 'create_in'],
  INTERRUPT: [36, 'interrupt_in'],
  BMAP: [37, 'bmap_in'],
  DESTROY: [38, 'empty'],
  IOCTL: [39, 'ioctl_in'],
  POLL: [40, 'poll_in'],
  NOTIFY_REPLY: [41, 'retrieve_in'],
  BATCH_FORGET: [42, 'batch_forget_in'],
  FALLOCATE: [43, 'fallocate_in'],
  READDIRPLUS: [44, 'read_in'],
  RENAME2: [45, 'rename2_in'],
  LSEEK: [46, 'lseek_in'],
  COPY_FILE_RANGE: [47, 'copy_file_range_in'],
  SETUPMAPPING: [48, 'setupmapping_in'],
  REMOVEMAPPING: [49, 'removemapping_in'],
  SYNCFS: [50, 'syncfs_in'],
  TMPFILE: [51, 'create_in'],
  STATX: [52, 'statx_in'],
  COPY_FILE_RANGE_64: [53, 'copy_file_range_in'],
};

export interface RequestHeader {
  readonly unique?: number | bigint;
  readonly nodeid?: number | bigint;
  readonly uid?: number;
  readonly gid?: number;
  readonly pid?: number;
}

/** A request as the kernel would send it; a string in `tail` is followed by its NUL. */
export function encodeRequest(
  name: string,
  header: RequestHeader = {},
  body: Fields = {},
  tail: readonly (string | Uint8Array)[] = [],
): Buffer {
  const row = REQUESTS[name];
  if (row === undefined) throw new Error(`no request ${name}`);
  return encodeRaw(row[0], header, [
    encodeStruct(row[1], body),
    ...tail.map((part) => (typeof part === 'string' ? Buffer.from(`${part}\0`) : Buffer.from(part))),
  ]);
}

export function encodeRaw(opcode: number, header: RequestHeader, parts: readonly Uint8Array[]): Buffer {
  const rest = Buffer.concat(parts);
  const fields: Fields = { len: 40 + rest.length, opcode };
  fields['unique'] = header.unique ?? 2;
  fields['nodeid'] = header.nodeid ?? 1;
  fields['uid'] = header.uid ?? 1000;
  fields['gid'] = header.gid ?? 1000;
  fields['pid'] = header.pid ?? 4711;
  return Buffer.concat([encodeStruct('in_header', fields), rest]);
}

export interface Reply {
  readonly unique: bigint;
  /** Positive errno, 0 for success. For notifications (unique 0) minus the code. */
  readonly errno: number;
  readonly body: Buffer;
}

/** Checks what the kernel checks: the length field, and that an error has no body. */
export function decodeReply(message: Uint8Array): Reply {
  const header = decodeStruct('out_header', message);
  if (Number(header['len']) !== message.length) throw new Error('a reply whose length field is wrong');
  const errno = -Number(header['error']);
  const unique = header['unique'] ?? 0n;
  if (unique !== 0n && errno !== 0 && message.length !== 16) throw new Error('an error reply with a body');
  if (unique !== 0n && (errno < 0 || errno > 511)) throw new Error(`errno ${errno}`);
  return { unique, errno, body: Buffer.from(message.subarray(16)) };
}

/** READDIR's or READDIRPLUS' records. */
export function decodeDirents(
  body: Uint8Array,
  plus: boolean,
): { name: string; dirent: Record<string, bigint>; entry: Record<string, bigint> | undefined }[] {
  const result = [];
  let at = 0;
  while (at < body.length) {
    const entry = plus ? decodeStruct('entry_out', body, at) : undefined;
    if (plus) at += sizeOf('entry_out');
    const dirent = decodeStruct('dirent', body, at);
    at += sizeOf('dirent');
    const nameBytes = Number(dirent['namelen']);
    if (at + nameBytes > body.length) throw new Error('a directory record runs over its end');
    const name = Buffer.from(body.subarray(at, at + nameBytes)).toString();
    at += (nameBytes + 7) & ~7;
    result.push({ name, dirent, entry });
  }
  if (at !== body.length) throw new Error('directory records are not padded to 8 bytes');
  return result;
}
