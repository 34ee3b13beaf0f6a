/**
 * What becomes of a mount whose daemon died: another daemon, or the end. Pure: deaths go in, a decision comes out.
 *
 * A daemon that served and was killed from outside (kill -9, the OOM killer) is replaced at once, as often as it
 * happens. What ends the mount, because another daemon would die the same way: STARTS_MAX lives in a row that ended themselves
 * before they came to serve, STARTS_KILLED_MAX in a row that were killed before that (a killer that meets one or two daemons on their way up is
 * no reason to give up; one that meets all is: a memory limit too low to start in), and SAME_REASON_MAX deaths within SAME_REASON_MS for the same reason of the daemon's own (an uncaught error, a
 * broken invariant, the watchdog). A request that was at hand in two such deaths is refused from then on. Deaths of that kind
 * with none at hand came in a later turn: after TRIAL_AFTER of them the next daemon tries what is sent again one by one
 * (src/fuse/trial.ts), and a request that was alone in service when it died is refused.
 * Refuses to blame a request for a death from outside: the innocent one would get EIO.
 */
import type { RequestId } from './api.js';

/** Lives in a row that never served. */
export const STARTS_MAX = 3;
/** Lives in a row that never served, killed ones included. */
export const STARTS_KILLED_MAX = 12;
/** Before the second and third of them: what was missing may come back (guessed). */
export const START_WAITS_MS = [0, 250, 1000] as const;
export const SAME_REASON_MAX = 5;
export const SAME_REASON_MS = 60_000;
/** Deaths within SAME_REASON_MS that nobody knows the request of. One may be bad luck, and a trial makes others wait. */
export const TRIAL_AFTER = 2;
/** Requests that are refused, and that are suspected: the oldest is forgotten. */
const REQUESTS_MAX = 64;

export interface Death {
  readonly nowMs: number;
  /** It came to serve. */
  readonly served: boolean;
  /** In words: `signal SIGKILL`, `exit code 1`. */
  readonly how: string;
  /** A signal ended it, which nobody but somebody else can have sent. */
  readonly wasKilled: boolean;
  /** Why it ended itself, or was ended by the watchdog; undefined when it came from outside. */
  readonly reason: string | undefined;
  /** The request that its main thread was busy with. */
  readonly atHand: RequestId | undefined;
  /** During a trial: those that waited for their answer, in the order in which they began. */
  readonly inService: readonly RequestId[];
}

export type Decision =
  | { readonly type: 'restart'; readonly waitMs: number; readonly refuses: RequestId | undefined }
  | { readonly type: 'end'; readonly reason: string };

export class CrashPolicy {
  /** In a row: those that never served, and those of them that nobody killed. */
  #unserved = 0;
  #failedStarts = 0;
  #own: { readonly atMs: number; readonly reason: string }[] = [];
  #suspects: RequestId[] = [];
  #refused: RequestId[] = [];
  /** When deaths came that no request was at hand in. */
  #unexplained: number[] = [];
  #trial: readonly RequestId[] | undefined;

  /** For the next daemon. */
  get refused(): readonly RequestId[] {
    return this.#refused;
  }

  /** For the next daemon: what is sent again is tried one by one, these first; undefined: all at once. */
  get trial(): readonly RequestId[] | undefined {
    return this.#trial;
  }

  died(death: Death): Decision {
    const { nowMs, how, reason } = death;
    const refuses = reason === undefined ? undefined : this.#findGuilty(death);
    this.#unexplained = this.#unexplained.filter((atMs) => nowMs - atMs < SAME_REASON_MS);
    if (this.#unexplained.length < TRIAL_AFTER) this.#trial = undefined;
    // The last begun is the most suspicious: those before it had their time.
    else if (reason !== undefined) this.#trial = death.inService.toReversed();
    const because = reason === undefined ? how : `${how}, ${reason}`;
    this.#unserved = death.served ? 0 : this.#unserved + 1;
    if (death.served) this.#failedStarts = 0;
    else if (!death.wasKilled) this.#failedStarts++;
    if (this.#failedStarts >= STARTS_MAX || this.#unserved >= STARTS_KILLED_MAX) {
      return { type: 'end', reason: `${this.#unserved} daemons in a row died before they served (${because})` };
    }
    if (reason !== undefined) {
      this.#own = this.#own.filter(({ atMs }) => nowMs - atMs < SAME_REASON_MS).slice(-REQUESTS_MAX);
      this.#own.push({ atMs: nowMs, reason });
      const same = this.#own.filter((one) => one.reason === reason).length;
      if (same >= SAME_REASON_MAX) {
        return { type: 'end', reason: `${same} daemons died within a minute for the same reason (${because})` };
      }
    }
    return { type: 'restart', waitMs: this.#waitMs, refuses };
  }

  /** Killed ones are not waited for until they are many: readers wait. */
  get #waitMs(): number {
    const lastMs = START_WAITS_MS[START_WAITS_MS.length - 1] ?? 0;
    if (this.#unserved > STARTS_KILLED_MAX / 2) return lastMs;
    return START_WAITS_MS[this.#failedStarts] ?? lastMs;
  }

  /** The request that is refused from now on because of this death. */
  #findGuilty({ nowMs, atHand, inService }: Death): RequestId | undefined {
    if (atHand !== undefined) {
      if (this.#suspects.some((other) => isSame(other, atHand))) return this.#refuse(atHand);
      this.#suspects = [...this.#suspects, atHand].slice(-REQUESTS_MAX);
      return undefined;
    }
    this.#unexplained = [...this.#unexplained, nowMs].slice(-REQUESTS_MAX);
    const [alone, ...others] = inService;
    return alone === undefined || others.length > 0 ? undefined : this.#refuse(alone);
  }

  #refuse({ lo, hi }: RequestId): RequestId | undefined {
    if (this.#refused.some((other) => isSame(other, { lo, hi }))) return undefined;
    this.#refused = [...this.#refused, { lo, hi }].slice(-REQUESTS_MAX);
    return { lo, hi };
  }
}

function isSame(one: RequestId, other: RequestId): boolean {
  return one.lo === other.lo && one.hi === other.hi;
}
