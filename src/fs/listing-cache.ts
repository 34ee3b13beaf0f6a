/**
 * Listing pages that are still of use: for lookups ("is there a name?"), for the next readdir of the same directory.
 * A page speaks for an interval of keys, so a page from the middle of a directory answers lookups as well as a whole
 * listing does; absence needs a page for the file's key and one for the directory's, because `a` and `a/` can be
 * pages apart. Bounded by bytes (lru-cache); refuses to fetch and to decide what is fresh: answers carry their time.
 */
import { LRUCache } from 'lru-cache';
import type { ObjectHead } from '../engine/api.js';
import type { Freshness } from './freshness.js';
import { compareKeys } from './keymap.js';
import type { ListingPage } from './listing-page.js';
import type { FloorExtent } from './namespace/own-changes.js';

/** What a listing says of a name, and when the older of the requests that told was sent. */
export type ListedName =
  | {
      readonly kind: 'file';
      readonly head: ObjectHead;
      readonly sentAtMs: number;
      /** Where it stands. */
      readonly page: ListingPage;
      readonly row: number;
    }
  | { readonly kind: 'directory'; readonly sentAtMs: number }
  | { readonly kind: 'none'; readonly sentAtMs: number };

/** Pages fetched from the middle overlap others; this many neighbours are looked at for the freshest that covers a key. */
const OVERLAPS_MAX = 8;

export class ListingCache {
  readonly #pages: LRUCache<string, ListingPage>;
  /** Pages of each directory, sorted by startKey; each start once. */
  readonly #directories = new Map<string, ListingPage[]>();
  readonly #freshness: Freshness;
  readonly #floorMs: (directoryKey: string) => number;
  #inOrder: boolean;
  #bytesMax: number;

