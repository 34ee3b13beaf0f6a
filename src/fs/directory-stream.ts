/**
 * What one directory handle reads: `.`, `..`, then the pages of the listing, fetched as the reader gets there and some
 * pages ahead (RangeReader). Each row has an ordinal that never changes while the handle lives, and the offset after a row is
 * its ordinal plus one: so any offset can be read again (seekdir), and reading from 0 again begins a new listing once the
 * old one is too old (rewinddir). Hidden rows keep their ordinals; offsets have gaps.
 * A file is shown only when it is certain that no directory of its name follows: those few that a page cannot decide are
 * carried to the page that can.
 * Names that a listing may not have (yet), because we made them ourselves, come first: they are taken down when reading
 * begins, and left out where a page has them too.
 * After a take-over a handle goes on where the last daemon's stream was (`resume`): the listing is asked for from that name on,
 * and its rows get the ordinals that follow. A store that cannot list from a name on is listed from the start again.
 * Bounds: pages are kept (about 100 bytes an entry) until the owner asks for memory back (`dropOldest`); a dropped page is
 * fetched again when somebody seeks back to it, and if its names have changed meanwhile that is ESTALE, never a wrong row.
 */
import { ErrnoError, ESTALE } from '../base/errno.js';
import type { Freshness } from './freshness.js';
import type { FileSystemLimits } from './limits.js';
import { compareKeys } from './keymap.js';
import type { ListedFile, ListingPage } from './listing-page.js';
import { positionAfter, type Lister } from './lister.js';
import type { ObjectHead } from '../engine/api.js';
import { PageRounds } from './page-rounds.js';
import { RangeReader } from './range-reader.js';
import type { StreamPosition } from './restore/listing-records.js';

/** Ordinals of the two names that every directory has. */
export const DOT = 0;
export const DOT_DOT = 1;
/** Of our own names, then of the listing's rows. */
export const FIRST_ROW = 2;

/** Rows of one page as this handle numbers them: first the files carried from earlier pages, then the page's own. */
export interface Segment {
  readonly page: ListingPage;
  /** Files that earlier pages could not decide about and this one does. */
  readonly carried: readonly CarriedFile[];
  /** Ordinal of the first carried file, or of the first row. */
  readonly firstOrdinal: number;
  /** Exclusive. */
  readonly endOrdinal: number;
  /** Files of this page and earlier ones that later pages decide about. */
  readonly undecided: readonly CarriedFile[];
}

export interface CarriedFile extends ListedFile {
  readonly sentAtMs: number;
}

/** A segment without its page. */
interface Dropped {
  readonly page: undefined;
  readonly startKey: string;
  readonly endKey: string | undefined;
  readonly digest: number;
  readonly carried: readonly CarriedFile[];
  readonly firstOrdinal: number;
  readonly endOrdinal: number;
  readonly undecided: readonly CarriedFile[];
}

/** A name that exists whatever the listing says. */
export interface OwnName {
  readonly name: string;
  readonly isDirectory: boolean;
}

/** Names of this mount's own making, and how to see that there are others by now. */
export interface OwnNames {
  /** All names in the directory that exist by our own doing and that a listing may not show. */
  of(directoryKey: string): readonly OwnName[];
  /** Another number after each of our changes in the directory. */
  serial(directoryKey: string): number;
  /** Did we remove the name (with slash for a directory) after the page was asked for? */
  isRemoved(directoryKey: string, name: string, isDirectory: boolean, sentAtMs: number): boolean;
  /** What was asked of the directory up to then is void. */
  floorMs(directoryKey: string): number;
}

export interface DirectoryStreamDeps {
  readonly lister: Lister;
  readonly freshness: Freshness;
  readonly limits: FileSystemLimits;
  readonly ownNames: OwnNames;
  /** What the store says of one object; undefined when it is not there. For handles that are resumed. */
  readonly head: (key: string, signal: AbortSignal) => Promise<ObjectHead | undefined>;
}

