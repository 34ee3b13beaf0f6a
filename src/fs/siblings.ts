/**
 * Fetches small files before they are opened, because others of their directory are: an epoch over images opens thousands,
 * each a round trip when nobody looks ahead. SiblingPattern says how many; the listing says which, and with which ETag.
 *
 * A file fetched ahead has its node before the kernel asks for one: the table hands the same node out at LOOKUP as long as
 * the version is the same (a version has one node, so bytes of two never mix; the fetch carries If-Match, so what the
 * listing said of old is refused by the store). Such nodes are *reserved* here until they are opened or given up.
 * Bounds: reserved files by RESERVED_FILES_MAX and half of the pool; starts by STARTS_PER_OPEN for each open.
 * Refuses to use a listing that is not fresh, to ask the store for one, and to fetch what was open before: the kernel
 * most likely has it.
 */
import { LRUCache } from 'lru-cache';
import { SMALL_BYTES, BLOCK_BYTES } from '../base/pool/layout.js';
import { soon } from '../base/soon.js';
import { isStrongEtag } from '../engine/etag.js';
import type { Speculator } from '../prefetch/api.js';
import { SiblingPattern, type SiblingPlan } from '../prefetch/sibling-pattern.js';
import { SweptRows } from '../prefetch/swept-rows.js';
import { ARCHIVE_CLASSES } from './attributes.js';
import type { Freshness } from './freshness.js';
import type { FileNode, InodeTable } from './inode-table.js';
import type { KnownNames } from './known-names.js';
import type { ListingCache } from './listing-cache.js';
import type { ListingPage } from './listing-page.js';

/** Directories whose opens are followed; each may hold on to one or two listing pages of 100 kB. */
const DIRECTORIES_MAX = 64;
/** Files fetched ahead and not opened yet (about 500 bytes each beside their payload). */
const RESERVED_FILES_MAX = 8192;
/** Fetches started for one open: about 0.3 ms of the main thread. */
const STARTS_PER_OPEN = 8;
/** Listing pages of one directory whose opens are counted: 1,000 names each. */
const SWEPT_PAGES_MAX = 1024;
/** Rows looked at for one open of a sweep: most of them may have been open already. */
const ROWS_PER_OPEN = 128;
/** A file that nobody opened for this long makes way for others (guessed: a few training steps). */
const UNUSED_MS = 10_000;
/** Looks at the oldest reserved files when there is no room for another. */
const GIVE_UP_MAX = 16;

interface Position {
  readonly page: ListingPage;
  readonly row: number;
}

interface Followed {
  readonly key: string;
  readonly pattern: SiblingPattern;
  /** The furthest open in listing order, and its name for when the page is replaced. */
  furthest: Position | undefined;
  furthestName: string;
  /** The next row to fetch of those after the furthest open. */
  ahead: Position | undefined;
  /** Rows of each page that were opened, and those that a sweep has been over, by the page's serial. */
  readonly swept: Map<number, SweptRows>;
}

interface Reserved {
  readonly pattern: SiblingPattern;
  readonly sinceMs: number;
  readonly costBytes: number;
}

export interface SiblingsDeps {
  readonly table: InodeTable;
  readonly listings: ListingCache;
  readonly names: KnownNames;
  readonly freshness: Freshness;
  readonly speculator: Speculator;
}

export class Siblings {
  readonly #deps: SiblingsDeps;
  readonly #directories = new LRUCache<string, Followed>({ max: DIRECTORIES_MAX });
  /** Oldest first. */
  readonly #reserved = new Map<FileNode, Reserved>();
  #reservedBytes = 0;
  /** Files fetched ahead, and those of them that were opened. */
  started = 0;
  used = 0;

  constructor(deps: SiblingsDeps) {
    this.#deps = deps;
  }

  get reserved(): number {
    return this.#reserved.size;
  }

