/**
 * From plain objects to the kernel's bytes. Every function writes at an offset of a DataView and returns the exclusive
 * end of what it wrote; nothing is allocated and every byte of a structure is written, so buffers may be dirty.
 * Refuses to check sizes: the caller's buffer has room (replies of fixed size, or checked by directory-sink.ts).
 * Structures: include/uapi/linux/fuse.h.
 */
import { nanosecondsOf } from '../base/file-time.js';
import * as abi from './abi.js';
import type { Attributes, Entry, FileSystemStatistics, OpenReply } from './handlers.js';

const TWO_32 = 0x1_0000_0000;

/** Longest time to live that is sent, for Infinity too: 68 years; the kernel's jiffies arithmetic has room for it. */
export const TTL_SECONDS_MAX = 0x7fff_ffff;

/** A non-negative integer below 2^53. */
export function encodeU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value % TWO_32, true);
  view.setUint32(at + 4, Math.floor(value / TWO_32), true);
}

/** An integer between -2^53 and 2^53, as two's complement. */
export function encodeI64(view: DataView, at: number, value: number): void {
  const hi = Math.floor(value / TWO_32);
  view.setUint32(at, value - hi * TWO_32, true);
  view.setInt32(at + 4, hi, true);
}

/** Milliseconds since 1970 (fractions and negative ones too) as seconds and nanoseconds. */
export function encodeTime(view: DataView, secondsAt: number, nanosecondsAt: number, timeMs: number): void {
  const seconds = Math.floor(timeMs / 1000);
  encodeI64(view, secondsAt, seconds);
  view.setUint32(nanosecondsAt, nanosecondsOf(timeMs, seconds), true);
}

/** A duration as seconds and nanoseconds; Infinity is TTL_SECONDS_MAX, nothing is below 0. */
export function encodeTtl(view: DataView, secondsAt: number, nanosecondsAt: number, ttlMs: number): void {
  const seconds = Math.min(TTL_SECONDS_MAX, Math.max(0, Math.floor(ttlMs / 1000)));
  encodeU64(view, secondsAt, seconds);
  const rest = seconds === TTL_SECONDS_MAX || ttlMs < 0 ? 0 : Math.round((ttlMs - seconds * 1000) * 1e6);
  view.setUint32(nanosecondsAt, Math.min(999_999_999, rest), true);
}

/** fuse_out_header. `error` is 0 or a negative errno; for notifications the (positive) code. */
export function encodeOutHeader(
  view: DataView,
  at: number,
  lengthBytes: number,
  error: number,
  uniqueLo: number,
  uniqueHi: number,
): number {
  view.setUint32(at, lengthBytes, true);
  view.setInt32(at + 4, error, true);
  view.setUint32(at + 8, uniqueLo, true);
  view.setUint32(at + 12, uniqueHi, true);
  return at + abi.OUT_HEADER_BYTES;
}

/** fuse_attr */
export function encodeAttributes(view: DataView, at: number, attributes: Attributes): number {
  encodeU64(view, at, attributes.ino);
  encodeU64(view, at + 8, attributes.sizeBytes);
  // st_blocks counts 512 bytes whatever st_blksize says.
  encodeU64(view, at + 16, Math.ceil(attributes.sizeBytes / 512));
  encodeTime(view, at + 24, at + 48, attributes.atimeMs);
  encodeTime(view, at + 32, at + 52, attributes.mtimeMs);
  encodeTime(view, at + 40, at + 56, attributes.ctimeMs);
  view.setUint32(at + 60, attributes.mode, true);
  view.setUint32(at + 64, attributes.nlink, true);
  view.setUint32(at + 68, attributes.uid, true);
  view.setUint32(at + 72, attributes.gid, true);
  view.setUint32(at + 76, attributes.rdev, true);
  view.setUint32(at + 80, attributes.blockSizeBytes, true);
  view.setUint32(at + 84, 0, true);
  return at + abi.ATTR_BYTES;
}

/** fuse_entry_out. A negative entry (nodeId 0) has no attributes; its zeros are never looked at. */
export function encodeEntry(view: DataView, at: number, entry: Entry): number {
  encodeU64(view, at, entry.nodeId);
  encodeU64(view, at + 8, entry.generation);
  encodeTtl(view, at + 16, at + 32, entry.entryTtlMs);
  encodeTtl(view, at + 24, at + 36, entry.attributesTtlMs);
  if (entry.nodeId === 0) return encodeZeros(view, at + 40, abi.ATTR_BYTES);
  return encodeAttributes(view, at + 40, entry.attributes);
}

