/**
 * What could be better than the present setting, and whether it was: two pure functions, `planTrial` and `judgeTrial`.
 * A trial changes one thing because of what is short just now, so that most of them are worth their time:
 *   requests wait for connections             -> more connections (the rate of each tells how many fill the target)
 *   connections are free, yet readers wait    -> the windows hold too few parts: smaller ones
 *   net threads are busy all the time         -> another thread, or larger parts if they are small; more connections would only
 *                                                wait for them
 *   the store takes only so many requests     -> larger parts
 *   a request's wait is much of its time      -> larger parts, where connections cannot grow
 *   nothing is short                          -> fewer connections, fewer threads: each costs memory and wake-ups
 * Sans I/O, no state: who calls keeps what was refused and for how long.
 */
import { MIB } from '../../base/units.js';
import type { ControllerBounds, Setting } from './api.js';
import type { Seen } from './measurement.js';
import { count, megabytes, milliseconds, percent, sizeOf } from './words.js';

export type TrialKind = 'connectionsUp' | 'connectionsDown' | 'partDown' | 'partUp' | 'netThreadsUp' | 'netThreadsDown';

export interface Trial {
  readonly kind: TrialKind;
  readonly setting: Setting;
  readonly reason: string;
  /** Before what is measured belongs to the new setting, ms. */
  readonly settleMs: number;
}

/** What became of a trial: kept, taken back, or kept in part. */
export interface Verdict {
  readonly isBetter: boolean;
  /** The setting from now on. */
  readonly setting: Setting;
  readonly reason: string;
  /** More of the same is likely to help as well. */
  readonly goOn: boolean;
}

/** One multiplication of connections at most: a wrong guess of the target costs a few hundred ms at four times too many. */
const GROWTH_MAX = 4;
const GROWTH_QUICK = 2;
const GROWTH_CALM = 1.5;
const SHRINK = 0.75;
/** Beyond what fills the link, so that a connection that waits for its first byte has a stand-in (simulated). */
const SPARE = 1.15;

/** A gain or loss below this is none, however sure. */
const GAIN_MIN = 0.03;
/** So many standard errors of the difference; intervals lean on each other, so two would be too few (simulated). */
const ERRORS = 2;
/** Nothing bad is said of other parts before this. */
const PART_INTERVALS_MIN = 4;
/** Two intervals may agree by chance. */
const ERROR_FLOOR = 0.02;
/** What may be lost by having fewer, against the best that was seen with more. */
const LOSS_MAX = 0.03;
/** A gain of so much of what more connections promise means that the link is not full. */
const GAIN_SHARE = 0.5;
/** And so does one that nobody would want to miss. */
const GAIN_LARGE = 0.2;

/** Busy above this: the thread is what is short. Below: another thread could take it over. */
const THREAD_FULL = 0.88;
const THREAD_SPARE = 0.55;
/** Pool in use above this: larger parts would have no room. */
const POOL_FULL = 0.9;

/** A part should take so many times its first byte's wait, and not less than this: then four fifths of the time bring bytes. */
const PART_WAITS = 3;
const PART_MS_MIN = 50;
/** Requests are about as long as parts may be; a part that takes so long is worth cutting before they are. */
const PART_FELT = 0.7;
const PART_MS_LONG = 400;
/** Requests in line for each busy connection below which connections are not what is short. */
const FEW_IN_LINE = 0.3;
/** What smaller parts must promise, by arithmetic, to be tried. */
const PROMISE_MIN = 0.08;
/** Waiting for the first byte takes more of a request's time than this: its part is small. */
const WAIT_SHARE = 0.25;

/**
 * Of parts this large the request itself is less than a tenth of the thread's work (0.3 ms of 3.5 measured, 2 shared cores):
 * larger ones would gain less than is clear, and cost seconds of a busy machine to find that out.
 */
const PART_CHEAP_BYTES = 8 * MIB;

const SETTLE_MS_MIN = 100;
const SETTLE_MS_MAX = 600;

/** A request of these: how long it takes, how long its bytes take, and what a connection brings. */
interface Request {
  readonly bytes: number;
  readonly totalMs: number;
  readonly bytesPerMs: number;
}

