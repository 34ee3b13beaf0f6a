/**
 * How far ahead a stream may read at most. WINDOW_BYTES keep the line full while all answers take about as long. Where single
 * answers are late, the window has to outlast the time until they are noticed and asked again; that is known from a reader
 * that waits for a block while blocks far ahead of it are there already. Then the limit grows, and falls back after a time
 * without. It stays small otherwise, because memory that is touched for the first time costs CPU time.
 * Pure: the time is told. Refuses to know about memory: the caller bounds it by its share of the pool.
 */
import { MIB } from '../base/units.js';

/** 64 MiB keep 8 parts of 8 MiB under way (measured need at 20 ms: 6). */
export const WINDOW_BYTES = 64 * MIB;

/**
 * With 20 ms and 90 MB/s a connection a late part of 8 MiB comes 170 ms after it was asked for first: 140 MB of a reader of
 * 800 MB/s.
 */
export const WINDOW_BYTES_LATE = 160 * MIB;

const GROWTH = 1.5;

/** So long after the last late answer the limit is the usual one again (guessed: 2 % of answers late come every 0.5 s). */
export const LATE_FADES_MS = 10_000;

export class WindowLimit {
  #bytes = WINDOW_BYTES;
  #lateMs = -Infinity;

  bytes(nowMs: number): number {
    if (this.#bytes > WINDOW_BYTES && nowMs - this.#lateMs > LATE_FADES_MS) this.#bytes = WINDOW_BYTES;
    return this.#bytes;
  }

  /** A reader with a window of this size waits for a block, and those far ahead of it have come. */
  heldUp(windowBytes: number, nowMs: number): void {
    // What a smaller window did says nothing about this one.
    if (windowBytes < WINDOW_BYTES) return;
    const bytes = this.bytes(nowMs);
    this.#lateMs = nowMs;
    this.#bytes = Math.min(WINDOW_BYTES_LATE, Math.max(bytes, windowBytes * GROWTH));
  }
}
