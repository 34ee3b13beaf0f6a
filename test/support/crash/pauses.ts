/**
 * How long users of a mount waited because its daemon was ended: for each kill the longest call that was under way at that
 * moment or began before everybody had got on again. Pure: waits and kills in, figures out.
 */
import type { Killed, KillKind } from './crash-mount.js';
import type { Wait } from './load.js';

/** One kill, with the moment from which everybody had got on again (CLOCK_MONOTONIC seconds). */
export interface Passed extends Killed {
  readonly overAtSeconds: number;
}

export interface Pause {
  readonly kind: KillKind;
  readonly atSeconds: number;
  /** 0 when no call took long enough to be told. */
  readonly seconds: number;
  readonly what: string;
}

export interface PauseFigures {
  readonly kind: KillKind;
  readonly kills: number;
  readonly medianSeconds: number;
  readonly slowestSeconds: number;
}

/** The longest wait across each kill. */
export function pausesOf(kills: readonly Passed[], waits: readonly Wait[]): Pause[] {
  return kills.map(({ kind, atSeconds, overAtSeconds }) => {
    let longest: Wait | undefined;
    for (const wait of waits) {
      if (wait.to < atSeconds || wait.from > overAtSeconds) continue;
      if (longest === undefined || wait.to - wait.from > longest.to - longest.from) longest = wait;
    }
    return { kind, atSeconds, seconds: longest ? longest.to - longest.from : 0, what: longest?.what ?? '' };
  });
}

/** Median and slowest of each kind, in the order in which the kinds first came. */
export function pauseFigures(pauses: readonly Pause[]): PauseFigures[] {
  const kinds = [...new Set(pauses.map((pause) => pause.kind))];
  return kinds.map((kind) => {
    const seconds = pauses
      .filter((pause) => pause.kind === kind)
      .map((pause) => pause.seconds)
      .sort((a, b) => a - b);
    return {
      kind,
      kills: seconds.length,
      medianSeconds: seconds[Math.floor((seconds.length - 1) / 2)] ?? 0,
      slowestSeconds: seconds.at(-1) ?? 0,
    };
  });
}