  /** The node has a handle now; `first` when it never had one before. */
  opened(node: FileNode, first: boolean): void {
    const expected = this.#release(node);
    if (expected) this.used++;
    if (!first || node.sizeBytes > BLOCK_BYTES || node.sizeBytes === 0) return;
    const nameAt = node.key.lastIndexOf('/') + 1;
    const followed = this.#follow(node.key.slice(0, nameAt));
    const plan = this.#note(followed, node.key.slice(nameAt), expected);
    if (!followed.furthest) return;
    // After the answer to this open, and to whatever else came with it.
    if (plan.aheadFiles > 0 || plan.sweepFiles > 0) soon(() => this.#start(followed, plan));
  }

  /** Gives up all that is reserved. */
  clear(): void {
    for (const node of [...this.#reserved.keys()]) this.#giveUp(node);
    this.#directories.clear();
  }

  #follow(key: string): Followed {
    let followed = this.#directories.get(key);
    if (!followed) {
      followed = {
        key,
        pattern: new SiblingPattern(),
        furthest: undefined,
        furthestName: '',
        ahead: undefined,
        swept: new Map(),
      };
      this.#directories.set(key, followed);
    }
    return followed;
  }

  #note(followed: Followed, name: string, expected: boolean): SiblingPlan {
    const { listings, freshness } = this.#deps;
    const page = listings.freshPageOf(followed.key, name);
    const row = page ? page.find(name) : -1;
    const step = page && row >= 0 ? rowsFrom(followed, page, row) : undefined;
    const plan = followed.pattern.note({ step, expected, nowMs: freshness.nowMs() });
    if (page && row >= 0) sweptRows(followed, page).opened(row);
    // Opens near the furthest but behind it are stragglers; any other open is where the reader is now.
    if (step === undefined || step > 0 || plan.aheadFiles === 0) {
      followed.furthest = page && row >= 0 ? { page, row } : undefined;
      followed.furthestName = name;
    }
    return plan;
  }

  #start(followed: Followed, plan: SiblingPlan): void {
    if (followed.furthest && plan.aheadFiles > 0) this.#startAhead(followed, followed.furthest, plan.aheadFiles);
    if (followed.furthest && plan.sweepFiles > 0) this.#sweep(followed, followed.furthest.page, plan.sweepFiles);
  }

