/**
 * Finds how many connections, net threads and bytes a part are best, while the mount works: measures what the present
 * setting brings, tries what could be better (trials.ts says what and why), measures again, keeps it or takes it back.
 * From the hardware's starting point it grows by multiples while each step helps, then looks around calmly: what is
 * refused is not tried again for a while that doubles each time, so a mount that has found its setting stays there.
 *
 * Why trials and no formula: what binds may be the link, S3's rate for one connection, a core, the windows of the readers
 * or a proxy in between, and only a change of goodput tells them apart. Formulas choose what is tried, never what is kept.
 * Nothing is concluded while nobody wants bytes: a slow reader looks like a slow link. A store's SlowDown is left to the
 * pacers (request-pacer.ts) while they get along with it, and larger parts are what then helps; where refusals go on, half
 * of the busy connections stay, at once, and growing back is a trial like any other.
 *
 * Sans I/O: no clock, no randomness, the same inputs give the same decisions. A step costs a few microseconds.
 * Bounded: DECISIONS_MAX sentences; settings by ControllerBounds. Refuses to move what the user fixed.
 */
import { DECISIONS_MAX, SAMPLE_MS } from './api.js';
import type { ControllerBounds, ControllerInput, Decision, SchedulerController, Setting } from './api.js';
import { Measurement, type Seen } from './measurement.js';
import { observe, type Interval } from './observation.js';
import { isClear, judgeTrial, planTrial, type Trial, type TrialKind } from './trials.js';
import { count, megabytes, milliseconds, percent } from './words.js';

/**
 * Intervals that are measured: until the mean is known well enough, or a trial's outcome is clear, within these bounds.
 * While it grows little is enough, as a wrong step is soon corrected.
 */
const QUICK = { least: 2, most: 4, error: 0.1 };
const CALM = { least: 4, most: 12, error: 0.02 };

/** So long it looks out for large steps, although there is nothing to try. */
const QUICK_MS = 1_500;

/** How long a kind of trial rests after it was refused; doubled each time. */
const REST_FIRST_MS = 1_000;
/**
 * Other parts disturb most: while both sizes are under way readers wait for the larger ones. Threads that end take warm
 * connections with them, and what is gained is a little memory (simulated).
 */
const REST_FIRST_LONG_MS = 3_000;
const LONG_RESTS: readonly TrialKind[] = ['partDown', 'partUp', 'netThreadsDown'];
/** What was refused is taken up again if the setting before turns out to bring so much less. */
const SECOND_LOOK_GAIN = 0.06;
const REST_MAX_MS = 60_000;
/** After one has helped, its opposite rests. */
const OPPOSITE_REST_MS = 15_000;
const OPPOSITES: { readonly [kind in TrialKind]?: TrialKind } = {
  connectionsUp: 'connectionsDown',
  netThreadsUp: 'netThreadsDown',
};
const SHRINKING: readonly TrialKind[] = ['connectionsDown', 'netThreadsDown'];
/** Between two trials when calm, so that most of the time is spent on what is known to be good. */
const CALM_PAUSE_MS = 500;

/** Calm goodput that differs from what it was by so much: the world is another one, everything may be tried again. */
const CHANGED_SHARE = 0.25;
/** The best that was seen fades by this share with each measurement, so that old luck does not count for ever. */
const BEST_FADES = 0.002;
/** Without demand for so long, a trial is taken back and what comes next is judged afresh. */
const QUIET_MS = 2_000;

/** A clock that leaps (a machine that slept, a bad number) counts as so much at most. */
const LEAP_MS = 10_000;

/**
 * SlowDown is the pacers' affair first: they find a limit of requests within a second, and then refusals are 1-3 % of all;
 * fewer connections would cost 20-40 % of the goodput and leave a third refused (simulated, docs/SCALING.md). A store that
 * goes on refusing more than this share over this time does not count requests a second but those at once: then half of
 * the connections go, and again each time as long.
 */
