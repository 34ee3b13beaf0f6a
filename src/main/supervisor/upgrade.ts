/**
 * One upgrade of a live mount, as a state machine: the old daemon is asked to put on disk what is only in its memory, for
 * HAND_OVER_MS at most, then killed; a daemon of the new version takes over as after a crash; if it dies before it serves, one
 * of the old version does. Refuses to start or end processes: supervisor.ts does.
 */
import { within } from '../../base/waits.js';
import type { UpgradeResult } from './api.js';

/** For bytes that are not spooled yet; what is not on disk then is lost to its writer, who gets EIO. */
export const HAND_OVER_MS = 15_000;

export interface UpgradeOptions {
  /** JavaScript files of the daemons. */
  readonly from: string;
  readonly to: string;
  readonly fromVersion: string;
}

export class Upgrade {
  /** Settles when a daemon of the new version serves; rejects with the reason when it did not come to that. */
  readonly result: Promise<UpgradeResult>;
  readonly #options: UpgradeOptions;
  #state: 'handing over' | 'starting' | 'over' = 'handing over';
  #resolve: (result: UpgradeResult) => void = () => undefined;
  #reject: (error: Error) => void = () => undefined;
  #handedOver: () => void = () => undefined;

  constructor(options: UpgradeOptions) {
    this.#options = options;
    this.result = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.result.catch(() => undefined);
  }

  get isOver(): boolean {
    return this.#state === 'over';
  }

  /** The old daemon has nothing left that is only in memory. */
  handedOver(): void {
    this.#handedOver();
  }

  /** Until then, or until the old daemon has ended, or for HAND_OVER_MS. */
  async untilHandedOver(ended: Promise<unknown>, waitMs = HAND_OVER_MS): Promise<void> {
    const answer = new Promise<void>((resolve) => (this.#handedOver = resolve));
    await within(Promise.race([answer, ended]), waitMs, undefined);
  }

  /** A daemon died (`how`, in words) while this is under way: which one is next. */
  nextEntry(how: string): string {
    if (this.#state === 'handing over') {
      this.#state = 'starting';
      return this.#options.to;
    }
    this.failed(`the new version could not take over (${how}); the old one serves on`);
    return this.#options.from;
  }

  /** A daemon serves. True when that ends the upgrade. */
  succeeded(version: string, pid: number): boolean {
    if (this.#state !== 'starting') return false;
    this.#state = 'over';
    this.#resolve({ from: this.#options.fromVersion, to: version, pid });
    return true;
  }

  failed(reason: string): void {
    this.#state = 'over';
    this.#reject(new Error(reason));
  }
}
