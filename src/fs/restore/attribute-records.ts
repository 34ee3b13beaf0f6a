/**
 * What is remembered "while the mount lives" and would be missed by its users after a daemon's death, as records: attributes that
 * were set, and directories that stay although they are empty.
 * Refuses what the objects themselves keep (--posix-metadata): it is learned again.
 */
import { noJournal, type StateJournal } from '../../base/journal/journal-api.js';
import { RecordReader, RecordWriter } from '../../base/journal/record.js';
import type { Remembered } from '../namespace/remembered-attributes.js';
import { RECORD_KEPT_DIRECTORY, RECORD_REMEMBERED } from './record-kinds.js';

const NOTHING = new Uint8Array(0);

export class AttributeRecords {
  readonly #journal: StateJournal;
  readonly #writer = new RecordWriter();

  constructor(journal: StateJournal) {
    this.#journal = journal;
  }

  changed(key: string, entry: Remembered): void {
    if (this.#journal === noJournal) return;
    const { etag, type, mode, uid, gid, atimeMs, mtimeMs, ctimeMs, xattrs } = entry;
    const writer = this.#writer.begin().u32(etag === undefined ? 0 : 1);
    writer.text(etag ?? '');
    for (const value of [type, mode, uid, gid, atimeMs, mtimeMs, ctimeMs]) writer.optional(value);
    writer.u32(xattrs?.size ?? 0);
    for (const [name, value] of xattrs ?? []) writer.text(name).bytes(value);
    this.#journal.put(RECORD_REMEMBERED, key, writer.end());
  }

  gone(key: string): void {
    this.#journal.remove(RECORD_REMEMBERED, key);
  }

  all(): { readonly key: string; readonly entry: Remembered }[] {
    return this.#journal.entries(RECORD_REMEMBERED).map(({ key, value }) => {
      const reader = new RecordReader(value);
      const hasEtag = reader.u32() === 1;
      const etag = reader.text();
      const entry: Remembered = {
        etag: hasEtag ? etag : undefined,
        type: reader.optional(),
        mode: reader.optional(),
        uid: reader.optional(),
        gid: reader.optional(),
        atimeMs: reader.optional(),
        mtimeMs: reader.optional(),
        ctimeMs: reader.optional(),
        xattrs: undefined,
      };
      const count = reader.u32();
      for (let index = 0; index < count; index++) {
        (entry.xattrs ??= new Map<string, Uint8Array>()).set(reader.text(), reader.bytes());
      }
      return { key: String(key), entry };
    });
  }

  keptDirectory(key: string): void {
    this.#journal.put(RECORD_KEPT_DIRECTORY, key, NOTHING);
  }

  directoryGone(key: string): void {
    this.#journal.remove(RECORD_KEPT_DIRECTORY, key);
  }

  keptDirectories(): string[] {
    return this.#journal.entries(RECORD_KEPT_DIRECTORY).map(({ key }) => String(key));
  }
}
