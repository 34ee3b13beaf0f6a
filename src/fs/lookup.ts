/**
 * From a name in a directory to what it is: answered from what is known while that is fresh, else by asking whether the
 * object exists (HEAD) and what is below it (LIST), both at once; the directory wins. The LIST brings a whole page, so that
 * the lookups in that directory which most often follow need no request (measured at 20 ms: open and first byte of
 * `dir/file` on a mount that knows nothing 72 ms with two round trips of 27, a third is saved).
 * The same question asked twice at the same time is one question. Every miss is told to the background listing, which
 * makes the next ones hits. Refuses to make nodes: it answers facts, and who counts lookups makes entries of them.
 */
import { EACCES, ErrnoError } from '../base/errno.js';
import type { ObjectHead, ObjectStore } from '../engine/api.js';
import { ListingProgress } from '../engine/listing/progress.js';
import type { BackgroundLister } from './background-lister.js';
import type { FaultLog } from './fault-log.js';
import type { Freshness } from './freshness.js';
import { couldBeKey } from './keymap.js';
import type { KnownName, KnownNames } from './known-names.js';
import type { Lister, PagePosition } from './lister.js';
import type { ListingCache } from './listing-cache.js';
import type { FileSystemLimits } from './limits.js';
import type { KeptDirectories } from './namespace/kept-directories.js';
import { SingleFlight } from './single-flight.js';

export interface LookupDeps {
  readonly store: ObjectStore;
  readonly names: KnownNames;
  readonly lister: Lister;
  readonly listings: ListingCache;
  readonly background: BackgroundLister;
  readonly freshness: Freshness;
  readonly limits: FileSystemLimits;
  readonly faults: FaultLog;
  readonly kept: KeptDirectories;
}

/** Given without a request for names that no key can have: true for ever, so it never ages. */
const NEVER: KnownName = { kind: 'none', sentAtMs: Infinity };

/** A question is asked again this often when, each time, what was learned meanwhile voids the answer. */
const ATTEMPTS_MAX = 3;

export class Lookup {
  readonly #deps: LookupDeps;
  readonly #flights = new SingleFlight<KnownName>();
  /** Lookups answered from what was known, and those that asked the store. */
  hits = 0;
  misses = 0;

  constructor(deps: LookupDeps) {
    this.#deps = deps;
  }

  /** A fact that can be given at once, or undefined: then `ask`. */
  known(directoryKey: string, name: string): KnownName | undefined {
    if (!couldBeKey(directoryKey, name)) return NEVER;
    const fact = this.#deps.names.find(directoryKey, name, true);
    if (!fact) return undefined;
    this.hits++;
    return this.#orKept(directoryKey, name, fact);
  }

  /** Where the store has nothing there may be a directory that we emptied. */
  #orKept(directoryKey: string, name: string, fact: KnownName): KnownName {
    if (fact.kind !== 'none' || !this.#deps.kept.has(`${directoryKey}${name}/`)) return fact;
    return { kind: 'directory', sentAtMs: fact.sentAtMs };
  }

