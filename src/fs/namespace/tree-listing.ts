/**
 * All keys below a prefix, as the bucket has them: with markers, with keys that cannot be file names, whatever they are.
 * For operations on whole trees. Kept as the columns of their pages, 100 bytes a key; the next page travels while one is read.
 * Refuses to go beyond a bound that the caller names.
 */
import type { ObjectHead, ObjectStore } from '../../engine/api.js';
import { ColumnViews, headOfRow, sliceColumns, type ListColumns } from '../../engine/listing/columns.js';
import { ListingProgress } from '../../engine/listing/progress.js';

export class TreeListing {
  readonly prefix: string;
  readonly #pages: readonly ListColumns[];
  /** How many objects. */
  readonly size: number;

  constructor(prefix: string, pages: readonly ListColumns[]) {
    this.prefix = prefix;
    this.#pages = pages;
    this.size = pages.reduce((sum, { rows }) => sum + rows, 0);
  }

  *keys(): Generator<string> {
    for (const { key } of this.objects()) yield key;
  }

  /** In key order. */
  *objects(): Generator<ObjectHead> {
    for (const { buffer, rows, classNames } of this.#pages) {
      const views = new ColumnViews(buffer, rows);
      for (let row = 0; row < rows; row++) yield headOfRow(views, classNames, row, this.prefix);
    }
  }
}

/** The listing, or undefined when there are more than `keysMax`. Throws StoreError, EINTR. */
export async function listTree(
  store: ObjectStore,
  prefix: string,
  keysMax: number,
  signal: AbortSignal,
): Promise<TreeListing | undefined> {
  const pages: ListColumns[] = [];
  let keys = 0;
  const progress = new ListingProgress(prefix);
  let lastKey: string | undefined;
  let token: string | undefined;
  do {
    const answer = await store.list({ prefix, ...(token === undefined ? {} : { continuationToken: token }) }, signal);
    progress.took(answer);
    // Some stores begin a page with the key that the page before ended with.
    const isRepeated = answer.rows > 0 && answer.firstKey === lastKey;
    const page = isRepeated ? sliceColumns(answer, 1, answer.rows) : answer;
    lastKey = answer.lastKey ?? lastKey;
    keys += page.rows;
    if (keys > keysMax) return undefined;
    if (page.rows > 0) pages.push(page);
    token = page.nextToken;
  } while (token !== undefined);
  return new TreeListing(prefix, pages);
}
