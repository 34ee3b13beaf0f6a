/**
 * Learns how the small files of one directory are opened, and says how many of the others to fetch before anybody asks:
 * those that follow when files are opened in listing order, any of the rest when many are opened in no order (a shuffled
 * epoch, many workers). Pure: no clock, no I/O, so a test writes opens and reads back the plan.
 *
 * What is fetched unasked costs requests, so it is paced by opens and judged by its use: where less than a quarter was
 * opened, the directory is left alone for a while. Refuses to know names, bytes and listings: the caller counts rows.
 */

/** Opens this many rows before or after the furthest one are in order: threads and workers overtake each other. */
export const NEAR_ROWS = 32;

/** Files ahead of the furthest open: at first, and at most (128 of 40 kB keep 50 connections busy for two round trips). */
export const AHEAD_FILES_FIRST = 4;
export const AHEAD_FILES_MAX = 128;

/** So many opens out of order, or fewer within SWEEP_BURST_MS, mean that the whole directory is being read. */
const SWEEP_AFTER_OPENS = 16;
const SWEEP_BURST_OPENS = 8;
const SWEEP_BURST_MS = 1000;
/** Files fetched for each open of a sweep: everything is there or on its way after an eighth of the directory was opened. */
const SWEEP_FILES_PER_OPEN = 8;

/** After so many fetched files whose fate is known, fewer than this share of them opened ends it. */
const JUDGED_FILES = 64;
const USED_SHARE_MIN = 0.25;
/** How long a directory is left alone then (guessed: longer than one pass of a reader that does not suit us). */
const PAUSE_MS = 60_000;

export interface SiblingOpen {
  /** Rows from the furthest open so far to this one; undefined when that is not known or not in reach. */
  readonly step: number | undefined;
  /** It had been fetched ahead. */
  readonly expected: boolean;
  readonly nowMs: number;
}

export interface SiblingPlan {
  /** Files after the furthest open to have fetched; 0 when opens are in no order. */
  readonly aheadFiles: number;
  /** Further files of the directory to fetch for this open, whichever; 0 when it is not being swept. */
  readonly sweepFiles: number;
}

const NOTHING: SiblingPlan = { aheadFiles: 0, sweepFiles: 0 };

export class SiblingPattern {
  #aheadFiles = 0;
  /** Opens out of order since the last one in order, and when the latest of them were. */
  #disordered = 0;
  readonly #burstMs: number[] = [];
  #used = 0;
  #wasted = 0;
  #pausedUntilMs = -Infinity;

  /** A small file was opened that had not been open before. */
  note(open: SiblingOpen): SiblingPlan {
    if (open.expected) this.#used++;
    if (open.nowMs < this.#pausedUntilMs) return NOTHING;
    if (open.step !== undefined && Math.abs(open.step) <= NEAR_ROWS) {
      // In a shuffled epoch some opens fall near by accident: they do not end the sweep at once.
      this.#disordered = Math.max(0, this.#disordered - 2);
      if (this.#aheadFiles === 0) this.#aheadFiles = AHEAD_FILES_FIRST;
      else if (open.expected) this.#aheadFiles = Math.min(2 * this.#aheadFiles, AHEAD_FILES_MAX);
    } else {
      this.#aheadFiles = 0;
      this.#disordered = Math.min(this.#disordered + 1, 2 * SWEEP_AFTER_OPENS);
      this.#burstMs.push(open.nowMs);
      if (this.#burstMs.length > SWEEP_BURST_OPENS) this.#burstMs.shift();
    }
    return { aheadFiles: this.#aheadFiles, sweepFiles: this.#sweeps(open.nowMs) ? SWEEP_FILES_PER_OPEN : 0 };
  }

  /** A file that was fetched ahead was given up unopened. */
  wasted(nowMs: number): void {
    this.#wasted++;
    const judged = this.#used + this.#wasted;
    if (judged < JUDGED_FILES) return;
    if (this.#used < judged * USED_SHARE_MIN) {
      this.#pausedUntilMs = nowMs + PAUSE_MS;
      this.#aheadFiles = 0;
      this.#disordered = 0;
      this.#burstMs.length = 0;
    }
    // What is long past counts less and less.
    this.#used = Math.floor(this.#used / 2);
    this.#wasted = Math.floor(this.#wasted / 2);
  }

  #sweeps(nowMs: number): boolean {
    if (this.#disordered >= SWEEP_AFTER_OPENS) return true;
    const first = this.#burstMs[0];
    if (this.#disordered < SWEEP_BURST_OPENS || this.#burstMs.length < SWEEP_BURST_OPENS || first === undefined) {
      return false;
    }
    return nowMs - first <= SWEEP_BURST_MS;
  }
}
