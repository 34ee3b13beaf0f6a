/**
 * Credentials for weeks: cached, renewed in the background before they end, one load at a time.
 * Both planes ask here: the SDK before each call, the net threads through `onChange`. A renewal that fails keeps what is
 * still good and tries again with growing waits; only when the old ones have ended does `current` throw.
 * Knows nothing of where credentials come from (see chain.ts), so a test turns the clock and hands out its own.
 *
 * Bounds: one load under way, one timer, no queue. Refuses to reload more often than every RELOAD_GAP_MS, however often
 * the store says no.
 */
import { EACCES } from '../../base/errno.js';
import type { Clock, Timer } from '../../base/clock.js';
import type { Log } from '../../base/log.js';
import { messageOf } from '../../base/thrown.js';
import type { DataCredentials } from '../api.js';
import { StoreError } from '../store-error.js';

/** Renew this long before the end, plus up to as much again by chance, so that a fleet does not renew at once. */
const LEAD_MS = 5 * 60_000;
/** Not used in the last moments: a request signed now may arrive later. */
const MARGIN_MS = 5_000;
/** Wait after a failed renewal, doubled up to the most; the true wait is a random half to whole of it. */
const RETRY_FIRST_MS = 5_000;
const RETRY_MOST_MS = 60_000;
/** The store says no to what we just loaded: loading again at once would only hammer the provider. */
const RELOAD_GAP_MS = 5_000;
/**
 * The longest single timer. A suspended machine's monotonic clock stands still, and Node's timers end at 24 days; waking
 * this often and looking at the wall clock costs nothing.
 */
const NAP_MOST_MS = 10 * 60_000;

/** What a chain found, and where. */
export interface LoadedCredentials {
  readonly credentials: DataCredentials;
  /** 'environment', "profile 'x'", ... for the log. */
  readonly origin: string;
}

export interface CredentialSource {
  /** Good credentials, undefined for anonymous access. Throws StoreError when there are none. */
  current(): Promise<DataCredentials | undefined>;
  /** Called after each change with the new ones. Returns the function that stops it. */
  onChange(listener: (credentials: DataCredentials | undefined) => void): () => void;
  /** The store refused the current ones (`reason` is its code): load again. True when they are different now. Never throws. */
  refresh(reason: string): Promise<boolean>;
  /** Somebody says that there are other ones now: load again. True when they are different. Throws StoreError when there are none. */
  reload(): Promise<boolean>;
  /** Where the current ones came from; 'anonymous', or 'none' before the first load. */
  origin(): string;
  close(): void;
}

/** When to renew and how often, instead of the constants above. */
export interface SourceTiming {
  readonly reloadGapMs: number;
  readonly marginMs: number;
  readonly retryFirstMs: number;
  readonly retryMostMs: number;
}

const TIMING: SourceTiming = {
  reloadGapMs: RELOAD_GAP_MS,
  marginMs: MARGIN_MS,
  retryFirstMs: RETRY_FIRST_MS,
  retryMostMs: RETRY_MOST_MS,
};

export interface SourceDeps {
  readonly clock: Clock;
  readonly log: Log;
  /** 0 <= n < 1 */
  readonly random?: () => number;
  /** Default: what suits credentials of an hour and more. */
  readonly timing?: SourceTiming;
  /** Renewals are too many to be told: debug lines. */
  readonly isBusy?: boolean;
}

/** No credentials, on purpose (--no-sign-request). */
export const anonymousCredentials: CredentialSource = {
  current: () => Promise.resolve(undefined),
  onChange: () => () => undefined,
  refresh: () => Promise.resolve(false),
  reload: () => Promise.resolve(false),
  origin: () => 'anonymous',
  close: () => undefined,
};

export class RefreshingCredentials implements CredentialSource {
  readonly #load: () => Promise<LoadedCredentials>;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #random: () => number;
  readonly #timing: SourceTiming;
  readonly #renewalLevel: 'info' | 'debug';
  readonly #listeners = new Set<(credentials: DataCredentials | undefined) => void>();
  #value: LoadedCredentials | undefined;
  #loadedAtMs = -Infinity;
  #loading: Promise<LoadedCredentials> | undefined;
  #timer: Timer | undefined;
  #failures = 0;
  #closed = false;

  /** `load` runs the chain; it has its own time limit. */
  constructor(load: () => Promise<LoadedCredentials>, deps: SourceDeps) {
    this.#load = load;
    this.#clock = deps.clock;
    this.#log = deps.log;
    this.#random = deps.random ?? Math.random;
    this.#timing = deps.timing ?? TIMING;
    this.#renewalLevel = deps.isBusy === true ? 'debug' : 'info';
  }

