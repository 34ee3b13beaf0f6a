/**
 * When a mount rehearses: once it answers and nobody has asked it anything for a moment, so that neither the start nor the
 * first to come waits for it. Whoever comes ends it, and it begins again when they have gone.
 * Bounded by LOOKS_MAX: a mount that is always asked has its code made fast by those who ask.
 *
 * Thread: main. Owns: a timer.
 */
import type { Clock, Timer } from '../../base/clock.js';
import type { MainRehearsalReport } from './rehearse-main.js';

/** Nobody has come in this time: who has just looked into the mount may start a job now. */
export const QUIET_MS = 50;
/** Looks at whether somebody has come, and beginnings. */
export const LOOKS_MAX = 40;

export interface WhenIdleDeps {
  readonly clock: Clock;
  /** Grows with each request of the kernel. */
  readonly asked: () => number;
  /** Each ends by itself when something is wanted of it. */
  readonly rehearseNet: () => void;
  /** Ends early when `stop` says so. Never rejects. */
  readonly rehearseMain: (stop: () => boolean) => Promise<MainRehearsalReport>;
  readonly said: (report: MainRehearsalReport) => void;
}

/** Rehearses some time from now. Returns what ends it. */
export function rehearseWhenIdle(deps: WhenIdleDeps): () => void {
  const { clock, asked } = deps;
  let looksLeft = LOOKS_MAX;
  let seen = asked();
  let closed = false;
  let timer: Timer | undefined;
  const again = (): void => {
    if (closed || looksLeft-- === 0) return;
    seen = asked();
    timer = clock.after(QUIET_MS, () => void look());
  };
  const look = async (): Promise<void> => {
    if (asked() !== seen) {
      again();
      return;
    }
    let interrupted = false;
    deps.rehearseNet();
    const report = await deps.rehearseMain(() => (interrupted ||= closed || asked() !== seen));
    if (interrupted) again();
    else deps.said(report);
  };
  again();
  return () => {
    closed = true;
    timer?.cancel();
  };
}
