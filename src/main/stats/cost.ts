/**
 * What the requests of a mount cost so far, about: counts times a price list. An estimate for people who wonder whether
 * a job that lists a million keys is expensive; the bill is the provider's. Storage, transfer out, KMS, data-retrieval
 * and per-gigabyte fees (S3 Express) are not in it.
 *
 * What counts: every attempt that got an answer, repetitions and hedges included, but 5xx answers, which S3 does not bill
 * (docs of S3 pricing: "no charge for 5xx"). Attempts without an answer count, for the store may have done them; what we
 * gave up after sending it counts too. What the AWS SDK asks at the start (bucket, region, credentials) is not counted:
 * a handful of requests.
 * Pure. Refuses to fetch prices: a list with its date is honest, a guess about today's is not.
 */
import {
  STORE_OPERATIONS,
  type LedgerState,
  type StoreOperation,
  type StoreOutcome,
} from '../../engine/net/request-ledger.js';

/** Price of one request of each kind, in `currency`. */
export interface PriceList {
  /** What it is of and where it is from, for people. */
  readonly name: string;
  /** Day of the list, ISO. */
  readonly date: string;
  /** Three letters. */
  readonly currency: string;
  readonly perThousand: Readonly<Record<StoreOperation, number>>;
}

/** Amazon S3 Standard, us-east-1 (most regions are within a fifth of it). */
export const S3_STANDARD_PRICES: PriceList = {
  name: 'Amazon S3 Standard, us-east-1',
  date: '2025-06-01',
  currency: 'USD',
  perThousand: { get: 0.0004, head: 0.0004, list: 0.005, put: 0.005, post: 0.005, copy: 0.005, delete: 0 },
};

/** Amazon S3 Express One Zone, us-east-1, since its prices fell in April 2025. */
export const S3_EXPRESS_PRICES: PriceList = {
  name: 'Amazon S3 Express One Zone, us-east-1',
  date: '2025-06-01',
  currency: 'USD',
  perThousand: { get: 0.00003, head: 0.00003, list: 0.00113, put: 0.00113, post: 0.00113, copy: 0.00113, delete: 0 },
};

/** What is not in an estimate, for whoever shows one. */
export const NOT_IN_COST = 'requests only: no storage, transfer, KMS or per-GB fees';

/** Outcomes that a store bills, as far as we know. */
const BILLED: readonly StoreOutcome[] = ['ok', 'refused', 'broken', 'no_answer', 'cancelled'];

export interface CostEstimate {
  readonly total: number;
  readonly currency: string;
  readonly byOperation: Readonly<Partial<Record<StoreOperation, { readonly requests: number; readonly cost: number }>>>;
  readonly prices: Pick<PriceList, 'name' | 'date'>;
}

export function estimateCost(requests: LedgerState['requests'], prices: PriceList): CostEstimate {
  const byOperation: Partial<Record<StoreOperation, { requests: number; cost: number }>> = {};
  let total = 0;
  for (const operation of STORE_OPERATIONS) {
    const outcomes = requests[operation];
    if (outcomes === undefined) continue;
    const count = BILLED.reduce((sum, outcome) => sum + (outcomes[outcome] ?? 0), 0);
    const cost = (count * prices.perThousand[operation]) / 1000;
    byOperation[operation] = { requests: count, cost };
    total += cost;
  }
  return { total, currency: prices.currency, byOperation, prices: { name: prices.name, date: prices.date } };
}
