/**
 * Finds the requests of one net thread that had better be asked a second time: answers that are late to begin (one timer, as
 * they are all late after the same time; a second request may be late as well), bodies that have become slow (looked at by the
 * sweep), and bodies that bring nothing any more (a timer while any is on its way, since their pauses are shorter than a sweep).
 * How long is too long the hedge policy says; whether there is an allowance for it, and what becomes of it, FetchRunner.
 * A process that was stopped, or had no time, finds everything late: nobody is to blame but itself, and nothing is asked.
 *
 * Thread: a net thread. Bounds: two timers. Refuses to send anything.
 */
import type { Clock, Timer } from '../../base/clock.js';
import type { HedgePolicy } from './hedge-policy.js';
import {
  HEDGE_SLOW_BYTES_MIN,
  HEDGE_SLOW_WINDOW_MS,
  LATE_LOOK_MS,
  OVERTAKERS,
  STALL_GAP_MS,
  STALL_LOOK_MS,
  SWEEP_GAP_FACTOR,
} from './limits.js';
import type { Transfer } from './transfer.js';

/** Late to begin; slow in its body; nothing comes any more. */
export type Lateness = 'late' | 'slow' | 'stalled';

export interface LateWatchDeps<Job> {
  readonly clock: Clock;
  readonly policy: HedgePolicy;
  readonly sweepMs: number;
  readonly jobs: () => Iterable<Job>;
  /** The first attempt that is under way, if one is. */
  readonly attemptOf: (job: Job) => Transfer | undefined;
  /** Of a job that somebody reads on soon: the attempt that was sent last, if it has no answer yet. */
  readonly unansweredOf: (job: Job) => Transfer | undefined;
  /** Somebody reads on soon, and it is not asked twice already. */
  readonly mayBeAskedTwice: (job: Job) => boolean;
  readonly askTwice: (job: Job, why: Lateness) => void;
  /** Runs it after the present turn of the event loop. */
  readonly defer: (run: () => void) => void;
}

export class LateWatch<Job> {
  readonly #deps: LateWatchDeps<Job>;
  #lateTimer: Timer | undefined;
  #stallTimer: Timer | undefined;
  /** Since when pauses count: not while we were stopped. */
  #awakeMs = 0;
  /** When any body last brought a byte. */
  #arrivedMs = 0;
  #sweptMs = -Infinity;
  /** When the youngest requests that have answers were sent, the youngest first. */
  readonly #answeredMs = new Array<number>(OVERTAKERS).fill(-Infinity);

  constructor(deps: LateWatchDeps<Job>) {
    this.#deps = deps;
  }

  /** A request went out. */
  sent(): void {
    this.#armLate(this.#deps.policy.overtakenLateMs);
  }

  /** The answer of a request that was sent then began. */
  began(nowMs: number, sentMs: number): void {
    this.#arrivedMs = nowMs;
    this.#noteAnswered(sentMs);
    this.#armStalls(nowMs);
  }

  /** Bytes of some body came. */
  arrived(nowMs: number): void {
    this.#arrivedMs = nowMs;
  }

  /** Bodies that have all but stopped, looked at once in HEDGE_SLOW_WINDOW_MS. */
  sweep(nowMs: number): void {
    const { askTwice, attemptOf, jobs, mayBeAskedTwice, policy, sweepMs } = this.#deps;
    // After a pause of our own all bodies look slow.
    const isGap = nowMs - this.#sweptMs > sweepMs * SWEEP_GAP_FACTOR;
    this.#sweptMs = nowMs;
    const { slowBytesPerMs } = policy;
    if (slowBytesPerMs === 0) return;
    for (const job of [...jobs()]) {
      const transfer = attemptOf(job);
      if (transfer?.headMs === undefined) continue;
      const { mark, offset } = transfer;
      const tookMs = nowMs - mark.ms;
      if (tookMs < HEDGE_SLOW_WINDOW_MS && !isGap) continue;
      transfer.mark = { offset, ms: nowMs };
      if (transfer.connection.heldMs > mark.ms) continue;
      const bytes = offset - mark.offset;
      const isSlow = bytes === 0 || (bytes / tookMs < slowBytesPerMs && transfer.missingBytes >= HEDGE_SLOW_BYTES_MIN);
      if (isSlow && !isGap && mayBeAskedTwice(job)) askTwice(job, 'slow');
    }
  }

