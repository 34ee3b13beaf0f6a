/**
 * Does a listing that is read by tokens come to an end? S3's does; of other stores some give the same page, or nothing, for ever.
 * One of these watches one listing, answer by answer, and throws when it goes round: the same token again with nothing new, the
 * same keys again, or empty pages without end. Keys that come in order cost a comparison a page and no memory.
 * Refuses to judge what overlaps a little and goes on: who reads keys leaves out those that he had.
 */
import { EIO } from '../../base/errno.js';
import { StoreError } from '../store-error.js';
import type { ListColumns } from './columns.js';

/** Pages of deleted versions may be empty, one after the other. */
const EMPTY_PAGES_MAX = 1_000;

type Answer = Pick<ListColumns, 'rows' | 'keys' | 'firstKey' | 'lastKey' | 'nextToken' | 'isSorted'>;

export class ListingProgress {
  readonly #prefix: string;
  #token: string | undefined;
  #lastKey: Buffer | undefined;
  #empty = 0;
  readonly #seen = new Set<string>();

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  /** Call with each answer. Throws StoreError when the next would bring nothing new. */
  took({ rows, keys, firstKey = '', lastKey = '', nextToken, isSorted }: Answer): void {
    if (nextToken === undefined) return;
    const isSameToken = nextToken === this.#token;
    this.#token = nextToken;
    if (keys === 0) {
      if (isSameToken || ++this.#empty >= EMPTY_PAGES_MAX) throw endlessListing(this.#prefix, 'empty pages');
      return;
    }
    this.#empty = 0;
    if (isSorted && (this.#lastKey === undefined || this.#lastKey.compare(Buffer.from(firstKey)) < 0)) {
      this.#lastKey = Buffer.from(lastKey);
      return;
    }
    const keysOfIt = `${rows}\0${firstKey}\0${lastKey}`;
    if (isSameToken || this.#seen.has(keysOfIt)) throw endlessListing(this.#prefix, 'the same keys again');
    this.#seen.add(keysOfIt);
  }
}

export function endlessListing(prefix: string, what: string): StoreError {
  return new StoreError({
    errno: EIO,
    code: 'EndlessListing',
    status: 200,
    resource: prefix,
    message: `the listing of '${prefix}' does not end: the store gives ${what} and says that there is more`,
    remedy: 'check the store, or what stands before it: ListObjectsV2 must go on after its NextContinuationToken',
  });
}
