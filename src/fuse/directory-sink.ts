/**
 * Packs the entries of one READDIR or READDIRPLUS reply: fuse_dirent or fuse_direntplus records, each padded to 8
 * bytes, never more than the kernel asked for. It remembers which node ids it gave lookups for, because a reply that
 * the kernel does not take must give them back. Refuses names that the kernel would fail the whole listing for.
 */
import { EINVAL, EIO, ErrnoError } from '../base/errno.js';
import { invariant } from '../base/invariant.js';
import { DIRENTPLUS_BYTES, DIRENT_BYTES, ENTRY_OUT_BYTES, NAME_BYTES_MAX } from './abi.js';
import { encodeEntry, encodeU64, encodeZeros } from './encode.js';
import type { DirectoryItem, DirectorySink, Entry } from './handlers.js';

export class PackingSink implements DirectorySink {
  readonly plus: boolean;
  /** Node ids that got a lookup each, in order. */
  readonly nodeIds: number[] = [];
  readonly #buffer: Buffer;
  readonly #view: DataView;
  readonly #bytesMax: number;
  #end = 0;
  #refused = false;
  #closed = false;

  /** Packs into `buffer` [0, bytesMax). `@borrows` the buffer until `close`. */
  constructor(plus: boolean, buffer: Buffer, bytesMax: number) {
    this.plus = plus;
    this.#buffer = buffer;
    this.#view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
    this.#bytesMax = Math.min(bytesMax, buffer.length);
  }

  add(item: DirectoryItem, entry?: Entry): boolean {
    invariant(!this.#closed, 'a directory entry was added after its READDIR was answered');
    const nameBytes = Buffer.byteLength(item.name);
    if (nameBytes === 0 || nameBytes > NAME_BYTES_MAX || item.name.includes('/') || item.name.includes('\0')) {
      // One such record would make the kernel fail the whole directory with EIO, without saying why.
      throw new ErrnoError(EIO, `a directory entry has the impossible name ${JSON.stringify(item.name)}`);
    }
    const recordBytes = ((this.plus ? DIRENTPLUS_BYTES : DIRENT_BYTES) + nameBytes + 7) & ~7;
    if (this.#refused || this.#end + recordBytes > this.#bytesMax) {
      this.#refused = true;
      return false;
    }
    const view = this.#view;
    const recordEnd = this.#end + recordBytes;
    let at = this.#end;
    if (this.plus) {
      // The kernel takes no lookup for `.` and `..`, whatever the record says (fuse_direntplus_link).
      const counted = entry !== undefined && entry.nodeId !== 0 && item.name !== '.' && item.name !== '..';
      if (counted) {
        encodeEntry(view, at, entry);
        this.nodeIds.push(entry.nodeId);
      } else {
        // Node id 0 here means "no attributes given", not "does not exist".
        encodeZeros(view, at, ENTRY_OUT_BYTES);
      }
      at += ENTRY_OUT_BYTES;
    }
    encodeU64(view, at, item.ino);
    encodeU64(view, at + 8, item.nextOffset);
    view.setUint32(at + 16, nameBytes, true);
    view.setUint32(at + 20, item.type, true);
    this.#buffer.write(item.name, at + DIRENT_BYTES, nameBytes, 'utf8');
    this.#buffer.fill(0, at + DIRENT_BYTES + nameBytes, recordEnd);
    this.#end = recordEnd;
    return true;
  }

  /**
   * The packed bytes; nothing can be added any more. Throws EINVAL, as getdents(2) does, when there was an entry but
   * no room for even one: an empty reply would mean the end of the directory.
   */
  close(): Uint8Array {
    this.#closed = true;
    if (this.#refused && this.#end === 0) throw new ErrnoError(EINVAL, 'no directory entry fits into the buffer');
    return this.#buffer.subarray(0, this.#end);
  }
}