/** Where an earlier daemon's stream was. */
export interface Resumption {
  /** Ascending. */
  readonly positions: readonly StreamPosition[];
  /** What it gave before the rows of the listing. */
  readonly own: readonly OwnName[];
}

/** The beginning of the listing. */
const NOWHERE: StreamPosition = { ordinal: FIRST_ROW, afterKey: '', untilKey: '', pending: [], isEnd: false };

export class DirectoryStream {
  readonly #directoryKey: string;
  readonly #deps: DirectoryStreamDeps;
  #segments: (Segment | Dropped)[] = [];
  #pageBytes = 0;
  /** Segments before this one are dropped, unless somebody sought back. */
  #droppedTo = 0;
  #ranges: RangeReader;
  /** Files that no page so far decided about. */
  #undecided: CarriedFile[] = [];
  /** Directories seen so far, kept only where the order of the listing tells nothing. */
  #directories = new Set<string>();
  #rounds = new PageRounds();
  /** Our own names, with the ordinals from FIRST_ROW on. */
  #own: readonly OwnName[] = [];
  #ownNames = new Set<string>();
  #serial = 0;
  /** Changes whenever `own` may have. */
  #begun = 0;
  #resumption: Resumption | undefined;
  /** Where the first segment begins when that is not at the listing's start. */
  #anchor: StreamPosition | undefined;
  /** What rows are counted from, beside their number. */
  #shift = 0;

  constructor(directoryKey: string, deps: DirectoryStreamDeps) {
    this.#directoryKey = directoryKey;
    this.#deps = deps;
    this.#ranges = new RangeReader(directoryKey, deps);
    this.#takeOwn();
  }

  get directoryKey(): string {
    return this.#directoryKey;
  }

  /** Bytes that the handle holds on to (shared with the listing cache while they are there too). */
  get bytes(): number {
    return this.#pageBytes + this.#ranges.bytes;
  }

  /** Takes over a whole listing that is known already. */
  adopt(pages: readonly ListingPage[]): void {
    this.#restart();
    for (const page of pages) this.#append(page);
  }

  /** Our own names, which stand before those of the listing; ordinal FIRST_ROW is the first. */
  get own(): readonly OwnName[] {
    return this.#own;
  }

  /** Another number each time that reading begins with other names of our own. */
  get begun(): number {
    return this.#begun;
  }

  /** The handle is an earlier daemon's. */
  resume(resumption: Resumption): void {
    this.#resumption = resumption;
  }

