/**
 * What a row must reach. Each floor takes one number out of the figures and compares it; a number that is not there (a
 * peer that is not installed) leaves the floor open, which is said, never passed.
 */
import type { Field, Figures } from './figures.js';
import type { SideName } from './sides.js';

export interface Floor {
  /** What the number is, e.g. `CPU s/GB`. */
  readonly what: string;
  readonly atLeast?: number;
  readonly atMost?: number;
  readonly of: (figures: Figures) => number | undefined;
}

export interface Verdict {
  readonly state: 'ok' | 'FAIL' | 'open';
  readonly text: string;
}

export function judge(floor: Floor, figures: Figures): Verdict {
  return verdict(floor.what, floor.of(figures), floor);
}

/** A number beside its floor. */
export function verdict(
  what: string,
  value: number | undefined,
  floor: { readonly atLeast?: number; readonly atMost?: number },
): Verdict {
  const bound = floor.atLeast === undefined ? `<= ${floor.atMost}` : `>= ${floor.atLeast}`;
  if (value === undefined || Number.isNaN(value)) return { state: 'open', text: `${what} ${bound}: not measured` };
  const passes = floor.atLeast === undefined ? value <= (floor.atMost ?? Infinity) : value >= floor.atLeast;
  return { state: passes ? 'ok' : 'FAIL', text: `${what} ${short(value)} ${bound}: ${passes ? 'ok' : 'FAIL'}` };
}

/** Three digits that count. */
export function short(value: number): string {
  if (Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en');
  return String(Number(value.toPrecision(3)));
}

const ours = (test: string, field: Field) => (figures: Figures) => figures.median('mount-s3x', test, field);

function quotient(above: number | undefined, below: number | undefined): number | undefined {
  return above === undefined || below === undefined ? undefined : above / below;
}

export const valueAtLeast = (test: string, what: string, atLeast: number): Floor => ({
  what,
  atLeast,
  of: ours(test, 'value'),
});

export const valueAtMost = (test: string, what: string, atMost: number): Floor => ({
  what,
  atMost,
  of: ours(test, 'value'),
});

export const cpuPerGb = (test: string, atMost: number): Floor => ({
  what: 'CPU s/GB',
  atMost,
  of: ours(test, 'cpu_s_per_GB'),
});

export const cpuSeconds = (test: string, atMost: number): Floor => ({ what: 'CPU s', atMost, of: ours(test, 'cpu_s') });

export const cpuMsPerFile = (test: string, files: number, atMost: number): Floor => ({
  what: 'CPU ms a file',
  atMost,
  of: (figures) => {
    const seconds = figures.median('mount-s3x', test, 'cpu_s');
    return seconds === undefined ? undefined : (seconds * 1000) / files;
  },
});

/** Less CPU for the same bytes than a peer in the same run. */
export const lessCpuThan = (test: string, side: SideName): Floor => ({
  what: `CPU / ${side}'s`,
  atMost: 1,
  of: (figures) =>
    quotient(figures.median('mount-s3x', test, 'cpu_s_per_GB'), figures.median(side, test, 'cpu_s_per_GB')),
});

/** Speed (values of which more is better) beside another side's in the same run. */
export const timesFaster = (test: string, side: SideName, atLeast: number): Floor => ({
  what: `x ${side}`,
  atLeast,
  of: (figures) => quotient(figures.median('mount-s3x', test, 'value'), figures.median(side, test, 'value')),
});

/** Time for each piece of the same work (values of which more is better) beside another side's in the same run. */
export const timeBeside = (test: string, side: SideName, atMost: number): Floor => ({
  what: `time / ${side} GET's`,
  atMost,
  of: (figures) => quotient(figures.median(side, test, 'value'), figures.median('mount-s3x', test, 'value')),
});

/** One test of ours in parts of another of ours (values of which more is better). */
export const testBeside = (test: string, other: string, what: string, atLeast: number): Floor => ({
  what,
  atLeast,
  of: (figures) => quotient(figures.median('mount-s3x', test, 'value'), figures.median('mount-s3x', other, 'value')),
});

/** Milliseconds in round trips of the bare side's small GET. */
export const roundTrips = (test: string, atMost: number): Floor => ({
  what: 'round trips',
  atMost,
  of: (figures) => quotient(figures.median('mount-s3x', test, 'value'), figures.median('bare', 'round_trip', 'value')),
});

/** What the server sent in parts of what is needed. */
export const serverBytes = (test: string, neededBytes: number, atMost: number): Floor => ({
  what: 'server bytes / needed',
  atMost,
  of: (figures) => quotient(figures.median('mount-s3x', test, 'server_bytes'), neededBytes),
});

/** Payload that the client sent. */
export const sentAtMost = (test: string, atMost: number): Floor => ({
  what: 'bytes sent',
  atMost,
  of: ours(test, 'server_bytes_in'),
});

/** The memory bound, which holds for every row and every round. */
export const memoryWithin = (tests: readonly string[], side: SideName, targetMib: number): Floor => ({
  what: `RSS MiB`,
  atMost: targetMib + 100,
  of: (figures) => {
    const peaks = tests.flatMap((test) => figures.max(side, test, 'rss_peak_MiB') ?? []);
    return peaks.length === 0 ? undefined : Math.max(...peaks);
  },
});
