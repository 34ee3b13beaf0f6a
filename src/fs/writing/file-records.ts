/**
 * What a successor must know of files that are written, as records that outlive this process: which handles write which file,
 * which object a file was opened from, and what becomes of its bytes when this process dies now (`Survival`).
 *
 * The state is the record's first word, the rest is JSON that only changes when something rare happens (an open, a commit, a
 * rename, a truncation). A writer changes the state with its first bytes after a commit: one store, and nothing for all the
 * WRITEs that follow. A record that finds no room is gone: the successor then does not know the handle, which is an error to its
 * program, and never takes a torn file for a whole one.
 *
 * Thread: main. Refuses to restore anything: take-over.ts.
 */
import { errnoName } from '../../base/errno.js';
import { noJournal, type StateJournal } from '../../base/journal/journal-api.js';
import { RECORD_WRITER, RECORD_WRITTEN_FILE } from '../survival.js';
import type { BaseVersion } from './base-reader.js';
import type { OpenerId } from './flush-witness.js';
import type { JournalRange } from './journal.js';
import type { WrittenEntry } from './written-entry.js';

/** The bucket holds all of it: it was opened, or committed, and not changed since. */
export const CLEAN = 0;
/** It was changed, and where all of its bytes are is known (`shape`): none is in memory only. */
export const KNOWN = 1;
/** Bytes that a program believes written are in this process' memory only. */
export const LOOSE = 2;
/** It repeats an error and never becomes an object. */
export const FAILED = 3;
export type Survival = typeof CLEAN | typeof KNOWN | typeof LOOSE | typeof FAILED;

/** Where the bytes of a changed file are: in the record, or in the `kept` line of its journal in the spool. */
export type FileShape = readonly JournalRange[] | 'journal';

/**
 * The request that was about to make the object when the process died. It may have reached the store, so the successor looks:
 * an object of one PUT is told by its bytes' CRC-32, one of several parts by asking for its completion again (the `complete`
 * line of its journal has the parts).
 */
export type CommitIntent =
  { readonly type: 'put'; readonly sizeBytes: number; readonly crc32: number } | { readonly type: 'complete' };

export interface FileRecord {
  readonly nodeId: number;
  readonly key: string;
  readonly etag: string;
  readonly sizeBytes: number;
  readonly lastModifiedMs: number;
  readonly mtimeMs: number | undefined;
  readonly storageClass: string;
  /** Its key finds it; false for a version that somebody else replaced. */
  readonly isCurrent: boolean;
  readonly base: BaseVersion | null;
  readonly isExclusive: boolean;
  readonly isOrphaned: boolean;
  readonly replaces: boolean;
  readonly covers: boolean;
  readonly isWritten: boolean;
  /** The name of its files in the spool directory; they need not exist. */
  readonly spool: string;
  readonly shape: FileShape | undefined;
  readonly intent: CommitIntent | undefined;
  readonly failure: { readonly errno: number; readonly message: string } | undefined;
}

export interface WriterRecord {
  readonly nodeId: number;
  readonly isWriteOnly: boolean;
  readonly opener: OpenerId;
  /** The request that opened it: the kernel asks again when it never got the answer. */
  readonly requestId: number;
}

export class FileRecords {
  readonly #journal: StateJournal;

  constructor(journal: StateJournal) {
    this.#journal = journal;
  }

  /** False where nothing outlives this process: then nothing need be recorded. */
  get isKept(): boolean {
    return this.#journal !== noJournal;
  }

  /** Some records found no room: there may have been more handles than are known. */
  get isIncomplete(): boolean {
    return this.#journal.isIncomplete;
  }

  /** Something of the file has changed that its record says. */
  changed(entry: WrittenEntry): void {
    if (!this.isKept) return;
    this.#journal.put(RECORD_WRITTEN_FILE, entry.node.nodeId, encode(stateOf(entry), recordOf(entry)));
  }

  /** Only its state has. */
  stateChanged(entry: WrittenEntry): void {
    this.#journal.setWord(RECORD_WRITTEN_FILE, entry.node.nodeId, 0, stateOf(entry));
  }

  gone(nodeId: number): void {
    this.#journal.remove(RECORD_WRITTEN_FILE, nodeId);
  }

  opened(handle: number, writer: WriterRecord): void {
    if (this.isKept) this.#journal.put(RECORD_WRITER, handle, encode(0, writer));
  }

  closed(handle: number): void {
    this.#journal.remove(RECORD_WRITER, handle);
  }

  /** What the process before this one wrote down. */
  files(): { readonly state: Survival; readonly record: FileRecord }[] {
    return this.#journal.entries(RECORD_WRITTEN_FILE).flatMap(({ value }) => {
      const record = decode<FileRecord>(value);
      return record ? [{ state: value[0] as Survival, record }] : [];
    });
  }

  writers(): { readonly handle: number; readonly writer: WriterRecord }[] {
    return this.#journal.entries(RECORD_WRITER).flatMap(({ key, value }) => {
      const writer = decode<WriterRecord>(value);
      return writer ? [{ handle: Number(key), writer }] : [];
    });
  }
}

function stateOf({ file }: WrittenEntry): Survival {
  return file.failure ? FAILED : file.survival.state;
}

function recordOf(entry: WrittenEntry): FileRecord {
  const { node, file } = entry;
  const { failure } = file;
  return {
    nodeId: node.nodeId,
    key: file.key,
    etag: node.etag,
    sizeBytes: file.sizeBytes,
    lastModifiedMs: node.lastModifiedMs,
    mtimeMs: node.mtimeMs,
    storageClass: node.storageClass,
    isCurrent: node.current,
    base: file.base ? versionOf(file.base.version) : null,
    isExclusive: entry.isExclusive,
    isOrphaned: entry.isOrphaned,
    replaces: entry.replaces,
    covers: entry.covers,
    isWritten: file.isWritten,
    spool: file.spool.name,
    shape: file.survival.shape,
    intent: file.survival.intent,
    failure: failure && { errno: failure.errno, message: failure.message || errnoName(failure.errno) },
  };
}

function versionOf({ key, etag, sizeBytes }: BaseVersion): BaseVersion {
  return { key, etag, sizeBytes };
}

function encode(state: number, record: FileRecord | WriterRecord): Buffer {
  const text = JSON.stringify(record);
  const bytes = Buffer.allocUnsafe(4 + Buffer.byteLength(text));
  bytes.writeUInt32LE(state);
  bytes.write(text, 4);
  return bytes;
}

/** Undefined for what makes no sense (another version wrote it): who needs it is told of an error. */
function decode<T extends FileRecord | WriterRecord>(bytes: Uint8Array): T | undefined {
  try {
    return JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset + 4, bytes.byteLength - 4).toString('utf8')) as T;
  } catch {
    return undefined;
  }
}