/** `bytes` (a multiple of 4) zero bytes. */
export function encodeZeros(view: DataView, at: number, bytes: number): number {
  for (let end = at + bytes; at < end; at += 4) view.setUint32(at, 0, true);
  return at;
}

/** fuse_attr_out */
export function encodeAttributesReply(view: DataView, at: number, attributes: Attributes, ttlMs: number): number {
  encodeTtl(view, at, at + 8, ttlMs);
  view.setUint32(at + 12, 0, true);
  return encodeAttributes(view, at + 16, attributes);
}

/**
 * fuse_open_out. Kernels ignore the flags that they do not know, so none is filtered. FOPEN_CACHE_DIR alone caches
 * nothing: a listing that is to be kept needs keepCache as well (kernel fact 12, docs/KERNEL.md). directIo makes a
 * handle's reads serial (kernel fact 15): it is for sizes that nobody knows, not for speed.
 */
export function encodeOpen(view: DataView, at: number, open: OpenReply): number {
  let flags = 0;
  if (open.directIo === true) flags |= abi.FOPEN_DIRECT_IO;
  if (open.keepCache === true) flags |= abi.FOPEN_KEEP_CACHE;
  if (open.cacheDirectory === true) flags |= abi.FOPEN_CACHE_DIR;
  if (open.noFlush === true) flags |= abi.FOPEN_NOFLUSH;
  if (open.parallelDirectWrites === true) flags |= abi.FOPEN_PARALLEL_DIRECT_WRITES;
  encodeU64(view, at, open.handle);
  view.setUint32(at + 8, flags, true);
  view.setUint32(at + 12, 0, true);
  return at + abi.OPEN_OUT_BYTES;
}

/** fuse_write_out, fuse_getxattr_out: a 32-bit size and padding. */
export function encodeSize(view: DataView, at: number, sizeBytes: number): number {
  view.setUint32(at, sizeBytes, true);
  view.setUint32(at + 4, 0, true);
  return at + abi.WRITE_OUT_BYTES;
}

/** fuse_lseek_out */
export function encodeOffset(view: DataView, at: number, offset: number): number {
  encodeU64(view, at, offset);
  return at + abi.LSEEK_OUT_BYTES;
}

/** fuse_statfs_out; everything free is available to everyone. */
export function encodeStatistics(view: DataView, at: number, statistics: FileSystemStatistics): number {
  encodeU64(view, at, statistics.blocks);
  encodeU64(view, at + 8, statistics.blocksFree);
  encodeU64(view, at + 16, statistics.blocksFree);
  encodeU64(view, at + 24, statistics.files);
  encodeU64(view, at + 32, statistics.filesFree);
  view.setUint32(at + 40, statistics.blockSizeBytes, true);
  view.setUint32(at + 44, statistics.nameBytesMax, true);
  view.setUint32(at + 48, statistics.blockSizeBytes, true);
  return encodeZeros(view, at + 52, abi.STATFS_OUT_BYTES - 52);
}

/** fuse_init_out */
export interface InitOut {
  readonly major: number;
  readonly minor: number;
  readonly maxReadaheadBytes: number;
  readonly flags: number;
  readonly maxBackground: number;
  readonly congestionThreshold: number;
  readonly maxWriteBytes: number;
  readonly maxPages: number;
  readonly flags2: number;
  readonly maxStackDepth: number;
}

export function encodeInit(view: DataView, at: number, out: InitOut): number {
  view.setUint32(at, out.major, true);
  view.setUint32(at + 4, out.minor, true);
  view.setUint32(at + 8, out.maxReadaheadBytes, true);
  view.setUint32(at + 12, out.flags, true);
  view.setUint16(at + 16, out.maxBackground, true);
  view.setUint16(at + 18, out.congestionThreshold, true);
  view.setUint32(at + 20, out.maxWriteBytes, true);
  // time_gran: timestamps are kept to the nanosecond.
  view.setUint32(at + 24, 1, true);
  view.setUint16(at + 28, out.maxPages, true);
  view.setUint16(at + 30, 0, true);
  view.setUint32(at + 32, out.flags2, true);
  view.setUint32(at + 36, out.maxStackDepth, true);
  // request_timeout 0: the kernel never aborts the connection for a slow request, unless the system's default says so
  // (kernel fact 22, docs/KERNEL.md; `doctor` looks).
  return encodeZeros(view, at + 40, abi.INIT_OUT_BYTES - 40);
}
