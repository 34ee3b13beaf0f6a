/**
 * Whether a mount is in use, from a look at its counters twice a second: sans I/O. A single request now and then (somebody's
 * `ls`) does not make a mount active, because that would halve the link of another that works.
 * Refuses to change its mind often: what it says becomes a write to a file that others watch.
 */
import { MIB } from '../../base/units.js';
import type { Activity } from './announcement.js';

/** Time between looks, and of a mount that has nothing to do. */
export const LOOK_MS = 500;
export const IDLE_LOOK_MS = 1_000;
/** A look that finds so many bytes moved since the last one means work. */
const BUSY_BYTES = MIB / 2;
/** How long a mount that pauses stays active: the pauses of a job that reads between two steps of training (guessed). */
const ACTIVE_HOLD_MS = 3_000;
/** Without a READ or WRITE for so long the cache of a mount is not worth others' memory (guessed: an evaluation between epochs is shorter). */
const ASLEEP_MS = 60_000;

/** Running totals and what is going on now. */
export interface ActivityLook {
  /** Requests to the store are under way. */
  readonly isBusy: boolean;
  /** Bytes that came from the store, in all. */
  readonly bytesMoved: number;
  /** READs and WRITEs that programs made, in all. */
  readonly used: number;
  /** Grows while somebody waits for the network: READs that had to wait, bytes that were sent, in all. */
  readonly waited: number;
}

export class ActivityMeter {
  #last: ActivityLook = { isBusy: false, bytesMoved: 0, used: 0, waited: 0 };
  #activeMs = -Infinity;
  #usedMs: number;

  /** A mount begins awake and idle. */
  constructor(nowMs: number) {
    this.#usedMs = nowMs;
  }

  look(now: ActivityLook, nowMs: number): Activity {
    const last = this.#last;
    this.#last = now;
    // Twice in a row: work, or one slow request; both want the link.
    const isActive = now.bytesMoved - last.bytesMoved >= BUSY_BYTES || (now.isBusy && last.isBusy);
    if (isActive) this.#activeMs = nowMs;
    if (isActive || now.used !== last.used) this.#usedMs = nowMs;
    if (nowMs - this.#activeMs < ACTIVE_HOLD_MS) return 'active';
    return nowMs - this.#usedMs < ASLEEP_MS ? 'idle' : 'asleep';
  }
}