const SLOW_DOWN_SHARE = 0.1;
const SLOW_DOWN_LASTS_MS = 1_500;
/** Before that the pacers have so long to find their pace: the first burst is refused before any of them knows. */
const SLOW_DOWN_GRACE_MS = 1_500;
/** Without another SlowDown for so long, requests are no longer what is short. */
const SLOW_DOWN_OVER_MS = 5_000;

interface Rest {
  untilMs: number;
  lengthMs: number;
}

interface Running {
  readonly trial: Trial;
  readonly from: Setting;
  readonly base: Seen;
}

export class FeedbackController implements SchedulerController {
  readonly #bounds: ControllerBounds;
  readonly #decisions: Decision[] = [];
  readonly #rests = new Map<TrialKind, Rest>();
  #setting: Setting;
  #running: Running | undefined;
  #measurement = new Measurement();
  /** Steps are large and comparisons short until the first of them does not help. */
  #isQuick = true;
  #quickSinceMs = 0;
  /** What is measured before that belongs to the setting before. */
  #settledMs = -Infinity;
  #nextTrialMs = -Infinity;
  /** A trial that was just taken back, for a second look when its base has been measured again. */
  #refused: { readonly trial: Trial; readonly seen: Seen } | undefined;
  /** The last measurement without a trial, and the most that any brought. */
  #calm: Seen | undefined;
  #best = 0;
  #quietSinceMs: number | undefined;
  #slowedMs = -Infinity;
  /** Since when the store has been refusing, and what in that time. */
  #refusal: { sinceMs: number; requests: number; slowDowns: number } | undefined;
  /** Time as the inputs told it, leaps cut short; and what the last one said. */
  #nowMs = 0;
  #toldMs: number | undefined;

  constructor(bounds: ControllerBounds) {
    this.#bounds = saneBounds(bounds);
    this.#setting = this.#bounds.first;
  }

  get setting(): Setting {
    return this.#setting;
  }

  get decisions(): readonly Decision[] {
    return this.#decisions;
  }

