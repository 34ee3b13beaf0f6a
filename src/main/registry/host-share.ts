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
import { ActivityMeter, LOOK_MS, type ActivityLook } from './activity.js';
import type { Announcement, Claim } from './announcement.js';
import { divide } from './divide.js';
import { MountRegistry } from './registry.js';

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
    this.#timer = this.#deps.clock.after(LOOK_MS, () => {
      const { clock, look } = this.#deps;
      const activity = this.#activity.look(look(), clock.nowMs());
      if (activity !== this.#claim.activity) {
        this.#claim = { ...this.#claim, activity };
        this.#registry.announce(this.#claim);
        this.#divide();
      }
      this.#schedule();
    });
  }

  #divide(): void {
    const { takers, log } = this.#deps;
    const share = divide(this.#claim, this.#registry.others, this.#options.memoryTargetBytes);
    const before = this.#share;
    if (
      share.networkShare === before.networkShare &&
      share.activeMounts === before.activeMounts &&
      share.memoryTargetBytes === before.memoryTargetBytes
    ) {
      return;
    }
    this.#share = share;
    log.info({ share, others: this.#registry.others.length }, 'the host is shared anew between its mounts');
    for (const taker of takers) taker.setShare(share);
  }
}
