/**
 * Looks who reads what while somebody wants to know (`mount-s3x top`), and costs nothing otherwise: the dispatcher tells of each
 * request that the main thread answered, reader threads count into tables of shared memory (src/fuse/reader-account).
 *
 * Thread: main. Owns: the rounds of the reader threads' accounts; what each watcher has not been told yet.
 * Bounds: ROWS_MAX pairs of thread and file a watcher; what is beyond counts for one row that belongs to nobody.
 * Refuses to watch the kernel's page cache: what it answers never comes here.
 */
import type { Clock } from '../../base/clock.js';
import * as abi from '../../fuse/abi.js';
import type { KernelWatch } from '../kernel-side.js';
import { addUse, noUse, tablesOf, type Names, type TopReport, type Use, type UseRow } from './report.js';

export const ROWS_MAX = 4096;

export interface TopWatchDeps {
  readonly kernel: KernelWatch;
  readonly clock: Clock;
  readonly names: Names;
  readonly mountPoint: string;
  readonly source: string;
}

/** One who looks. */
export interface TopWatcher {
  /** What happened since the last call, or since it began. */
  report(): TopReport;
  end(): void;
}

interface Watching {
  readonly rows: Map<string, UseRow>;
  sinceMs: number;
}

export class TopWatch {
  readonly #deps: TopWatchDeps;
  readonly #watching = new Set<Watching>();
  #round = 0;

  constructor(deps: TopWatchDeps) {
    this.#deps = deps;
  }

  begin(): TopWatcher {
    const { clock, kernel } = this.#deps;
    if (this.#watching.size === 0) {
      this.#nextRound();
      kernel.observe((request, tookMs) => {
        const { opcode } = request.row;
        const isRead = opcode === abi.FUSE_READ;
        if (!isRead && opcode !== abi.FUSE_WRITE) return;
        const bytes = request.payloadBytes;
        const use = isRead
          ? { ...noUse(), reads: 1, readBytes: bytes, memoryBytes: request.wasParked ? 0 : bytes, waitMs: tookMs }
          : { ...noUse(), writes: 1, writeBytes: bytes };
        this.#add(request.pid, request.uid, request.nodeId, use);
      });
    } else this.#sweep();
    const watching: Watching = { rows: new Map(), sinceMs: clock.nowMs() };
    this.#watching.add(watching);
    return { report: () => this.#report(watching), end: () => this.#end(watching) };
  }

  /** So many look. */
  get watchers(): number {
    return this.#watching.size;
  }

  #end(watching: Watching): void {
    if (!this.#watching.delete(watching) || this.#watching.size > 0) return;
    this.#deps.kernel.observe(undefined);
    for (const account of this.#deps.kernel.accounts) account.setRound(0);
  }

  #report(watching: Watching): TopReport {
    const { clock, names, mountPoint, source } = this.#deps;
    this.#sweep();
    const rows = [...watching.rows.values()];
    watching.rows.clear();
    const nowMs = clock.nowMs();
    const spanMs = Math.max(1, nowMs - watching.sinceMs);
    watching.sinceMs = nowMs;
    return { format: 1, wallMs: clock.wallMs(), spanMs, mountPoint, source, ...tablesOf(rows, names) };
  }

  #nextRound(): number {
    const over = this.#round++;
    for (const account of this.#deps.kernel.accounts) account.setRound(this.#round);
    return over;
  }

  /** What reader threads counted until now becomes all watchers'. */
  #sweep(): void {
    const over = this.#nextRound();
    for (const account of this.#deps.kernel.accounts) {
      for (const { pid, uid, nodeId, reads, bytes, waitMs } of account.rows(over)) {
        this.#add(pid, uid, nodeId, { ...noUse(), reads, readBytes: bytes, memoryBytes: bytes, waitMs });
      }
    }
  }

  #add(tid: number, uid: number, nodeId: number, use: Use): void {
    const name = `${tid} ${nodeId}`;
    for (const { rows } of this.#watching) {
      const row = rows.get(name);
      if (row) addUse(row.use, use);
      else if (rows.size < ROWS_MAX) rows.set(name, { tid, uid, nodeId, use: { ...use } });
      else {
        const others = rows.get('others') ?? { tid: 0, uid: 0, nodeId: 0, use: noUse() };
        addUse(others.use, use);
        rows.set('others', others);
      }
    }
  }
}