  close(): void {
    this.#lateTimer?.cancel();
    this.#lateTimer = undefined;
    this.#stallTimer?.cancel();
    this.#stallTimer = undefined;
  }

  #noteAnswered(sentMs: number): void {
    const answeredMs = this.#answeredMs;
    if (sentMs <= (answeredMs[OVERTAKERS - 1] ?? 0)) return;
    let at = OVERTAKERS - 1;
    for (; at > 0 && (answeredMs[at - 1] ?? 0) < sentMs; at--) answeredMs[at] = answeredMs[at - 1] ?? 0;
    answeredMs[at] = sentMs;
  }

  #armLate(waitMs: number): void {
    if (this.#lateTimer !== undefined || waitMs === Infinity) return;
    this.#lateTimer = this.#deps.clock.after(waitMs, () => {
      // After this turn's reads: what came while we were busy is not late.
      this.#deps.defer(() => {
        this.#lateTimer = undefined;
        this.#lookForLate(this.#deps.clock.nowMs());
      });
    });
  }

  #lookForLate(nowMs: number): void {
    const { askTwice, jobs, policy, unansweredOf } = this.#deps;
    const { lateMs, overtakenLateMs } = policy;
    const overtakenMs = this.#answeredMs[OVERTAKERS - 1] ?? -Infinity;
    let nextMs = Infinity;
    for (const job of [...jobs()]) {
      const transfer = unansweredOf(job);
      if (transfer === undefined) continue;
      // Requests that stand in the store's line all wait; one that younger ones pass does not stand there.
      const isOvertaken = transfer.sentMs < overtakenMs;
      const waitedMs = nowMs - transfer.sentMs;
      const leftMs = (isOvertaken ? overtakenLateMs : lateMs) - waitedMs;
      if (leftMs <= 0) askTwice(job, 'late');
      else nextMs = Math.min(nextMs, leftMs, Math.max(overtakenLateMs - waitedMs, LATE_LOOK_MS));
    }
    this.#armLate(nextMs);
  }

  #armStalls(nowMs: number): void {
    if (this.#stallTimer !== undefined) return;
    this.#stallTimer = this.#deps.clock.after(STALL_LOOK_MS, () => {
      // After this turn's reads, as with late answers.
      this.#deps.defer(() => {
        this.#stallTimer = undefined;
        const lookedMs = this.#deps.clock.nowMs();
        if (lookedMs - nowMs > STALL_GAP_MS) this.#awakeMs = lookedMs;
        if (this.#lookForStalls(lookedMs)) this.#armStalls(lookedMs);
      });
    });
  }

  /** Says whether any body is on its way. */
  #lookForStalls(nowMs: number): boolean {
    const { askTwice, attemptOf, jobs, mayBeAskedTwice, policy } = this.#deps;
    const { stallMs } = policy;
    const bodies = [...jobs()].filter((job) => attemptOf(job)?.headMs !== undefined);
    const isSilence = bodies.length > 1 && nowMs - this.#arrivedMs > stallMs / 2;
    for (const job of bodies) {
      const connection = attemptOf(job)?.connection;
      if (connection === undefined || !mayBeAskedTwice(job)) continue;
      const pausedMs = nowMs - Math.max(connection.activeMs, connection.heldMs, this.#awakeMs);
      if (pausedMs > (isSilence ? 2 * stallMs : stallMs)) askTwice(job, 'stalled');
    }
    return bodies.length > 0;
  }
}
