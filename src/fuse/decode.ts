/**
 * From the kernel's bytes to plain objects. Every function reads fixed offsets of a DataView into an object that the
 * caller owns and reuses, and allocates nothing. The caller has checked the message's length against its row in
 * opcodes.ts, once; nothing here looks past that length. Refuses to judge values, with one exception: a 64-bit number
 * that JavaScript cannot hold exactly becomes OUT_OF_RANGE, and what that means is said where the field is used.
 * Structures: include/uapi/linux/fuse.h.
 */
import { fileTimeMs } from '../base/file-time.js';
import * as abi from './abi.js';

/** Stands for a 64-bit value of 2^53 or more. All values that we ourselves give out are below. */
export const OUT_OF_RANGE = -1;

const TWO_32 = 0x1_0000_0000;
const HI_MAX = 0x1f_ffff;

/** An unsigned 64-bit number, or OUT_OF_RANGE. */
export function decodeU64(view: DataView, at: number): number {
  const hi = view.getUint32(at + 4, true);
  return hi > HI_MAX ? OUT_OF_RANGE : view.getUint32(at, true) + hi * TWO_32;
}

/** Seconds (signed 64 bit) and nanoseconds to milliseconds. */
export function decodeTimeMs(view: DataView, secondsAt: number, nanosecondsAt: number): number {
  const seconds = view.getUint32(secondsAt, true) + view.getInt32(secondsAt + 4, true) * TWO_32;
  return fileTimeMs(seconds, view.getUint32(nanosecondsAt, true));
}

/** fuse_in_header */
export interface InHeader {
  lengthBytes: number;
  opcode: number;
  uniqueLo: number;
  uniqueHi: number;
  /** OUT_OF_RANGE for an id that we cannot have given out. */
  nodeId: number;
  uid: number;
  gid: number;
  pid: number;
  extensionBytes: number;
}

export function newInHeader(): InHeader {
  return {
    lengthBytes: 0,
    opcode: 0,
    uniqueLo: 0,
    uniqueHi: 0,
    nodeId: 0,
    uid: 0,
    gid: 0,
    pid: 0,
    extensionBytes: 0,
  };
}

/** Needs IN_HEADER_BYTES at `at`. */
export function decodeInHeader(view: DataView, at: number, out: InHeader): void {
  out.lengthBytes = view.getUint32(at + abi.IN_LEN, true);
  out.opcode = view.getUint32(at + abi.IN_OPCODE, true);
  out.uniqueLo = view.getUint32(at + abi.IN_UNIQUE_LO, true);
  out.uniqueHi = view.getUint32(at + abi.IN_UNIQUE_HI, true);
  out.nodeId = decodeU64(view, at + abi.IN_NODEID_LO);
  out.uid = view.getUint32(at + abi.IN_UID, true);
  out.gid = view.getUint32(at + abi.IN_GID, true);
  out.pid = view.getUint32(at + abi.IN_PID, true);
  out.extensionBytes = view.getUint16(at + abi.IN_TOTAL_EXTLEN, true) * 8;
}

/** fuse_getattr_in: the handle, undefined when the kernel gave none. */
export function decodeGetattrHandle(view: DataView, at: number): number | undefined {
  return (view.getUint32(at, true) & abi.FUSE_GETATTR_FH) === 0 ? undefined : decodeU64(view, at + 8);
}

/** fuse_setattr_in; only the fields whose bit is in `valid` mean anything. */
export interface SetattrIn {
  valid: number;
  handle: number;
  sizeBytes: number;
  atimeMs: number;
  mtimeMs: number;
  ctimeMs: number;
  mode: number;
  uid: number;
  gid: number;
}

export function newSetattrIn(): SetattrIn {
  return { valid: 0, handle: 0, sizeBytes: 0, atimeMs: 0, mtimeMs: 0, ctimeMs: 0, mode: 0, uid: 0, gid: 0 };
}

export function decodeSetattr(view: DataView, at: number, out: SetattrIn): void {
  out.valid = view.getUint32(at, true);
  out.handle = decodeU64(view, at + 8);
  out.sizeBytes = decodeU64(view, at + 16);
  out.atimeMs = decodeTimeMs(view, at + 32, at + 56);
  out.mtimeMs = decodeTimeMs(view, at + 40, at + 60);
  out.ctimeMs = decodeTimeMs(view, at + 48, at + 64);
  out.mode = view.getUint32(at + 68, true);
  out.uid = view.getUint32(at + 76, true);
  out.gid = view.getUint32(at + 80, true);
}

/** fuse_read_in (READ, READDIR, READDIRPLUS); lock owner and read flags mean nothing to us. */
export interface ReadIn {
  handle: number;
  offset: number;
  sizeBytes: number;
  flags: number;
}

export function newReadIn(): ReadIn {
  return { handle: 0, offset: 0, sizeBytes: 0, flags: 0 };
}

export function decodeRead(view: DataView, at: number, out: ReadIn): void {
  out.handle = decodeU64(view, at + abi.READ_FH_LO);
  out.offset = decodeU64(view, at + abi.READ_OFFSET_LO);
  out.sizeBytes = view.getUint32(at + abi.READ_SIZE, true);
  out.flags = view.getUint32(at + 32, true);
}

/** fuse_write_in */
export interface WriteIn {
  handle: number;
  offset: number;
  sizeBytes: number;
  /** FUSE_WRITE_... */
  writeFlags: number;
}

export function newWriteIn(): WriteIn {
  return { handle: 0, offset: 0, sizeBytes: 0, writeFlags: 0 };
}

export function decodeWrite(view: DataView, at: number, out: WriteIn): void {
  out.handle = decodeU64(view, at);
  out.offset = decodeU64(view, at + 8);
  out.sizeBytes = view.getUint32(at + 16, true);
  out.writeFlags = view.getUint32(at + 20, true);
}

/** fuse_fallocate_in */
export interface FallocateIn {
  handle: number;
  offset: number;
  lengthBytes: number;
  mode: number;
}

export function newFallocateIn(): FallocateIn {
  return { handle: 0, offset: 0, lengthBytes: 0, mode: 0 };
}

export function decodeFallocate(view: DataView, at: number, out: FallocateIn): void {
  out.handle = decodeU64(view, at);
  out.offset = decodeU64(view, at + 8);
  out.lengthBytes = decodeU64(view, at + 16);
  out.mode = view.getUint32(at + 24, true);
}

/** fuse_init_in; `flags2` is 0 unless the kernel says that it is there. */
export interface InitIn {
  major: number;
  minor: number;
  maxReadaheadBytes: number;
  flags: number;
  flags2: number;
}

export function newInitIn(): InitIn {
  return { major: 0, minor: 0, maxReadaheadBytes: 0, flags: 0, flags2: 0 };
}

/** `bodyBytes` tells fuse_init_in of 7.36 and later from the shorter one before. */
export function decodeInit(view: DataView, at: number, bodyBytes: number, out: InitIn): void {
  out.major = view.getUint32(at, true);
  out.minor = view.getUint32(at + 4, true);
  out.maxReadaheadBytes = view.getUint32(at + 8, true);
  out.flags = view.getUint32(at + 12, true);
  const extended = bodyBytes >= abi.INIT_IN_BYTES && (out.flags & abi.FUSE_INIT_EXT) !== 0;
  out.flags2 = extended ? view.getUint32(at + 16, true) : 0;
}
