/**
 * What the API stored about a bucket's objects: an append-only file of JSON lines, held in a map.
 *
 * One appended line a write is cheaper than a file beside every object, and a torn last line after a crash loses one
 * record, not the log. It is rewritten when most of it is history. It is not flushed to disk: this server keeps data
 * across its own restarts, not across a loss of power.
 */
import { appendFileSync, closeSync, mkdirSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import type { ObjectRecord } from './object-record.js';

/** Lines of history, beside live ones, that are tolerated before the file is rewritten. */
const DEAD_LINES_MIN = 4096;

/** The log of one bucket. Synchronous, so that a record and its file change in one turn of the event loop. */
export class ObjectLog {
  readonly #file: string;
  readonly #records = new Map<string, ObjectRecord>();
  #fd: number | null = null;
  #lines = 0;
  /** The last line that was loaded: its key, and the record that it replaced. */
  #lastLoaded: { readonly key: string; readonly before: ObjectRecord | undefined } | null = null;

  constructor(file: string) {
    this.#file = file;
    this.#load();
  }

  get(key: string): ObjectRecord | undefined {
    return this.#records.get(key);
  }

  values(): IterableIterator<ObjectRecord> {
    return this.#records.values();
  }

  put(record: ObjectRecord): void {
    this.#records.set(record.key, record);
    this.#append(JSON.stringify(record));
  }

  delete(key: string): void {
    if (!this.#records.delete(key)) return;
    this.#append(JSON.stringify({ key, deleted: true }));
  }

  /**
   * Takes back the last loaded line when `isThere` denies its file: a record is written before its file is moved into place, so a process
   * killed in between leaves one line, and only the last, that describes what never happened.
   */
  dropUnfinished(isThere: (record: ObjectRecord) => boolean): void {
    const last = this.#lastLoaded;
    const record = last === null ? undefined : this.#records.get(last.key);
    if (last === null || record === undefined || isThere(record)) return;
    if (last.before === undefined) this.delete(last.key);
    else this.put(last.before);
  }

  close(): void {
    if (this.#fd !== null) closeSync(this.#fd);
    this.#fd = null;
  }

  #append(line: string): void {
    if (this.#fd === null) {
      mkdirSync(dirname(this.#file), { recursive: true });
      this.#fd = openSync(this.#file, 'a');
    }
    writeSync(this.#fd, `${line}\n`);
    this.#lines++;
    if (this.#lines > this.#records.size * 2 + DEAD_LINES_MIN) this.#rewrite();
  }

  #rewrite(): void {
    const next = `${this.#file}.next`;
    const fd = openSync(next, 'w');
    try {
      let batch = '';
      for (const record of this.#records.values()) {
        batch += `${JSON.stringify(record)}\n`;
        if (batch.length > 1 << 20) {
          writeSync(fd, batch);
          batch = '';
        }
      }
      writeSync(fd, batch);
    } finally {
      closeSync(fd);
    }
    renameSync(next, this.#file);
    this.close();
    this.#lines = this.#records.size;
  }

  #load(): void {
    let text: string;
    try {
      text = readFileSync(this.#file, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
      throw error;
    }
    // A crash may have left half a line: end it, so that the next append starts a line of its own.
    if (text !== '' && !text.endsWith('\n')) appendFileSync(this.#file, '\n');
    for (const line of text.split('\n')) {
      if (line === '') continue;
      this.#lines++;
      try {
        const row = JSON.parse(line) as ObjectRecord & { deleted?: boolean };
        this.#lastLoaded = { key: row.key, before: this.#records.get(row.key) };
        if (row.deleted === true) this.#records.delete(row.key);
        else this.#records.set(row.key, row);
      } catch {
        // The torn line; whatever it described is served as a file laid by hand.
      }
    }
  }
}
