/**
 * Fetches listing pages, each once for all who want it at the same time, and puts them into the cache.
 * Continues with the store's tokens (which work on every store); begins in the middle with start-after only when asked.
 * Refuses to loop over a directory: readers of a directory and the background listing each pull page by page, at their pace.
 */
import { EIO } from '../base/errno.js';
import type { ObjectStore } from '../engine/api.js';
import type { ListColumns } from '../engine/listing/columns.js';
import { endlessListing } from '../engine/listing/progress.js';
import { StoreError } from '../engine/store-error.js';
import type { FaultLog } from './fault-log.js';
import type { Freshness } from './freshness.js';
import type { FileSystemLimits } from './limits.js';
import type { ListingCache } from './listing-cache.js';
import { compareKeys } from './keymap.js';
import { ListingPage } from './listing-page.js';
import type { OwnChanges } from './namespace/own-changes.js';
import { SingleFlight } from './single-flight.js';

export interface ListerDeps {
  readonly store: ObjectStore;
  readonly cache: ListingCache;
  readonly freshness: Freshness;
  readonly limits: FileSystemLimits;
  readonly faults: FaultLog;
  readonly changes: OwnChanges;
}

/** After every key that begins with what it is put behind. */
const HIGHEST = '\u{10ffff}';

/** Our word for a store that lists from the beginning whatever start-after says. */
const IGNORED = 'StartAfterIgnored';

/** A page that brought nothing but names of the page before is passed over so often: the store may come to new ones. */
const REPEATS_MAX = 3;

/** Where a page begins: after `startKey` (relative to the directory), by the token of the page before when there is one. */
export interface PagePosition {
  readonly startKey: string;
  readonly token?: string | undefined;
  /** The page before, where the token is its: names of it that come again are left out. */
  readonly before?: ListingPage | undefined;
}

/** Where the listing goes on after a page that is not the last. */
export function positionAfter(before: ListingPage): PagePosition {
  return { startKey: before.endKey ?? '', token: before.nextToken, before };
}

export class Lister {
  readonly #deps: ListerDeps;
  readonly #flights = new SingleFlight<ListingPage>();
  /** Pages fetched, keys in them that cannot be names, files that a directory of the same name hides. */
  pages = 0;
  hiddenKeys = 0;
  shadowedFiles = 0;
  #startAfterWorks = true;

  constructor(deps: ListerDeps) {
    this.#deps = deps;
  }

  /** The page at `position`: from the cache while fresh, else from the store. Throws StoreError, or EINTR on `signal`. */
  async page(directoryKey: string, position: PagePosition, signal?: AbortSignal): Promise<ListingPage> {
    const known = this.#deps.cache.pageAfter(directoryKey, position.startKey);
    if (known) return known;
    return this.#join(directoryKey, position, signal, 'reported');
  }

  /** False when nothing follows from the order of a listing. */
  get inOrder(): boolean {
    return this.#deps.cache.inOrder;
  }

  /** False when the store was seen to ignore start-after: a listing can only be read from its beginning. */
  get startAfterWorks(): boolean {
    return this.#startAfterWorks;
  }

  /**
   * The first page of a directory that nobody knows to exist, for who looks up its name: `keys` 0 says that it does not.
   * Failures are the caller's to report.
   */
  first(directoryKey: string, signal: AbortSignal): Promise<ListingPage> {
    return this.#join(directoryKey, { startKey: '' }, signal, 'quiet');
  }

  /** Takes in a page in place of the one that it was cut from. */
  replace(page: ListingPage): void {
    this.#deps.cache.insert(page);
  }

  abortAll(): void {
    this.#flights.abortAll();
  }