/** Little's law: busy connections over requests a second is the time of one. */
function requestOf(seen: Seen): Request | undefined {
  const { requestsPerSecond, busy, bytesPerSecond, firstByteMs } = seen;
  if (requestsPerSecond <= 0 || busy <= 0 || bytesPerSecond <= 0) return undefined;
  const bytes = bytesPerSecond / requestsPerSecond;
  const totalMs = (1000 * busy) / requestsPerSecond;
  // A busy machine's first bytes may seem later than the whole: some of the time is always the body's.
  const bodyMs = Math.max(totalMs - firstByteMs, totalMs / 10);
  return { bytes, totalMs, bytesPerMs: bytes / bodyMs };
}

export interface Circumstances {
  /** Whether a kind of trial has rested long enough since it was refused. */
  readonly mayTry: (kind: TrialKind) => boolean;
  /** Large steps and short comparisons. */
  readonly isQuick: boolean;
  /** The store limits requests: what is short are neither connections nor parts, but bytes a request. */
  readonly isThrottled: boolean;
}

/** What to try next: the first thing that is short and may be tried. */
export function planTrial(
  seen: Seen,
  setting: Setting,
  bounds: ControllerBounds,
  { mayTry, isQuick, isThrottled }: Circumstances,
): Trial | undefined {
  const { connections, partBytes, netThreads } = setting;
  const { least, most, fixed } = bounds;
  const request = requestOf(seen);
  if (!request || !(seen.bytesPerSecond > 0)) return undefined;
  const isShort = !isThrottled && (seen.waiting >= 0.5 || seen.busy >= 0.95 * connections);
  const isThreadFull = seen.netBusy >= THREAD_FULL;
  const isCpuFull = isThreadFull || seen.mainBusy >= THREAD_FULL;
  const carries = `${count(seen.busy, 'busy connection')} carry ${megabytes(seen.bytesPerSecond)}`;
  const settle = (ms: number): number => Math.min(Math.max(ms, SETTLE_MS_MIN), SETTLE_MS_MAX);

  if (isThreadFull && !fixed.netThreads && netThreads < most.netThreads && mayTry('netThreadsUp')) {
    const more = Math.min(most.netThreads, Math.max(netThreads + 1, Math.ceil(netThreads * 1.5)));
    return {
      kind: 'netThreadsUp',
      setting: { ...setting, netThreads: more, connections: Math.max(connections, more) },
      reason: `${count(netThreads, 'net thread')} busy ${percent(seen.netBusy)} of the time at ${megabytes(seen.bytesPerSecond)}: trying ${more}`,
      settleMs: settle(request.totalMs),
    };
  }

  // Few are in line: more connections alone would find nothing to do, and smaller parts would want some.
  const inLine = seen.waiting / Math.max(1, seen.busy);
  // Windows cut requests shorter than a part: while they grow that passes, later parts must be shorter still to be felt.
  const cutBytes = isQuick ? partBytes : Math.min(partBytes, Math.max(MIB, request.bytes));
  const partMs = cutBytes / request.bytesPerMs;
  const isPartFelt = !isQuick || request.bytes >= PART_FELT * partBytes || partMs >= PART_MS_LONG;
  if (
    !isThrottled &&
    inLine < FEW_IN_LINE &&
    isPartFelt &&
    !isCpuFull &&
    !fixed.partBytes &&
    partBytes > least.partBytes &&
    mayTry('partDown')
  ) {
    const goal = request.bytesPerMs * Math.max(PART_WAITS * seen.firstByteMs, PART_MS_MIN);
    const smaller = blocks(Math.max(least.partBytes, Math.min(cutBytes / 2, Math.max(goal, cutBytes / 8))));
    const promise = (seen.firstByteMs + partMs) / (seen.firstByteMs + smaller / request.bytesPerMs) - 1;
    if (promise >= PROMISE_MIN && smaller < cutBytes) {
      // The window then holds more parts, and each wants a connection.
      const wanted = Math.ceil(((seen.busy + seen.waiting) * SPARE * request.bytes) / Math.min(smaller, request.bytes));
      const more = fixed.connections ? connections : Math.min(most.connections, Math.max(connections, wanted));
      const line = seen.waiting < 0.5 ? 'none is waited for' : `only ${count(seen.waiting, 'request')} wait for one`;
      return {
        kind: 'partDown',
        setting: { ...setting, partBytes: smaller, connections: more },
        reason: `${carries} and ${line}, so the windows hold too few parts of ${sizeOf(partBytes)}: trying ${sizeOf(smaller)}`,
        settleMs: settle(request.totalMs),
      };
    }
  }

  if (isShort && !isThreadFull && !fixed.connections && connections < most.connections && mayTry('connectionsUp')) {
    const each = seen.bytesPerSecond / Math.max(1, seen.busy);
    const filling = (((bounds.targetGbps * 1e9) / 8 / each) * SPARE) / connections;
    const factor = isQuick ? Math.min(Math.max(filling, GROWTH_QUICK), GROWTH_MAX) : GROWTH_CALM;
    const line = seen.waiting < 0.5 ? 'and none is free' : `and ${count(seen.waiting, 'request')} wait for one`;
    const useful = Math.max(GROWTH_QUICK * connections, SPARE * (seen.busy + seen.waiting));
    const more = Math.min(
      most.connections,
      Math.max(connections + 1, Math.ceil(Math.min(connections * factor, useful))),
    );
    return {
      kind: 'connectionsUp',
      setting: { ...setting, connections: more },
      reason: `${carries}, ${megabytes(each)} each, ${line}: trying ${more} of them`,
      // A handshake, the first byte and the start of the flow.
      settleMs: settle(3 * seen.firstByteMs),
    };
  }

  const waitShare = seen.firstByteMs / request.totalMs;
  const isWaiting = isShort && waitShare >= WAIT_SHARE;
  const isWorkFelt = isCpuFull && partBytes < PART_CHEAP_BYTES;
  if (
    (isWorkFelt || isWaiting || isThrottled) &&
    !fixed.partBytes &&
    seen.poolPressure < POOL_FULL &&
    mayTry('partUp')
  ) {
    const goal = isWaiting ? request.bytesPerMs * PART_WAITS * seen.firstByteMs : 0;
    const larger = blocks(Math.min(most.partBytes, 4 * partBytes, Math.max(2 * partBytes, goal)));
    // Where windows already cut requests shorter than a part, larger ones change nothing.
    if (larger > partBytes && request.bytes > PART_FELT * partBytes) {
      const why = isThrottled
        ? `the store says SlowDown to ${count(seen.requestsPerSecond, 'request')} a second`
        : isWorkFelt
          ? `the ${isThreadFull ? 'net threads are' : 'main thread is'} busy ${percent(Math.max(seen.netBusy, seen.mainBusy))} of the time`
          : `a request waits ${milliseconds(seen.firstByteMs)} of its ${milliseconds(request.totalMs)} for its first byte`;
      return {
        kind: 'partUp',
        setting: { ...setting, partBytes: larger },
        reason: `${why}: trying parts of ${sizeOf(larger)} instead of ${sizeOf(partBytes)}`,
        settleMs: settle(2 * request.totalMs),
      };
    }
  }

  const spareBusy = (seen.netBusy * netThreads) / Math.max(1, netThreads - 1);
  if (
    !isQuick &&
    !isThrottled &&
    spareBusy <= THREAD_SPARE &&
    !fixed.netThreads &&
    netThreads > least.netThreads &&
    mayTry('netThreadsDown')
  ) {
    return {
      kind: 'netThreadsDown',
      setting: { ...setting, netThreads: netThreads - 1 },
      reason: `${count(netThreads, 'net thread')} busy ${percent(seen.netBusy)} of the time: trying ${netThreads - 1}`,
      settleMs: settle(request.totalMs),
    };
  }

  const fewer = Math.max(least.connections, netThreads, Math.floor(connections * SHRINK));
  if (!isQuick && isShort && !fixed.connections && fewer < connections && mayTry('connectionsDown')) {
    return {
      kind: 'connectionsDown',
      setting: { ...setting, connections: fewer },
      reason: `${count(connections, 'connection')} carry ${megabytes(seen.bytesPerSecond)}: trying whether ${fewer} do`,
      settleMs: settle(request.totalMs),
    };
  }
  return undefined;
}