  /** Reading goes on at `ordinal`, which is not 0. Throws ESTALE for a place that nobody knows any more. */
  seek(ordinal: number): void {
    const resumption = this.#resumption;
    if (!resumption || (this.#anchor && ordinal >= this.#anchor.ordinal)) return;
    const anchor = resumption.positions.findLast((position) => position.ordinal <= ordinal);
    if (!anchor) {
      throw new ErrnoError(
        ESTALE,
        `'${this.#directoryKey}' is read by a new process, which does not know that place: begin anew (rewinddir)`,
      );
    }
    this.#restart();
    this.#own = resumption.own;
    this.#ownNames = new Set(this.#own.map(({ name }) => name));
    this.#anchor = anchor;
  }

  /** The places at `from` and `to`, and wherever a page begins between; [from, to) has been read. */
  positions(from: number, to: number): StreamPosition[] {
    const places = [this.#position(from)];
    for (let index = this.#indexOf(from); index < this.#segments.length; index++) {
      const { firstOrdinal } = this.#segments[index] ?? { firstOrdinal: to };
      if (firstOrdinal >= to) break;
      if (firstOrdinal > from) places.push(this.#position(firstOrdinal));
    }
    if (to > from) places.push(this.#position(to));
    return places.filter((place) => place !== undefined);
  }

  /**
   * Reading begins at 0 (again): a listing that is too old is dropped, or one that we have changed since. Offsets given
   * before it are then void.
   */
  rewind(): void {
    const { freshness, ownNames } = this.#deps;
    const key = this.#directoryKey;
    if (this.#resumption) {
      this.#resumption = undefined;
      this.#anchor = undefined;
      this.#restart();
      return;
    }
    const first = this.#segments[0];
    const usable = first?.page && freshness.isFresh(first.page.sentAtMs) && first.page.sentAtMs > ownNames.floorMs(key);
    const changed = this.#serial !== ownNames.serial(key) || this.#own.length > 0 || ownNames.of(key).length > 0;
    if (changed || (first && !usable)) this.#restart();
  }

  /**
   * The segment that holds `ordinal`, or the first after it; null after the last; undefined when it must be fetched.
   * Nothing is fetched here.
   */
  peek(ordinal: number): Segment | null | undefined {
    if (this.#anchor?.isEnd && ordinal >= this.#anchor.ordinal) return null;
    // A directory that hides a file may come on any later page: all pages first.
    if (!this.#deps.lister.inOrder && !this.#isWhole) return undefined;
    const found = this.#segments[this.#indexOf(ordinal)];
    if (found) return found.page ? found : undefined;
    return this.#isWhole ? null : undefined;
  }

  /** Is the row not to be shown: one of our own names, removed by us, or a file that a directory of a later page hides? */
  hides(name: string, isDirectory: boolean, sentAtMs: number): boolean {
    if (!isDirectory && this.#directories.has(name)) return true;
    if (this.#ownNames.has(name)) return true;
    return this.#serial !== 0 && this.#deps.ownNames.isRemoved(this.#directoryKey, name, isDirectory, sentAtMs);
  }

  /** Fetches what `peek(ordinal)` missed, or one page on the way there. Throws StoreError, EINTR when `signal` aborts. */
  async more(ordinal: number, signal: AbortSignal): Promise<void> {
    const index = this.#indexOf(ordinal);
    const found = this.#segments[index];
    if (found && !found.page) return this.#restore(index, found, signal);
    const last = this.#segments.at(-1);
    if (last && last.page === undefined) return this.#restore(this.#segments.length - 1, last, signal);
    if (last?.page?.isLast) return;
    const ranges = this.#ranges;
    const anchor = this.#anchor;
    if (!last && anchor && anchor.afterKey !== '') return this.#begin(anchor, signal);
    const page = last?.page
      ? await ranges.next(last.page, signal)
      : await this.#deps.lister.page(this.#directoryKey, { startKey: '' }, signal);
    // Meanwhile another reader of the handle may have brought the same page, or the stream may have begun again.
    if (this.#segments.at(-1) === last && this.#ranges === ranges) this.#append(page);
  }

  /** Starts to fetch what follows the last page, if anything does; errors show when a reader asks for it. */
  lookAhead(): void {
    const last = this.#segments.at(-1);
    if (last?.page && !last.page.isLast) this.#ranges.lookAhead(last.page);
  }

  /** Gives back the memory of the oldest page but that of `ordinal` and the last two; returns how many bytes, 0 = none. */
  dropOldest(ordinal: number): number {
    // Without an order nothing can be fetched again from the middle.
    if (!this.#deps.lister.inOrder || !this.#deps.lister.startAfterWorks) return 0;
    const kept = this.#indexOf(ordinal);
    for (let index = this.#droppedTo; index < this.#segments.length - 2; index++) {
      const segment = this.#segments[index];
      if (index === kept || !segment?.page) continue;
      const { page, carried, firstOrdinal, endOrdinal, undecided } = segment;
      const { startKey, endKey } = page;
      const digest = page.digest();
      const places = { carried, firstOrdinal, endOrdinal, undecided };
      this.#segments[index] = { page: undefined, startKey, endKey, digest, ...places };
      this.#pageBytes -= page.bytes;
      while (this.#droppedTo < index && !this.#segments[this.#droppedTo]?.page) this.#droppedTo++;
      return page.bytes;
    }
    return 0;
  }

  close(): void {
    this.#restart();
    this.#ranges.close();
  }

  #takeOwn(): void {
    const { ownNames } = this.#deps;
    this.#own = ownNames.of(this.#directoryKey);
    this.#ownNames = new Set(this.#own.map(({ name }) => name));
    this.#serial = ownNames.serial(this.#directoryKey);
    this.#begun++;
  }

  get #isWhole(): boolean {
    const last = this.#segments.at(-1);
    return last !== undefined && (last.page ? last.page.isLast : last.endKey === undefined);
  }

  /** Index of the segment that holds `ordinal` or comes after it. */
  #indexOf(ordinal: number): number {
    const wanted = Math.max(ordinal, FIRST_ROW);
    let low = 0;
    let high = this.#segments.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      const segment = this.#segments[middle];
      if (segment && segment.endOrdinal <= wanted) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  async #restore(index: number, dropped: Dropped, signal: AbortSignal): Promise<void> {
    const { startKey, endKey, firstOrdinal, endOrdinal, carried, digest, undecided } = dropped;
    const fetched = await this.#deps.lister.page(this.#directoryKey, { startKey }, signal);
    if (this.#segments[index] !== dropped) return;
    const page = endKey !== undefined && fetched.covers(endKey) ? fetched.cut(endKey) : fetched;
    if (page.endKey !== endKey || page.digest() !== digest) {
      throw new ErrnoError(
        ESTALE,
        `'${this.#directoryKey}' has changed where it is read again: begin anew (rewinddir)`,
      );
    }
    this.#segments[index] = { page, carried, firstOrdinal, endOrdinal, undecided };
    this.#pageBytes += page.bytes;
    this.#droppedTo = Math.min(this.#droppedTo, index);
  }

  #restart(): void {
    this.#segments = [];
    this.#pageBytes = 0;
    this.#droppedTo = 0;
    this.#undecided = [];
    this.#directories = new Set();
    this.#rounds = new PageRounds();
    this.#anchor = undefined;
    this.#shift = 0;
    this.#ranges.close();
    this.#ranges = new RangeReader(this.#directoryKey, this.#deps);
    this.#takeOwn();
  }

  #append(page: ListingPage): void {
    if (!this.#deps.lister.inOrder) this.#noteDirectories(page);
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
    const firstOrdinal = this.#segments.at(-1)?.endOrdinal ?? this.#firstOrdinal;
    const endOrdinal = firstOrdinal + carried.length + page.rows;
    this.#segments.push({ page, carried, firstOrdinal, endOrdinal, undecided: still });
    this.#pageBytes += page.bytes;
  }

  get #firstOrdinal(): number {
    return Math.max(FIRST_ROW + this.#own.length, this.#anchor?.ordinal ?? 0) + this.#shift;
  }

  #position(ordinal: number): StreamPosition | undefined {
    const last = this.#segments.at(-1);
    if (!last && this.#anchor) return { ...this.#anchor, ordinal };
    if (!last || ordinal < FIRST_ROW + this.#own.length) return { ...NOWHERE, ordinal };
    const segment = this.#segments[this.#indexOf(ordinal)];
    if (!segment) {
      const isEnd = this.#isWhole;
      const afterKey = (last.page ?? last).endKey ?? '';
      return { ...NOWHERE, ordinal, afterKey, pending: isEnd ? [] : namesOf(last.undecided), isEnd };
    }
    const { page, carried, firstOrdinal, undecided } = segment;
    const index = ordinal - firstOrdinal - carried.length;
    const { startKey, endKey: untilKey = '' } = page ?? segment;
    if (index <= 0) {
      // All that the pages before left undecided: what this one shows and has not shown yet, and what it cannot decide either.
      const pending = [...carried.slice(Math.max(0, ordinal - firstOrdinal)), ...undecided.filter(isBefore(startKey))];
      return { ordinal, afterKey: startKey, untilKey, pending: namesOf(pending), isEnd: false };
    }
    if (!page) return undefined;
    const afterKey = page.key(index - 1);
    return { ordinal, afterKey, untilKey, pending: namesOf(undecided.filter(isBefore(afterKey))), isEnd: false };
  }

  /** The first page of a stream that goes on after the anchor. */
  async #begin(anchor: StreamPosition, signal: AbortSignal): Promise<void> {
    const { lister, head, freshness } = this.#deps;
    const ranges = this.#ranges;
    const isOurs = (): boolean => this.#ranges === ranges && this.#segments.length === 0;
    if (lister.inOrder && lister.startAfterWorks) {
      try {
        const pending: CarriedFile[] = [];
        for (const name of anchor.pending) {
          const sentAtMs = freshness.nowMs();
          const found = await head(this.#directoryKey + name, signal);
          if (found) pending.push({ name, head: found, sentAtMs });
        }
        const { afterKey, untilKey } = anchor;
        const fetched = await lister.page(this.#directoryKey, { startKey: afterKey }, signal);
        if (!isOurs()) return;
        // Not beyond: it would decide about pending files, and so number its rows, otherwise than the page that was read.
        const page = untilKey !== '' && fetched.covers(untilKey) ? fetched.cut(untilKey) : fetched;
        this.#undecided = pending;
        this.#append(page);
        return;
      } catch (error) {
        // It turns out only now that the store ignores start-after.
        if (lister.startAfterWorks) throw error;
      }
    }
    const pages = await this.#pagesTo(anchor.afterKey, signal);
    if (!isOurs()) return;
    const place = (): number => {
      for (const page of pages) this.#append(page);
      const { page, firstOrdinal, carried } = this.#segments.at(-1) ?? {};
      const row = page ? rowOf(page, anchor.afterKey) : -1;
      return (firstOrdinal ?? 0) + (carried?.length ?? 0) + row + 1;
    };
    // Twice, for only then is known where the first row belongs.
    const next = place();
    this.#segments = [];
    this.#pageBytes = 0;
    this.#undecided = [];
    this.#shift = anchor.ordinal - next;
    place();
  }

  /** The pages from the beginning to the one that has `key`. */
  async #pagesTo(key: string, signal: AbortSignal): Promise<ListingPage[]> {
    const { lister } = this.#deps;
    const pages: ListingPage[] = [];
    const rounds = new PageRounds();
    for (let page = await lister.page(this.#directoryKey, { startKey: '' }, signal); ;) {
      pages.push(page);
      if (rowOf(page, key) >= 0) return pages;
      if (page.endKey === undefined) break;
      if (!lister.inOrder && !rounds.isNew(page)) throw lister.endless(this.#directoryKey);
      page = await lister.page(this.#directoryKey, positionAfter(page), signal);
    }
    throw new ErrnoError(ESTALE, `'${this.#directoryKey}' has changed where it was read last: begin anew (rewinddir)`);
  }

  /** All pages, when the disorder is found on this one; else only this page's are new. Throws when the listing goes round. */
  #noteDirectories(page: ListingPage): void {
    const pages = [page];
    if (this.#directories.size === 0) for (const segment of this.#segments) if (segment.page) pages.push(segment.page);
    for (const each of pages) {
      if (!this.#rounds.isNew(each)) throw this.#deps.lister.endless(this.#directoryKey);
      for (let row = 0; row < each.rows; row++) if (each.isDirectory(row)) this.#directories.add(each.name(row));
    }
  }
}

function namesOf(files: readonly CarriedFile[]): string[] {
  return files.map(({ name }) => name);
}

function isBefore(key: string): (file: CarriedFile) => boolean {
  return ({ name }) => compareKeys(name, key) <= 0;
}

/** Of a page in any order; -1 when it is not there. */
function rowOf(page: ListingPage, key: string): number {
  for (let row = 0; row < page.rows; row++) if (page.key(row) === key) return row;
  return -1;
}
