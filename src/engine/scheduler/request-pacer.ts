/**
 * How many requests a second a prefix may get, once the store has said SlowDown: an even pace of its own for each prefix,
 * cut at each refusal and grown back along a cubic curve (as CUBIC does for congestion windows, RFC 9438, and the adaptive
 * retry modes of AWS's SDKs for request rates): quickly while far below the rate that was refused, slowly near it, then
 * doubling, because a store under load splits its prefixes and gives more after a while.
 * Why not fewer connections instead: a connection is held for a whole body, so their number says little about requests a
 * second; halving it cuts the goodput of 64 MiB bodies, which a limit on requests never asked for, and does not keep 4 KiB
 * reads below it (docs/SCALING.md, "The controller in simulated worlds").
 *
 * One for each net thread, each with what it sees itself: their cuts fall on different threads at different times, and the
 * sum settles at the limit, as flows do that share a link.
 * Bounded: PREFIXES_MAX prefixes, the longest unused forgotten first. Sans I/O, no clock, no randomness.
 * Refuses to hold requests: who is told a later time keeps its own timer and asks again.
 */
import type { RequestPacer } from './api.js';

/** Prefixes that are told apart; a mount with more that are refused at once paces the last seen (guessed). */
export const PREFIXES_MAX = 64;

/** What is left of the refused rate: CUBIC's 0.7 at first, less of a cut when it is about what was refused before. */
const CUT_FIRST = 0.7;
const CUT_KNOWN = 0.85;
/** A refused rate within this share of the one before is the same limit. */
const KNOWN_SHARE = 0.15;
/**
 * The first refusal comes out of a burst and says little about a rate: from a low one it is doubled in this time until the
 * next refusal, as flows begin; the rate found so is a little too high by then.
 */
const DOUBLE_MS = 500;
const SEARCH_SHARE = 0.85;
/** After twice BACK_MS without a refusal the rate is doubled in this time. */
const DOUBLE_AGAIN_MS = 1_000;
/** A pace of which the store took less than this had long been too high: what it took counts, but not if next to nothing. */
const TAKEN_SHARE = 0.5;
const TAKEN_MIN = 4;
const DEEPEST_CUT = 1 / 8;
/** Somebody was held back so lately that the rate was in full use. */
const HELD_MS = 500;
/** The curve is back at the refused rate after this; CUBIC's constant counts packets, ours is a time for any rate (simulated). */
const BACK_MS = 3_000;
/** Never slower, or a prefix could hold up a READ until its deadline (guessed: AWS's SDKs go down to 0.5). */
const RATE_MIN = 1;
/** A rate that is not used up does not grow beyond so many times what is used, or so many times what was refused. */
const UNUSED_FACTOR = 2;
const QUIET_FACTOR = 8;
/** Requests that may go out at once, as time at the current rate: timers of that length do not hold it back. */
const BURST_MS = 20;
/** Askers are told times this far ahead at most. */
const HORIZON_MS = 1_000;
/** Nothing refused and nothing held back for so long: the pace is forgotten (guessed; S3 scales within minutes). */
const FORGET_MS = 60_000;

/** Answers are counted in slices of a second. */
const SLICE_MS = 125;
const SLICES = 8;
/** A younger prefix has no rate that could be trusted. */
const MEASURED_MIN_MS = 250;
/**
 * Refusals so soon after a cut are part of it: a store that counts by the second refuses all that comes in the rest of one,
 * whatever the pace (each of them cutting it left half of what was allowed, simulated).
 */
const CUT_REST_MS = 500;
/** After so long, whatever was under way when the pace was cut has been answered or lost. */
const STALE_MS = 2_000;

/** What is known of one prefix. Mutable, owned by the pacer. */
interface Pace {
  /** Requests a second; Infinity until the first refusal. */
  rate: number;
  /** The rate that was refused last, and when; the curve starts there. */
  refusedRate: number;
  refusedMs: number;
  cut: number;
  /** No rate was refused yet that could be trusted. */
  isSearching: boolean;
  /** Requests out that went before the last cut: their refusals are no news. */
  staleLeft: number;
  underWay: number;
  /** Answers other than refusals since the last cut. */
  takenSince: number;
  /** The pace held somebody back lately. */
  heldMs: number;
  /** Time up to which requests are spoken for at this rate. */
  nextMs: number;
  /** The last time that somebody was told to come again at. */
  toldMs: number;
  usedMs: number;
  /** Answers by slice of time, and the slice that counts now. */
  readonly slices: Float64Array;
  slice: number;
  firstMs: number;
}

