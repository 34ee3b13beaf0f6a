/**
 * Counters by operation and a ring of recent requests, for tests and benches that want to know what a client did.
 */
import { RECENT_REQUESTS_MAX } from './limits.js';

/** Counters of one operation. */
export interface OperationStats {
  requests: number;
  /** Body bytes sent. */
  bytesOut: number;
  /** Request body bytes as declared or counted after decoding. */
  bytesIn: number;
  /** Answers of 400 and above, by error code or status. */
  errors: Record<string, number>;
}

/** All counters. */
export interface ServerStats {
  connections: number;
  openConnections: number;
  requests: number;
  bytesOut: number;
  bytesIn: number;
  /** Times any fault rule acted. */
  faultsInjected: number;
  operations: Record<string, OperationStats>;
  /** CPU seconds of the server's process since its start. */
  cpuSeconds: number;
  rssBytes: number;
}

/** One request as it was answered. */
export interface RecentRequest {
  readonly operation: string;
  readonly method: string;
  readonly bucket: string | null;
  readonly key: string | null;
  readonly range: string | null;
  readonly status: number;
  /** Error code, or null. */
  readonly code: string | null;
  readonly bytesOut: number;
  /** Lower-case names. */
  readonly headers: ReadonlyMap<string, string>;
  readonly query: string;
  readonly timeMs: number;
}

/** Owner of the counters. */
export class StatsBook {
  connections = 0;
  openConnections = 0;
  faultsInjected = 0;
  readonly #operations = new Map<string, OperationStats>();
  #recent: RecentRequest[] = [];

  /** The counters of an operation, to add to. */
  of(operation: string): OperationStats {
    let stats = this.#operations.get(operation);
    if (stats === undefined) {
      stats = { requests: 0, bytesOut: 0, bytesIn: 0, errors: {} };
      this.#operations.set(operation, stats);
    }
    return stats;
  }

  remember(request: RecentRequest): void {
    this.#recent.push(request);
    // Cut in halves, so that the cost of forgetting is spread.
    if (this.#recent.length >= 2 * RECENT_REQUESTS_MAX) this.#recent = this.#recent.slice(-RECENT_REQUESTS_MAX);
  }

  recent(): readonly RecentRequest[] {
    return this.#recent.slice(-RECENT_REQUESTS_MAX);
  }

  snapshot(): ServerStats {
    const operations: Record<string, OperationStats> = {};
    const total = { requests: 0, bytesOut: 0, bytesIn: 0 };
    for (const [name, stats] of this.#operations) {
      operations[name] = { ...stats, errors: { ...stats.errors } };
      total.requests += stats.requests;
      total.bytesOut += stats.bytesOut;
      total.bytesIn += stats.bytesIn;
    }
    const cpu = process.cpuUsage();
    return {
      connections: this.connections,
      openConnections: this.openConnections,
      ...total,
      faultsInjected: this.faultsInjected,
      operations,
      cpuSeconds: (cpu.user + cpu.system) / 1e6,
      rssBytes: process.memoryUsage.rss(),
    };
  }

  /** Starts counting anew; open connections stay counted. */
  reset(): void {
    this.connections = 0;
    this.faultsInjected = 0;
    this.#operations.clear();
    this.#recent = [];
  }
}
