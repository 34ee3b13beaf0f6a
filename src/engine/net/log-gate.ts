/**
 * Log lines of a net thread, few enough to be read: of one kind only the first some in a window pass, the rest are
 * counted and told in one line. A store that is down makes thousands of failures a second, and a log that fills the
 * disk would be the greater damage.
 */
import type { Clock } from '../../base/clock.js';
import { LOG_KINDS_MAX, LOG_LINES_PER_WINDOW, LOG_WINDOW_MS } from './limits.js';

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

interface Kind {
  windowMs: number;
  lines: number;
  dropped: number;
}

export class LogGate {
  readonly #clock: Clock;
  readonly #write: (level: LogLevel, fields: object, message: string) => void;
  readonly #kinds = new Map<string, Kind>();

  constructor(clock: Clock, write: (level: LogLevel, fields: object, message: string) => void) {
    this.#clock = clock;
    this.#write = write;
  }

  /** `kind` groups lines that say the same of different objects, e.g. `retry:SlowDown`. */
  log(kind: string, level: LogLevel, fields: object, message: string): void {
    const nowMs = this.#clock.nowMs();
    let seen = this.#kinds.get(kind);
    if (seen === undefined) {
      if (this.#kinds.size >= LOG_KINDS_MAX) this.#kinds.clear();
      seen = { windowMs: nowMs, lines: 0, dropped: 0 };
      this.#kinds.set(kind, seen);
    }
    if (nowMs - seen.windowMs >= LOG_WINDOW_MS) {
      const { dropped } = seen;
      seen.windowMs = nowMs;
      seen.lines = 0;
      seen.dropped = 0;
      if (dropped > 0) this.#write(level, { kind, dropped }, `${dropped} more lines like this one were left out`);
    }
    if (seen.lines++ < LOG_LINES_PER_WINDOW) this.#write(level, fields, message);
    else seen.dropped++;
  }
}
