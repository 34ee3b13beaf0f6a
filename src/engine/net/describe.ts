/**
 * What only a net thread knows of itself, for `mount-s3x stats`: put together when somebody asks, from what its parts hold
 * anyway. Costs nothing otherwise but two additions an arrival, and the traffic of addresses whose connections are gone.
 *
 * Thread: a net thread; the description itself is plain data. Bounds: ADDRESSES_MAX addresses.
 * Refuses to judge health by itself: the address book does, this file says what it says.
 */
import { getHeapStatistics } from 'node:v8';
import { ADDRESSES_MAX } from './limits.js';
import type { LedgerState } from './request-ledger.js';

/** Requests by what they do. */
export interface PhaseCounts {
  /** Waiting for a connection. */
  readonly inLine: number;
  /** Held back because the store asked for fewer requests. */
  readonly paced: number;
  /** Sent, or on its way back. */
  readonly transfer: number;
  /** Waiting before the next attempt. */
  readonly backoff: number;
  /** Waiting for other credentials. */
  readonly credentials: number;
}

export interface AddressDescription {
  readonly address: string;
  /** Connections that are open, and those of them with a request. */
  readonly open: number;
  readonly busy: number;
  /** Payload and requests since the mount began. */
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly requests: number;
  /** New connections go elsewhere for now: it failed, or others were far quicker. */
  readonly isAvoided: boolean;
}

/** One net thread, of now. */
export interface NetDescription {
  readonly addresses: readonly AddressDescription[];
  /** Connections that are being opened. */
  readonly opening: number;
  /** In line for a connection, by priority (PRIORITY_*). */
  readonly inLine: readonly number[];
  readonly fetches: PhaseCounts;
  readonly lists: PhaseCounts;
  readonly calls: PhaseCounts;
  readonly parkedReads: number;
  /** Stalled bodies whose rest was asked for elsewhere, since the mount began. */
  readonly resumed: number;
  /** What it asked the store, since the mount began. */
  readonly ledger: LedgerState;
  /** Of its JavaScript heap. */
  readonly heapBytes: number;
}

/** Payload and requests of connections to one address. */
export interface Traffic {
  bytesIn: number;
  bytesOut: number;
  requests: number;
}

/** A connection, as far as it is described. */
export interface DescribedConnection {
  /** Undefined while it is opening. */
  readonly remoteAddress: string | undefined;
  readonly isIdle: boolean;
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly requests: number;
}

/** What the address book thinks of an address. */
export interface AddressState {
  readonly address: string;
  /** Passed over for now: it failed, or others were far quicker. */
  readonly isAvoided: boolean;
}

/** What went over connections that are closed, by address: the one that was seen last stays longest. */
export class ClosedTraffic {
  readonly #byAddress = new Map<string, Traffic>();

  add(connection: DescribedConnection): void {
    const { remoteAddress } = connection;
    if (remoteAddress === undefined) return;
    const sum = this.#byAddress.get(remoteAddress) ?? { bytesIn: 0, bytesOut: 0, requests: 0 };
    this.#byAddress.delete(remoteAddress);
    this.#byAddress.set(remoteAddress, sum);
    addTraffic(sum, connection);
    if (this.#byAddress.size <= ADDRESSES_MAX) return;
    for (const oldest of this.#byAddress.keys()) {
      this.#byAddress.delete(oldest);
      return;
    }
  }

  get byAddress(): ReadonlyMap<string, Readonly<Traffic>> {
    return this.#byAddress;
  }
}

/** All addresses that were used, or are known. */
export function describeAddresses(
  connections: Iterable<DescribedConnection>,
  closed: ClosedTraffic,
  states: readonly AddressState[],
): AddressDescription[] {
  const rows = new Map<string, { -readonly [K in keyof AddressDescription]: AddressDescription[K] }>();
  const rowOf = (address: string) => {
    let row = rows.get(address);
    if (row === undefined) {
      row = { address, open: 0, busy: 0, bytesIn: 0, bytesOut: 0, requests: 0, isAvoided: false };
      rows.set(address, row);
    }
    return row;
  };
  for (const [address, traffic] of closed.byAddress) Object.assign(rowOf(address), traffic);
  for (const connection of connections) {
    if (connection.remoteAddress === undefined) continue;
    const row = rowOf(connection.remoteAddress);
    row.open++;
    if (!connection.isIdle) row.busy++;
    addTraffic(row, connection);
  }
  for (const { address, isAvoided } of states) rowOf(address).isAvoided = isAvoided;
  return [...rows.values()];
}

function addTraffic(sum: Traffic, connection: DescribedConnection): void {
  sum.bytesIn += connection.bytesIn;
  sum.bytesOut += connection.bytesOut;
  sum.requests += connection.requests;
}

/** How many jobs are in which phase. `new` ones are about to leave it. */
export function countPhases(
  jobs: Iterable<{ readonly phase: { readonly kind: keyof PhaseCounts | 'new'; readonly isPaced?: boolean } }>,
): PhaseCounts {
  const counts = { inLine: 0, paced: 0, transfer: 0, backoff: 0, credentials: 0 };
  for (const { phase } of jobs) {
    if (phase.isPaced === true) counts.paced++;
    else if (phase.kind !== 'new') counts[phase.kind]++;
  }
  return counts;
}

/** Bytes of this thread's JavaScript heap. */
export function heapBytes(): number {
  return getHeapStatistics().total_heap_size;
}
