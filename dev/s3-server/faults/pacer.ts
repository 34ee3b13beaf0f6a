/**
 * Bandwidth limits as a virtual clock: bytes are due at the time the ones before them would have left the wire.
 *
 * No burst is saved up beyond a few milliseconds, so a rate holds over short times too. Sharing one pacer between
 * connections shares its rate among them in the order they ask.
 */

/** Credit a pacer may save up while nobody sends. */
const BURST_MS = 5;

/** One rate. */
export class Pacer {
  readonly bytesPerSecond: number;
  #freeAtMs = 0;

  constructor(bytesPerSecond: number) {
    this.bytesPerSecond = bytesPerSecond;
  }

  /** Books `bytes` and returns how long to wait before they may go. */
  book(bytes: number, nowMs: number): number {
    const startMs = Math.max(this.#freeAtMs, nowMs - BURST_MS);
    this.#freeAtMs = startMs + (bytes / this.bytesPerSecond) * 1000;
    return Math.max(0, this.#freeAtMs - nowMs);
  }
}

/** Bytes to send at a time under a set of rates: about 10 ms worth of the slowest, so that pacing is smooth. */
export function pacedChunkBytes(pacers: readonly Pacer[], bytesMax: number): number {
  let bytes = bytesMax;
  for (const pacer of pacers) bytes = Math.min(bytes, Math.max(1024, Math.floor(pacer.bytesPerSecond / 100)));
  return bytes;
}
