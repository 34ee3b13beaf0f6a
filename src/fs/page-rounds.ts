/**
 * The pages of a directory whose store lists in no order, to see whether one comes twice: such a listing never ends. Where keys
 * come in order a page cannot: the lister leaves out what it had. Keeps two keys a page. Refuses to look at single names.
 */
import type { ListingPage } from './listing-page.js';

export class PageRounds {
  readonly #pages = new Map<string, ListingPage>();

  /** False when another page of the same names was here already, and more are said to come. */
  isNew(page: ListingPage): boolean {
    const { rows } = page;
    if (rows === 0 || page.isLast) return true;
    const names = `${rows}\0${page.key(0)}\0${page.key(rows - 1)}`;
    const known = this.#pages.get(names);
    this.#pages.set(names, page);
    return known === undefined || known === page;
  }
}
