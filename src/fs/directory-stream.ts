/**
 * What one directory handle reads: `.`, `..`, then the pages of the listing, fetched as the reader gets there and one
 * page ahead. Each row has an ordinal that never changes while the handle lives, and the offset after a row is its
 * ordinal plus one: so any offset can be read again (seekdir), and reading from 0 again begins a new listing once the
 * old one is too old (rewinddir). Hidden rows keep their ordinals; offsets have gaps.
 * A file is shown only when it is certain that no directory of its name follows: those few that a page cannot decide are
 * carried to the page that can. Keeps its pages (about 100 bytes an entry) until the handle is closed.
 */
import type { Freshness } from './freshness.js';
import type { ListedFile, ListingPage } from './listing-page.js';
import type { Lister, PagePosition } from './lister.js';

/** Ordinals of the two names that every directory has. */
export const DOT = 0;
export const DOT_DOT = 1;
const FIRST_ROW = 2;

/** Rows of one page as this handle numbers them: first the files carried from earlier pages, then the page's own. */
export interface Segment {
  readonly page: ListingPage;
  /** Files that earlier pages could not decide about and this one does. */
  readonly carried: readonly CarriedFile[];
  /** Ordinal of the first carried file, or of the first row. */
  readonly firstOrdinal: number;
  /** Exclusive. */
  readonly endOrdinal: number;
}

export interface CarriedFile extends ListedFile {
  readonly sentAtMs: number;
}

export class DirectoryStream {
  readonly #directoryKey: string;
  readonly #lister: Lister;
  readonly #freshness: Freshness;
  readonly #abort = new AbortController();
  #segments: Segment[] = [];
  /** Files that no page so far decided about. */
  #undecided: CarriedFile[] = [];
  /** Directories seen so far, kept only where the order of the listing tells nothing. */
  #directories = new Set<string>();

  constructor(directoryKey: string, deps: { readonly lister: Lister; readonly freshness: Freshness }) {
    this.#directoryKey = directoryKey;
    this.#lister = deps.lister;
    this.#freshness = deps.freshness;
  }

  get directoryKey(): string {
    return this.#directoryKey;
  }

  /** Bytes that the handle holds on to (shared with the listing cache while they are there too). */
  get bytes(): number {
    return this.#segments.reduce((sum, segment) => sum + segment.page.bytes, 0);
  }

  /** Takes over a whole listing that is known already. */
  adopt(pages: readonly ListingPage[]): void {
    this.#restart();
    for (const page of pages) this.#append(page);
  }

  /** Reading begins at 0 (again): a listing that is too old is dropped. Offsets given before it are then void. */
  rewind(): void {
    const first = this.#segments[0];
    if (first && !this.#freshness.isFresh(first.page.sentAtMs)) this.#restart();
  }

  /**
   * The segment that holds `ordinal`, or the first after it; null after the last; undefined when it must be fetched.
   * Nothing is fetched here.
   */
  peek(ordinal: number): Segment | null | undefined {
    // A directory that hides a file may come on any later page: all pages first.
    if (!this.#lister.inOrder && !this.#segments.at(-1)?.page.isLast) return undefined;
    const wanted = Math.max(ordinal, FIRST_ROW);
    let low = 0;
    let high = this.#segments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const segment = this.#segments[middle];
      if (segment && segment.endOrdinal <= wanted) low = middle + 1;
      else high = middle;
    }
    const found = this.#segments[low];
    if (found) return found;
    return this.#segments.at(-1)?.page.isLast ? null : undefined;
  }

  /** Is there a directory that hides the file of this name, beyond what its page could tell? */
  hides(name: string): boolean {
    return this.#directories.has(name);
  }

  /** Fetches one more page. Throws StoreError, or EINTR when `signal` aborts. */
  async more(signal?: AbortSignal): Promise<void> {
    const last = this.#segments.at(-1);
    if (last?.page.isLast) return;
    const page = await this.#lister.page(this.#directoryKey, positionAfter(last?.page), signal ?? this.#abort.signal);
    // Meanwhile the look-ahead may have brought the same page, or the stream may have begun again.
    if (this.#segments.at(-1) === last) this.#append(page);
  }

  /** Starts to fetch the page after the last one, if there is one; errors show when a reader asks for it. */
  lookAhead(): void {
    const last = this.#segments.at(-1);
    if (!last || last.page.isLast) return;
    this.more().catch(() => undefined);
  }

  close(): void {
    this.#abort.abort();
    this.#restart();
  }

  #restart(): void {
    this.#segments = [];
    this.#undecided = [];
    this.#directories = new Set();
  }

  #append(page: ListingPage): void {
    if (!this.#lister.inOrder) {
      // All pages, when the disorder is found on this one; else only this page's are new.
      const pages = this.#directories.size === 0 ? [...this.#segments.map((segment) => segment.page), page] : [page];
      for (const each of pages) {
        for (let row = 0; row < each.rows; row++) if (each.isDirectory(row)) this.#directories.add(each.name(row));
      }
    }
    const carried: CarriedFile[] = [];
    const still: CarriedFile[] = [];
    for (const file of this.#undecided) {
      const directory = `${file.name}/`;
      if (page.find(directory) >= 0) continue;
      if (page.isLast || page.covers(directory)) carried.push(file);
      else still.push(file);
    }
    for (const file of page.undecided()) still.push({ ...file, sentAtMs: page.sentAtMs });
    this.#undecided = still;
    const firstOrdinal = this.#segments.at(-1)?.endOrdinal ?? FIRST_ROW;
    this.#segments.push({ page, carried, firstOrdinal, endOrdinal: firstOrdinal + carried.length + page.rows });
  }
}

function positionAfter(page: ListingPage | undefined): PagePosition {
  return page ? { startKey: page.endKey ?? '', token: page.nextToken } : { startKey: '' };
}