  async current(): Promise<DataCredentials | undefined> {
    const value = this.#value;
    if (value !== undefined && !this.#hasEnded(value)) return value.credentials;
    return (await this.#reload()).credentials;
  }

  onChange(listener: (credentials: DataCredentials | undefined) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async refresh(reason: string): Promise<boolean> {
    const before = this.#value?.credentials;
    if (this.#loading === undefined && this.#clock.nowMs() - this.#loadedAtMs < this.#timing.reloadGapMs) return false;
    this.#log.info({ reason, origin: this.origin() }, 'the store refused the credentials, loading them again');
    try {
      const after = (await this.#reload()).credentials;
      return !isSame(before, after);
    } catch {
      // #reload has logged it; what we had stays in use until it ends.
      return false;
    }
  }

  async reload(): Promise<boolean> {
    const before = this.#value?.credentials;
    return !isSame(before, (await this.#reload()).credentials);
  }

  origin(): string {
    return this.#value?.origin ?? 'none';
  }

  close(): void {
    this.#closed = true;
    this.#timer?.cancel();
    this.#listeners.clear();
  }

  #hasEnded(value: LoadedCredentials): boolean {
    const endsMs = value.credentials.expiresAtMs;
    return endsMs !== undefined && this.#clock.wallMs() >= endsMs - this.#timing.marginMs;
  }

  #reload(): Promise<LoadedCredentials> {
    this.#loading ??= this.#loadOnce().finally(() => {
      this.#loading = undefined;
    });
    return this.#loading;
  }

  async #loadOnce(): Promise<LoadedCredentials> {
    try {
      const loaded = await this.#load();
      this.#loadedAtMs = this.#clock.nowMs();
      if (this.#hasEnded(loaded)) throw endedError(loaded);
      this.#failures = 0;
      this.#accept(loaded);
      this.#schedule(this.#renewalWaitMs(loaded));
      return loaded;
    } catch (error) {
      this.#loadedAtMs = this.#clock.nowMs();
      this.#failures++;
      const value = this.#value;
      if (value === undefined) throw error;
      const usable = !this.#hasEnded(value);
      const why = messageOf(error);
      this.#log[usable ? 'warn' : 'error'](
        { origin: value.origin, failures: this.#failures, why },
        usable
          ? 'credentials could not be renewed, using those that are still good'
          : 'credentials ended and could not be renewed',
      );
      this.#schedule(this.#retryWaitMs());
      throw error;
    }
  }

  #accept(loaded: LoadedCredentials): void {
    const before = this.#value;
    this.#value = loaded;
    if (isSame(before?.credentials, loaded.credentials)) return;
    const endsMs = loaded.credentials.expiresAtMs;
    this.#log[before === undefined ? 'info' : this.#renewalLevel](
      { origin: loaded.origin, expires: endsMs === undefined ? 'never' : new Date(endsMs).toISOString() },
      before === undefined ? 'credentials loaded' : 'credentials renewed',
    );
    for (const listener of this.#listeners) listener(loaded.credentials);
  }

  /** Infinity for credentials without an end. */
  #renewalWaitMs(loaded: LoadedCredentials): number {
    const endsMs = loaded.credentials.expiresAtMs;
    if (endsMs === undefined) return Infinity;
    const remainingMs = endsMs - this.#clock.wallMs();
    const leadMs = LEAD_MS * (1 + this.#random());
    // Short-lived ones, or a provider that still hands out the old ones: half of what is left, again and again.
    return Math.max(this.#timing.retryFirstMs, remainingMs > 2 * leadMs ? remainingMs - leadMs : remainingMs / 2);
  }

  #retryWaitMs(): number {
    const { retryFirstMs, retryMostMs } = this.#timing;
    const mostMs = Math.min(retryMostMs, retryFirstMs * 2 ** Math.min(this.#failures - 1, 10));
    return mostMs * (0.5 + this.#random() / 2);
  }

  /** Renews once the wall clock is `waitMs` further, whatever the machine sleeps in between. */
  #schedule(waitMs: number): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (this.#closed || waitMs === Infinity) return;
    const dueWallMs = this.#clock.wallMs() + waitMs;
    const nap = (): void => {
      const leftMs = dueWallMs - this.#clock.wallMs();
      if (leftMs > 0) {
        this.#timer = this.#clock.after(Math.min(leftMs, NAP_MOST_MS), nap);
        return;
      }
      // A failure is logged and scheduled again by #loadOnce.
      this.#reload().catch(() => undefined);
    };
    nap();
  }
}

function isSame(a: DataCredentials | undefined, b: DataCredentials | undefined): boolean {
  return (
    a?.accessKeyId === b?.accessKeyId &&
    a?.secretAccessKey === b?.secretAccessKey &&
    a?.sessionToken === b?.sessionToken &&
    a?.expiresAtMs === b?.expiresAtMs
  );
}

function endedError(loaded: LoadedCredentials): StoreError {
  const ended = new Date(loaded.credentials.expiresAtMs ?? 0).toISOString();
  return new StoreError({
    errno: EACCES,
    code: 'ExpiredToken',
    status: 0,
    resource: loaded.origin,
    message: `the AWS credentials from ${loaded.origin} ended at ${ended}`,
    remedy: 'log in again or renew them; they are read anew without a remount',
  });
}
