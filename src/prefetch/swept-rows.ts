/**
 * Which rows of one listing page a sweep takes, and in which order: a directory that is read in no order is often read in
 * part (one half trains, the other one validates), and what lies beyond the part is fetched for nobody. The sweep goes
 * from the lowest row opened so far to the end of the part, then from there down to its beginning. Pure.
 *
 * The part is what the opens span, and a margin: of k opens spread over a part, its end is about 1/k of the span beyond
 * the outermost one; MARGIN_GAPS such gaps are allowed for, so that the margin is wide at first and narrows as opens come.
 * Refuses to know which rows are files: the caller takes one after the other and skips what it likes.
 */

/** With 3, a part's last file is left out at first in one case of 20, until an open beyond moves the end. */
const MARGIN_GAPS = 3;

export class SweptRows {
  readonly #rows: number;
  #opens = 0;
  #lowest: number;
  #highest: number;
  /** Rows [#from, #to) were taken. */
  #from = 0;
  #to = 0;

  /** `rows`: those of the page. */
  constructor(rows: number) {
    this.#rows = rows;
    this.#lowest = rows;
    this.#highest = -1;
  }

  /** A file of the page was opened. */
  opened(row: number): void {
    this.#opens++;
    this.#lowest = Math.min(this.#lowest, row);
    this.#highest = Math.max(this.#highest, row);
  }

  /** The row to look at now, until `take` says that it was; undefined when the part is done with. */
  get next(): number | undefined {
    if (this.#opens === 0) return undefined;
    if (this.#from === this.#to) return this.#lowest;
    const margin = Math.ceil((MARGIN_GAPS * (this.#highest - this.#lowest + 1)) / this.#opens);
    if (this.#to < Math.min(this.#rows, this.#highest + 1 + margin)) return this.#to;
    return this.#from > Math.max(0, this.#lowest - margin) ? this.#from - 1 : undefined;
  }

  /** `next` was seen to. */
  take(): void {
    const row = this.next;
    if (row === undefined) return;
    if (this.#from === this.#to) this.#from = this.#to = row;
    if (row === this.#to) this.#to++;
    else this.#from--;
  }
}
