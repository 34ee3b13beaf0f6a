/**
 * Decides from the daemon's heartbeats whether it hangs. Pure: a look at the daemon goes in every TICK_MS, a verdict comes out.
 *
 * Time counts only while the daemon could have used it: a look that comes late (this process was stopped, the machine was
 * asleep or out of memory) counts as one that came in time, and a daemon that somebody has stopped (SIGSTOP, a debugger)
 * is not counted at all. CLOCK_MONOTONIC stands still while the machine sleeps, so both sides wake up together.
 * The same for the oldest request: it must be past its deadline in every look of OVERDUE_MS, while the daemon runs and beats,
 * so that one that has just woken up may first answer.
 * Refuses to act: the supervisor reports and kills.
 */
import type { ProcessState } from './process-state.js';

/** Between two looks. Two beats. */
export const TICK_MS = 500;
/** What a look that comes late counts at most. */
const TICK_COUNTS_MS_MAX = 2 * TICK_MS;
/**
 * Of requests that the engine's own deadlines bound (all but those that write): READs wait half a minute at least, and longer
 * in a crowd before a slow link. Far above: what is so old, nobody will answer.
 */
export const REQUEST_DEADLINE_MS = 10 * 60_000;
/** How long the oldest request must be past it. */
export const OVERDUE_MS = 30_000;
/** Killed, and still not gone: then the next daemon starts without waiting for it (kernel fact 3). */
export const EXITING_MS = 1000;

export interface Look {
  /** Monotonic, of the process that looks. */
  readonly nowMs: number;
  readonly process: ProcessState;
  /** The heartbeat word; 0 before the first. */
  readonly beat: number;
  readonly oldestRequestMs: number;
}

export type Verdict =
  | { readonly type: 'well' }
  /** Not heard of for a while, or stopped: no fault yet. */
  | { readonly type: 'quiet' }
  /** It is dead and cannot be reaped. */
  | { readonly type: 'unreaped' }
  | { readonly type: 'hangs'; readonly reason: string };

export class HangWatch {
  readonly #silentMsMax: number;
  #lookedMs: number | undefined;
  #beat = 0;
  #silentMs = 0;
  #overdueMs = 0;
  #exitingMs = 0;

  /** For one daemon. Infinity: never mind. */
  constructor(silentMsMax: number) {
    this.#silentMsMax = silentMsMax;
  }

  look({ nowMs, process, beat, oldestRequestMs }: Look): Verdict {
    const sinceMs = this.#lookedMs === undefined ? 0 : Math.min(nowMs - this.#lookedMs, TICK_COUNTS_MS_MAX);
    this.#lookedMs = nowMs;
    if (process === 'exiting') {
      this.#exitingMs += sinceMs;
      return { type: this.#exitingMs >= EXITING_MS ? 'unreaped' : 'quiet' };
    }
    if (process === 'stopped' || process === 'gone') return { type: 'quiet' };
    if (beat !== this.#beat) {
      this.#beat = beat;
      this.#silentMs = 0;
    } else this.#silentMs += sinceMs;
    if (this.#silentMs >= this.#silentMsMax) {
      return { type: 'hangs', reason: `its main thread was silent for ${Math.round(this.#silentMsMax / 1000)} s` };
    }
    if (oldestRequestMs > REQUEST_DEADLINE_MS && this.#silentMsMax !== Infinity) this.#overdueMs += sinceMs;
    else this.#overdueMs = 0;
    if (this.#overdueMs >= OVERDUE_MS) {
      return { type: 'hangs', reason: `it left a request unanswered for ${REQUEST_DEADLINE_MS / 60_000} minutes` };
    }
    return { type: this.#silentMs > 4 * TICK_MS ? 'quiet' : 'well' };
  }
}
