/**
 * What one net thread asked the store and how it ended, by operation: totals since the mount began and how long the good
 * answers took. Costs two additions and a logarithm a request, which takes a millisecond at the very least.
 * Attempts are counted, not errands: repetitions, hedges and what was cancelled are requests as the store sees (and bills)
 * them. Refuses keys and prefixes: its size does not depend on what is in the bucket.
 *
 * Thread: a net thread; a state is plain data.
 */
import { LatencyHistogram, type HistogramState } from '../../base/latency-histogram.js';

/** What a request does. `copy` is a PUT that copies (of an object or a part); `post` begins and ends uploads. */
export const STORE_OPERATIONS = ['get', 'head', 'list', 'put', 'post', 'copy', 'delete'] as const;
export type StoreOperation = (typeof STORE_OPERATIONS)[number];

/**
 * How an attempt ended: with what was asked for; a 4xx (or another answer that is no error of the store); a request to ask
 * less (503, 429); another 5xx; a good answer that broke or was not what was asked for; nothing; or we gave it up.
 */
export const STORE_OUTCOMES = [
  'ok',
  'refused',
  'slow_down',
  'server_error',
  'broken',
  'no_answer',
  'cancelled',
] as const;
export type StoreOutcome = (typeof STORE_OUTCOMES)[number];

/** Totals since the mount began. Operations and outcomes that never were are left out. */
export interface LedgerState {
  readonly requests: Readonly<Partial<Record<StoreOperation, Readonly<Partial<Record<StoreOutcome, number>>>>>>;
  /** From a request's beginning to the end of its good answer. */
  readonly durations: Readonly<Partial<Record<StoreOperation, HistogramState>>>;
}

export const EMPTY_LEDGER: LedgerState = { requests: {}, durations: {} };

/** `status` 0: there was no answer. */
export function outcomeOf(status: number, isGood: boolean): StoreOutcome {
  if (isGood) return 'ok';
  if (status === 0) return 'no_answer';
  if (status === 503 || status === 429) return 'slow_down';
  if (status >= 500) return 'server_error';
  return status >= 300 ? 'refused' : 'broken';
}

export class RequestLedger {
  readonly #requests = new Map<StoreOperation, Map<StoreOutcome, number>>();
  readonly #durations = new Map<StoreOperation, LatencyHistogram>();

  /** An attempt is over, so long after it began. */
  ended(operation: StoreOperation, outcome: StoreOutcome, tookMs: number): void {
    let outcomes = this.#requests.get(operation);
    if (outcomes === undefined) this.#requests.set(operation, (outcomes = new Map<StoreOutcome, number>()));
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    if (outcome !== 'ok') return;
    let durations = this.#durations.get(operation);
    if (durations === undefined) this.#durations.set(operation, (durations = new LatencyHistogram()));
    durations.add(tookMs);
  }

  get state(): LedgerState {
    return {
      requests: Object.fromEntries([...this.#requests].map(([name, counts]) => [name, Object.fromEntries(counts)])),
      durations: Object.fromEntries([...this.#durations].map(([name, histogram]) => [name, histogram.state])),
    };
  }
}

/** What several threads counted, as one. */
export function addLedgers(all: readonly LedgerState[]): LedgerState {
  const requests: Partial<Record<StoreOperation, Partial<Record<StoreOutcome, number>>>> = {};
  const durations: Partial<Record<StoreOperation, HistogramState>> = {};
  for (const operation of STORE_OPERATIONS) {
    const outcomes: Partial<Record<StoreOutcome, number>> = {};
    for (const ledger of all) {
      for (const outcome of STORE_OUTCOMES) {
        const count = ledger.requests[operation]?.[outcome];
        if (count !== undefined) outcomes[outcome] = (outcomes[outcome] ?? 0) + count;
      }
      const took = ledger.durations[operation];
      if (took !== undefined) durations[operation] = addHistograms(durations[operation], took);
    }
    if (Object.keys(outcomes).length > 0) requests[operation] = outcomes;
  }
  return { requests, durations };
}

function addHistograms(one: HistogramState | undefined, other: HistogramState): HistogramState {
  if (one === undefined) return other;
  return {
    counts: one.counts.map((count, bucket) => count + (other.counts[bucket] ?? 0)),
    sumMs: one.sumMs + other.sumMs,
  };
}
