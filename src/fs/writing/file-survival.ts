/**
 * What becomes of one written file when this process dies now, kept up to date: nothing is lost (CLEAN, KNOWN), bytes are
 * (LOOSE), or it had failed anyway. The owner writes each change down before the program that caused it hears that its write
 * succeeded, so a successor never takes a torn file for a whole one.
 *
 * KNOWN is said only of what a successor could put together again: ranges that come from the base or are zeros, in the record
 * itself; anything else in the journal beside the spool file, after it was written there. Every change of the ranges makes
 * it LOOSE first.
 *
 * Thread: main. Refuses to touch bytes.
 */
import type { ErrnoError } from '../../base/errno.js';
import type { Chunk } from './chunk.js';
import type { Extent, Extents } from './extents.js';
import { CLEAN, FAILED, KNOWN, LOOSE, type CommitIntent, type FileShape, type Survival } from './file-records.js';
import type { FileUpload } from './file-upload.js';
import type { JournalRange } from './journal.js';
import type { SpoolFile } from './spool.js';
import type { InheritedFile } from './written-file-api.js';

/** What is known of a file in so many ranges stands in its record; of others in the journal. */
const SHAPE_RANGES_MAX = 16;

/** The file, as far as this matters. */
export interface SurvivingFile {
  readonly extents: Extents<Chunk>;
  readonly upload: FileUpload;
  readonly spool: SpoolFile;
  readonly isDirty: boolean;
  readonly failure: ErrnoError | undefined;
}

export class FileSurvival {
  state: Survival = CLEAN;
  /** With KNOWN: where its bytes are. */
  shape: FileShape | undefined;
  /** The request that makes the object is under way. */
  intent: CommitIntent | undefined;
  readonly isKept: boolean;
  readonly #changed: () => void;
  /** Goes up when the ranges change. */
  #edits = 0;

  /** `isKept`: somebody writes it down. `changed` is told of every change but `committed`. */
  constructor(isKept: boolean, changed: () => void) {
    this.isKept = isKept;
    this.#changed = changed;
  }

  /** What was known of where its bytes are is not so any more. */
  loosen(file: SurvivingFile): void {
    this.#edits++;
    if (this.state === LOOSE || this.state === FAILED || !file.isDirty) return;
    this.state = LOOSE;
    this.#changed();
  }

  /** Ranges were changed without bytes: perhaps all that there is can be said in a few words. */
  reshaped(file: SurvivingFile): void {
    this.#edits++;
    const { extents, upload } = file;
    const isPlain =
      upload.parts.length === 0 &&
      extents.count <= SHAPE_RANGES_MAX &&
      extents.all().every(({ kind }) => kind === 'base' || kind === 'hole');
    if (!isPlain) {
      this.loosen(file);
      return;
    }
    this.state = KNOWN;
    if (!this.isKept) return;
    this.shape = rangesOf(extents.all());
    this.#changed();
  }

  /** The request that makes the object is sent next. */
  intends(intent: CommitIntent): void {
    this.intent = intent;
    this.#changed();
  }

  /** All is in the bucket; the owner writes that down together with what the object is. */
  committed(): void {
    this.state = CLEAN;
    this.shape = undefined;
    this.intent = undefined;
  }

  /** The owner writes that down together with the failure. */
  failed(): void {
    this.state = FAILED;
  }

  /** The process before this one left it so. */
  inherited({ state, shape, intent }: Pick<InheritedFile, 'state' | 'shape' | 'intent'>): void {
    this.state = state;
    this.shape = shape;
    this.intent = intent;
  }

  /** The request that was to make the object did not. */
  notMade(): void {
    this.intent = undefined;
    this.#changed();
  }

  /** Memory holds nothing of it: says so, in words that outlive this process. False when the journal cannot be written. */
  async keepInJournal(file: SurvivingFile): Promise<boolean> {
    const { spool, upload, extents } = file;
    const edits = this.#edits;
    const parts = upload.parts.map(({ partNumber, from, to, isDirty, uploaded }) => {
      return { partNumber, from, to, isDirty: isDirty || !uploaded, uploaded };
    });
    spool.journal.note({ type: 'kept', ranges: rangesOf(extents.all()), upload: upload.open, parts });
    if (!(await spool.journal.settled(false))) return false;
    if (this.#edits !== edits || file.spool !== spool || file.failure || !file.isDirty) return false;
    this.state = KNOWN;
    this.shape = 'journal';
    this.#changed();
    return true;
  }
}

/** `missing`: in memory. */
export function rangesOf(extents: readonly Extent<Chunk>[]): JournalRange[] {
  return extents.map(({ from, to, kind }) => ({ from, to, kind: kind === 'memory' ? 'missing' : kind }));
}
