/**
 * Holds what one net thread moves, in and out together, at a rate: a bucket of tokens, a byte each, that may be overdrawn.
 * Bytes are counted after they came, because nobody knows before how many a socket has; whoever finds the bucket
 * overdrawn stops reading (or sending) and waits here, and the peer is held up by its full window. What is overdrawn is paid
 * before anybody goes on, so the rate is exact over any longer time, and no pause is longer than a few ticks.
 * Who waits for a READ goes on before those who fetch ahead or upload, and may overdraw further; behind each other all take
 * turns. But a part of the rate is for the others, or readers who never pause would keep a file from ever being written.
 *
 * Thread: a net thread. Bounds: one waiter a connection; BURST_MS of the rate is saved up at most, so a pause is not made
 * up for by a flood. Without a rate nothing is counted: the hot path asks `isLimited` only.
 * Refuses to choose requests: ConnectionPool asks `isCrowded` before it begins one that nobody waits for.
 */
import type { Clock, Timer } from '../../base/clock.js';
import { KIB } from '../../base/units.js';

/** What an idle moment may save up (guessed: timers of a busy thread are late by less). */
const BURST_MS = 50;
/** Who waits for a READ may overdraw the bucket by this much of the rate. */
const URGENT_DEBT_MS = 100;
/** Most bytes of one read or piece under a limit: small enough for turns to be short, large enough to cost little. */
export const LIMITED_BYTES = 128 * KIB;
/** Between two looks at who may go on. */
const TICK_MS_MIN = 4;
const TICK_MS_MAX = 20;
/** Of so many bytes one read is for those nobody waits for, as long as there are any (guessed). */
const OTHERS_TURN_BYTES = 8 * LIMITED_BYTES;
/** Turns that they may save up, for one moment of the timer. */
const OTHERS_TURNS_MAX = 8;
/** With so many held up, there is enough under way to keep the rate; more would only fill the kernel's buffers. */
const HELD_ENOUGH = 4;

/** A connection that is held up. */
export interface Held {
  /** A READ waits for what it brings; may change while it waits. */
  readonly isUrgent: boolean;
  /** It may go on. Called once. */
  goOn(): void;
}

export class BandwidthGate {
  readonly #clock: Clock;
  #bytesPerMs = Infinity;
  #tokens = 0;
  #filledMs = 0;
  /** In the order in which they stopped. */
  readonly #held = new Set<Held>();
  #timer: Timer | undefined;
  /** Bytes that were moved since somebody who is not urgent was last let go on, less what was made up for. */
  #passedBytes = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** There is a rate to be kept. */
  get isLimited(): boolean {
    return this.#bytesPerMs !== Infinity;
  }

  /** Infinity: no limit. */
  get bytesPerMs(): number {
    return this.#bytesPerMs;
  }

  /** Requests that nobody waits for would only wait here. */
  get isCrowded(): boolean {
    return this.#held.size >= HELD_ENOUGH;
  }

  /** From now on. Infinity lets everybody go on. */
  setRate(bytesPerMs: number): void {
    if (bytesPerMs === this.#bytesPerMs) return;
    if (!this.isLimited) {
      this.#tokens = 0;
      this.#filledMs = this.#clock.nowMs();
    } else {
      this.#fill();
    }
    this.#bytesPerMs = bytesPerMs;
    if (!this.isLimited) this.#letAllGo();
    else this.#tokens = Math.min(this.#tokens, this.#bytesPerMs * BURST_MS);
  }

  /** So many bytes were moved. */
  spend(bytes: number): void {
    this.#tokens -= bytes;
    this.#passedBytes += bytes;
  }

  /** Whether the next bytes may be moved now. */
  mayGoOn(isUrgent: boolean): boolean {
    if (!this.isLimited) return true;
    this.#fill();
    // Nobody passes those who wait as long as they are as urgent.
    if (!isUrgent && this.#held.size > 0) return false;
    return this.#tokens > this.#floor(isUrgent);
  }

  /** `held.goOn` will be called, unless it leaves before. */
  wait(held: Held): void {
    this.#held.add(held);
    this.#arm();
  }

  leave(held: Held): void {
    this.#held.delete(held);
  }

  close(): void {
    this.#held.clear();
    this.#timer?.cancel();
    this.#timer = undefined;
  }

  #floor(isUrgent: boolean): number {
    return isUrgent ? -this.#bytesPerMs * URGENT_DEBT_MS : 0;
  }

  #fill(): void {
    const nowMs = this.#clock.nowMs();
    const most = Math.max(LIMITED_BYTES, this.#bytesPerMs * BURST_MS);
    this.#tokens = Math.min(most, this.#tokens + (nowMs - this.#filledMs) * this.#bytesPerMs);
    this.#filledMs = nowMs;
  }

  #arm(): void {
    if (this.#timer !== undefined || this.#held.size === 0) return;
    const waitMs = Math.min(Math.max(-this.#tokens / this.#bytesPerMs, TICK_MS_MIN), TICK_MS_MAX);
    this.#timer = this.#clock.after(waitMs, () => {
      this.#timer = undefined;
      this.#fill();
      this.#letGo();
      this.#arm();
    });
  }

  /** As many as the tokens are worth, counting each for one read; the urgent ones first. */
  #letGo(): void {
    let promised = 0;
    this.#passedBytes = Math.min(this.#passedBytes, OTHERS_TURNS_MAX * OTHERS_TURN_BYTES);
    while (this.#passedBytes >= OTHERS_TURN_BYTES && this.#tokens - promised > this.#floor(true)) {
      const other = [...this.#held].find((held) => !held.isUrgent);
      if (other === undefined) break;
      promised += LIMITED_BYTES;
      this.#passedBytes -= OTHERS_TURN_BYTES;
      this.#release(other);
    }
    for (const isUrgent of [true, false]) {
      for (const held of [...this.#held]) {
        if (held.isUrgent !== isUrgent) continue;
        if (this.#tokens - promised <= this.#floor(isUrgent)) break;
        promised += LIMITED_BYTES;
        if (!isUrgent) this.#passedBytes = 0;
        this.#release(held);
      }
    }
  }

  #release(held: Held): void {
    this.#held.delete(held);
    held.goOn();
  }

  #letAllGo(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    const all = [...this.#held];
    this.#held.clear();
    for (const held of all) held.goOn();
  }
}
