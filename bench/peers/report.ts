/**
 * The table that is printed at the end: one line a row and side, the floors with their verdicts below our own. Plain text
 * in columns, so that it can be read in a terminal and pasted anywhere.
 */
import { judge, memoryWithin, short, type Verdict } from './floors.js';
import type { RowResult } from './run.js';
import type { SideName } from './sides.js';

/** Memory target that the floors of speed are meant for. */
const FULL_TARGET_MIB = 512;

export interface RowReport {
  readonly lines: readonly string[];
  readonly state: Verdict['state'];
}

/** The lines of one row. */
export function reportRow(result: RowResult, memoryTargetMib: number): RowReport {
  const { row, figures } = result;
  const tests = row.reported ?? row.tests;
  const lines: string[] = [];
  for (const side of figures.sides()) {
    for (const test of side === 'bare' ? (row.bareTests ?? tests) : tests) lines.push(line(result, side, test));
    for (const error of figures.errors(side)) lines.push(`${' '.repeat(20)}${side} failed: ${error}`);
  }
  const own = row.sides.filter((side) => side === 'mount-s3x' || side === 'nobody');
  const floors = [
    ...(memoryTargetMib === FULL_TARGET_MIB ? row.floors : []),
    ...own.map((side) => memoryWithin(tests, side, memoryTargetMib)),
  ];
  const verdicts = floors.map((floor) => judge(floor, figures));
  const failed = own.some((side) => figures.errors(side).length > 0) || verdicts.some(({ state }) => state === 'FAIL');
  const open = verdicts.some(({ state }) => state === 'open');
  const state = failed ? 'FAIL' : open ? 'open' : 'ok';
  lines.push(`${state.padStart(18)}  ${verdicts.map(({ text }) => text).join('; ')}`);
  return { lines, state };
}

function line(result: RowResult, side: SideName, test: string): string {
  const { row, figures } = result;
  const median = (field: Parameters<typeof figures.median>[2]): number | undefined => figures.median(side, test, field);
  const cell = (value: number | undefined, unit: string): string =>
    value === undefined ? '' : `${short(value)} ${unit}`;
  const perGb = median('cpu_s_per_GB');
  const name =
    test === row.name || row.tests.length + (row.reported?.length ?? 0) <= 2 ? row.name : `${row.name} ${test}`;
  return [
    name.padEnd(18),
    side.padEnd(10),
    cell(median('value'), figures.unit(side, test)).padStart(18),
    (perGb === undefined ? cell(median('cpu_s'), 'CPU s') : cell(perGb, 'CPU s/GB')).padStart(15),
    cell(figures.max(side, test, 'rss_peak_MiB'), 'MiB').padStart(9),
    cell(megabytes(median('server_bytes')), 'MB sent').padStart(15),
    cell(median('p50_ms'), 'ms p50').padStart(13),
  ]
    .join('  ')
    .trimEnd();
}

function megabytes(bytes: number | undefined): number | undefined {
  return bytes === undefined ? undefined : bytes / 1e6;
}
