/**
 * What `stats` has counted of a mount, across the daemons that served it: bytes, requests of the kernel, requests to the store. Each
 * daemon adds what those before it had, and writes the sum into the first page every KEEP_MS in which something was asked, and before
 * an upgrade. A daemon that dies takes the last of them along.
 * Refuses to carry what is no count of this mount's life: durations and gauges begin anew, and so do metrics, whose readers expect that.
 */
import type { Clock, Timer } from '../../base/clock.js';
import { addLedgers, type LedgerState } from '../../engine/net/request-ledger.js';
import type { KernelSide } from '../kernel-side.js';
import type { NetTotals, SchedulerDriver } from '../scheduler/driver.js';
import type { DaemonPage } from '../supervisor/page.js';
import type { Descriptions } from './descriptions.js';

const KEEP_MS = 5_000;

export interface CarriedCounts {
  readonly network: NetTotals;
  /** Payload of WRITEs. */
  readonly writeBytes: number;
  /** Of the kernel, by name. */
  readonly requests: Readonly<Record<string, number>>;
  readonly requestErrors: number;
  readonly store: LedgerState['requests'];
}

export interface CarriedSources {
  readonly page: DaemonPage | undefined;
  readonly clock: Clock;
  readonly scheduler: Pick<SchedulerDriver, 'totals'>;
  readonly kernel: Pick<KernelSide, 'counts'>;
  readonly descriptions: Pick<Descriptions, 'ask' | 'last'>;
}

export class CarriedKeeper {
  /** Of the daemons before this one. */
  readonly before: CarriedCounts | undefined;
  readonly #sources: CarriedSources;
  #timer: Timer | undefined;
  #keptRequests = 0;

  constructor(sources: CarriedSources) {
    this.#sources = sources;
    this.before = asCounts(sources.page?.counts());
    if (sources.page) this.#wait();
  }

  close(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  /** Writes down what there is now. Never rejects. */
  async keep(): Promise<void> {
    const { page, scheduler, kernel, descriptions } = this.#sources;
    if (!page) return;
    await descriptions.ask();
    const { requests } = kernel.counts();
    page.setCounts(
      plus(this.before, {
        network: { ...scheduler.totals },
        writeBytes: requests?.writeBytes ?? 0,
        requests: requests?.requestsByName ?? {},
        requestErrors: requests?.errors ?? 0,
        store: addLedgers(descriptions.last.map((thread) => thread.ledger)).requests,
      }),
    );
  }

  #wait(): void {
    this.#timer = this.#sources.clock.after(KEEP_MS, () => {
      const { scheduler, kernel } = this.#sources;
      const requests = scheduler.totals.requests + (kernel.counts().requests?.requests ?? 0);
      const kept = requests === this.#keptRequests ? Promise.resolve() : this.keep();
      this.#keptRequests = requests;
      void kept.then(() => {
        if (this.#timer) this.#wait();
      });
    });
  }
}

export function plus(before: CarriedCounts | undefined, now: CarriedCounts): CarriedCounts {
  if (before === undefined) return now;
  const ledgers = [before.store, now.store].map((requests): LedgerState => ({ requests, durations: {} }));
  return {
    network: addNumbers(before.network, now.network),
    writeBytes: before.writeBytes + now.writeBytes,
    requests: addNumbers(before.requests, now.requests),
    requestErrors: before.requestErrors + now.requestErrors,
    store: addLedgers(ledgers).requests,
  };
}

/** Each number of both. */
function addNumbers<T extends object>(one: T, other: T): T {
  const sum: Record<string, number> = { ...(one as Record<string, number>) };
  for (const [name, value] of Object.entries(other as Record<string, number>)) sum[name] = (sum[name] ?? 0) + value;
  return sum as T;
}

/** Of another version, perhaps: then nothing is known. */
function asCounts(value: unknown): CarriedCounts | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { network, writeBytes, requests, requestErrors, store } = value as Record<string, unknown>;
  const isWhole =
    [network, requests, store].every((each) => typeof each === 'object' && each !== null) &&
    typeof writeBytes === 'number' &&
    typeof requestErrors === 'number';
  return isWhole ? (value as CarriedCounts) : undefined;
}
