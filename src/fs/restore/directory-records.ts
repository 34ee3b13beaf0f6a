/**
 * The directories that the kernel knows, as records that outlive this process: a cwd, a descriptor for openat(2) and every name
 * the kernel has cached below them name a directory by its node id, and for a descriptor nobody can look it up again.
 * The lookup count is changed in place. A successor may find it too high (the answer that was counted never left, a FORGET was
 * read and not served), which costs a little memory; never too low.
 * Refuses to record files: one that is not open answers ESTALE, and the kernel looks its path up again (kernel fact 21).
 */
import { noJournal, type StateJournal } from '../../base/journal/journal-api.js';
import { RecordReader, RecordWriter } from '../../base/journal/record.js';
import { RECORD_DIRECTORY } from './record-kinds.js';

export interface DirectoryRecord {
  readonly nodeId: number;
  readonly lookups: number;
  readonly key: string;
}

/** Word of the value: u32 lookups, text key. */
const WORD_LOOKUPS = 0;

export class DirectoryRecords {
  readonly #journal: StateJournal;
  readonly #writer = new RecordWriter();

  constructor(journal: StateJournal) {
    this.#journal = journal;
  }

  /** Its lookup count is another one. */
  counted(node: DirectoryRecord): void {
    if (this.#journal === noJournal) return;
    if (this.#journal.has(RECORD_DIRECTORY, node.nodeId)) {
      this.#journal.setWord(RECORD_DIRECTORY, node.nodeId, WORD_LOOKUPS, node.lookups);
    } else this.moved(node);
  }

  /** Its key is another one. */
  moved({ nodeId, lookups, key }: DirectoryRecord): void {
    if (this.#journal === noJournal) return;
    this.#journal.put(RECORD_DIRECTORY, nodeId, this.#writer.begin().u32(lookups).text(key).end());
  }

  gone(nodeId: number): void {
    this.#journal.remove(RECORD_DIRECTORY, nodeId);
  }

  /** What the last daemon left; of two with one key the later counts. */
  all(): DirectoryRecord[] {
    return this.#journal.entries(RECORD_DIRECTORY).map(({ key: nodeId, value }) => {
      const reader = new RecordReader(value);
      return { nodeId: Number(nodeId), lookups: reader.u32(), key: reader.text() };
    });
  }
}
