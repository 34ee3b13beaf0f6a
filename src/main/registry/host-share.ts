/**
 * Keeps a mount's share up to date: looks whether the mount is in use, tells the others, hears of them, divides, and hands
 * the result to who obeys (the scheduler's driver, the memory governor).
 *
 * Thread: main. Owns: the registry, its timer. Bounds: a look each LOOK_MS; takers are called only when the share changed.
 * Refuses to divide by itself (divide.ts) and to touch files (registry.ts).
 */
import type { Clock, Timer } from '../../base/clock.js';
import type { Log } from '../../base/log.js';
import { wholeShare, type HostShare, type ShareTaker } from '../scheduler/share.js';
import { ActivityMeter, IDLE_LOOK_MS, LOOK_MS, type ActivityLook } from './activity.js';
import type { Announcement, Claim } from './announcement.js';
import { divide, usesBeside } from './divide.js';
import { FairTrim, type Use } from './fair-trim.js';
import { MountRegistry } from './registry.js';

/** Looks from one word about what is used to the next: a second. */
const LOOKS_A_USE = 2;

export interface HostShareOptions {
  /** Of the registry; undefined: this mount is alone, whatever else is mounted. */
  readonly directory: string | undefined;
  readonly mountPoint: string;
  readonly claim: Omit<Claim, 'activity'>;
  /** What this mount has alone. */
  readonly memoryTargetBytes: number;
}

export interface HostShareDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly look: () => ActivityLook;
  readonly takers: readonly ShareTaker[];
  readonly startTicksOf?: (pid: number) => number | undefined;
  readonly pid?: number;
}

export class HostShareKeeper {
  readonly #options: HostShareOptions;
  readonly #deps: HostShareDeps;
  readonly #registry: MountRegistry;
  readonly #activity: ActivityMeter;
  readonly #fair = new FairTrim();
  #looks = 0;
  #used = { bytes: 0, waited: 0, atMs: 0 };
  #timer: Timer | undefined;
  #claim: Claim;
  #share: HostShare;

  constructor(options: HostShareOptions, deps: HostShareDeps) {
    const { clock, log, startTicksOf, pid } = deps;
    this.#options = options;
    this.#deps = deps;
    this.#claim = { ...options.claim, activity: 'idle' };
    this.#share = wholeShare(options.memoryTargetBytes);
    this.#activity = new ActivityMeter(clock.nowMs());
    this.#registry = new MountRegistry(options, {
      clock,
      log,
      changed: () => this.#divide(),
      ...(startTicksOf === undefined ? {} : { startTicksOf }),
      ...(pid === undefined ? {} : { pid }),
    });
  }

  /** What this mount may use now. */
  get share(): HostShare {
    return this.#share;
  }

  /** This mount's own claim and those of the others, for `stats` and `explain`. */
  get claims(): { readonly mine: Claim; readonly others: readonly Announcement[] } {
    return { mine: this.#claim, others: this.#registry.others };
  }

  start(): void {
    if (this.#options.directory === undefined) return;
    this.#registry.announce(this.#claim);
    this.#registry.start();
    this.#divide();
    this.#schedule();
  }

  close(): void {
    this.#timer?.cancel();
    this.#registry.close();
  }

  #schedule(): void {
    const waitMs = this.#claim.activity === 'active' ? LOOK_MS : IDLE_LOOK_MS;
    this.#timer = this.#deps.clock.after(waitMs, () => {
      const { clock } = this.#deps;
      const nowMs = clock.nowMs();
      const look = this.#deps.look();
      const activity = this.#activity.look(look, nowMs);
      if (activity !== this.#claim.activity) this.#say({ ...this.#options.claim, activity });
      if (++this.#looks % LOOKS_A_USE === 0) this.#weigh(look, nowMs);
      this.#schedule();
    });
  }

  /** Beside others that are at work: tells what this mount gets, and gives way when it gets too much. */
  #weigh(look: ActivityLook, nowMs: number): void {
    const { bytes, waited, atMs } = this.#used;
    this.#used = { bytes: look.bytesMoved, waited: look.waited, atMs: nowMs };
    const isBeside = this.#share.activeMounts > 1 && this.#claim.activity === 'active';
    if (!isBeside) {
      this.#fair.reset();
      if (this.#claim.use) this.#say({ ...this.#options.claim, activity: this.#claim.activity });
      else this.#divide();
      return;
    }
    const bytesPerSecond = Math.round(((look.bytesMoved - bytes) * 1000) / Math.max(1, nowMs - atMs));
    const use: Use = { bytesPerSecond: Math.max(0, bytesPerSecond), isHungry: look.waited > waited };
    this.#fair.step(use, usesBeside(this.#claim, this.#registry.others), nowMs);
    this.#say({ ...this.#claim, use });
  }

  #say(claim: Claim): void {
    this.#claim = claim;
    this.#registry.announce(claim);
    this.#divide();
  }

  #divide(): void {
    const { takers, log } = this.#deps;
    const divided = divide(this.#claim, this.#registry.others, this.#options.memoryTargetBytes);
    const share: HostShare = { ...divided, networkShare: divided.networkShare * this.#fair.trim };
    const before = this.#share;
    if (
      share.networkShare === before.networkShare &&
      share.activeMounts === before.activeMounts &&
      share.memoryTargetBytes === before.memoryTargetBytes
    ) {
      return;
    }
    this.#share = share;
    const isNew = share.activeMounts !== before.activeMounts || share.memoryTargetBytes !== before.memoryTargetBytes;
    const fields = { share, others: this.#registry.others.length };
    if (isNew) log.info(fields, 'the host is shared anew between its mounts');
    else log.debug(fields, 'this mount and others at work come to the same speed');
    for (const taker of takers) taker.setShare(share);
  }
}
