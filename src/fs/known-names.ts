/**
 * Everything that is known about names, from single lookups and from listings, answered by one rule: the youngest fact
 * wins, and if that one is too old nobody knows. A fact `unknown` is one too: "what we learned before this moment
 * proved wrong", so that a stale listing cannot bring a replaced version back.
 * Bounded (lru-cache by count; listings by bytes in their own cache). Refuses to ask the store.
 */
import { LRUCache } from 'lru-cache';
import type { ObjectHead } from '../engine/api.js';
import type { Freshness } from './freshness.js';
import type { ListingCache } from './listing-cache.js';
import type { ListingPage } from './listing-page.js';

export type NameFact =
  | {
      readonly kind: 'file';
      readonly head: ObjectHead;
      readonly sentAtMs: number;
      /** The listing that says so, and where. */
      readonly page?: ListingPage;
      readonly row?: number;
    }
  | { readonly kind: 'directory'; readonly sentAtMs: number }
  | { readonly kind: 'none'; readonly sentAtMs: number }
  | { readonly kind: 'unknown'; readonly sentAtMs: number };

/** A fact that answers a lookup. */
export type KnownName = Exclude<NameFact, { kind: 'unknown' }>;

export class KnownNames {
  readonly #facts: LRUCache<string, NameFact>;
  readonly #listings: ListingCache;
  readonly #freshness: Freshness;

  constructor(
    options: { readonly factsMax: number },
    deps: { readonly listings: ListingCache; readonly freshness: Freshness },
  ) {
    this.#facts = new LRUCache({ max: options.factsMax });
    this.#listings = deps.listings;
    this.#freshness = deps.freshness;
  }

  get size(): number {
    return this.#facts.size;
  }

  /** What a lookup or a HEAD learned of the path (full key, no slash at the end). An older fact never replaces a younger. */
  record(path: string, fact: NameFact): void {
    const known = this.#facts.get(path);
    if (known && known.sentAtMs > fact.sentAtMs) return;
    this.#facts.set(path, fact);
  }

  /** All that was learned of the path until now is void. */
  distrust(path: string): void {
    this.#facts.set(path, { kind: 'unknown', sentAtMs: this.#freshness.nowMs() });
  }

  /** What single requests learned of the path, however old. */
  fact(path: string): NameFact | undefined {
    return this.#facts.get(path);
  }

  /**
   * The youngest fact about `name` in the directory, when it is fresh enough to answer with. `credited`: a request is
   * saved by it, which speaks for listing this directory again.
   */
  find(directoryKey: string, name: string, credited = false): KnownName | undefined {
    const listed: NameFact | undefined = this.#listings.find(directoryKey, name, credited);
    let fact = this.#facts.get(directoryKey + name);
    // At the same moment the single answer counts: it may be the distrust of what the listing said.
    if (!fact || (listed && listed.sentAtMs > fact.sentAtMs)) fact = listed;
    if (!fact || fact.kind === 'unknown') return undefined;
    const fresh =
      fact.kind === 'none' ? this.#freshness.isNegativeFresh(fact.sentAtMs) : this.#freshness.isFresh(fact.sentAtMs);
    return fresh ? fact : undefined;
  }

  clear(): void {
    this.#facts.clear();
  }
}
