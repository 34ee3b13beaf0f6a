/**
 * What reader threads put into their ring for the main thread: the kinds of records and the layout of each payload.
 * Numbers travel as 32-bit halves, low first, so that either side encodes them without BigInt. A ring has one producer,
 * so each reader thread has a ring of its own; records of one ring keep their order, those of different rings do not.
 * Refuses to hold replies or commands: the way back is the kernel's.
 */
import { IN_HEADER_BYTES, WRITE_IN_BYTES } from './abi.js';

/** Payload: the kernel's message, whole, as it was read. */
export const RECORD_REQUEST = 1;
/** Payload: an AccessRecord. The thread answered a READ by itself. Dropped when the ring is full. */
export const RECORD_ACCESS = 2;
/** Payload: errno (4 bytes), 0 for an ordinary unmount. The thread has ended; nothing follows. */
export const RECORD_ENDED = 3;
/** Payload: a sentence in UTF-8 for the log. */
export const RECORD_TROUBLE = 4;

/**
 * Payload: header and fuse_write_in of a WRITE (LENT_HEAD_BYTES), then the slot (4 bytes) that holds its bytes from the first
 * on, as many as it says. The slot is the main thread's from now on.
 */
export const RECORD_LENT_WRITE = 5;
/** Payload: a slot (4 bytes), empty. It is the main thread's again. */
export const RECORD_SLOT_BACK = 6;

export const ACCESS_RECORD_BYTES = 32;

/** What comes before the payload of a WRITE. A READ is exactly as long. */
export const LENT_HEAD_BYTES = IN_HEADER_BYTES + WRITE_IN_BYTES;

/** Room for the largest request (1 MiB of WRITE and its header) several times over; a record may fill half the ring. */
export const REQUEST_RING_BYTES = 4 * 1024 * 1024;

/** A READ that was answered from resident blocks. */
export interface AccessRecord {
  nodeId: number;
  handle: number;
  offset: number;
  sizeBytes: number;
}

const TWO_32 = 0x1_0000_0000;

export function newAccessRecord(): AccessRecord {
  return { nodeId: 0, handle: 0, offset: 0, sizeBytes: 0 };
}

/** Writes ACCESS_RECORD_BYTES at `at`; the halves are unsigned. */
export function encodeAccess(
  view: DataView,
  at: number,
  nodeLo: number,
  nodeHi: number,
  handleLo: number,
  handleHi: number,
  offset: number,
  sizeBytes: number,
): number {
  view.setUint32(at, nodeLo, true);
  view.setUint32(at + 4, nodeHi, true);
  view.setUint32(at + 8, handleLo, true);
  view.setUint32(at + 12, handleHi, true);
  view.setUint32(at + 16, offset % TWO_32, true);
  view.setUint32(at + 20, Math.floor(offset / TWO_32), true);
  view.setUint32(at + 24, sizeBytes, true);
  view.setUint32(at + 28, 0, true);
  return at + ACCESS_RECORD_BYTES;
}

export function decodeAccess(payload: Uint8Array, out: AccessRecord): void {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  out.nodeId = view.getUint32(0, true) + view.getUint32(4, true) * TWO_32;
  out.handle = view.getUint32(8, true) + view.getUint32(12, true) * TWO_32;
  out.offset = view.getUint32(16, true) + view.getUint32(20, true) * TWO_32;
  out.sizeBytes = view.getUint32(24, true);
}
