/**
 * Files that the kernel knows only because a listing named them: nobody opened them, nothing is known of them but their row.
 * A node of such a file is its page and its row, plus four bytes that count lookups, so that `ls -l` of a million files
 * costs the pages' 100 bytes an entry and little else (as objects they took 400 more). Ids are given by page: row i of a
 * page has the page's first id plus i, so that an id finds its row by itself.
 * As soon as more than that happens to a file the table makes an object of it (inode-table.ts) and the row is spent.
 * Refuses to decide what is current, to count opens, and to give an id twice.
 */
import { invariant } from '../base/invariant.js';
import type { ListingPage } from './listing-page.js';

/** counts[row]: 0 = no node, SPENT = there was one, else lookups + 1. */
const SPENT = 0xffff_ffff;

/** A page of which so few nodes are left (one in eight) is not worth keeping for them: they become objects. */
const FEW = 8;
/** Pages below this size are kept as they are. */
const ROWS_MIN = 64;

export interface Slab {
  readonly page: ListingPage;
  readonly firstNodeId: number;
  readonly counts: Uint32Array;
  /** When a later listing saw the version again; made when the first does. */
  seenAtMs: Float64Array | undefined;
  /** Nodes that live, and the most that ever did. */
  live: number;
  peak: number;
}

export class ListedFiles {
  /** By first id, ascending. */
  #slabs: Slab[] = [];
  readonly #byPage = new Map<number, Slab>();
  #size = 0;
  #bytes = 0;

  /** Nodes. */
  get size(): number {
    return this.#size;
  }

  /** Bytes of their pages (which the listing cache may hold too) and counts. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The slab of a node that lives, undefined for all other ids. Its row is `nodeId - firstNodeId`. */
  slabOf(nodeId: number): Slab | undefined {
    let low = 0;
    let high = this.#slabs.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const slab = this.#slabs[middle];
      if (!slab || nodeId < slab.firstNodeId) high = middle - 1;
      else if (nodeId >= slab.firstNodeId + slab.counts.length) low = middle + 1;
      else {
        const count = slab.counts[nodeId - slab.firstNodeId] ?? 0;
        return count === 0 || count === SPENT ? undefined : slab;
      }
    }
    return undefined;
  }

  /** Ids of all nodes whose key begins with `prefix`. */
  below(prefix: string): number[] {
    const ids: number[] = [];
    for (const { page, counts, firstNodeId } of this.#slabs) {
      const { directoryKey } = page;
      if (!directoryKey.startsWith(prefix) && !prefix.startsWith(directoryKey)) continue;
      for (let row = 0; row < counts.length; row++) {
        const count = counts[row] ?? 0;
        if (count === 0 || count === SPENT) continue;
        if (directoryKey.startsWith(prefix) || (directoryKey + page.name(row)).startsWith(prefix))
          ids.push(firstNodeId + row);
      }
    }
    return ids;
  }

  slabOfPage(page: ListingPage): Slab | undefined {
    return this.#byPage.get(page.serial);
  }

  /** Ids `firstNodeId` to `firstNodeId + page.rows - 1` are the page's from now on; they are greater than all before. */
  open(page: ListingPage, firstNodeId: number): Slab {
    const counts = new Uint32Array(page.rows);
    const slab: Slab = { page, firstNodeId, counts, seenAtMs: undefined, live: 0, peak: 0 };
    this.#slabs.push(slab);
    this.#byPage.set(page.serial, slab);
    this.#bytes += page.bytes + counts.byteLength;
    return slab;
  }

  /** Begins a node without lookups; false when the row had one that is no more. */
  begin(slab: Slab, row: number): boolean {
    if (slab.counts[row] !== 0) return false;
    slab.counts[row] = 1;
    slab.peak = Math.max(slab.peak, ++slab.live);
    this.#size++;
    return true;
  }

  remember(slab: Slab, row: number): void {
    slab.counts[row] = (slab.counts[row] ?? 0) + 1;
  }

  lookups(slab: Slab, row: number): number {
    return (slab.counts[row] ?? 1) - 1;
  }

  /** Takes `count` lookups away; false when there were not so many. */
  forget(slab: Slab, row: number, count: number): boolean {
    const before = this.lookups(slab, row);
    slab.counts[row] = Math.max(0, before - count) + 1;
    return before >= count;
  }

  /** The node is no more here; `spent` when the kernel has heard of its id. True when few of the page are left. */
  end(slab: Slab, row: number, spent: boolean): boolean {
    invariant((slab.counts[row] ?? 0) > 0 && slab.counts[row] !== SPENT, 'a listed node ends once');
    slab.counts[row] = spent ? SPENT : 0;
    slab.live--;
    this.#size--;
    if (slab.live === 0) {
      this.#close(slab);
      return false;
    }
    if (slab.peak < ROWS_MIN || slab.live * FEW >= slab.peak) return false;
    // Said once.
    slab.peak = 0;
    return true;
  }

  seen(slab: Slab, row: number): number {
    return slab.seenAtMs?.[row] ?? slab.page.sentAtMs;
  }

  seenAgain(slab: Slab, row: number, sentAtMs: number): void {
    if (sentAtMs <= this.seen(slab, row)) return;
    if (!slab.seenAtMs) {
      slab.seenAtMs = new Float64Array(slab.counts.length).fill(slab.page.sentAtMs);
      this.#bytes += slab.seenAtMs.byteLength;
    }
    slab.seenAtMs[row] = sentAtMs;
  }

  #close(slab: Slab): void {
    this.#byPage.delete(slab.page.serial);
    this.#slabs = this.#slabs.filter((other) => other !== slab);
    this.#bytes -= slab.page.bytes + slab.counts.byteLength + (slab.seenAtMs?.byteLength ?? 0);
  }
}
