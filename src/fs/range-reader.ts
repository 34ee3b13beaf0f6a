/**
 * Reads a large directory by several key ranges at once, for one reader, in order: while he reads one page, the next few
 * are on their way, each a LIST of its own that begins after a guessed key (start-after) instead of waiting for the token of
 * the page before. A range ends where the next begins; a page that reaches beyond is cut there. So every key belongs to
 * exactly one range whatever the guesses are worth: none is missing, doubled or out of order, also while the directory
 * changes. Good guesses make it fast, bad ones cost requests, and then fewer are made.
 *
 * Bounds: `listRangesMax` LISTs under way and `listPagesAheadMax` pages not read yet; nothing is listed that the reader has
 * not come near: one page ahead until he has read the first, then up to the bound.
 * A store that ignores start-after is noticed by its first answer; then pages are read one after the other, by token.
 * Refuses to know rows: see directory-stream.ts.
 */
import { EINTR, ErrnoError } from '../base/errno.js';
import type { FileSystemLimits } from './limits.js';
import { KeyForecast } from './key-forecast.js';
import { compareKeys } from './keymap.js';
import type { Lister } from './lister.js';
import type { ListingPage } from './listing-page.js';

/** A range that is shorter than this part of a page is not worth a request of its own. */
const RANGE_PAGES_MIN = 0.25;

interface FetchedPage {
  readonly page: ListingPage;
  /** What it was cut from; itself when it was not. Has the token with which the listing goes on after it. */
  readonly source: ListingPage;
}

interface Range {
  /** What is still to be fetched begins after this key. */
  fromKey: string;
  /** The page that ended at fromKey, from which its token goes on; undefined at the range's start. A page that was cut has none. */
  before: ListingPage | undefined;
  /** The next range begins after this key; undefined for the last range. */
  untilKey: string | undefined;
  /** Fetched and not read, in order. */
  readonly pages: FetchedPage[];
  /** Never rejects. */
  flight: Promise<void> | undefined;
  abort: AbortController | undefined;
  /** Nothing is left to fetch. */
  isDone: boolean;
  /** Why the last attempt failed: only a reader who needs it tries again. */
  error: Error | undefined;
}

export interface RangeReaderDeps {
  readonly lister: Lister;
  readonly limits: FileSystemLimits;
}

export class RangeReader {
  readonly #directoryKey: string;
  readonly #deps: RangeReaderDeps;
  readonly #forecast = new KeyForecast();
  /** In key order, without gaps. Empty before the first page was read. */
  #ranges: Range[] = [];
  /** Pages that the reader asked for. */
  #asked = 0;
  /** LISTs at a time that the guesses have earned. */
  #earned: number;
  /** The page given last. */
  #last: FetchedPage | undefined;
  #isClosed = false;

  constructor(directoryKey: string, deps: RangeReaderDeps) {
    this.#directoryKey = directoryKey;
    this.#deps = deps;
    this.#earned = deps.limits.listRangesMax;
  }