/** How far apart two measurements are: the gain as a share, and its standard error. */
function gainOf(base: Seen, seen: Seen): { gain: number; error: number } {
  const before = base.bytesPerSecond;
  const gain = before > 0 ? seen.bytesPerSecond / before - 1 : 0;
  const error = Math.hypot(base.errorBytesPerSecond, seen.errorBytesPerSecond) / Math.max(1, before);
  return { gain, error };
}

/** Whether measuring a trial for longer could hardly change what judgeTrial says. */
export function isClear(trial: Trial, base: Seen, seen: Seen): boolean {
  const { gain, error } = gainOf(base, seen);
  // Parts of both sizes are under way for a while, and readers wait for the larger ones.
  const isPart = trial.kind === 'partDown' || trial.kind === 'partUp';
  if (isPart && gain < GAIN_MIN && seen.intervals < PART_INTERVALS_MIN) return false;
  const isDown = trial.kind === 'connectionsDown' || trial.kind === 'netThreadsDown';
  return Math.abs(gain - (isDown ? -LOSS_MAX : GAIN_MIN)) > ERRORS * Math.max(error, ERROR_FLOOR);
}

/**
 * Whether a trial was worth it. `best`: the most that was seen lately, bytes a second, so that small losses which are each
 * too small to tell cannot add up.
 */
