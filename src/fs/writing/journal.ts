/**
 * What outlives this process of a file that is being written, as lines of JSON beside its spool file: which upload is open,
 * which parts it has, what is in the spool. Begun when there is such a thing, removed when the object is made; what is found
 * of it later is a left-over (recovery.ts).
 *
 * Lines are appended in order, by asynchronous calls that nobody waits for. A journal that cannot be written costs one line in the
 * log: the file is written all the same, and an upload left behind is then only found in the bucket.
 */
import { rm, type FileHandle } from 'node:fs/promises';
import type { Upload, UploadedPart, WriteCondition } from '../../engine/write-api.js';
import { holdOpen, type HowToOpen } from './spool-open.js';

/**
 * Why a file was left. `shutdown`: the mount ended before it was whole in the bucket. `crashed`: the daemon died with bytes that
 * were in its memory only.
 */
export type LeftBecause = 'killed' | 'failed' | 'shutdown' | 'crashed';

export interface JournalRange {
  readonly from: number;
  readonly to: number;
  /** `missing`: it was in memory only. */
  readonly kind: 'base' | 'spool' | 'hole' | 'lost' | 'missing';
}

export interface JournalBegin {
  readonly type: 'begin';
  readonly version: 1;
  readonly bucket: string;
  readonly endpointUrl: string | undefined;
  readonly mountPoint: string;
  readonly key: string;
  /** The object that the file was opened as; null for a new one. */
  readonly base: { readonly key: string; readonly etag: string; readonly sizeBytes: number } | null;
  readonly pid: number;
  /** Tells this process from a later one of the same number. */
  readonly pidStart: string;
  /** The supervisor: while it lives, a daemon that dies has a successor, which says what becomes of the file. */
  readonly keeper?: { readonly pid: number; readonly pidStart: string };
  readonly atMs: number;
}

/** A part of an upload that is open, or was to be sent. */
export interface JournalPart {
  readonly partNumber: number;
  readonly from: number;
  readonly to: number;
  readonly isDirty: boolean;
  readonly uploaded: UploadedPart | undefined;
}

/** All there is of a file whose bytes are none of them in memory only. */
export interface JournalKept {
  readonly type: 'kept';
  readonly ranges: readonly JournalRange[];
  readonly upload: Upload | undefined;
  readonly parts: readonly JournalPart[];
}

/** The upload is complete with these parts: asking for that again does no harm. */
export interface JournalComplete {
  readonly type: 'complete';
  readonly upload: Upload;
  readonly parts: readonly UploadedPart[];
  readonly condition: WriteCondition;
}

export type JournalLine =
  | JournalBegin
  | JournalKept
  | JournalComplete
  /** Another process of the same mount goes on with the file. */
  | { readonly type: 'taken'; readonly pid: number; readonly pidStart: string }
  | ({ readonly type: 'upload' } & Upload)
  /** What the store has of the part is old: bytes of it were changed. */
  | { readonly type: 'dirty'; readonly from: number; readonly to: number }
  /** The upload is gone, with its parts. */
  | { readonly type: 'aborted'; readonly uploadId: string }
  /** The store has the part. */
  | { readonly type: 'part'; readonly from: number; readonly to: number; readonly part: UploadedPart }
  /** The spool file has the bytes. */
  | { readonly type: 'spool'; readonly from: number; readonly to: number }
  /** Nobody writes any more: this is all there is. `dirtyParts` are to be sent again. */
  | {
      readonly type: 'left';
      readonly because: LeftBecause;
      readonly message: string;
      readonly key: string;
      readonly sizeBytes: number;
      readonly ranges: readonly JournalRange[];
      readonly dirtyParts: readonly number[];
      readonly atMs: number;
    };

export interface JournalDeps {
  /** The first line, when there is something to be told. */
  readonly begin: () => JournalBegin;
  /** Makes the directory if need be. */
  readonly open: (path: string, how: HowToOpen) => Promise<FileHandle>;
  readonly failed: (error: unknown) => void;
}

export class Journal {
  readonly path: string;
  readonly #deps: JournalDeps | undefined;
  readonly #isThere: boolean;
  #handle: FileHandle | undefined;
  #isBegun: boolean;
  /** The process before this one may have died in the middle of a line. */
  #mayBeTorn: boolean;
  #hasFailed = false;
  #isClosed = false;
  #last: Promise<void> = Promise.resolve();

  /** Nothing is made before the first line; never without `deps`. `isBegun`: it is there, and goes on. */
  constructor(path: string, deps: JournalDeps | undefined, isBegun = false) {
    this.path = path;
    this.#deps = deps;
    this.#isThere = isBegun;
    this.#isBegun = isBegun;
    this.#mayBeTorn = isBegun;
  }

  /** There is a file, or will be. */
  get isBegun(): boolean {
    return this.#isBegun;
  }

  note(line: Exclude<JournalLine, JournalBegin>): void {
    const deps = this.#deps;
    // A part whose fate is known after the end changes nothing: a line would make the file anew.
    if (!deps || this.#isClosed) return;
    const lines: JournalLine[] = this.#isBegun ? [line] : [deps.begin(), line];
    this.#isBegun = true;
    const text = (this.#mayBeTorn ? '\n' : '') + lines.map((each) => `${JSON.stringify(each)}\n`).join('');
    this.#mayBeTorn = false;
    this.#last = this.#last.then(() => this.#append(text, deps));
  }

  /** What was noted is in the file, on the disk with `sync`; false when it could not be written. */
  async settled(sync: boolean): Promise<boolean> {
    await this.#last;
    if (sync) await this.#handle?.datasync().catch(() => undefined);
    return !this.#hasFailed;
  }

  /** The file stays. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#last;
    const handle = this.#handle;
    this.#handle = undefined;
    await handle?.close().catch(() => undefined);
  }

  async remove(): Promise<void> {
    this.#isClosed = true;
    if (!this.#isBegun) return;
    await this.close();
    await rm(this.path, { force: true }).catch(() => undefined);
  }

  async #append(text: string, deps: JournalDeps): Promise<void> {
    if (this.#hasFailed) return;
    try {
      if (this.#handle === undefined) {
        this.#handle = await deps.open(this.path, this.#isThere ? 'append' : 'begin');
        holdOpen(this.#handle);
      }
      await this.#handle.appendFile(text);
    } catch (error) {
      this.#hasFailed = true;
      deps.failed(error);
    }
  }
}