export class PrefixPacer implements RequestPacer {
  readonly #paces = new Map<string, Pace>();
  /** The last prefix asked for: streams ask for the same one again and again. */
  #lastPrefix: string | undefined;
  #last: Pace | undefined;

  /** Prefixes that are paced now, and the requests a second they may have; for people. */
  get paced(): readonly { readonly prefix: string; readonly requestsPerSecond: number }[] {
    const paced: { prefix: string; requestsPerSecond: number }[] = [];
    for (const [prefix, pace] of this.#paces) {
      if (pace.rate < Infinity) paced.push({ prefix, requestsPerSecond: pace.rate });
    }
    return paced;
  }

  startAt(prefix: string, nowMs: number, isUrgent = false): number {
    const pace = this.#paceOf(prefix, nowMs);
    if (pace.rate < Infinity) {
      this.#grow(pace, nowMs);
      if (nowMs - Math.max(pace.refusedMs, pace.heldMs) > FORGET_MS) pace.rate = Infinity;
    }
    if (pace.rate < Infinity) {
      const gapMs = 1000 / pace.rate;
      pace.nextMs = Math.max(pace.nextMs, nowMs - BURST_MS);
      if (pace.nextMs > nowMs) {
        pace.heldMs = nowMs;
        if (isUrgent) return pace.nextMs;
        // Each of those who ask meanwhile is told a time of its own, so that they do not all come back at once.
        pace.toldMs = Math.min(Math.max(pace.toldMs + gapMs, pace.nextMs), nowMs + HORIZON_MS);
        return pace.toldMs;
      }
      pace.nextMs += gapMs;
    }
    pace.underWay++;
    return nowMs;
  }

  slowDown(prefix: string, nowMs: number): void {
    const pace = this.#paceOf(prefix, nowMs);
    pace.underWay = Math.max(0, pace.underWay - 1);
    if (pace.staleLeft > 0 && nowMs - pace.refusedMs < STALE_MS) {
      pace.staleLeft--;
      return;
    }
    if (nowMs - pace.refusedMs < CUT_REST_MS) return;
    const isFirst = pace.rate === Infinity;
    const refusedRate = this.#refusedRate(pace, nowMs);
    const isKnown = Math.abs(refusedRate - pace.refusedRate) <= KNOWN_SHARE * pace.refusedRate;
    pace.cut = isKnown ? CUT_KNOWN : CUT_FIRST;
    pace.isSearching = isFirst || (pace.isSearching && pace.takenSince < TAKEN_MIN);
    pace.takenSince = 0;
    pace.refusedRate = refusedRate;
    pace.refusedMs = nowMs;
    pace.staleLeft = pace.underWay;
    pace.rate = Math.max(RATE_MIN, refusedRate * pace.cut);
    pace.nextMs = Math.max(pace.nextMs, nowMs + 1000 / pace.rate);
    pace.toldMs = Math.min(pace.toldMs, pace.nextMs);
  }

  answered(prefix: string, nowMs: number): void {
    const pace = this.#paceOf(prefix, nowMs);
    pace.underWay = Math.max(0, pace.underWay - 1);
    if (pace.staleLeft > 0) pace.staleLeft--;
    pace.takenSince++;
    turnTo(pace, nowMs);
    const at = pace.slice % SLICES;
    pace.slices[at] = (pace.slices[at] ?? 0) + 1;
  }

