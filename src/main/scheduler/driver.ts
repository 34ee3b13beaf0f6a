/**
 * Joins the controller to the running program: gathers what the net threads saw, has it judged once an interval, and passes
 * the setting on: connections as `limits` to the threads, part bytes to whoever plans reads, active threads to whoever
 * places them. Keeps totals and the last samples for `stats`, and the decisions for `explain`.
 *
 * Thread: main. Owns: the last sample of each thread. No timer of its own: an interval is over when every thread that took
 * part in the last one has spoken, or one of them for the second time; a mount on which nothing happens costs nothing.
 * Bounds: RECENT_FIRST_BYTES latencies, RECENT_STEPS steps; decisions by the controller's own bound.
 * Refuses to decide: src/engine/scheduler does.
 */
import type { Clock } from '../../base/clock.js';
import type { Log } from '../../base/log.js';
import type { NetCommand } from '../../engine/api.js';
import type { NetPort } from '../../engine/data-plane.js';
import type {
  ControllerBounds,
  Decision,
  NetSample,
  SchedulerController,
  Setting,
} from '../../engine/scheduler/api.js';
import type { HostShare, ShareTaker } from './share.js';
import { Recent } from './recent.js';

/** First-byte latencies that percentiles are taken of: at 32 a sample, some seconds of a busy mount. */
const RECENT_FIRST_BYTES = 2048;
/** Steps that throughput is averaged over: one second. */
const RECENT_STEPS = 10;
/** Decisions that outlive a change of the bounds, its own included. */
const DECISIONS_KEPT = 256;

export interface DriverOptions {
  readonly bounds: ControllerBounds;
  /** What each thread was started with. */
  readonly connectionsPosted: number;
  /** What all threads together may move, in and out; no limit without it. */
  readonly bytesPerSecondMax?: number;
}

type Limits = Extract<NetCommand, { type: 'limits' }>;

/** Of a limit of bandwidth, this share is divided evenly, so that threads at work come to the same part; the rest by use. */
const EVEN_SHARE = 0.5;

export interface DriverDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly controller: SchedulerController;
  readonly ports: readonly NetPort[];
  /** New fetches go to so many threads, the first ones. */
  readonly setActiveThreads: (threads: number) => void;
  /** See ControllerInput. */
  readonly poolPressure: () => number;
  /** For how long, in all, this thread's event loop has been busy, ms. */
  readonly loopBusyMs: () => number;
  /** READs that had to wait, ever, and whether anybody waits for room. */
  readonly demand: () => { readonly readsTotal: number; readonly isCrowded: boolean };
}

/** Everything since the mount began. */
export interface NetTotals {
  readonly bytesIn: number;
  readonly bytesOut: number;
  readonly requests: number;
  readonly hedges: number;
  readonly hedgesWon: number;
  readonly retries: number;
  readonly slowDowns: number;
}