export function judgeTrial(trial: Trial, from: Setting, base: Seen, seen: Seen, best: number): Verdict {
  const before = base.bytesPerSecond;
  const after = seen.bytesPerSecond;
  const { gain, error } = gainOf(base, seen);
  const sure = Math.max(GAIN_MIN, Math.min(ERRORS * error, 3 * GAIN_MIN));
  const change = `${megabytes(after)} after ${megabytes(before)}`;
  const { setting } = trial;
  const kept = (reason: string, goOn = true): Verdict => ({ isBetter: true, setting, reason, goOn });
  const undone = (reason: string): Verdict => ({ isBetter: false, setting: from, reason, goOn: false });

  switch (trial.kind) {
    case 'connectionsUp': {
      if (gain < sure) return undone(`${setting.connections} connections bring ${change}: back to ${from.connections}`);
      const promised = setting.connections / from.connections - 1;
      // What the new ones did not bring, fewer of them would have brought as well.
      const enough = Math.ceil(from.connections * (1 + gain) * SPARE);
      if (gain >= Math.min(GAIN_SHARE * promised, GAIN_LARGE) || enough >= 0.9 * setting.connections) {
        return kept(`${setting.connections} connections bring ${change}: kept`);
      }
      return {
        isBetter: true,
        setting: { ...setting, connections: Math.max(from.connections, enough) },
        reason: `${setting.connections} connections bring ${change}, which ${enough} do as well`,
        goOn: false,
      };
    }
    case 'partDown':
      if (gain < sure)
        return undone(`parts of ${sizeOf(setting.partBytes)} bring ${change}: back to ${sizeOf(from.partBytes)}`);
      return kept(`parts of ${sizeOf(setting.partBytes)} bring ${change}: kept`);
    case 'partUp': {
      const isCheaper = seen.netBusy + seen.mainBusy < 0.95 * (base.netBusy + base.mainBusy);
      if (gain >= sure) return kept(`parts of ${sizeOf(setting.partBytes)} bring ${change}: kept`);
      if (gain > -GAIN_MIN / 2 && after >= (1 - LOSS_MAX) * best && isCheaper) {
        return kept(`parts of ${sizeOf(setting.partBytes)} bring ${change} for less work: kept`);
      }
      return undone(`parts of ${sizeOf(setting.partBytes)} bring ${change}: back to ${sizeOf(from.partBytes)}`);
    }
    case 'netThreadsUp':
      if (gain < sure) return undone(`${setting.netThreads} net threads bring ${change}: back to ${from.netThreads}`);
      return kept(`${setting.netThreads} net threads bring ${change}: kept`);
    case 'netThreadsDown':
    case 'connectionsDown': {
      const what =
        trial.kind === 'connectionsDown'
          ? `${setting.connections} connections`
          : count(setting.netThreads, 'net thread');
      if (gain > -LOSS_MAX && after >= (1 - LOSS_MAX) * best) return kept(`${what} bring ${change}: enough`);
      return undone(
        `${what} bring ${change}: back to ${trial.kind === 'connectionsDown' ? from.connections : from.netThreads}`,
      );
    }
  }
}

/** Whole blocks, one at least. */
function blocks(bytes: number): number {
  return Math.max(1, Math.round(bytes / MIB)) * MIB;
}
