/**
 * When to ask again, as a pure function: the fetch's record and a failure in, a decision out.
 * Full jitter between 0 and a doubling bound, so that a thousand clients that failed together do not come back together.
 * Attempts count only while they bring nothing: a connection that broke after a megabyte was worth having. So that a
 * server which drips one byte a connection cannot keep us busy for ever, all attempts together are bounded too.
 * While nobody is there at all (a store that restarts, behind a balancer or not, a link that is down) time counts and not
 * attempts: ten of those are over in as many seconds, and a job that dies of it costs more than one that waits. Who asked for
 * a number of attempts gets that number (`patienceMs` 0).
 */
import {
  CREDENTIAL_WAITS_MAX,
  OUTAGE_FORGOTTEN_MS,
  RETRY_AFTER_MAX_MS,
  UNREACHED_NEWCOMER_MS,
  UNREACHED_WAIT_MAX_MS,
} from './limits.js';
import type { Failure } from './failure.js';

/** What a fetch has behind it; the policy reads, the fetch keeps it. */
export interface AttemptRecord {
  /** Attempts in a row that brought no byte, the failed one included. */
  readonly fruitless: number;
  /** All attempts, the failed one included. */
  readonly total: number;
  readonly credentialWaits: number;
  readonly clockCorrections: number;
  /** Attempts in a row that found nobody, and since when. */
  readonly unreached: number;
  readonly unreachedMs: number;
  /** How long nobody has got an answer. */
  readonly outageMs: number;
}

export interface RetryBounds {
  /** So long nobody may be there before that is a failure; 0: such attempts count as any other. */
  readonly patienceMs: number;
  /** When nobody has been answered for so long, a silent attempt is the last: whoever comes then does not wait as long again. */
  readonly silenceMs: number;
  /** Attempts in a row without progress. */
  readonly maxAttempts: number;
  /** Attempts in all. */
  readonly totalMax: number;
  readonly backoffBaseMs: number;
  readonly backoffCapMs: number;
}

export type RetryDecision =
  | { readonly kind: 'again'; readonly waitMs: number }
  | { readonly kind: 'credentials' }
  | { readonly kind: 'clock' }
  | { readonly kind: 'giveUp' };

/** Counts the attempts in a row that found nobody. */
export class Unreached {
  #count = 0;
  #sinceMs = 0;

  /** Says whether the attempt is bounded by time, and not to be counted. */
  failed(failure: Failure, patienceMs: number, nowMs: number): boolean {
    if (failure.isUnreached !== true) this.reached();
    else if (this.#count++ === 0) this.#sinceMs = nowMs;
    return this.#count > 0 && patienceMs > 0;
  }

  /** There was an answer. */
  reached(): void {
    this.#count = 0;
  }

  record(nowMs: number): Pick<AttemptRecord, 'unreached' | 'unreachedMs'> {
    return { unreached: this.#count, unreachedMs: this.#count === 0 ? 0 : nowMs - this.#sinceMs };
  }
}

/**
 * Since when nobody gets an answer. What comes late to an outage waits less: one program's call is several requests behind
 * each other, and programs wait behind each other for a directory's lock.
 */
export class Outage {
  #sinceMs: number | undefined;
  #lastMs = 0;
  #answeredMs = -Infinity;

  /**
   * What an attempt that began at `sinceMs` on a connection is to be taken for. Where others were answered since, the store is
   * there, and whatever is wrong is wrong with this request: it is an attempt, or a body that somebody resets would be
   * sent for minutes.
   */
  judged(failure: Failure, sinceMs: number, nowMs: number): Failure {
    if (failure.isUnreached !== true) {
      if (failure.status !== 0) this.answered(nowMs);
      else if (failure.isSilent === true && this.#answeredMs <= sinceMs) this.failed(nowMs);
      return failure;
    }
    if (this.#answeredMs <= sinceMs) {
      this.failed(nowMs);
      return failure;
    }
    const { isUnreached: _others, ...counted } = failure;
    return counted;
  }

  failed(nowMs: number): void {
    if (this.#sinceMs === undefined || nowMs - this.#lastMs > OUTAGE_FORGOTTEN_MS) this.#sinceMs = nowMs;
    this.#lastMs = nowMs;
  }

  /** Somebody was. */
  answered(nowMs: number): void {
    this.#sinceMs = undefined;
    this.#answeredMs = nowMs;
  }

  ms(nowMs: number): number {
    return this.#sinceMs === undefined ? 0 : nowMs - this.#sinceMs;
  }
}

/** Attempts in all for a fetch of `blocks` blocks. */
export function attemptsTotalMax(maxAttempts: number, blocks: number): number {
  return maxAttempts * 8 + blocks;
}

/** `random` in [0, 1). */
export function decideRetry(
  record: AttemptRecord,
  failure: Failure,
  bounds: RetryBounds,
  random: number,
): RetryDecision {
  switch (failure.remedy) {
    case 'none':
      return { kind: 'giveUp' };
    case 'credentials':
      return record.credentialWaits < CREDENTIAL_WAITS_MAX ? { kind: 'credentials' } : { kind: 'giveUp' };
    case 'clock':
      return record.clockCorrections < 1 ? { kind: 'clock' } : { kind: 'giveUp' };
    case 'now':
      return { kind: 'again', waitMs: 0 };
    case 'backoff': {
      const asked = Math.min(failure.retryAfterMs ?? 0, RETRY_AFTER_MAX_MS);
      if (failure.isUnreached === true && bounds.patienceMs > 0) {
        const isLate = record.outageMs >= bounds.patienceMs && record.unreachedMs >= UNREACHED_NEWCOMER_MS;
        if (isLate || record.unreachedMs >= bounds.patienceMs) return { kind: 'giveUp' };
        const ceiling = Math.min(UNREACHED_WAIT_MAX_MS, bounds.backoffBaseMs * 2 ** (record.unreached - 1));
        return { kind: 'again', waitMs: asked + random * ceiling };
      }
      if (failure.isSilent === true && record.outageMs >= bounds.silenceMs) return { kind: 'giveUp' };
      if (record.fruitless >= bounds.maxAttempts || record.total >= bounds.totalMax) return { kind: 'giveUp' };
      // After progress the first try comes at once: the network moved a moment ago.
      if (record.fruitless === 0) return { kind: 'again', waitMs: asked };
      const ceiling = Math.min(bounds.backoffCapMs, bounds.backoffBaseMs * 2 ** (record.fruitless - 1));
      // Beyond what was asked for there is jitter too, or all who were told the same would come at the same time.
      return { kind: 'again', waitMs: asked + random * ceiling };
    }
  }
}
