/**
 * One row per opcode of the protocol: its name, the least length of its body, what follows it, what kind of reply it
 * gets, and what an early INTERRUPT does to it. The dispatcher checks a message's length against its row once, before
 * anything is decoded. The table proves itself at load: a row that does not add up stops the program at once.
 * Refuses to say how requests are served; that is the dispatcher's.
 */
import { endianness } from 'node:os';
import { invariant } from '../base/invariant.js';
import * as abi from './abi.js';

/** What the kernel waits for. 'none': an answer would be an error. */
export type ReplyKind =
  | 'none'
  | 'status'
  | 'entry'
  | 'attributes'
  | 'open'
  | 'create'
  | 'data'
  | 'written'
  | 'statistics'
  | 'xattr'
  | 'offset'
  | 'directory'
  | 'init'
  | 'refused';

/** What follows the fixed part: NUL-terminated strings, payload bytes, or nothing that we read. */
export type Tail = 'nothing' | 'one name' | 'two names' | 'payload' | 'name and payload' | 'records';

export interface OpcodeRow {
  readonly opcode: number;
  /** Without the FUSE_ prefix; used in logs and statistics. */
  readonly name: string;
  /** Bytes of the fixed structure that follows the header. */
  readonly bodyBytes: number;
  readonly tail: Tail;
  readonly reply: ReplyKind;
  /**
   * The request changes nothing, so one that was interrupted before it was served is answered EINTR unserved
   * (kernel fact 7, docs/KERNEL.md). The others are served with an aborted signal: their handlers decide.
   */
  readonly pure: boolean;
}

const row = (
  opcode: number,
  name: string,
  bodyBytes: number,
  tail: Tail,
  reply: ReplyKind,
  pure = false,
): OpcodeRow => ({ opcode, name, bodyBytes, tail, reply, pure });

const rows: readonly OpcodeRow[] = [
  row(abi.FUSE_LOOKUP, 'LOOKUP', 0, 'one name', 'entry', true),
  row(abi.FUSE_FORGET, 'FORGET', 8, 'nothing', 'none'),
  row(abi.FUSE_GETATTR, 'GETATTR', 16, 'nothing', 'attributes', true),
  row(abi.FUSE_SETATTR, 'SETATTR', abi.SETATTR_IN_BYTES, 'nothing', 'attributes'),
  row(abi.FUSE_READLINK, 'READLINK', 0, 'nothing', 'data', true),
  row(abi.FUSE_SYMLINK, 'SYMLINK', 0, 'two names', 'entry'),
  row(abi.FUSE_MKNOD, 'MKNOD', 16, 'one name', 'entry'),
  row(abi.FUSE_MKDIR, 'MKDIR', 8, 'one name', 'entry'),
  row(abi.FUSE_UNLINK, 'UNLINK', 0, 'one name', 'status'),
  row(abi.FUSE_RMDIR, 'RMDIR', 0, 'one name', 'status'),
  row(abi.FUSE_RENAME, 'RENAME', 8, 'two names', 'status'),
  row(abi.FUSE_LINK, 'LINK', 8, 'one name', 'entry'),
  row(abi.FUSE_OPEN, 'OPEN', 8, 'nothing', 'open', true),
  row(abi.FUSE_READ, 'READ', abi.READ_IN_BYTES, 'nothing', 'data', true),
  row(abi.FUSE_WRITE, 'WRITE', abi.WRITE_IN_BYTES, 'payload', 'written'),
  row(abi.FUSE_STATFS, 'STATFS', 0, 'nothing', 'statistics', true),
  row(abi.FUSE_RELEASE, 'RELEASE', 24, 'nothing', 'status'),
  row(abi.FUSE_FSYNC, 'FSYNC', 16, 'nothing', 'status'),
  // 8 without FUSE_SETXATTR_EXT; the dispatcher adds the rest when it was negotiated.
  row(abi.FUSE_SETXATTR, 'SETXATTR', abi.SETXATTR_IN_COMPAT_BYTES, 'name and payload', 'status'),
  row(abi.FUSE_GETXATTR, 'GETXATTR', 8, 'one name', 'xattr', true),
  row(abi.FUSE_LISTXATTR, 'LISTXATTR', 8, 'nothing', 'xattr', true),
  row(abi.FUSE_REMOVEXATTR, 'REMOVEXATTR', 0, 'one name', 'status'),
  row(abi.FUSE_FLUSH, 'FLUSH', 24, 'nothing', 'status'),
  row(abi.FUSE_INIT, 'INIT', abi.INIT_IN_COMPAT_BYTES, 'nothing', 'init'),
  row(abi.FUSE_OPENDIR, 'OPENDIR', 8, 'nothing', 'open', true),
  row(abi.FUSE_READDIR, 'READDIR', abi.READ_IN_BYTES, 'nothing', 'directory', true),
  row(abi.FUSE_RELEASEDIR, 'RELEASEDIR', 24, 'nothing', 'status'),
  row(abi.FUSE_FSYNCDIR, 'FSYNCDIR', 16, 'nothing', 'status'),
  row(abi.FUSE_GETLK, 'GETLK', 48, 'nothing', 'refused'),
  row(abi.FUSE_SETLK, 'SETLK', 48, 'nothing', 'refused'),
  row(abi.FUSE_SETLKW, 'SETLKW', 48, 'nothing', 'refused'),
  row(abi.FUSE_ACCESS, 'ACCESS', 8, 'nothing', 'status', true),
  row(abi.FUSE_CREATE, 'CREATE', 16, 'one name', 'create'),
  row(abi.FUSE_INTERRUPT, 'INTERRUPT', 8, 'nothing', 'none'),
  row(abi.FUSE_BMAP, 'BMAP', 16, 'nothing', 'refused'),
  row(abi.FUSE_DESTROY, 'DESTROY', 0, 'nothing', 'status'),
  row(abi.FUSE_IOCTL, 'IOCTL', 32, 'payload', 'refused'),
  row(abi.FUSE_POLL, 'POLL', 24, 'nothing', 'refused'),
  row(abi.FUSE_NOTIFY_REPLY, 'NOTIFY_REPLY', 40, 'payload', 'none'),
  row(abi.FUSE_BATCH_FORGET, 'BATCH_FORGET', 8, 'records', 'none'),
  row(abi.FUSE_FALLOCATE, 'FALLOCATE', 32, 'nothing', 'status'),
  row(abi.FUSE_READDIRPLUS, 'READDIRPLUS', abi.READ_IN_BYTES, 'nothing', 'directory', true),
  row(abi.FUSE_RENAME2, 'RENAME2', 16, 'two names', 'status'),
  row(abi.FUSE_LSEEK, 'LSEEK', 24, 'nothing', 'offset', true),
  row(abi.FUSE_COPY_FILE_RANGE, 'COPY_FILE_RANGE', 56, 'nothing', 'refused'),
  row(abi.FUSE_SETUPMAPPING, 'SETUPMAPPING', 40, 'nothing', 'refused'),
  row(abi.FUSE_REMOVEMAPPING, 'REMOVEMAPPING', 4, 'records', 'refused'),
  row(abi.FUSE_SYNCFS, 'SYNCFS', 8, 'nothing', 'refused'),
  row(abi.FUSE_TMPFILE, 'TMPFILE', 16, 'one name', 'refused'),
  row(abi.FUSE_STATX, 'STATX', 24, 'nothing', 'refused'),
  row(abi.FUSE_COPY_FILE_RANGE_64, 'COPY_FILE_RANGE_64', 56, 'nothing', 'refused'),
];

