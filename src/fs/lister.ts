/**
 * Fetches listing pages, each once for all who want it at the same time, and puts them into the cache.
 * Continues with the store's tokens (which work on every store); begins in the middle with start-after only when asked.
 * Refuses to loop over a directory: readers of a directory and the background listing each pull page by page, at their pace.
 */
import { EIO } from '../base/errno.js';
import type { ObjectStore } from '../engine/api.js';
import type { ListColumns } from '../engine/listing/columns.js';
import { StoreError } from '../engine/store-error.js';
import type { FaultLog } from './fault-log.js';
import type { Freshness } from './freshness.js';
import type { FileSystemLimits } from './limits.js';
import type { ListingCache } from './listing-cache.js';
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

/** Where a page begins: after `startKey` (relative to the directory), by the token of the page before when there is one. */
export interface PagePosition {
  readonly startKey: string;
  readonly token?: string | undefined;
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
      for (let empty = 0; empty < limits.emptyPagesMax; empty++) {
        const answer = await this.#ask(directoryKey, startKey, token, signal);
        const columns = keysBefore === 0 ? answer : { ...answer, keys: answer.keys + keysBefore };
        const page = new ListingPage({ directoryKey, startKey, sentAtMs, columns });
        // A page may bring nothing and yet not be the last: deleted versions, or only the directory's own marker.
        if (page.rows === 0 && page.endKey === startKey) {
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
      throw new StoreError({
        errno: EIO,
        code: 'EndlessListing',
        status: 200,
        resource: directoryKey,
        message: `the listing of '${directoryKey}' gave ${limits.emptyPagesMax} empty pages in a row`,
        remedy: 'check the store: ListObjectsV2 never says that the listing is complete',
      });
    } catch (error) {
      const isOwn = error instanceof StoreError && error.code === IGNORED;
      if (mode === 'reported' && !isOwn) faults.report('list', directoryKey, error);
      throw error;
    }
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