  /** Asks the store. Throws what it threw, or EINTR when `signal` aborts (others who asked the same go on). */
  async ask(directoryKey: string, name: string, signal: AbortSignal): Promise<KnownName> {
    const { names, freshness } = this.#deps;
    this.misses++;
    const path = directoryKey + name;
    const askedAtMs = freshness.nowMs();
    for (let attempt = 1; ; attempt++) {
      const startedAtMs = this.#flights.startedAtMs(path);
      const joinable =
        startedAtMs !== undefined &&
        freshness.isFresh(startedAtMs) &&
        // It may say that the name does not exist, which may have to be younger.
        freshness.isNegativeFresh(startedAtMs) &&
        this.#stands(directoryKey, name, startedAtMs);
      const answer = await this.#flights.join(
        path,
        freshness.nowMs(),
        signal,
        (abort) => this.#fetch(directoryKey, name, abort),
        joinable,
      );
      // Something younger may have arrived meanwhile; the youngest counts. None of it need be fresh any more: a store
      // slower than the TTL still gets its answer through, once.
      const youngest = names.find(directoryKey, name);
      if (youngest) return this.#orKept(directoryKey, name, youngest);
      // A read that found the object replaced, or a change of our own, may have proved it wrong since.
      const fact = names.judge(directoryKey, name, answer);
      // Was it young enough when this caller asked? What it came from may have been under way for others since long.
      const sentAtMs = fact?.sentAtMs ?? -Infinity;
      const young =
        fact?.kind === 'none' ? freshness.isNegativeFresh(sentAtMs, askedAtMs) : freshness.isFresh(sentAtMs, askedAtMs);
      if (attempt >= ATTEMPTS_MAX || (fact && young)) return this.#orKept(directoryKey, name, fact ?? answer);
    }
  }

  /** Would an answer to a request sent then still count? */
  #stands(directoryKey: string, name: string, sentAtMs: number): boolean {
    const answer: KnownName = { kind: 'none', sentAtMs };
    return this.#deps.names.judge(directoryKey, name, answer) === answer;
  }

  abortAll(): void {
    this.#flights.abortAll();
  }

  async #fetch(directoryKey: string, name: string, signal: AbortSignal): Promise<KnownName> {
    const { store, background, freshness, faults } = this.#deps;
    const path = directoryKey + name;
    // Before this miss may start another. A page that was asked for before the name was found changed is of no use.
    const isDistrusted = this.#deps.names.fact(directoryKey, name)?.kind === 'unknown';
    const position = isDistrusted ? undefined : background.pending(directoryKey, name);
    background.missed(directoryKey, name);
    const listed = position && (await this.#fromPending(directoryKey, name, position, signal));
    if (listed) return listed;
    const headAtMs = freshness.nowMs();
    const headAbort = new AbortController();
    const abortHead = (): void => headAbort.abort();
    signal.addEventListener('abort', abortHead, { once: true });
    // The LIST first: it leaves at once, while the SDK's first HEAD takes 9 ms of this thread (measured).
    const keys = settle(this.#hasKeysBelow(`${path}/`, signal));
    const head = settle(store.head(path, headAbort.signal));
    try {
      const below = await keys;
      if (below.value?.any) {
        abortHead();
        return this.#learned(path, { kind: 'directory', sentAtMs: below.value.sentAtMs });
      }
      // The LIST may have been under way for somebody else already: a fact is as old as the older of its two answers.
      const sentAtMs = Math.min(headAtMs, below.value?.sentAtMs ?? headAtMs);
      const object: Settled<ObjectHead | undefined> = await head;
      if (below.error !== undefined && !(isDenied(below.error) && object.value !== undefined)) throw below.error;
      // Without permission to list, an object that can be read is still a file: there is no directory to be seen.
      if (object.error !== undefined) throw object.error;
      return this.#learned(
        path,
        object.value ? { kind: 'file', head: object.value, sentAtMs } : { kind: 'none', sentAtMs },
      );
    } catch (error) {
      faults.report('lookup', path, error);
      throw error;
    } finally {
      signal.removeEventListener('abort', abortHead);
    }
  }

  /**
   * What the page says that is on its way already: sixteen threads that begin an epoch look up sixteen names before the
   * first listing is there, and would ask for each twice. When it does not speak of the name, one round trip is lost.
   */
  async #fromPending(
    directoryKey: string,
    name: string,
    position: PagePosition,
    signal: AbortSignal,
  ): Promise<KnownName | undefined> {
    const { lister, names } = this.#deps;
    try {
      await lister.page(directoryKey, position, signal);
    } catch (error) {
      if (signal.aborted) throw error;
      // Who asks for the name itself may be told more.
    }
    return names.find(directoryKey, name, true);
  }

  #learned(path: string, fact: KnownName): KnownName {
    this.#deps.names.record(path, fact);
    return fact;
  }

  /** Is there any key that begins with `prefix`, as of when? What there is goes into the listing cache. */
  async #hasKeysBelow(prefix: string, signal: AbortSignal): Promise<{ any: boolean; sentAtMs: number }> {
    const { store, lister, listings, limits, freshness } = this.#deps;
    if (!listings.wasUseless(prefix)) {
      const { keys, sentAtMs } = await lister.first(prefix, signal);
      return { any: keys > 0, sentAtMs };
    }
    const sentAtMs = freshness.nowMs();
    // A large directory whose first page answered nothing: one key tells as much, and sooner.
    let token: string | undefined;
    const progress = new ListingProgress(prefix);
    for (let page = 0; page <= limits.emptyPagesMax; page++) {
      const listed = await store.list(
        { prefix, delimiter: '/', keysMax: 1, ...(token !== undefined ? { continuationToken: token } : {}) },
        signal,
      );
      if (listed.keys > 0) return { any: true, sentAtMs };
      if (listed.nextToken === undefined) return { any: false, sentAtMs };
      progress.took(listed);
      token = listed.nextToken;
    }
    return { any: false, sentAtMs };
  }
}

interface Settled<T> {
  readonly value?: T;
  readonly error?: Error;
}

/** Waits for both of two requests without an unhandled rejection of the one that is looked at later. */
async function settle<T>(work: Promise<T>): Promise<Settled<T>> {
  try {
    return { value: await work };
  } catch (error) {
    return { error: error instanceof Error ? error : new Error(String(error)) };
  }
}

function isDenied(error: Error): boolean {
  return error instanceof ErrnoError && error.errno === EACCES;
}
