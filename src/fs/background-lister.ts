/**
 * Lists a directory in the background once names in it are looked up one by one, so that the next lookups need no request.
 * One lookup means nothing; the second says that somebody walks a list of names. A page tells a thousand names for the
 * price of one request, but only while it is fresh, so pages are fetched on demand: the next one only when lookups went
 * on meanwhile, around the name last asked for; and rarely where earlier pages answered nothing (random names in a
 * directory of millions). With an endless TTL nothing is wasted and the whole directory is listed.
 * Refuses to fail: an error ends the listing, the lookups themselves report it.
 */
import { LRUCache } from 'lru-cache';
import type { Freshness } from './freshness.js';
import type { FileSystemLimits } from './limits.js';
import type { ListingCache } from './listing-cache.js';
import type { ListingPage } from './listing-page.js';
import { compareKeys } from './keymap.js';
import { positionAfter, type Lister, type PagePosition } from './lister.js';

/** Lookups in one directory that start its listing. */
const MISSES_TO_START = 2;
/** After pages that answered nothing, this many misses at most pass before another page is tried. */
const PATIENCE_MAX = 512;
/**
 * A directory is first listed from its beginning, so far: most that do not fit one page fit a few, and pages around names
 * overlap (measured: 8 pages for 2,000 names in no order, 2 this way).
 */
const PAGES_FROM_START = 4;

interface Habit {
  /** Misses since the last page. */
  misses: number;
  /** Misses that the next page needs; doubles with each page that answered nothing. */
  patience: number;
  lastName: string;
  listing: boolean;
  /** The page that is on its way. */
  pending: PagePosition | undefined;
  lastPage: ListingPage | undefined;
}

export interface BackgroundListerDeps {
  readonly lister: Lister;
  readonly cache: ListingCache;
  readonly freshness: Freshness;
  readonly limits: FileSystemLimits;
}

export class BackgroundLister {
  readonly #deps: BackgroundListerDeps;
  readonly #habits: LRUCache<string, Habit>;
  readonly #abort = new AbortController();
  #running = 0;

  constructor(deps: BackgroundListerDeps) {
    this.#deps = deps;
    this.#habits = new LRUCache({ max: deps.limits.watchedDirectoriesMax });
  }

  get running(): number {
    return this.#running;
  }

  /** A lookup of `name` had to ask the store. */
  missed(directoryKey: string, name: string): void {
    let habit = this.#habits.get(directoryKey);
    if (!habit) {
      habit = {
        misses: 0,
        patience: MISSES_TO_START,
        lastName: name,
        listing: false,
        pending: undefined,
        lastPage: undefined,
      };
      this.#habits.set(directoryKey, habit);
    }
    habit.misses++;
    habit.lastName = name;
    if (habit.listing || habit.misses < habit.patience) return;
    if (this.#running >= this.#deps.limits.backgroundListingsMax) return;
    void this.#list(directoryKey, habit);
  }

  /** The page on its way that may speak of `name`: it begins before it, and has not been useless so far. */
  pending(directoryKey: string, name: string): PagePosition | undefined {
    const habit = this.#habits.get(directoryKey);
    if (!habit?.pending || habit.patience !== MISSES_TO_START) return undefined;
    return compareKeys(habit.pending.startKey, name) < 0 ? habit.pending : undefined;
  }

  /** Ends all; nothing is started again. */
  stop(): void {
    this.#abort.abort();
  }

  async #list(directoryKey: string, habit: Habit): Promise<void> {
    const { lister, cache, freshness, limits } = this.#deps;
    habit.listing = true;
    this.#running++;
    try {
      let next: PagePosition | undefined = this.#begin(directoryKey, habit);
      for (let count = 0; next && count < limits.backgroundPagesMax && !this.#abort.signal.aborted; count++) {
        habit.misses = 0;
        habit.pending = next;
        const page: ListingPage = await lister.page(directoryKey, next, this.#abort.signal);
        habit.lastPage = page;
        // A full cache throws away the beginning of what is being listed: going through all of it gains nothing.
        const full = freshness.endless && cache.bytes + page.bytes > cache.bytesMax;
        next = full ? undefined : this.#after(page, habit);
      }
    } catch {
      // Whoever looks a name up asks the store himself and reports what it says.
      habit.patience = Math.min(habit.patience * 2, PATIENCE_MAX);
    } finally {
      habit.listing = false;
      habit.pending = undefined;
      this.#running--;
    }
  }

  /** Where to begin: a directory known to be large is listed around the name that was asked for. */
  #begin(directoryKey: string, habit: Habit): PagePosition | undefined {
    const { cache, freshness } = this.#deps;
    const last = habit.lastPage;
    const wasted = last !== undefined && last.hits === 0;
    habit.patience = wasted ? Math.min(habit.patience * 2, PATIENCE_MAX) : MISSES_TO_START;
    const large = cache.isLarge(directoryKey) || (last !== undefined && !last.isLast);
    if (!cache.inOrder || freshness.endless || !large) return { startKey: '' };
    return this.#fromStart(directoryKey) ?? this.#around(habit.lastName);
  }

  /** What follows the pages that are known from the beginning on, while they are few; undefined without such. */
  #fromStart(directoryKey: string): PagePosition | undefined {
    let position: PagePosition | undefined;
    for (let pages = 0; pages < PAGES_FROM_START; pages++) {
      const page = this.#deps.cache.pageAfter(directoryKey, position?.startKey ?? '');
      if (!page) return position;
      if (page.endKey === undefined) return undefined;
      position = positionAfter(page);
    }
    return undefined;
  }

  #around(name: string): PagePosition | undefined {
    return this.#deps.lister.startAfterWorks ? aroundName(name) : undefined;
  }

  /** Where to go on, or undefined when nobody asks any more. */
  #after(page: ListingPage, habit: Habit): PagePosition | undefined {
    // Without an order (directory buckets know no start-after either) more pages tell lookups nothing.
    if (page.endKey === undefined || !this.#deps.cache.inOrder) return undefined;
    if (this.#deps.freshness.endless) return positionAfter(page);
    if (habit.misses === 0) return undefined;
    // Names that came while the page was on its way and that it answers now need no other page.
    if (page.covers(habit.lastName) && page.covers(`${habit.lastName}/`)) return undefined;
    habit.misses = 0;
    if (page.hits === 0 && habit.patience !== MISSES_TO_START) return undefined;
    return this.#fromStart(page.directoryKey) ?? this.#around(habit.lastName);
  }
}

/** A page that begins just before `name`: what sorts between the name without its last character and itself is little. */
function aroundName(name: string): PagePosition {
  const characters = [...name];
  return { startKey: characters.slice(0, -1).join('') };
}