  /** What the store would not take: the pace itself where it was in full use, otherwise what went through. */
  #refusedRate(pace: Pace, nowMs: number): number {
    const { rate } = pace;
    if (rate === Infinity || nowMs - pace.heldMs > HELD_MS) {
      return Math.max(RATE_MIN, Math.min(rate, this.#measured(pace, nowMs)));
    }
    // A pace that was far too high: what went through is nearer to the truth. Of the whole last second, as a store that
    // counts by the second takes all of its share at once.
    const taken = Math.max(this.#measured(pace, nowMs), (1000 * pace.takenSince) / (nowMs - pace.refusedMs));
    if (taken < TAKEN_SHARE * rate) return Math.max(RATE_MIN, taken, rate * DEEPEST_CUT);
    return Math.max(RATE_MIN, pace.isSearching ? rate * SEARCH_SHARE : rate);
  }

  /** The curve: (t / BACK_MS - 1)^3 below and above the refused rate, as steep as the cut was deep. */
  #grow(pace: Pace, nowMs: number): void {
    const sinceMs = nowMs - pace.refusedMs;
    const x = sinceMs / BACK_MS - 1;
    let curve = pace.refusedRate * (1 + (1 - pace.cut) * Math.min(x, 1) ** 3);
    if (pace.isSearching) curve = pace.refusedRate * pace.cut * doubled(sinceMs / DOUBLE_MS);
    // Well beyond what was refused, and not refused: the limit has gone.
    else if (x > 1) curve *= doubled((sinceMs - 2 * BACK_MS) / DOUBLE_AGAIN_MS);
    // Far beyond what was refused, only as far as it is used: quiet proves little.
    const used = Math.max(QUIET_FACTOR * pace.refusedRate, RATE_MIN + UNUSED_FACTOR * this.#measured(pace, nowMs));
    pace.rate = Math.max(RATE_MIN, Math.min(curve, used));
  }

  /** Answers a second over the last second or the prefix's life; Infinity before that can be said. */
  #measured(pace: Pace, nowMs: number): number {
    turnTo(pace, nowMs);
    const coveredMs = Math.min(nowMs - pace.firstMs, nowMs - (pace.slice - SLICES + 1) * SLICE_MS);
    let answers = 0;
    for (let at = 0; at < SLICES; at++) answers += pace.slices[at] ?? 0;
    if (coveredMs < MEASURED_MIN_MS) return Math.max((1000 * (answers + pace.underWay)) / MEASURED_MIN_MS, RATE_MIN);
    return (1000 * answers) / coveredMs;
  }

  #paceOf(prefix: string, nowMs: number): Pace {
    if (prefix === this.#lastPrefix && this.#last) {
      this.#last.usedMs = nowMs;
      return this.#last;
    }
    let pace = this.#paces.get(prefix);
    if (!pace) {
      if (this.#paces.size >= PREFIXES_MAX) this.#forgetOne();
      pace = {
        rate: Infinity,
        refusedRate: Infinity,
        refusedMs: -Infinity,
        cut: CUT_FIRST,
        isSearching: true,
        staleLeft: 0,
        underWay: 0,
        takenSince: 0,
        heldMs: -Infinity,
        nextMs: -Infinity,
        toldMs: -Infinity,
        usedMs: nowMs,
        slices: new Float64Array(SLICES),
        slice: Math.floor(nowMs / SLICE_MS),
        firstMs: nowMs,
      };
      this.#paces.set(prefix, pace);
    }
    pace.usedMs = nowMs;
    this.#lastPrefix = prefix;
    this.#last = pace;
    return pace;
  }

  /** The longest unused goes; those that are not paced first. */
  #forgetOne(): void {
    let victim: string | undefined;
    let victimMs = Infinity;
    for (const [prefix, pace] of this.#paces) {
      const weighMs = pace.usedMs - (pace.rate === Infinity ? FORGET_MS : 0);
      if (weighMs >= victimMs) continue;
      victimMs = weighMs;
      victim = prefix;
    }
    if (victim === undefined) return;
    this.#paces.delete(victim);
    if (victim === this.#lastPrefix) this.#last = undefined;
  }
}

function doubled(times: number): number {
  return 2 ** Math.min(times, 32);
}

/** Empties the slices that time has passed over. */
function turnTo(pace: Pace, nowMs: number): void {
  const slice = Math.floor(nowMs / SLICE_MS);
  if (slice <= pace.slice) return;
  const passed = Math.min(SLICES, slice - pace.slice);
  for (let back = 0; back < passed; back++) pace.slices[(slice - back) % SLICES] = 0;
  pace.slice = slice;
}
