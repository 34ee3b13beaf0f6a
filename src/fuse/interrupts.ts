/**
 * Which requests wait for their answer, and which INTERRUPTs came before their request. Requests are read by several
 * threads, so an INTERRUPT can be served before the request that it is about (kernel fact 7, docs/KERNEL.md); it is kept
 * here until the request comes. One for a request that was answered meanwhile stays until it is pushed out: ids are never
 * used again, so it can hit nobody. Refuses to grow: the oldest early INTERRUPT is forgotten first, and then its request
 * is merely served as if nobody had interrupted it.
 */
import type { UnansweredRequest } from './dispatcher-api.js';
import { requestId, type PendingRequest } from './request.js';

/** Early INTERRUPTs kept. Guessed: one a waiting process, and far more than can be between two reader threads. */
export const EARLY_INTERRUPTS_MAX = 1024;

/** Of requests that wait, oldest first. */
const OLDEST_LOOKS_MAX = 64;

export class InterruptTable {
  readonly #pending = new Map<number, PendingRequest>();
  readonly #early = new Set<number>();
  interrupts = 0;

  /** Requests that wait for their answer. */
  get size(): number {
    return this.#pending.size;
  }

  /** Requests that wait for their answer, oldest first; borrowed until the table changes. */
  waiting(): Iterable<PendingRequest> {
    return this.#pending.values();
  }

  /** How long the oldest waits of those with such an opcode, if it is among the oldest of all; 0: none. */
  oldestMs(opcodes: ReadonlySet<number>, nowMs: number): number {
    let looked = 0;
    for (const { row, startedMs } of this.#pending.values()) {
      if (opcodes.has(row.opcode)) return nowMs - startedMs;
      if (++looked >= OLDEST_LOOKS_MAX) break;
    }
    return 0;
  }

  /** The same for somebody who looks on. */
  *unanswered(nowMs: number): Iterable<UnansweredRequest> {
    for (const { row, nodeId, startedMs, pid, id, isResent, onInterrupt } of this.#pending.values()) {
      const isHandedOver = onInterrupt !== undefined;
      yield { operation: row.name, nodeId, ageMs: nowMs - startedMs, pid, id, isResent, isHandedOver };
    }
  }

  /** INTERRUPTs that wait for their request. */
  get early(): number {
    return this.#early.size;
  }

  /** True, once, when the request that arrives now was interrupted before. */
  takeEarly(lo: number, hi: number): boolean {
    return this.#early.size > 0 && this.#early.delete(requestId(lo, hi));
  }

  /** The request is not answered yet: from now on INTERRUPT finds it. */
  add(request: PendingRequest): void {
    this.#pending.set(request.id, request);
  }

  /** The request is answered. False when it was not here (answered at once, or replaced by the same one sent again). */
  remove(request: PendingRequest): boolean {
    const { id } = request;
    if (this.#pending.get(id) !== request) return false;
    return this.#pending.delete(id);
  }

  /** INTERRUPT names a request; the one that waits is returned, untold. */
  interrupt(lo: number, hi: number): PendingRequest | undefined {
    this.interrupts++;
    const id = requestId(lo, hi);
    const request = this.#pending.get(id);
    if (request !== undefined) return request;
    if (id < 0) return undefined;
    if (this.#early.size >= EARLY_INTERRUPTS_MAX) {
      for (const oldest of this.#early) {
        this.#early.delete(oldest);
        break;
      }
    }
    this.#early.add(id);
    return undefined;
  }

  /** The mount is gone: nobody waits for answers any more. */
  interruptAll(): void {
    for (const request of [...this.#pending.values()]) request.interrupt();
  }
}