  /** Bytes of pages that were fetched and not read. */
  get bytes(): number {
    let sum = 0;
    for (const range of this.#ranges) for (const { page } of range.pages) sum += page.bytes;
    return sum;
  }

  /** The page after `last`, which must be the one given before (or the first page). Throws StoreError, EINTR on `signal`. */
  async next(last: ListingPage, signal: AbortSignal | undefined): Promise<ListingPage> {
    this.#begin(last);
    this.#asked++;
    for (;;) {
      if (this.#isClosed) throw new ErrnoError(EINTR, 'the directory was closed');
      const page = this.#take();
      if (page) {
        this.#pump();
        return page;
      }
      const first = this.#ranges[0];
      if (!first) throw new ErrnoError(EINTR, 'nothing is left to list');
      if (!first.flight) this.#fetch(first);
      this.#pump();
      await untilSettled(first.flight, signal);
      const { error } = first;
      if (error && this.#ranges[0] === first && first.pages.length === 0) throw error;
    }
  }

  /** Fetches the page after `last` before somebody waits for it; errors show when somebody does. */
  lookAhead(last: ListingPage): void {
    this.#begin(last);
    this.#pump();
  }

  /** Stops all; `next` then throws. */
  close(): void {
    this.#isClosed = true;
    for (const range of this.#ranges) range.abort?.abort();
    this.#ranges = [];
  }

  #begin(last: ListingPage): void {
    if (this.#ranges.length > 0 || last.endKey === undefined || this.#isClosed) return;
    this.#last = { page: last, source: last };
    this.#ranges = [newRange(last.endKey, undefined, last)];
    this.#forecast.learn(last);
  }

  /** The next page in order, when it is there. */
  #take(): ListingPage | undefined {
    for (;;) {
      const first = this.#ranges[0];
      const fetched = first?.pages.shift();
      if (fetched) {
        this.#last = fetched;
        return fetched.page;
      }
      if (!first?.isDone || this.#ranges.length === 1) return undefined;
      this.#ranges.shift();
    }
  }

  /** Starts what may be started: first what is needed first. */
  #pump(): void {
    // One page ahead until the reader asks for another: most who open a directory want its first page only.
    const ramp = 2 ** Math.min(this.#asked, 10);
    const parallel = Math.min(this.#earned, ramp);
    const aheadMax = Math.min(this.#deps.limits.listPagesAheadMax, ramp);
    let flights = 0;
    let ahead = 0;
    for (const range of this.#ranges) {
      if (range.flight) flights++;
      ahead += range.pages.length;
    }
    ahead += flights;
    for (let index = 0; index < this.#ranges.length; index++) {
      const range = this.#ranges[index];
      if (!range || flights >= parallel || ahead >= aheadMax) return;
      if (!range.isDone && !range.flight && !range.error) {
        this.#fetch(range);
        flights++;
        ahead++;
      }
      if (flights < parallel && ahead < aheadMax) this.#split(index, range);
    }
  }

  /** Begins another range where the page that is on its way will probably end. */
  #split(index: number, range: Range): void {
    const { lister } = this.#deps;
    if (!range.flight || !lister.startAfterWorks || !lister.inOrder) return;
    const splitKey = this.#forecast.pageAfter(range.fromKey);
    if (splitKey === undefined) return;
    if (range.untilKey !== undefined) {
      if (compareKeys(splitKey, range.untilKey) >= 0) return;
      if ((this.#forecast.pagesBetween(splitKey, range.untilKey) ?? 0) < RANGE_PAGES_MIN) return;
    }
    this.#ranges.splice(index + 1, 0, newRange(splitKey, range.untilKey, undefined));
    range.untilKey = splitKey;
  }

  #fetch(range: Range): void {
    const abort = new AbortController();
    range.abort = abort;
    range.error = undefined;
    const { fromKey: startKey, before } = range;
    const position = { startKey, token: before?.nextToken, before };
    range.flight = this.#deps.lister.page(this.#directoryKey, position, abort.signal).then(
      (page) => {
        range.flight = undefined;
        if (!abort.signal.aborted) this.#arrived(range, page);
      },
      (error: unknown) => {
        range.flight = undefined;
        if (abort.signal.aborted) return;
        range.error = error instanceof Error ? error : new Error(String(error));
        if (!this.#deps.lister.startAfterWorks) this.#readInOneRange();
      },
    );
  }

  #arrived(range: Range, page: ListingPage): void {
    const { lister, limits } = this.#deps;
    const index = this.#ranges.indexOf(range);
    if (index < 0) return;
    if (!page.isLast) this.#forecast.learn(page);
    this.#absorb(index, range, page);
    let kept = page;
    const { untilKey } = range;
    if (untilKey !== undefined && (page.endKey === undefined || compareKeys(page.endKey, untilKey) > 0)) {
      kept = page.cut(untilKey);
      lister.replace(kept);
    }
    // A page that was half in vain: fewer at a time until guesses are better.
    if (kept.rows * 2 < page.rows) this.#earned = Math.max(1, this.#earned >> 1);
    else if (this.#earned < limits.listRangesMax) this.#earned++;
    range.pages.push({ page: kept, source: page });
    range.fromKey = kept.endKey ?? range.fromKey;
    range.before = kept;
    range.isDone = kept.endKey === undefined || kept.endKey === untilKey;
    if (!lister.inOrder) this.#readInOneRange();
    this.#pump();
  }

  /** Ranges after this one that the page covers whole, and of which nothing has come yet, are not needed. */
  #absorb(index: number, range: Range, page: ListingPage): void {
    for (;;) {
      const next = this.#ranges[index + 1];
      if (!next || next.pages.length > 0 || next.isDone) return;
      const { endKey } = page;
      const covered = endKey === undefined || (next.untilKey !== undefined && compareKeys(endKey, next.untilKey) >= 0);
      if (!covered) return;
      next.abort?.abort();
      this.#ranges.splice(index + 1, 1);
      range.untilKey = next.untilKey;
    }
  }

  /** The store cannot begin in the middle: what was cut is taken back, and pages are read one after the other, by token. */
  #readInOneRange(): void {
    const first = this.#ranges[0];
    if (!first) return;
    for (const range of this.#ranges.splice(1)) range.abort?.abort();
    first.untilKey = undefined;
    // A page that was asked for by its token is on its way and goes on from what is known.
    if (first.flight && first.before?.nextToken !== undefined) return;
    const fetched = first.pages.pop();
    const tail = fetched ?? this.#last;
    if (!tail || (tail.source.nextToken === undefined && !tail.source.isLast)) return;
    const { page, source } = tail;
    if (fetched) first.pages.push({ page: source, source });
    else if (page !== source && page.endKey !== undefined) {
      const rest = source.after(page.endKey);
      first.pages.push({ page: rest, source: rest });
    }
    first.fromKey = source.endKey ?? first.fromKey;
    first.before = source;
    first.isDone = source.isLast;
    first.error = undefined;
  }
}

function newRange(fromKey: string, untilKey: string | undefined, before: ListingPage | undefined): Range {
  return {
    fromKey,
    before,
    untilKey,
    pages: [],
    flight: undefined,
    abort: undefined,
    isDone: false,
    error: undefined,
  };
}

/** Waits for `flight`, or throws EINTR when the reader is interrupted; the flight goes on. */
function untilSettled(flight: Promise<void> | undefined, signal: AbortSignal | undefined): Promise<void> {
  if (!flight) return Promise.resolve();
  if (!signal) return flight;
  return new Promise<void>((resolve, reject) => {
    const leave = (): void => reject(new ErrnoError(EINTR, 'interrupted'));
    if (signal.aborted) return leave();
    signal.addEventListener('abort', leave, { once: true });
    void flight.then(() => {
      signal.removeEventListener('abort', leave);
      resolve();
    });
  });
}