export interface LatencyMs {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** Plain data for `mount-s3x stats` and `explain`; nothing in it is changed afterwards. */
export interface SchedulerSnapshot {
  readonly setting: Setting;
  readonly bounds: ControllerBounds;
  readonly share: HostShare | undefined;
  /** The last sample of each net thread and how long ago it came; undefined for one that had nothing to do yet. */
  readonly threads: readonly ({ readonly ageMs: number; readonly sample: NetSample } | undefined)[];
  readonly totals: NetTotals;
  /** Over the last second of activity; 0 when nothing has happened for two intervals. */
  readonly inBytesPerSecond: number;
  readonly outBytesPerSecond: number;
  /** Of first bytes, lately; undefined before the first one. */
  readonly firstByteMs: LatencyMs | undefined;
  /** Oldest first. */
  readonly decisions: readonly Decision[];
}

interface Latest {
  readonly sample: NetSample;
  readonly atMs: number;
}

export class SchedulerDriver implements ShareTaker {
  readonly #deps: DriverDeps;
  #bounds: ControllerBounds;
  #controller: SchedulerController;
  /** Of controllers before this one. */
  #earlier: readonly Decision[] = [];
  readonly #latest: (Latest | undefined)[];
  /** Samples of the interval that is not over. */
  #pending = new Map<number, NetSample>();
  /** Threads that will speak again: they were busy when they last did. */
  readonly #busy = new Set<number>();
  #setting: Setting;
  #share: HostShare | undefined;
  #bytesPerMs: number;
  #posted: readonly Limits[];
  #totals: { -readonly [K in keyof NetTotals]: number } = {
    bytesIn: 0,
    bytesOut: 0,
    requests: 0,
    hedges: 0,
    hedgesWon: 0,
    retries: 0,
    slowDowns: 0,
  };
  readonly #firstBytes = new Recent(RECENT_FIRST_BYTES);
  readonly #steps: {
    readonly atMs: number;
    readonly spanMs: number;
    readonly bytesIn: number;
    readonly bytesOut: number;
  }[] = [];
  #steppedMs: number;
  #loopBusyMs: number;
  #readsTotal = 0;
  #told = 0;

  /** `connectionsPosted`: what each thread was started with. */
  constructor({ bounds, connectionsPosted, bytesPerSecondMax = Infinity }: DriverOptions, deps: DriverDeps) {
    this.#deps = deps;
    this.#bounds = bounds;
    this.#controller = deps.controller;
    this.#latest = deps.ports.map(() => undefined);
    this.#bytesPerMs = bytesPerSecondMax / 1000;
    this.#posted = deps.ports.map(() => ({ type: 'limits', connectionsMax: connectionsPosted }));
    this.#setting = deps.controller.setting;
    this.#steppedMs = deps.clock.nowMs();
    this.#loopBusyMs = deps.loopBusyMs();
    this.#apply();
  }

  /** Of now. */
  get setting(): Setting {
    return this.#setting;
  }

  get decisions(): readonly Decision[] {
    const own = this.#controller.decisions;
    return this.#earlier.length === 0 ? own : [...this.#earlier, ...own].slice(-DECISIONS_KEPT);
  }

  /** What thread `thread` saw in its last interval. */
  sampled(thread: number, sample: NetSample): void {
    // A second word of the same thread: the others had nothing to say.
    if (this.#pending.has(thread)) this.#step();
    const atMs = this.#deps.clock.nowMs();
    this.#latest[thread] = { sample, atMs };
    this.#pending.set(thread, sample);
    this.#add(sample);
    if (sample.busy > 0 || sample.waiting > 0 || sample.requests > 0) this.#busy.add(thread);
    else this.#busy.delete(thread);
    for (const other of this.#busy) if (!this.#pending.has(other)) return;
    this.#step();
  }

  /** Another limit of payload, in and out; Infinity for none. */
  setBandwidth(bytesPerSecondMax: number): void {
    this.#bytesPerMs = bytesPerSecondMax / 1000;
    this.#apply();
  }

  /** Begins anew within other bounds, with a controller made for them. */
  rebind(bounds: ControllerBounds, controller: SchedulerController): void {
    this.#earlier = this.decisions;
    this.#bounds = bounds;
    this.#controller = controller;
    this.#setting = controller.setting;
    this.#apply();
  }

  setShare(share: HostShare): void {
    this.#share = share;
    this.#apply();
  }

  /** Since the mount began, borrowed: of now. */
  get totals(): NetTotals {
    return this.#totals;
  }

  snapshot(): SchedulerSnapshot {
    const nowMs = this.#deps.clock.nowMs();
    const newest = this.#steps[this.#steps.length - 1];
    const isLive = newest !== undefined && nowMs - newest.atMs <= 2 * Math.max(newest.spanMs, 100) + 100;
    const spanMs = this.#steps.reduce((sum, step) => sum + step.spanMs, 0);
    const perSecond = (bytes: number): number => (isLive && spanMs > 0 ? (bytes * 1000) / spanMs : 0);
    return {
      setting: this.#setting,
      bounds: this.#bounds,
      share: this.#share,
      threads: this.#latest.map((latest) => latest && { ageMs: nowMs - latest.atMs, sample: latest.sample }),
      totals: { ...this.#totals },
      inBytesPerSecond: perSecond(this.#steps.reduce((sum, step) => sum + step.bytesIn, 0)),
      outBytesPerSecond: perSecond(this.#steps.reduce((sum, step) => sum + step.bytesOut, 0)),
      firstByteMs: this.#firstBytes.quantiles(),
      decisions: [...this.decisions],
    };
  }

  #add(sample: NetSample): void {
    const totals = this.#totals;
    totals.bytesIn += sample.bytesIn;
    totals.bytesOut += sample.bytesOut;
    totals.requests += sample.requests;
    totals.hedges += sample.hedges;
    totals.hedgesWon += sample.hedgesWon;
    totals.retries += sample.retries;
    for (const { count } of sample.slowDowns) totals.slowDowns += count;
    for (const waitedMs of sample.firstByteMs) this.#firstBytes.add(waitedMs);
  }

  #step(): void {
    const { clock, demand, log, loopBusyMs, poolPressure } = this.#deps;
    const controller = this.#controller;
    const threads = [...this.#pending.values()];
    this.#pending = new Map();
    const nowMs = clock.nowMs();
    const spanMs = Math.max(1, ...threads.map((sample) => sample.spanMs));
    const busyMs = loopBusyMs();
    const sinceMs = Math.max(1, nowMs - this.#steppedMs);
    const { readsTotal, isCrowded } = demand();
    const hasDemand = isCrowded || readsTotal > this.#readsTotal || threads.some((sample) => sample.waiting > 0);
    this.#readsTotal = readsTotal;
    this.#steps.push({
      atMs: nowMs,
      spanMs,
      bytesIn: threads.reduce((sum, sample) => sum + sample.bytesIn, 0),
      bytesOut: threads.reduce((sum, sample) => sum + sample.bytesOut, 0),
    });
    if (this.#steps.length > RECENT_STEPS) this.#steps.shift();
    const mainLoopBusy = Math.min(1, Math.max(0, (busyMs - this.#loopBusyMs) / sinceMs));
    this.#loopBusyMs = busyMs;
    this.#steppedMs = nowMs;
    this.#setting = controller.step({ nowMs, threads, poolPressure: poolPressure(), mainLoopBusy, hasDemand });
    const last = controller.decisions[controller.decisions.length - 1];
    if (last !== undefined && last.atMs === nowMs && this.#told !== nowMs) {
      this.#told = nowMs;
      log.debug({ before: last.before, after: last.after }, `scheduler: ${last.reason}`);
    }
    this.#apply();
  }

  /** Tells everybody what has changed for them. */
  #apply(): void {
    const { ports, setActiveThreads } = this.#deps;
    const share = this.#share?.networkShare ?? 1;
    const wanted = Math.max(1, Math.round(this.#setting.connections * share));
    // No thread can do without a connection, so there are no more threads than those.
    const active = Math.min(ports.length, wanted, Math.max(1, this.#setting.netThreads));
    // The controller looks at goodput, which a single READ that waits for a connection adds little to: whoever waits may have
    // one beyond its setting, up to the most (measured beside 4 streams, with 8 connections found to be enough for them:
    // p99 of 256 KiB 135 ms).
    const { fixed, most } = this.#bounds;
    const all = fixed.connections ? wanted : Math.max(wanted, Math.round(most.connections * share));
    // The first threads get what does not divide; those that get nothing new keep one.
    const part = (of: number, thread: number): number =>
      thread >= active ? 1 : Math.floor(of / active) + (thread < of % active ? 1 : 0);
    const posted = ports.map((_port, thread): Limits => {
      const bytesPerMs = this.#rateOf(thread);
      const before = this.#posted[thread];
      // With one connection what still waits there would go one by one, and readers wait behind it.
      if (thread >= active && this.#busy.has(thread) && before) {
        return { ...before, ...(bytesPerMs === Infinity ? {} : { bytesPerMs }) };
      }
      return {
        type: 'limits',
        connectionsMax: part(all, thread),
        ...(all === wanted ? {} : { backgroundMax: part(wanted, thread) }),
        ...(bytesPerMs === Infinity ? {} : { bytesPerMs }),
      };
    });
    setActiveThreads(active);
    posted.forEach((limits, thread) => {
      const before = this.#posted[thread];
      if (before && isSame(before, limits)) return;
      ports[thread]?.post(limits);
    });
    this.#posted = posted;
  }

  /**
   * A thread's part of the limit of bandwidth, bytes/ms: those at work have all of it. Who rests has a part beside that to
   * begin with, which is taken into account as soon as it does, an interval later.
   */
  #rateOf(thread: number): number {
    const atWork = this.#latest.filter((latest) => latest !== undefined && isAtWork(latest.sample));
    const latest = this.#latest[thread];
    if (atWork.length === 0) return this.#bytesPerMs / this.#latest.length;
    if (latest === undefined || !isAtWork(latest.sample)) return (this.#bytesPerMs * EVEN_SHARE) / this.#latest.length;
    const total = atWork.reduce((sum, each) => sum + (each ? moved(each.sample) : 0), 0);
    const even = 1 / atWork.length;
    const byUse = total === 0 ? even : moved(latest.sample) / total;
    return this.#bytesPerMs * (EVEN_SHARE * even + (1 - EVEN_SHARE) * byUse);
  }
}

function moved(sample: NetSample): number {
  return sample.bytesIn + sample.bytesOut;
}

function isAtWork(sample: NetSample): boolean {
  return moved(sample) > 0 || sample.busy > 0 || sample.waiting > 0;
}

function isSame(one: Limits, other: Limits): boolean {
  return (
    one.connectionsMax === other.connectionsMax &&
    one.backgroundMax === other.backgroundMax &&
    one.bytesPerMs === other.bytesPerMs
  );
}
