/**
 * What keeps state over the death of a daemon: values by kind and key, there again for the daemon that takes over. Whoever
 * owns state that would be missed puts it here when it changes, before anybody else can rely on the change, and takes it from
 * `entries` when it starts. Without a supervisor there is nobody to take over, and nothing is kept (`noJournal`).
 * Types only, and the journal that keeps nothing. state-journal.ts is the real one.
 */

/** A number (an id, safe integers) or a string of at most KEY_BYTES_MAX bytes of UTF-8. */
export type JournalKey = number | string;

export interface StateJournal {
  /**
   * The value of this kind and key from now on; `@borrows` it. False when there is no room: then it has no value any more, and
   * a successor will not know of it.
   */
  put(kind: number, key: JournalKey, value: Uint8Array): boolean;
  /** Changes 32 bits of a value in place: word `word` of it (0 = its first four bytes), little endian. Without a value, nothing. */
  setWord(kind: number, key: JournalKey, word: number, value: number): void;
  /** Harmless when there is no value. */
  remove(kind: number, key: JournalKey): void;
  has(kind: number, key: JournalKey): boolean;
  /** All values of a kind as they are now, copies: at a take-over, what the last daemon left. */
  entries(kind: number): { readonly key: JournalKey; readonly value: Uint8Array }[];
  /** Some values found no room, in this life or one before: there may be more than `entries` tells. */
  readonly isIncomplete: boolean;
  /** Keeps what is there now, whatever is put or removed later: this daemon ends, and what it closes for that is still open. */
  freeze(): void;
}

export const noJournal: StateJournal = {
  put: () => true,
  setWord: () => undefined,
  remove: () => undefined,
  has: () => false,
  entries: () => [],
  isIncomplete: false,
  freeze: () => undefined,
};