  #join(
    directoryKey: string,
    position: PagePosition,
    signal: AbortSignal | undefined,
    mode: 'reported' | 'quiet',
  ): Promise<ListingPage> {
    const { freshness } = this.#deps;
    const key = `${directoryKey}\0${position.startKey}`;
    const startedAtMs = this.#flights.startedAtMs(key);
    const joinable =
      startedAtMs !== undefined &&
      freshness.isFresh(startedAtMs) &&
      startedAtMs > this.#deps.changes.floorMs(directoryKey) &&
      // Who looks up a name may learn that it does not exist, which may have to be younger.
      (mode === 'reported' || freshness.isNegativeFresh(startedAtMs));
    return this.#flights.join(
      key,
      freshness.nowMs(),
      signal,
      (abort) => this.#fetch(directoryKey, position, abort, mode),
      joinable,
    );
  }

  async #fetch(
    directoryKey: string,
    position: PagePosition,
    signal: AbortSignal,
    mode: 'reported' | 'quiet',
  ): Promise<ListingPage> {
    const { cache, freshness, limits, faults } = this.#deps;
    const { startKey } = position;
    const sentAtMs = freshness.nowMs();
    try {
      let { token } = position;
      let keysBefore = 0;
      let repeats = 0;
      for (let empty = 0; empty < limits.emptyPagesMax; empty++) {
        const answer = await this.#ask(directoryKey, startKey, token, signal);
        const columns = keysBefore === 0 ? answer : { ...answer, keys: answer.keys + keysBefore };
        let page = new ListingPage({ directoryKey, startKey, sentAtMs, columns });
        const isRepeated = page.beganEarly && token !== undefined && answer.isSorted && repeatsOnly(page, position);
        if (isRepeated) page = page.after(startKey);
        // A page may bring nothing and yet not be the last: deleted versions, or only the directory's own marker.
        const isBehind = page.endKey !== undefined && compareKeys(page.endKey, startKey) <= 0;
        if (page.rows === 0 && isBehind && (token !== undefined || !page.beganEarly)) {
          if (isRepeated && ++repeats >= REPEATS_MAX) throw endlessListing(directoryKey, 'the same keys again');
          if (page.nextToken === token) throw endlessListing(directoryKey, 'the same token again');
          token = page.nextToken;
          keysBefore = page.keys;
          continue;
        }
        if (page.beganEarly && token === undefined) throw this.#foundIgnored(page);
        this.#count(page);
        if (!page.ordered && cache.inOrder) this.#foundDisorder(page);
        // Names that are looked up and do not exist are no directories to remember.
        if (page.keys > 0 || startKey !== '') cache.insert(page);
        return page;
      }
      throw endlessListing(directoryKey, `${limits.emptyPagesMax} empty pages in a row`);
    } catch (error) {
      const isOwn = error instanceof StoreError && error.code === IGNORED;
      if (mode === 'reported' && !isOwn) faults.report('list', directoryKey, error);
      throw error;
    }
  }

  /** The listing goes round: the error that says so, which is in the log. */
  endless(directoryKey: string): StoreError {
    const error = endlessListing(directoryKey, 'the same keys again');
    this.#deps.faults.report('list', directoryKey, error);
    return error;
  }

  #ask(prefix: string, startKey: string, token: string | undefined, signal: AbortSignal): Promise<ListColumns> {
    const { store, limits } = this.#deps;
    const where =
      token !== undefined
        ? { continuationToken: token }
        : startKey === ''
          ? {}
          : // After all of a directory, not after its name: S3 would name it again for the keys in it.
            { startAfter: prefix + startKey + (startKey.endsWith('/') ? HIGHEST : '') };
    return store.list({ prefix, delimiter: '/', keysMax: limits.listKeysMax, ...where }, signal);
  }

  #foundIgnored(page: ListingPage): StoreError {
    if (this.#startAfterWorks) {
      this.#startAfterWorks = false;
      // Pages that were cut go on by start-after only.
      this.#deps.cache.clear();
      this.#deps.faults.problem('startAfter', { key: page.directoryKey }, [
        `the store ignores start-after ('${page.directoryKey}'): large directories are listed page after page`,
      ]);
    }
    return new StoreError({
      errno: EIO,
      code: IGNORED,
      status: 200,
      resource: page.directoryKey,
      message: `the store does not list '${page.directoryKey}' from the middle on`,
      remedy: 'begin at the start of the directory (rewinddir)',
    });
  }

  #foundDisorder(page: ListingPage): void {
    this.#deps.cache.foundDisorder();
    this.#deps.faults.problem('disorder', { key: page.directoryKey }, [
      `the store does not list '${page.directoryKey}' in the order of keys, as S3 does: large directories are read whole`,
      'for a directory bucket, say --bucket-type directory',
    ]);
  }

  #count(page: ListingPage): void {
    this.pages++;
    this.hiddenKeys += page.hiddenKeys;
    this.shadowedFiles += page.shadowedFiles;
    if (page.hiddenKeys > 0) this.#deps.faults.hidden(page.directoryKey, page.hiddenKeys);
  }
}

/** Is all that stands before where the page should begin a name of the page before? Then nothing says that the store has no order. */
function repeatsOnly(page: ListingPage, { startKey, before }: PagePosition): boolean {
  for (let row = 0; row < page.rows; row++) {
    const key = page.key(row);
    const order = compareKeys(key, startKey);
    if (order > 0) return true;
    if (order < 0 && (before === undefined || before.find(key) < 0)) return false;
  }
  return true;
}
