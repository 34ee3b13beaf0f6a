/**
 * Messages that the kernel gets without having asked: bytes for the page cache, invalidations, the request to send
 * unanswered requests again. Encoded here, written by `runNotification`; who may run them where:
 *   store, invalidateInode    wait, unkillably, for pages that a READ has locked
 *   invalidateEntry, delete   wait for the parent directory while a LOOKUP or CREATE in it is unanswered
 *   resend, incrementEpoch    take no lock
 * (kernel fact 8, docs/KERNEL.md). So only a thread that no reply waits for runs them: notifier-loop.ts. Never the main
 * thread, a net thread or a reader. Refuses stores that would leave half pages or move the file's end (fact 9).
 */
import { invariant } from '../base/invariant.js';
import * as abi from './abi.js';
import { encodeI64, encodeOutHeader, encodeU64 } from './encode.js';
import type { ReplyWriter } from './transport.js';

/** Plain data, posted between threads. */
export type Notification =
  /**
   * Drop cached pages [offset, offset + lengthBytes) of a node, and its attributes. lengthBytes 0 = to the end; a negative
   * offset drops the attributes only. ENOENT: the kernel does not know the node.
   */
  | {
      readonly type: 'invalidateInode';
      readonly nodeId: number;
      readonly offset: number;
      readonly lengthBytes: number;
    }
  /** Forget a name, or (expireOnly, where Negotiated.hasExpireOnly) look it up again at its next use. */
  | {
      readonly type: 'invalidateEntry';
      readonly parent: number;
      readonly name: string;
      readonly expireOnly: boolean;
    }
  /** The name is gone, deleted by somebody else: watchers (inotify) hear of it. */
  | { readonly type: 'delete'; readonly parent: number; readonly child: number; readonly name: string }
  /** Send every request again that was read and not answered (kernel fact 20; Negotiated.hasResend). */
  | { readonly type: 'resend' }
  /** All names are looked up again at their next use (7.44, Negotiated.hasIncrementEpoch). */
  | { readonly type: 'incrementEpoch' };

/** Room for every notification but a store's payload. */
const SCRATCH_BYTES = abi.OUT_HEADER_BYTES + abi.NOTIFY_DELETE_BYTES + 1024 + 1;

/** Encodes header and body at `at`; returns the exclusive end. `bytes` and `view` are the same memory. */
export function encodeNotification(view: DataView, bytes: Buffer, at: number, notification: Notification): number {
  const body = at + abi.OUT_HEADER_BYTES;
  let end = body;
  let code: number;
  switch (notification.type) {
    case 'invalidateInode':
      code = abi.FUSE_NOTIFY_INVAL_INODE;
      encodeU64(view, body, notification.nodeId);
      encodeI64(view, body + 8, notification.offset);
      encodeI64(view, body + 16, notification.lengthBytes);
      end += abi.NOTIFY_INVAL_INODE_BYTES;
      break;
    case 'invalidateEntry':
      code = abi.FUSE_NOTIFY_INVAL_ENTRY;
      encodeU64(view, body, notification.parent);
      end = encodeName(view, bytes, body + 8, body + abi.NOTIFY_INVAL_ENTRY_BYTES, notification.name);
      view.setUint32(body + 12, notification.expireOnly ? abi.FUSE_EXPIRE_ONLY : 0, true);
      break;
    case 'delete':
      code = abi.FUSE_NOTIFY_DELETE;
      encodeU64(view, body, notification.parent);
      encodeU64(view, body + 8, notification.child);
      end = encodeName(view, bytes, body + 16, body + abi.NOTIFY_DELETE_BYTES, notification.name);
      view.setUint32(body + 20, 0, true);
      break;
    case 'resend':
      code = abi.FUSE_NOTIFY_RESEND;
      break;
    case 'incrementEpoch':
      code = abi.FUSE_NOTIFY_INC_EPOCH;
      break;
  }
  encodeOutHeader(view, at, end - at, code, 0, 0);
  return end;
}

/** A length field and a NUL-terminated name; the length does not count the NUL. */
function encodeName(view: DataView, bytes: Buffer, lengthAt: number, nameAt: number, name: string): number {
  const nameBytes = Buffer.byteLength(name);
  invariant(nameBytes > 0 && nameBytes <= abi.NAME_BYTES_MAX, `a notification names ${JSON.stringify(name)}`);
  view.setUint32(lengthAt, nameBytes, true);
  bytes.write(name, nameAt, 'utf8');
  view.setUint8(nameAt + nameBytes, 0);
  return nameAt + nameBytes + 1;
}

/**
 * Writes one notification and returns 0 or the kernel's errno: ENOENT when it does not know the node or name (nothing to
 * do then), ENOTEMPTY and EBUSY for a delete, ENOSYS or EINVAL from a kernel that is older than the code. May wait.
 */
export function runNotification(writer: ReplyWriter, notification: Notification): number {
  const bytes = Buffer.allocUnsafe(SCRATCH_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const end = encodeNotification(view, bytes, 0, notification);
  return writer.writev([bytes.subarray(0, end)]);
}

/**
 * True when bytes [offset, offset + lengthBytes) of an object of `objectBytes` may be stored: page-aligned, inside the
 * object, and ending on a page or exactly at the object's end. A store past the end would raise the file's size, and one
 * that ends inside a page leaves a page that is READ again (kernel fact 9, docs/KERNEL.md).
 * Who stores makes sure that nobody writes to the node, before and after: a store overwrites fresh writes (fact 10).
 */
export function mayStore(offset: number, lengthBytes: number, objectBytes: number, pageBytes: number): boolean {
  const endOffset = offset + lengthBytes;
  return (
    lengthBytes > 0 &&
    offset % pageBytes === 0 &&
    endOffset <= objectBytes &&
    (endOffset % pageBytes === 0 || endOffset === objectBytes)
  );
}

/**
 * Puts bytes into the page cache of a node that the kernel knows (FUSE_NOTIFY_STORE). The daemon does not (READs cost less,
 * docs/BENCHMARKS.md); the tests of kernel facts 9 and 10 do. `@borrows` parts until return, which
 * may be long: whoever owns the slot keeps it pinned, and pins no other meanwhile. Returns 0 or the kernel's errno.
 */
export function runStore(writer: ReplyWriter, nodeId: number, offset: number, parts: readonly Uint8Array[]): number {
  const header = new Uint8Array(abi.OUT_HEADER_BYTES + abi.NOTIFY_STORE_BYTES);
  const view = new DataView(header.buffer);
  let sizeBytes = 0;
  for (const part of parts) sizeBytes += part.length;
  encodeOutHeader(view, 0, header.length + sizeBytes, abi.FUSE_NOTIFY_STORE, 0, 0);
  encodeU64(view, abi.OUT_HEADER_BYTES, nodeId);
  encodeU64(view, abi.OUT_HEADER_BYTES + 8, offset);
  view.setUint32(abi.OUT_HEADER_BYTES + 16, sizeBytes, true);
  view.setUint32(abi.OUT_HEADER_BYTES + 20, 0, true);
  return writer.writev([header, ...parts]);
}
