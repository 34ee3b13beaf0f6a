/**
 * Fetches listing pages, each once for all who want it at the same time, and puts them into the cache.
 * Continues with the store's tokens (which work on every store); begins in the middle with start-after only when asked.
 * Refuses to loop over a directory: readers of a directory and the background listing each pull page by page, at their pace.
 */
import { EIO } from '../base/errno.js';
import type { ListPage, ObjectStore } from '../engine/api.js';
import { StoreError } from '../engine/store-error.js';
import type { FaultLog } from './fault-log.js';
import type { Freshness } from './freshness.js';
import type { FileSystemLimits } from './limits.js';
import type { ListingCache } from './listing-cache.js';
import { ListingPage } from './listing-page.js';
import { SingleFlight } from './single-flight.js';

export interface ListerDeps {
  readonly store: ObjectStore;
  readonly cache: ListingCache;
  readonly freshness: Freshness;
  readonly limits: FileSystemLimits;
  readonly faults: FaultLog;
}

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

  constructor(deps: ListerDeps) {
    this.#deps = deps;
  }

  /** The page at `position`: from the cache while fresh, else from the store. Throws StoreError, or EINTR on `signal`. */
  async page(directoryKey: string, position: PagePosition, signal?: AbortSignal): Promise<ListingPage> {
    const { cache, freshness } = this.#deps;
    const known = cache.pageAfter(directoryKey, position.startKey);
    if (known) return known;
    const key = `${directoryKey}\0${position.startKey}`;
    const startedAtMs = this.#flights.startedAtMs(key);
    const joinable = startedAtMs !== undefined && freshness.isFresh(startedAtMs);
    return this.#flights.join(
      key,
      freshness.nowMs(),
      signal,
      (abort) => this.#fetch(directoryKey, position, abort),
      joinable,
    );
  }

  /** False when nothing follows from the order of a listing. */
  get inOrder(): boolean {
    return this.#deps.cache.inOrder;
  }

  abortAll(): void {
    this.#flights.abortAll();
  }

  async #fetch(directoryKey: string, position: PagePosition, signal: AbortSignal): Promise<ListingPage> {
    const { store, cache, freshness, limits, faults } = this.#deps;
    const sentAtMs = freshness.nowMs();
    try {
      let token = position.token;
      for (let empty = 0; empty < limits.emptyPagesMax; empty++) {
        const listed: ListPage = await store.list(
          {
            prefix: directoryKey,
            delimiter: '/',
            keysMax: limits.listKeysMax,
            ...(token !== undefined ? { continuationToken: token } : {}),
            ...(token === undefined && position.startKey !== ''
              ? { startAfter: directoryKey + position.startKey }
              : {}),
          },
          signal,
        );
        const page = new ListingPage({ directoryKey, startKey: position.startKey, sentAtMs, page: listed });
        // A page may bring nothing and yet not be the last: deleted versions, or only the directory's own marker.
        if (page.rows === 0 && page.endKey === position.startKey) {
          token = page.nextToken;
          continue;
        }
        this.#count(page);
        if (!page.ordered && cache.inOrder) this.#foundDisorder(page);
        cache.insert(page);
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
      faults.report('list', directoryKey, error);
      throw error;
    }
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