  /** `floorMs`: listings of the directory asked for up to then are void (OwnChanges). `inOrder` false: the store does not list in key order (directory buckets). */
  constructor(
    options: { readonly bytesMax: number; readonly inOrder: boolean },
    deps: { readonly freshness: Freshness; readonly floorMs: (directoryKey: string) => number },
  ) {
    this.#freshness = deps.freshness;
    this.#floorMs = deps.floorMs;
    this.#inOrder = options.inOrder;
    this.#bytesMax = options.bytesMax;
    this.#pages = new LRUCache({
      // The bound moves, so it is kept here (#trim).
      maxSize: Number.MAX_SAFE_INTEGER,
      sizeCalculation: (page) => page.bytes + page.directoryKey.length,
      dispose: (page) => this.#unlink(page),
    });
  }

  /** Does a page speak for an interval of keys? If not, only a directory that fits in one page is ever known. */
  get inOrder(): boolean {
    return this.#inOrder;
  }

  /** The store proved not to list in order: all that was concluded from it is dropped. */
  foundDisorder(): void {
    this.#inOrder = false;
    this.#pages.clear();
  }

  /** Bytes of all pages. */
  get bytes(): number {
    return this.#pages.calculatedSize;
  }

  get bytesMax(): number {
    return this.#bytesMax;
  }

  /** Another bound from now on, for the memory governor; what is over it goes, the longest unused first. */
  setBytesMax(bytesMax: number): void {
    this.#bytesMax = bytesMax;
    this.#trim();
  }

  #trim(): void {
    while (this.#pages.calculatedSize > this.#bytesMax && this.#pages.size > 0) this.#pages.pop();
  }

  /** Takes a page in, in place of an older one that begins at the same key. */
  insert(page: ListingPage): void {
    if (!this.#inOrder && !(page.startKey === '' && page.isLast)) return;
    if (page.sentAtMs <= this.#floorMs(page.directoryKey)) return;
    for (const other of [...(this.#directories.get(page.directoryKey) ?? [])]) {
      if (other.startKey === page.startKey) {
        // An answer that was overtaken by a younger one is not taken in.
        if (other.sentAtMs > page.sentAtMs) return;
        this.#pages.delete(cacheKey(other));
      } else if (!this.#freshness.isFresh(other.sentAtMs) && !this.#freshness.isNegativeFresh(other.sentAtMs)) {
        this.#pages.delete(cacheKey(other));
      }
    }
    // Larger than the whole cache: it would only drive out all others.
    if (page.bytes + page.directoryKey.length > this.#bytesMax) return;
    const pages = this.#directories.get(page.directoryKey) ?? [];
    if (pages.length === 0) this.#directories.set(page.directoryKey, pages);
    pages.splice(startingBefore(pages, page.startKey), 0, page);
    this.#pages.set(cacheKey(page), page);
    this.#trim();
  }

  /** Drops the pages that were asked for up to `floorMs`: of one directory, of all below it too, or of all. */
  dropOlder(extent: FloorExtent, directoryKey: string, floorMs: number): void {
    const keys = extent === 'directory' ? [directoryKey] : [...this.#directories.keys()];
    for (const key of keys) {
      if (extent === 'tree' && !key.startsWith(directoryKey)) continue;
      for (const page of [...(this.#directories.get(key) ?? [])]) {
        if (page.sentAtMs <= floorMs) this.#pages.delete(cacheKey(page));
      }
    }
  }

  /** Was this directory's first page of no use the last time: one of many, and no lookup was answered from it? */
  wasUseless(directoryKey: string): boolean {
    const page = this.#directories.get(directoryKey)?.[0];
    return page !== undefined && page.startKey === '' && !page.isLast && page.hits === 0;
  }

  /** The page that begins after `startKey`, when it is still fresh and not void. */
  pageAfter(directoryKey: string, startKey: string): ListingPage | undefined {
    const page = this.#pages.get(`${directoryKey}\0${startKey}`);
    return page && this.#isUsable(page) ? page : undefined;
  }

  /** The freshest page that speaks for the file `name`, when it is still fresh. */
  freshPageOf(directoryKey: string, name: string): ListingPage | undefined {
    const page = covering(this.#directories.get(directoryKey) ?? [], name);
    return page && this.#isUsable(page) ? page : undefined;
  }

  /** All pages of a directory, in order, when every one is known and fresh. */
  whole(directoryKey: string): ListingPage[] | undefined {
    const chain: ListingPage[] = [];
    let startKey = '';
    for (;;) {
      const page = this.pageAfter(directoryKey, startKey);
      if (!page) return undefined;
      chain.push(page);
      if (page.endKey === undefined) return chain;
      startKey = page.endKey;
    }
  }

  /** Is the directory known to need more than one page? */
  isLarge(directoryKey: string): boolean {
    return this.#directories.get(directoryKey)?.some((page) => page.startKey !== '' || !page.isLast) ?? false;
  }

  /** What the freshest pages say of `name`; undefined when they do not speak of it. Age is for the caller to judge. */
  find(directoryKey: string, name: string, credited = false): ListedName | undefined {
    const pages = this.#directories.get(directoryKey);
    if (!pages) return undefined;
    const forDirectory = covering(pages, `${name}/`);
    if (!forDirectory) return undefined;
    if (forDirectory.find(`${name}/`) >= 0) {
      if (credited) forDirectory.hits++;
      return { kind: 'directory', sentAtMs: forDirectory.sentAtMs };
    }
    const forFile = forDirectory.covers(name) ? forDirectory : covering(pages, name);
    if (!forFile) return undefined;
    if (credited) forFile.hits++;
    const sentAtMs = Math.min(forFile.sentAtMs, forDirectory.sentAtMs);
    const row = forFile.find(name);
    return row >= 0
      ? { kind: 'file', head: forFile.head(row), sentAtMs, page: forFile, row }
      : { kind: 'none', sentAtMs };
  }

  clear(): void {
    this.#pages.clear();
  }

  #isUsable(page: ListingPage): boolean {
    return this.#freshness.isFresh(page.sentAtMs) && page.sentAtMs > this.#floorMs(page.directoryKey);
  }

  #unlink(page: ListingPage): void {
    const pages = this.#directories.get(page.directoryKey);
    if (!pages) return;
    const index = pages.indexOf(page);
    if (index >= 0) pages.splice(index, 1);
    if (pages.length === 0) this.#directories.delete(page.directoryKey);
  }
}

function cacheKey(page: ListingPage): string {
  return `${page.directoryKey}\0${page.startKey}`;
}

/** How many pages begin before `key`. */
function startingBefore(pages: readonly ListingPage[], key: string): number {
  let low = 0;
  let high = pages.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    const page = pages[middle];
    if (page && compareKeys(page.startKey, key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}

function covering(pages: readonly ListingPage[], key: string): ListingPage | undefined {
  let best: ListingPage | undefined;
  const before = startingBefore(pages, key);
  for (let index = before - 1; index >= 0 && index >= before - OVERLAPS_MAX; index--) {
    const page = pages[index];
    if (page?.covers(key) && (!best || page.sentAtMs > best.sentAtMs)) best = page;
  }
  return best;
}
