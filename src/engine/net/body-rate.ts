/**
 * How fast the payload of one answer comes, as far as a connection has to know: a body that only drips is as good as stalled, and
 * what is missing of it is asked for elsewhere; the longest pause within it tells what is usual here.
 * Refuses to hold a clock: its connection knows when bytes came, and that time in which it was held up by itself does not count.
 */
import { transportFailure, type Failure } from './failure.js';
import { DRIP_BYTES_PER_MS } from './limits.js';

export class BodyRate {
  /** Payload is on its way. */
  isOn = false;
  /** Longest pause between arrivals of the body that came last. */
  pauseMs = 0;
  /** Where the body was when it was looked at last, and when. */
  #mark = { bytesIn: 0, ms: 0 };

  begin(bytesIn: number, nowMs: number): void {
    this.isOn = true;
    this.pauseMs = 0;
    this.restart(bytesIn, nowMs);
  }

  /** Time until now says nothing about the peer. */
  restart(bytesIn: number, nowMs: number): void {
    this.#mark = { bytesIn, ms: nowMs };
  }

  paused(ms: number): void {
    if (ms > this.pauseMs && this.isOn) this.pauseMs = ms;
  }

  /** Looked at every `stallMs` at most. */
  tooSlow(bytesIn: number, nowMs: number, stallMs: number): Failure | undefined {
    const tookMs = nowMs - this.#mark.ms;
    if (!this.isOn || tookMs < stallMs) return undefined;
    const bytes = bytesIn - this.#mark.bytesIn;
    this.restart(bytesIn, nowMs);
    if (bytes >= tookMs * DRIP_BYTES_PER_MS) return undefined;
    return transportFailure('TooSlow', `only ${bytes} bytes within ${Math.round(tookMs)} ms`);
  }
}
