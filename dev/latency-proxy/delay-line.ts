/**
 * When bytes that a server sent now may reach the client: a delay line, so that a stream keeps its throughput. Each
 * burst, that is the first bytes after an idle moment, draws its jitter once; the bytes of a connection leave in order and
 * at most at its rate. Pure arithmetic on times that it is given. Refuses loss and reordering.
 */
export interface DistanceModel {
  /** Added to every burst. */
  readonly latencyMs: number;
  /** A burst gets 0 to this much more. */
  readonly jitterMs: number;
  /** Bytes a millisecond of one connection; Infinity for no cap. */
  readonly bytesPerMs: number;
  /** A burst is late by so much more, with this probability. */
  readonly tail: { readonly probability: number; readonly ms: number };
}

/** What all connections share: bytes leave one after another, those first whose connection has them ready first. */
export class Link {
  readonly #bytesPerMs: number;
  #freeMs = -Infinity;

  /** Infinity for no cap. */
  constructor(bytesPerMs: number) {
    this.#bytesPerMs = bytesPerMs;
  }

  /** When `bytes` may leave that are the next of their connection. */
  reserve(bytes: number, nowMs: number): number {
    const leavesMs = Math.max(this.#freeMs, nowMs);
    this.#freeMs = leavesMs + bytes / this.#bytesPerMs;
    return leavesMs;
  }
}

/** Bytes that come this long after the last ones are a new burst: longer than a server's pause within one response. */
const BURST_GAP_MS = 2;

export class DelayLine {
  readonly #model: DistanceModel;
  readonly #random: () => number;
  #lastMs = -Infinity;
  #extraMs = 0;
  #freeMs = 0;

  constructor(model: DistanceModel, random: () => number) {
    this.#model = model;
    this.#random = random;
  }

  /** When `bytes` that arrived at `nowMs` leave. Later calls never give earlier times. */
  leavesAt(bytes: number, nowMs: number): number {
    const { latencyMs, jitterMs, bytesPerMs, tail } = this.#model;
    if (nowMs - this.#lastMs > BURST_GAP_MS) {
      this.#extraMs = this.#random() * jitterMs;
      if (tail.probability > 0 && this.#random() < tail.probability) this.#extraMs += tail.ms;
    }
    this.#lastMs = nowMs;
    const leavesMs = Math.max(nowMs + latencyMs + this.#extraMs, this.#freeMs);
    this.#freeMs = leavesMs + bytes / bytesPerMs;
    return leavesMs;
  }
}
