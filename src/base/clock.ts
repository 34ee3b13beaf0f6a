/**
 * Time as a dependency. Everything that waits or expires takes a Clock, so that a test turns the hands itself.
 * `nowMs` is monotonic (never steps with the wall clock); `wallMs` is for what the outside world sees (mtime, signing).
 * Timers are unref'd: a pending wait never keeps the process alive by itself.
 */

/** A timer that `Clock.after` returned; cancel twice is harmless. */
export interface Timer {
  cancel(): void;
}

export interface Clock {
  /** Milliseconds on a monotonic scale, fractions included. */
  nowMs(): number;
  /** Milliseconds since 1970, UTC. */
  wallMs(): number;
  /** Calls `run` once after `waitMs`. */
  after(waitMs: number, run: () => void): Timer;
}

/** The machine's clock. */
export const systemClock: Clock = {
  nowMs: () => performance.now(),
  wallMs: () => Date.now(),
  after(waitMs, run) {
    const timer = setTimeout(run, waitMs);
    timer.unref();
    return { cancel: () => clearTimeout(timer) };
  },
};

interface ManualTimer {
  readonly atMs: number;
  readonly order: number;
  readonly run: () => void;
}

/** A clock for tests: time stands still until `advance`, which runs due timers in order. */
export class ManualClock implements Clock {
  #nowMs = 0;
  #wallStartMs: number;
  #timers: ManualTimer[] = [];
  #order = 0;

  constructor(wallStartMs = Date.UTC(2026, 0, 1)) {
    this.#wallStartMs = wallStartMs;
  }

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#wallStartMs + this.#nowMs;
  }

  after(waitMs: number, run: () => void): Timer {
    const timer = { atMs: this.#nowMs + Math.max(0, waitMs), order: this.#order++, run };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter((other) => other !== timer);
      },
    };
  }

  /** Number of timers that wait: a test that ends with some left has a leak. */
  get pending(): number {
    return this.#timers.length;
  }

  /** Time passes without anybody having a chance to act: timers that were due meanwhile run with the next `advance`, late. */
  jump(byMs: number): void {
    this.#nowMs += byMs;
  }

  advance(byMs: number): void {
    const endMs = this.#nowMs + byMs;
    for (;;) {
      let next: ManualTimer | undefined;
      for (const timer of this.#timers) {
        if (timer.atMs > endMs) continue;
        if (!next || timer.atMs < next.atMs || (timer.atMs === next.atMs && timer.order < next.order)) next = timer;
      }
      if (!next) break;
      const due = next;
      this.#timers = this.#timers.filter((other) => other !== due);
      this.#nowMs = Math.max(this.#nowMs, due.atMs);
      due.run();
    }
    this.#nowMs = endMs;
  }
}