/** Exclusive bound of the opcodes known here. */
export const OPCODE_END = abi.FUSE_COPY_FILE_RANGE_64 + 1;

const table: (OpcodeRow | undefined)[] = new Array<OpcodeRow | undefined>(OPCODE_END).fill(undefined);
for (const entry of rows) {
  invariant(table[entry.opcode] === undefined, `opcode ${entry.opcode} has two rows`);
  table[entry.opcode] = entry;
}

/** The row of an opcode, undefined for one that the protocol (as we know it) does not have. */
export function opcodeRow(opcode: number): OpcodeRow | undefined {
  return table[opcode];
}

/** All rows, in the order of their opcodes. */
export const OPCODE_ROWS: readonly OpcodeRow[] = rows;

/** Opcodes that were never given out. */
const HOLES: readonly number[] = [0, 7, 19];

function proveTable(): void {
  invariant(endianness() === 'LE', 'the FUSE codec supports little-endian machines only');
  for (let opcode = 0; opcode < OPCODE_END; opcode++) {
    invariant((table[opcode] === undefined) === HOLES.includes(opcode), `opcode ${opcode} has a row or is a hole`);
  }
  const names = new Set<string>();
  for (const { name, opcode, bodyBytes, reply, pure } of rows) {
    invariant(!names.has(name), `name ${name} twice`);
    names.add(name);
    invariant(bodyBytes % 4 === 0 && bodyBytes <= abi.SETATTR_IN_BYTES, `body of ${name}`);
    invariant((abi as Readonly<Record<string, unknown>>)[`FUSE_${name}`] === opcode, `${name} is not ${opcode}`);
    invariant(!pure || (reply !== 'none' && reply !== 'refused'), `${name} cannot be pure`);
  }
  invariant(abi.ENTRY_OUT_BYTES === 40 + abi.ATTR_BYTES, 'fuse_entry_out');
  invariant(abi.ATTR_OUT_BYTES === 16 + abi.ATTR_BYTES, 'fuse_attr_out');
  invariant(abi.DIRENTPLUS_BYTES === abi.ENTRY_OUT_BYTES + abi.DIRENT_BYTES, 'fuse_direntplus');
}
proveTable();
