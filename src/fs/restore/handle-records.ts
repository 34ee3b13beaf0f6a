/**
 * Files that are open for reading only, as records that outlive this process: the handle, the version that it is pinned to, and
 * which request opened it (the kernel asks again when it never got the answer, and must get the same handle then).
 * What a record costs stands in src/base/journal/state-journal.ts; a READ costs nothing. Refuses handles that may write: writing/.
 */
import { noJournal, type StateJournal } from '../../base/journal/journal-api.js';
import { RecordReader, RecordWriter } from '../../base/journal/record.js';
import type { FileNode } from '../inode-table.js';
import { RECORD_READ_HANDLE } from './record-kinds.js';

/** A version of a file, as it was known when it was recorded. */
export type FileVersionRecord = Pick<
  FileNode,
  'nodeId' | 'lookups' | 'key' | 'etag' | 'sizeBytes' | 'lastModifiedMs' | 'mtimeMs' | 'storageClass' | 'restored'
>;

export interface ReadHandleRecord {
  readonly handle: number;
  /** RequestContext.id of its OPEN; -1 when it had none. */
  readonly openerId: number;
  readonly version: FileVersionRecord;
}

export class HandleRecords {
  readonly #journal: StateJournal;
  readonly #writer = new RecordWriter();

  constructor(journal: StateJournal) {
    this.#journal = journal;
  }

  /** The handle is open, or what it reads has another key or ETag. */
  opened(handle: number, openerId: number, node: FileNode): void {
    if (this.#journal === noJournal) return;
    // A successor that took the size of a version that grew for known would have the kernel read zeros behind the old end.
    const version = node.shown ? { ...node, ...node.shown } : node;
    const writer = writeVersion(this.#writer.begin().number(openerId), version);
    this.#journal.put(RECORD_READ_HANDLE, handle, writer.end());
  }

  closed(handle: number): void {
    this.#journal.remove(RECORD_READ_HANDLE, handle);
  }

  /** What the last daemon left, in the order of opening. */
  all(): ReadHandleRecord[] {
    return this.#journal
      .entries(RECORD_READ_HANDLE)
      .map(({ key: handle, value }) => {
        const reader = new RecordReader(value);
        return { handle: Number(handle), openerId: reader.number(), version: readVersion(reader) };
      })
      .sort((one, other) => one.handle - other.handle);
  }
}

export function writeVersion(writer: RecordWriter, node: FileVersionRecord): RecordWriter {
  return writer
    .number(node.nodeId)
    .u32(node.lookups)
    .text(node.key)
    .text(node.etag)
    .number(node.sizeBytes)
    .number(node.lastModifiedMs)
    .optional(node.mtimeMs)
    .text(node.storageClass)
    .u32(node.restored ? 1 : 0);
}

export function readVersion(reader: RecordReader): FileVersionRecord {
  return {
    nodeId: reader.number(),
    lookups: reader.u32(),
    key: reader.text(),
    etag: reader.text(),
    sizeBytes: reader.number(),
    lastModifiedMs: reader.number(),
    mtimeMs: reader.optional(),
    storageClass: reader.text(),
    restored: reader.u32() === 1,
  };
}
