/**
 * Directories that are open, and how far each was read, as records that outlive this process. After a take-over the kernel goes on
 * at an offset that this daemon gave; what follows there is told by name: everything that sorts after `afterKey`, and the few
 * files `pending` that sort before it but were not shown yet (a listing cannot decide about a file `a` before it has come to
 * `a/`). Offsets of the last reply are recorded at its start, its end, and wherever a page began in it; between two of them rows
 * are counted.
 * Refuses offsets of earlier replies (seekdir to a place of long ago): ESTALE after a take-over.
 */
import { noJournal, type StateJournal } from '../../base/journal/journal-api.js';
import { RecordReader, RecordWriter } from '../../base/journal/record.js';
import { RECORD_DIRECTORY_HANDLE, RECORD_DIRECTORY_OWN } from './record-kinds.js';

/** A place in a directory's stream. */
export interface StreamPosition {
  /** The offset of what comes next. */
  readonly ordinal: number;
  /** The listing goes on after this key (relative to the directory; with slash for a directory); '' = from its beginning. */
  readonly afterKey: string;
  /** The page that was read there ended with this key; '' = it was the last. Rows are counted to there. */
  readonly untilKey: string;
  /** Files that sort before it and are still to be shown, unless a directory of their name turns up. */
  readonly pending: readonly string[];
  /** Nothing follows. */
  readonly isEnd: boolean;
}

/** A name that the stream gives before those of the listing. */
export interface OwnNameRecord {
  readonly name: string;
  readonly isDirectory: boolean;
}

export interface DirectoryHandleRecord {
  readonly handle: number;
  /** RequestContext.id of its OPENDIR; -1 when it had none. */
  readonly openerId: number;
  readonly nodeId: number;
  /** Ascending; empty when nothing was read. */
  readonly positions: readonly StreamPosition[];
  readonly own: readonly OwnNameRecord[];
}

export class ListingRecords {
  readonly #journal: StateJournal;
  readonly #writer = new RecordWriter();

  constructor(journal: StateJournal) {
    this.#journal = journal;
  }

  get isKept(): boolean {
    return this.#journal !== noJournal;
  }

  /** The handle is open, or was read on. */
  read({ handle, openerId, nodeId, positions }: Omit<DirectoryHandleRecord, 'own'>): void {
    const writer = this.#writer.begin().number(openerId).number(nodeId).u32(positions.length);
    for (const { ordinal, afterKey, untilKey, pending, isEnd } of positions) {
      writer
        .number(ordinal)
        .text(afterKey)
        .text(untilKey)
        .u32(isEnd ? 1 : 0)
        .u32(pending.length);
      for (const name of pending) writer.text(name);
    }
    this.#journal.put(RECORD_DIRECTORY_HANDLE, handle, writer.end());
  }

  /** Reading began, again perhaps: these names come first. */
  own(handle: number, names: readonly OwnNameRecord[]): void {
    if (names.length === 0) {
      this.#journal.remove(RECORD_DIRECTORY_OWN, handle);
      return;
    }
    const writer = this.#writer.begin().u32(names.length);
    for (const { name, isDirectory } of names) writer.text(name).u32(isDirectory ? 1 : 0);
    this.#journal.put(RECORD_DIRECTORY_OWN, handle, writer.end());
  }

  closed(handle: number): void {
    this.#journal.remove(RECORD_DIRECTORY_HANDLE, handle);
    this.#journal.remove(RECORD_DIRECTORY_OWN, handle);
  }

  /** What the last daemon left. */
  all(): DirectoryHandleRecord[] {
    const names = new Map<number, OwnNameRecord[]>();
    for (const { key, value } of this.#journal.entries(RECORD_DIRECTORY_OWN)) {
      const reader = new RecordReader(value);
      const count = reader.u32();
      const own: OwnNameRecord[] = [];
      for (let index = 0; index < count; index++) own.push({ name: reader.text(), isDirectory: reader.u32() === 1 });
      names.set(Number(key), own);
    }
    return this.#journal.entries(RECORD_DIRECTORY_HANDLE).map(({ key, value }) => {
      const handle = Number(key);
      const reader = new RecordReader(value);
      const openerId = reader.number();
      const nodeId = reader.number();
      const count = reader.u32();
      const positions: StreamPosition[] = [];
      for (let index = 0; index < count; index++) {
        const ordinal = reader.number();
        const afterKey = reader.text();
        const untilKey = reader.text();
        const isEnd = reader.u32() === 1;
        const pending = Array.from({ length: reader.u32() }, () => reader.text());
        positions.push({ ordinal, afterKey, untilKey, isEnd, pending });
      }
      return { handle, openerId, nodeId, positions, own: names.get(handle) ?? [] };
    });
  }
}
