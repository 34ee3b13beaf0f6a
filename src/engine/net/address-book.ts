/**
 * The addresses of one host name: looked up again now and then, handed out round robin, bad ones passed over for a while.
 * S3 answers each lookup with a few of very many addresses; spreading connections over all that were seen is what makes
 * one client fast, so addresses are collected instead of replaced.
 * Refuses to decide that the host is down: when every address is bad, the least recently failed is tried anyway.
 */
import { isIP } from 'node:net';
import type { Clock } from '../../base/clock.js';
import type { AddressState } from './describe.js';
import {
  ADDRESSES_MAX,
  ADDRESS_EXPIRY_MS,
  ADDRESS_PENALTY_MS,
  ADDRESS_REFRESH_MS,
  ADDRESS_SLOW_MAX,
} from './limits.js';

export interface Address {
  readonly address: string;
  readonly family: 4 | 6;
}

export interface AddressBookDeps {
  readonly clock: Clock;
  /** All addresses of a name, as getaddrinfo orders them. */
  lookup(hostname: string): Promise<readonly Address[]>;
}

interface Known extends Address {
  seenMs: number;
  /** -Infinity when it never failed. */
  failedMs: number;
  /** Answers that others outran, and when the last one was. */
  slow: number;
  slowMs: number;
}

export class AddressBook {
  readonly #hostname: string;
  readonly #deps: AddressBookDeps;
  #known: Known[] = [];
  #next = 0;
  #lookedUpMs = -Infinity;
  #lookup: Promise<void> | undefined;

  /** `hostname` may be an address itself (IPv6 with or without brackets); then nothing is ever looked up. */
  constructor(hostname: string, deps: AddressBookDeps) {
    this.#deps = deps;
    this.#hostname = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
    const family = isIP(this.#hostname);
    if (family === 4 || family === 6) {
      this.#known = [
        { address: this.#hostname, family, seenMs: Infinity, failedMs: -Infinity, slow: 0, slowMs: -Infinity },
      ];
      this.#lookedUpMs = Infinity;
    }
  }

  /** How many addresses are known now. */
  get size(): number {
    return this.#known.length;
  }

  /** All that are known, for who asks. */
  get states(): AddressState[] {
    const nowMs = this.#deps.clock.nowMs();
    return this.#known.map(({ address, failedMs }) => ({
      address,
      isAvoided: nowMs - failedMs < ADDRESS_PENALTY_MS,
    }));
  }

  /** The address to connect to next. Rejects with the resolver's error when none is known. */
  async next(): Promise<Address> {
    const nowMs = this.#deps.clock.nowMs();
    if (this.#known.length === 0) {
      // Everybody who comes before the first answer waits for the one lookup.
      await this.#refresh();
    } else if (nowMs - this.#lookedUpMs > ADDRESS_REFRESH_MS) {
      // With addresses in hand nobody waits for the resolver, and its failure is no failure of ours.
      this.#refresh().catch(() => undefined);
    }
    return this.#pick(nowMs);
  }

  /** A connection to `address` failed or timed out: pass it over for a while. */
  failed(address: string): void {
    for (const known of this.#known) if (known.address === address) known.failedMs = this.#deps.clock.nowMs();
  }

  /** An answer from `address` was outrun by another's: the third time soon after the others it counts as a failure. */
  slow(address: string): void {
    const nowMs = this.#deps.clock.nowMs();
    for (const known of this.#known) {
      if (known.address !== address) continue;
      known.slow = nowMs - known.slowMs < ADDRESS_PENALTY_MS ? known.slow + 1 : 1;
      known.slowMs = nowMs;
      if (known.slow < ADDRESS_SLOW_MAX) continue;
      known.slow = 0;
      known.failedMs = nowMs;
    }
  }

  #pick(nowMs: number): Address {
    const known = this.#known;
    let oldest: Known | undefined;
    for (let step = 0; step < known.length; step++) {
      const candidate = known[(this.#next + step) % known.length];
      if (candidate === undefined) continue;
      if (nowMs - candidate.failedMs >= ADDRESS_PENALTY_MS) {
        this.#next = (this.#next + step + 1) % known.length;
        return candidate;
      }
      if (oldest === undefined || candidate.failedMs < oldest.failedMs) oldest = candidate;
    }
    if (oldest !== undefined) return oldest;
    throw Object.assign(new Error(`${this.#hostname} has no addresses`), { code: 'ENOTFOUND' });
  }

  /** One lookup at a time. */
  #refresh(): Promise<void> {
    this.#lookup ??= this.#lookUp().finally(() => (this.#lookup = undefined));
    return this.#lookup;
  }

  async #lookUp(): Promise<void> {
    this.#lookedUpMs = this.#deps.clock.nowMs();
    const found = await this.#deps.lookup(this.#hostname);
    const nowMs = this.#deps.clock.nowMs();
    for (const { address, family } of found) {
      const old = this.#known.find((known) => known.address === address);
      if (old) old.seenMs = nowMs;
      else this.#known.push({ address, family, seenMs: nowMs, failedMs: -Infinity, slow: 0, slowMs: -Infinity });
    }
    if (found.length > 0) this.#known = this.#known.filter((known) => nowMs - known.seenMs <= ADDRESS_EXPIRY_MS);
    // The oldest go first: new ones are what the name's owner wants us to use.
    if (this.#known.length > ADDRESSES_MAX) this.#known = this.#known.slice(-ADDRESSES_MAX);
  }
}