  #startAhead(followed: Followed, furthest: Position, files: number): void {
    const { listings, speculator } = this.#deps;
    let rowsAhead = followed.ahead ? rowsBetween(furthest, followed.ahead) : undefined;
    let at = followed.ahead;
    if (!at || rowsAhead === undefined || rowsAhead < 1) {
      at = { page: furthest.page, row: furthest.row + 1 };
      rowsAhead = 1;
    }
    let bytesLeft = speculator.poolBytes / 4;
    for (let started = 0; rowsAhead <= files && started < STARTS_PER_OPEN && bytesLeft > 0; rowsAhead++) {
      if (at.row >= at.page.rows) {
        const next: ListingPage | undefined =
          at.page.endKey === undefined ? undefined : listings.pageAfter(followed.key, at.page.endKey);
        if (!next || next.rows === 0) break;
        at = { page: next, row: 0 };
      }
      const outcome = this.#tryStart(followed, at);
      if (outcome === 'full') break;
      if (outcome === 'started') started++;
      bytesLeft -= costBytes(at.page.sizeBytes(at.row));
      at = { page: at.page, row: at.row + 1 };
    }
    followed.ahead = at;
  }

  #sweep(followed: Followed, page: ListingPage, files: number): void {
    const rows = sweptRows(followed, page);
    let started = 0;
    for (let looks = 0; started < files && looks < ROWS_PER_OPEN; looks++) {
      const row = rows.next;
      if (row === undefined) return;
      const outcome = this.#tryStart(followed, { page, row });
      if (outcome === 'full') return;
      if (outcome === 'started') started++;
      rows.take();
    }
  }

  #tryStart(followed: Followed, { page, row }: Position): 'started' | 'skipped' | 'full' {
    const { table, names, freshness, speculator } = this.#deps;
    const listedBytes = page.sizeBytes(row);
    if (listedBytes === 0 || listedBytes > BLOCK_BYTES || page.isDirectory(row) || !page.isVisible(row))
      return 'skipped';
    if (!freshness.isFresh(page.sentAtMs)) return 'full';
    const head = page.head(row);
    const known = table.currentFile(head.key);
    if (known && (known.wasOpened || known.reserved)) return 'skipped';
    // Without a strong ETag nothing would tell the store which version is meant.
    if (!isStrongEtag(head.etag) || (ARCHIVE_CLASSES.has(head.storageClass) && !head.restored)) return 'skipped';
    const fact = names.fact(followed.key, page.name(row));
    if (fact && fact.sentAtMs >= page.sentAtMs && !(fact.kind === 'file' && fact.head.etag === head.etag))
      return 'skipped';
    const bytes = costBytes(head.sizeBytes);
    if (!this.#hasRoom(bytes)) return 'full';
    const node = table.fileOf(head, page.sentAtMs);
    const { nodeId, key, etag, sizeBytes } = node;
    // Something younger than the listing is known of the name.
    if (etag !== head.etag || sizeBytes !== head.sizeBytes) {
      table.discard(node);
      return 'skipped';
    }
    table.reserve(node);
    if (!speculator.speculate({ nodeId, key, etag, sizeBytes })) {
      table.unreserve(node);
      return 'full';
    }
    this.started++;
    this.#reserved.set(node, { pattern: followed.pattern, sinceMs: freshness.nowMs(), costBytes: bytes });
    this.#reservedBytes += bytes;
    return 'started';
  }

  /** Room for another file, made by giving up the oldest: those whose bytes are gone or that nobody wanted for long. */
  #hasRoom(bytes: number): boolean {
    const { freshness, speculator } = this.#deps;
    const fits = (): boolean =>
      this.#reserved.size < RESERVED_FILES_MAX && this.#reservedBytes + bytes <= speculator.poolBytes / 2;
    const nowMs = freshness.nowMs();
    for (let looks = 0; !fits() && looks < GIVE_UP_MAX; looks++) {
      const oldest = this.#reserved.entries().next().value;
      if (!oldest) break;
      const [node, { pattern, sinceMs }] = oldest;
      if (speculator.holds(node.nodeId) && node.current && nowMs - sinceMs < UNUSED_MS) return false;
      this.#giveUp(node);
      pattern.wasted(nowMs);
    }
    return fits();
  }

  #giveUp(node: FileNode): void {
    if (this.#release(node)) this.#deps.table.unreserve(node);
  }

  /** Takes the node off the list; false when it was not on it. One that is open or that the kernel knows needs no reservation to live. */
  #release(node: FileNode): boolean {
    const reserved = this.#reserved.get(node);
    if (!reserved) return false;
    this.#reserved.delete(node);
    this.#reservedBytes -= reserved.costBytes;
    if (node.opens > 0 || node.lookups > 0) this.#deps.table.unreserve(node);
    return true;
  }
}

function sweptRows({ swept }: Followed, page: ListingPage): SweptRows {
  let rows = swept.get(page.serial);
  if (!rows) {
    // Pages are replaced as they age: what is known of old ones is of no use.
    if (swept.size > SWEPT_PAGES_MAX) swept.clear();
    swept.set(page.serial, (rows = new SweptRows(page.rows)));
  }
  return rows;
}

/** Rows from the furthest open to this one: on its page, or on the page that follows; undefined when they are apart. */
function rowsFrom(followed: Followed, page: ListingPage, row: number): number | undefined {
  const { furthest, furthestName } = followed;
  if (furthest) {
    const rows = rowsBetween(furthest, { page, row });
    if (rows !== undefined) return rows;
  }
  // The page was listed anew, or only now.
  const found = furthestName === '' ? -1 : page.find(furthestName);
  return found >= 0 ? row - found : undefined;
}

function rowsBetween(from: Position, to: Position): number | undefined {
  if (from.page === to.page) return to.row - from.row;
  if (from.page.endKey !== undefined && from.page.endKey === to.page.startKey)
    return from.page.rows - from.row + to.row;
  return undefined;
}

/** What a file takes of the pool. */
function costBytes(sizeBytes: number): number {
  return sizeBytes <= SMALL_BYTES ? SMALL_BYTES : BLOCK_BYTES;
}