  step(input: ControllerInput): Setting {
    const nowMs = this.#advance(input.nowMs);
    const interval = observe(input, this.#setting.netThreads);
    this.#countRefusals(interval, nowMs);
    if (!interval.hasDemand) {
      this.#pause(nowMs);
      return this.#setting;
    }
    if (this.#quietSinceMs !== undefined && nowMs - this.#quietSinceMs >= QUIET_MS) this.#startAfresh();
    this.#quietSinceMs = undefined;
    if (nowMs <= this.#settledMs) return this.#setting;
    this.#measurement.add(interval);
    if (!this.#isMeasured()) return this.#setting;
    const seen = this.#measurement.seen();
    this.#measurement = new Measurement();
    this.#best = Math.max(this.#best * (1 - BEST_FADES), seen.bytesPerSecond);
    const base = this.#running ? this.#judge(this.#running, seen, nowMs) : this.#compare(seen, nowMs);
    if (base && nowMs >= this.#nextTrialMs) this.#tryNext(base, nowMs);
    return this.#setting;
  }

  #advance(toldMs: number): number {
    const passedMs = toldMs - (this.#toldMs ?? toldMs - SAMPLE_MS);
    this.#nowMs += passedMs >= 0 ? Math.min(passedMs, LEAP_MS) : SAMPLE_MS;
    if (Number.isFinite(toldMs)) this.#toldMs = toldMs;
    return this.#nowMs;
  }

  #isMeasured(): boolean {
    const { intervals, error } = this.#measurement;
    const { least, most, error: goal } = this.#isQuick ? QUICK : CALM;
    if (intervals >= most) return true;
    if (!this.#running) return intervals >= least && error <= goal;
    const { trial, base } = this.#running;
    return intervals >= QUICK.least && isClear(trial, base, this.#measurement.seen());
  }

  /** A measurement of the setting as it stands: is it still the same world? */
  #compare(seen: Seen, nowMs: number): Seen | undefined {
    const before = this.#calm?.bytesPerSecond ?? 0;
    this.#calm = seen;
    const refused = this.#refused;
    this.#refused = undefined;
    if (refused && refused.seen.bytesPerSecond > (1 + SECOND_LOOK_GAIN) * seen.bytesPerSecond) {
      // The base had been measured in a lucky moment.
      const { trial } = refused;
      this.#rests.delete(trial.kind);
      this.#calm = undefined;
      this.#settledMs = nowMs + trial.settleMs;
      const change = `${megabytes(seen.bytesPerSecond)} now, ${megabytes(refused.seen.bytesPerSecond)} with what was taken back`;
      this.#change(trial.setting, `${change}: it was better`);
      return undefined;
    }
    if (!this.#isQuick && before > 0 && Math.abs(seen.bytesPerSecond / before - 1) > CHANGED_SHARE) {
      this.#rests.clear();
      this.#best = seen.bytesPerSecond;
      this.#beQuick();
    }
    return seen;
  }

  /** Ends a trial. Returns what was seen of the setting that is now in force, if that was just measured. */
  #judge({ trial, from, base }: Running, seen: Seen, nowMs: number): Seen | undefined {
    const verdict = judgeTrial(trial, from, base, seen, this.#best);
    this.#running = undefined;
    const isWhole = verdict.isBetter && verdict.setting === trial.setting;
    if (verdict.isBetter) this.#rests.delete(trial.kind);
    else this.#letRest(trial.kind, nowMs);
    if (!verdict.isBetter && !SHRINKING.includes(trial.kind)) this.#refused = { trial, seen };
    // What was just gained by having more would be lost by having fewer.
    const opposite = OPPOSITES[trial.kind];
    if (verdict.isBetter && opposite)
      this.#rests.set(opposite, { untilMs: nowMs + OPPOSITE_REST_MS, lengthMs: REST_FIRST_MS });
    if (!verdict.goOn) {
      this.#isQuick = false;
      this.#nextTrialMs = nowMs + CALM_PAUSE_MS;
    }
    this.#change(verdict.setting, verdict.reason);
    if (isWhole) {
      this.#calm = seen;
      return seen;
    }
    // What is still under way belongs to the trial.
    this.#settledMs = nowMs + trial.settleMs;
    this.#calm = undefined;
    return undefined;
  }

  #tryNext(seen: Seen, nowMs: number): void {
    const mayTry = (kind: TrialKind): boolean => nowMs >= (this.#rests.get(kind)?.untilMs ?? -Infinity);
    const trial = planTrial(seen, this.#setting, this.#bounds, {
      mayTry,
      isQuick: this.#isQuick,
      isThrottled: nowMs - this.#slowedMs < SLOW_DOWN_OVER_MS,
    });
    if (!trial) {
      // At the beginning windows are small, and what they will need is yet to be seen.
      if (nowMs - this.#quickSinceMs >= QUICK_MS) this.#isQuick = false;
      return;
    }
    const setting = this.#bounded(trial.setting);
    this.#refused = undefined;
    this.#running = { trial: { ...trial, setting }, from: this.#setting, base: seen };
    this.#settledMs = nowMs + trial.settleMs;
    this.#change(setting, trial.reason);
  }

  #letRest(kind: TrialKind, nowMs: number): void {
    const firstMs = LONG_RESTS.includes(kind) ? REST_FIRST_LONG_MS : REST_FIRST_MS;
    const lengthMs = Math.min(REST_MAX_MS, 2 * (this.#rests.get(kind)?.lengthMs ?? firstMs / 2));
    this.#rests.set(kind, { untilMs: nowMs + lengthMs, lengthMs });
  }

  /** Nobody wants bytes just now. */
  #pause(nowMs: number): void {
    this.#quietSinceMs ??= nowMs;
    this.#measurement = new Measurement();
    if (!this.#running || nowMs - this.#quietSinceMs < QUIET_MS) return;
    const { from } = this.#running;
    this.#running = undefined;
    this.#change(from, `nobody has wanted bytes for ${QUIET_MS / 1000} s, so the trial says nothing: taken back`);
  }

  #startAfresh(): void {
    this.#refused = undefined;
    this.#rests.clear();
    this.#best = 0;
    this.#calm = undefined;
    this.#beQuick();
  }

  #beQuick(): void {
    this.#isQuick = true;
    this.#quickSinceMs = this.#nowMs;
  }

  #countRefusals({ requests, slowDowns, busy }: Interval, nowMs: number): void {
    if (slowDowns > 0) {
      this.#slowedMs = nowMs;
      this.#refusal ??= { sinceMs: nowMs, requests: 0, slowDowns: 0 };
    }
    const refusal = this.#refusal;
    if (!refusal) return;
    const lastsMs = nowMs - refusal.sinceMs - SLOW_DOWN_GRACE_MS;
    if (lastsMs <= 0) return;
    refusal.requests += requests;
    refusal.slowDowns += slowDowns;
    if (lastsMs < SLOW_DOWN_LASTS_MS) return;
    this.#refusal = undefined;
    if (refusal.slowDowns < SLOW_DOWN_SHARE * refusal.requests || refusal.slowDowns === 0) return;
    this.#halve(refusal, lastsMs, busy);
  }

  /** Pacing has not helped: half of the connections that are busy, at once. */
  #halve({ requests, slowDowns }: { requests: number; slowDowns: number }, lastsMs: number, busy: number): void {
    const from = this.#running?.from ?? this.#setting;
    this.#running = undefined;
    this.#startAfresh();
    this.#measurement = new Measurement();
    const { least, fixed } = this.#bounds;
    const half = Math.max(least.connections, Math.floor(Math.min(busy || from.connections, from.connections) / 2));
    const connections = fixed.connections ? from.connections : Math.min(from.connections, half);
    const refused = `${count(slowDowns, 'SlowDown')} (${percent(slowDowns / Math.max(1, requests))} of the requests)`;
    const span = `in ${milliseconds(lastsMs)}`;
    this.#change({ ...from, connections }, `${refused} ${span} with ${count(busy, 'busy connection')}: half of them`);
  }

  #bounded(setting: Setting): Setting {
    const { least, most, fixed } = this.#bounds;
    const within = (name: keyof Setting): number =>
      fixed[name] ? this.#setting[name] : Math.min(Math.max(setting[name], least[name]), most[name]);
    return {
      connections: within('connections'),
      partBytes: within('partBytes'),
      netThreads: within('netThreads'),
    };
  }

  #change(setting: Setting, reason: string): void {
    const before = this.#setting;
    const after = this.#bounded(setting);
    this.#setting = after;
    this.#decisions.push({ atMs: this.#toldMs ?? this.#nowMs, before, after, reason });
    if (this.#decisions.length > DECISIONS_MAX) this.#decisions.shift();
  }
}

/** Bounds that hold together whatever came: whole numbers of one at least, least <= first <= most. */
function saneBounds(bounds: ControllerBounds): ControllerBounds {
  const whole = (value: number, otherwise: number): number =>
    Number.isFinite(value) && value >= 1 ? Math.floor(value) : otherwise;
  const first = { connections: 1, partBytes: 1, netThreads: 1 };
  const least = { ...first };
  const most = { ...first };
  for (const name of ['connections', 'partBytes', 'netThreads'] as const) {
    first[name] = whole(bounds.first[name], 1);
    least[name] = Math.min(first[name], whole(bounds.least[name], 1));
    most[name] = Math.max(first[name], whole(bounds.most[name], 1));
  }
  const targetGbps = Number.isFinite(bounds.targetGbps) && bounds.targetGbps > 0 ? bounds.targetGbps : 1;
  return { first, least, most, fixed: bounds.fixed, targetGbps };
}
