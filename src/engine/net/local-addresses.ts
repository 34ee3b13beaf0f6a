/**
 * The addresses of --bind: which one the next connection of a net thread leaves from. The one with the fewest connections
 * open or opening, in turn where there are several, so that cards stay even however connections come and go; plain turns
 * gave the first of two cards 80 % of a stream over two threads with three connections each, and all with one each.
 * One from which no connection could be made is passed over for a while, as long as there is another.
 * Thread: a net thread's own; NetThreads' owner gives each thread another first address. Bounded by the addresses given.
 * Refuses to know cards: the caller gives an address of each, and routes see to the rest (docs/HARDWARE.md).
 */
import { isIP } from 'node:net';
import type { Clock } from '../../base/clock.js';
import { ADDRESS_PENALTY_MS } from './limits.js';

/** A connection's place at a local address. */
export interface LocalPlace {
  readonly address: string;
  /** The connection is closed, or never was. Harmless when called again. */
  readonly release: () => void;
  /** No connection could be made from here. */
  readonly failed: () => void;
}

interface Local {
  readonly address: string;
  readonly family: number;
  open: number;
  /** -Infinity when it never failed. */
  failedMs: number;
}

export class LocalAddresses {
  readonly #clock: Clock;
  readonly #locals: readonly Local[];
  #next = 0;

  constructor(addresses: readonly string[], clock: Clock) {
    this.#clock = clock;
    this.#locals = addresses.map((address) => ({ address, family: isIP(address), open: 0, failedMs: -Infinity }));
  }

  /** A place at one that can reach a peer of this family; undefined when there is none. */
  take(family: 4 | 6): LocalPlace | undefined {
    const count = this.#locals.length;
    const nowMs = this.#clock.nowMs();
    const isBad = (local: Local): boolean => nowMs - local.failedMs < ADDRESS_PENALTY_MS;
    let best: Local | undefined;
    let bestAt = 0;
    for (let step = 0; step < count; step++) {
      const at = (this.#next + step) % count;
      const local = this.#locals[at];
      if (local?.family !== family) continue;
      const isBetter =
        best === undefined || (isBad(local) === isBad(best) ? local.open < best.open : !isBad(local) && isBad(best));
      if (isBetter) [best, bestAt] = [local, at];
    }
    if (best === undefined) return undefined;
    this.#next = (bestAt + 1) % count;
    return this.#placeAt(best);
  }

  #placeAt(local: Local): LocalPlace {
    local.open++;
    let isHeld = true;
    return {
      address: local.address,
      release: () => {
        if (isHeld) local.open--;
        isHeld = false;
      },
      failed: () => (local.failedMs = this.#clock.nowMs()),
    };
  }
}

/** What `spreadChoice` looks at. */
export interface BoundConnection {
  /** Undefined while it is opening. */
  readonly localAddress: string | undefined;
}

/**
 * Which idle connection works next when several local addresses share the work: an index into `idle` (most recently used
 * last, not empty), the newest of the address with the fewest busy ones, of equals the one that worked longest ago.
 * `all`: the idle ones, too. Counted anew each time, and only with --bind.
 */
export function spreadChoice(idle: readonly BoundConnection[], all: Iterable<BoundConnection>): number {
  const busy = new Map<string | undefined, number>();
  const newest = new Map<string | undefined, number>();
  for (const { localAddress } of all) busy.set(localAddress, (busy.get(localAddress) ?? 0) + 1);
  for (const [at, { localAddress }] of idle.entries()) {
    busy.set(localAddress, (busy.get(localAddress) ?? 0) - 1);
    newest.set(localAddress, at);
  }
  let choice = idle.length - 1;
  let fewest = Infinity;
  for (const [address, at] of newest) {
    const count = busy.get(address) ?? 0;
    if (count > fewest || (count === fewest && at > choice)) continue;
    [choice, fewest] = [at, count];
  }
  return choice;
}
