/**
 * Everything that is known about names, from single lookups, from listings and from our own changes, answered by one rule:
 * the youngest fact wins, and if that one is too old nobody knows. A fact `unknown` is one too: "what we learned before this
 * moment proved wrong", so that a stale listing cannot bring a replaced version back. An own change counts from its answer
 * on and wins over whatever was asked before that moment, however late it arrives.
 * Bounded (lru-cache by count; listings by bytes in their own cache). Refuses to ask the store.
 */
import { LRUCache } from 'lru-cache';
import type { ObjectHead } from '../engine/api.js';
import type { Freshness } from './freshness.js';
import type { ListingCache } from './listing-cache.js';
import type { ListingPage } from './listing-page.js';
import type { OwnChanges } from './namespace/own-changes.js';

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
  readonly #changes: OwnChanges;

  constructor(
    options: { readonly factsMax: number },
    deps: { readonly listings: ListingCache; readonly freshness: Freshness; readonly changes: OwnChanges },
  ) {
    this.#facts = new LRUCache({ max: options.factsMax });
    this.#listings = deps.listings;
    this.#freshness = deps.freshness;
    this.#changes = deps.changes;
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

  /** What single requests and our own changes say of the name, however old: the youngest, without listings. */
  fact(directoryKey: string, name: string): NameFact | undefined {
    return this.#youngest(directoryKey, name, this.#facts.get(directoryKey + name));
  }

  /**
   * What is known of the name beside `answer`, which a request just brought: the answer itself when it stands, or what is
   * younger, however old that is by now; undefined when the answer says nothing and nothing else is known.
   */
  judge(directoryKey: string, name: string, answer: KnownName): KnownName | undefined {
    const single = this.#facts.get(directoryKey + name);
    const fact = this.#youngest(directoryKey, name, single && single.sentAtMs > answer.sentAtMs ? single : answer);
    return fact?.kind === 'unknown' ? undefined : fact;
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
    fact = this.#youngest(directoryKey, name, fact);
    if (!fact || fact.kind === 'unknown') return undefined;
    const fresh =
      fact.kind === 'none' ? this.#freshness.isNegativeFresh(fact.sentAtMs) : this.#freshness.isFresh(fact.sentAtMs);
    return fresh ? fact : undefined;
  }

  /** The younger of `fact` and our own change; what a floor voids is no fact. */
  #youngest(directoryKey: string, name: string, fact: NameFact | undefined): NameFact | undefined {
    const changes = this.#changes;
    if (changes.isEmpty) return fact;
    const own = changes.find(directoryKey, name);
    let youngest: NameFact | undefined = fact;
    if (own && (!fact || own.sentAtMs >= fact.sentAtMs)) youngest = own;
    else if (fact && fact.sentAtMs <= changes.floorMs(directoryKey)) youngest = undefined;
    if (youngest?.kind === 'directory') return youngest;
    // Somebody else may have emptied a directory in which we then put something.
    const existedAtMs = changes.existedAtMs(`${directoryKey}${name}/`);
    if (existedAtMs === -Infinity || existedAtMs < (youngest?.sentAtMs ?? -Infinity)) return youngest;
    return { kind: 'directory', sentAtMs: existedAtMs };
  }

  clear(): void {
    this.#facts.clear();
  }
}
