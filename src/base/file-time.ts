/**
 * File times between seconds with nanoseconds, as the kernel and object metadata say them, and milliseconds, as all else here
 * counts. A double of today's milliseconds has steps of 244 ns: a time between two of them becomes the *later* one, so that
 * what `cp -p` copied is never older than its source, which `cp -u` and make would copy again and again. Pure.
 */

export function fileTimeMs(seconds: number, nanoseconds: number): number {
  const timeMs = seconds * 1000 + nanoseconds / 1e6;
  if (nanosecondsOf(timeMs, seconds) >= nanoseconds) return timeMs;
  // Between three quarters and one and a half of a step: the next double.
  return timeMs + Math.abs(timeMs) * 1.5 * 2 ** -53;
}

/** Of a time in the second that begins at `seconds`. */
export function nanosecondsOf(timeMs: number, seconds = Math.floor(timeMs / 1000)): number {
  return Math.min(999_999_999, Math.max(0, Math.round((timeMs - seconds * 1000) * 1e6)));
}
