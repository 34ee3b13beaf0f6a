/**
 * Changes of names that the kernel asks for a second time, of a daemon that took over: the one before had the request and did
 * not answer it, so it may have done all of it, half of it, or nothing (kernel fact 20). Done again, an unlink would find nothing
 * and a mkdir find its own directory; so each change notes by the request's id that it begins, and how it ended, before it is
 * answered.
 *
 * Of a request that comes again:
 * - no note: nothing was done. It runs as any other.
 * - it had ended: the same answer again, and nothing is done. (What makes something is asked for once more, to find it.)
 * - it had begun (`mayHaveRun`): it runs again, and what it finds done counts as done by itself. Only here is somebody else's
 *   change that falls into the same second taken for our own.
 * - a rename that had copied everything (`wasCopied`) and may have deleted the old name: only that is left to do.
 *
 * Thread: main. Bound: notes of ENDED_MAX requests that have ended; the kernel has the answers of older ones. Costs two stores
 * of 24 bytes a change. Refuses to judge what is in the store: the operations do.
 */
import { EIO, ErrnoError } from '../../base/errno.js';
import type { StateJournal } from '../../base/journal/journal-api.js';
import type { RequestContext } from '../../fuse/handlers.js';
import { RECORD_CHANGE } from '../survival.js';

/** Answers leave within the turn in which their work ends; so many notes outlast all that are on their way. */
const ENDED_MAX = 256;

const BEGUN = 1;
const COPIED = 2;
const DONE = 3;
const FAILED = 4;

/** Words of a note: its state, the errno of one that failed. */
const WORD_STATE = 0;
const WORD_ERRNO = 1;

export interface Change {
  /** An earlier daemon began it. */
  readonly mayHaveRun: boolean;
  /** What is moved is in both places, or in the new one only. */
  readonly wasCopied: boolean;
  /** From now on it is. */
  copied(): void;
}

/** Who asks for a change. */
export type Asker = Pick<RequestContext, 'id' | 'isResent' | 'signal'>;

export class RepeatedChanges {
  readonly #journal: StateJournal;
  /** Notes of the daemon before this one. */
  readonly #before = new Map<number, { readonly state: number; readonly errno: number }>();
  /** Ids whose work has ended, oldest first. */
  readonly #ended: number[] = [];

  constructor(journal: StateJournal) {
    this.#journal = journal;
    for (const { key, value } of journal.entries(RECORD_CHANGE)) {
      const view = new DataView(value.buffer, value.byteOffset, value.byteLength);
      this.#before.set(Number(key), { state: view.getUint32(0, true), errno: view.getUint32(4, true) });
      this.#ended.push(Number(key));
    }
  }

  /** Runs `work`, unless it was done before. `makes`: its answer is something that it made, which it then finds. */
  async once<T>(asker: Asker, makes: boolean, work: (change: Change) => Promise<T>): Promise<T | undefined> {
    const { id = -1, isResent = false } = asker;
    const before = isResent ? this.#before.get(id) : undefined;
    if (before?.state === FAILED) throw new ErrnoError(before.errno, 'failed in the daemon before this one');
    if (before?.state === DONE && !makes) return undefined;
    if (id < 0) return await work({ mayHaveRun: false, wasCopied: false, copied: () => undefined });
    this.#note(id, before?.state === COPIED ? COPIED : BEGUN);
    try {
      const done = await work({
        mayHaveRun: before !== undefined,
        wasCopied: before?.state === COPIED,
        copied: () => this.#journal.setWord(RECORD_CHANGE, id, WORD_STATE, COPIED),
      });
      this.#journal.setWord(RECORD_CHANGE, id, WORD_STATE, DONE);
      return done;
    } catch (error) {
      this.#journal.setWord(RECORD_CHANGE, id, WORD_ERRNO, error instanceof ErrnoError ? error.errno : EIO);
      this.#journal.setWord(RECORD_CHANGE, id, WORD_STATE, FAILED);
      throw error;
    } finally {
      this.#end(id);
    }
  }

  #note(id: number, state: number): void {
    const value = new Uint8Array(8);
    value[0] = state;
    this.#journal.put(RECORD_CHANGE, id, value);
  }

  #end(id: number): void {
    this.#before.delete(id);
    this.#ended.push(id);
    if (this.#ended.length <= ENDED_MAX) return;
    const oldest = this.#ended.shift();
    if (oldest === undefined) return;
    this.#before.delete(oldest);
    this.#journal.remove(RECORD_CHANGE, oldest);
  }
}
