/**
 * The report as one HTML file: charts, the whole table, the notes, how it was measured. Self-contained: style and drawings are in
 * it, nothing is loaded, no script runs, so it can be mailed and opened anywhere, in the dark and on paper.
 * Refuses to say other figures than the table for the terminal: both are made of the same summaries.
 */
import { counted } from '../../base/units.js';
import { barChart, escapeHtml, SERIES_MAX, type Bar, type BarRow } from './chart.js';
import { describeCpu, notesOf, short } from './report-text.js';
import { summarizeFigure, type BenchResults, type Figure, type FigureSummary } from './results.js';

interface Measured {
  readonly figure: Figure;
  readonly summary: FigureSummary;
}

/** Charts by unit: values of one unit can share an axis. */
const charts: readonly (readonly [heading: string, better: string, belongs: (figure: Figure) => boolean])[] = [
  [
    'Streams and writing, MB/s',
    'longer is better',
    ({ unit, figure }) => unit === 'MB/s' && !figure.startsWith('rand'),
  ],
  ['Random reads, MB/s', 'longer is better', ({ unit, figure }) => unit === 'MB/s' && figure.startsWith('rand')],
  ['Random reads, operations a second', 'longer is better', ({ unit }) => unit === 'op/s'],
  ['Small files, files a second', 'longer is better', ({ unit }) => unit === 'files/s'],
  ['Listing, entries a second', 'longer is better', ({ unit }) => unit === 'entries/s'],
  ['Time to first byte, ms', 'shorter is better', ({ unit }) => unit === 'ms'],
];

export function htmlReport(results: BenchResults): string {
  const measured = results.figures.flatMap((figure): Measured[] => {
    const summary = summarizeFigure(figure);
    return summary ? [{ figure, summary }] : [];
  });
  const seriesOf = (figure: Figure): number => results.targets.findIndex(({ name }) => name === figure.target);
  const title = `mount-s3x bench: ${results.targets.map(({ name }) => name).join(' and ')}`;
  const sections = charts.map(([heading, better, belongs]) =>
    section(
      heading,
      better,
      rowsOf(
        measured.filter(({ figure }) => belongs(figure)),
        (one) => valueBar(one, seriesOf(one.figure)),
      ),
    ),
  );
  const cpu = rowsOf(measured, (one) => cpuBar(one, seriesOf(one.figure)));
  return [
    '<!doctype html>',
    `<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">`,
    `<title>${escapeHtml(title)}</title><style>${style}</style></head><body><main>`,
    `<h1>${escapeHtml(title)}</h1>`,
    `<p>${escapeHtml(results.startedAt.slice(0, 16).replace('T', ' '))} UTC; ${escapeHtml(results.machine)}; mount-s3x ${escapeHtml(results.version)}. ` +
      `${escapeHtml(results.files)}; ${counted(results.rounds, 'round')}: bars are medians, whiskers the whole range.</p>`,
    `<ul class="legend">${results.targets.map(({ describe }, at) => `<li><span class="dot s${at % SERIES_MAX}"></span>${escapeHtml(describe)}</li>`).join('')}</ul>`,
    ...sections,
    section("The daemon's CPU seconds per GB", 'shorter is better', cpu),
    '<h2>All figures</h2>',
    table(results),
    list('Notes', [...notesOf(results), ...failuresOf(results)]),
    '</main></body></html>',
  ].join('\n');
}

function section(heading: string, better: string, rows: readonly BarRow[]): string {
  const chart = barChart(heading, rows);
  return chart === '' ? '' : `<h2>${escapeHtml(heading)} <small>${better}</small></h2>\n${chart}`;
}

/** Bars of one figure stand together, in the order of the results. */
function rowsOf(measured: readonly Measured[], draw: (one: Measured) => Bar | undefined): BarRow[] {
  const rows = new Map<string, Bar[]>();
  for (const one of measured) {
    const bar = draw(one);
    if (!bar) continue;
    const bars = rows.get(one.figure.figure) ?? [];
    rows.set(one.figure.figure, bars);
    bars.push(bar);
  }
  return [...rows].map(([name, bars]) => ({ name, bars }));
}

function valueBar({ figure, summary }: Measured, series: number): Bar {
  const { median, least, most, count } = summary.value;
  const range = count > 1 ? `, ${short(least)} to ${short(most)} in ${count} rounds` : '';
  return {
    series,
    value: median,
    least,
    most,
    label: short(median),
    tooltip: `${figure.target}, ${figure.describe}: ${short(median)} ${figure.unit}${range}`,
  };
}

function cpuBar({ figure, summary }: Measured, series: number): Bar | undefined {
  const value = summary.daemonCpuSecondsPerGb;
  if (value === undefined || figure.unit !== 'MB/s') return undefined;
  const tooltip = `${figure.target}, ${figure.describe}: ${short(value)} CPU seconds per GB`;
  return { series, value, least: value, most: value, label: short(value), tooltip };
}

const headings = [
  '',
  'on',
  'median',
  'range',
  'p50 ms',
  'p99 ms',
  'daemon CPU',
  'memory MiB',
  'requests',
  'from store, MB',
  'over-fetch',
  'generator cores',
];

function table(results: BenchResults): string {
  const rows = results.figures.map((figure) => {
    const summary = summarizeFigure(figure);
    if (!summary) {
      const why = figure.skipped === undefined ? 'failed' : `not measured: ${figure.skipped}`;
      return tableRow([figure.figure, figure.target, why]);
    }
    const { value } = summary;
    const cell = (number: number | undefined, scale = 1): string => (number === undefined ? '' : short(number / scale));
    return tableRow([
      figure.figure,
      figure.target,
      `${short(value.median)} ${figure.unit}`,
      value.count > 1 ? `${short(value.least)}-${short(value.most)}` : '',
      cell(summary.p50Ms),
      cell(summary.p99Ms),
      describeCpu(figure, summary),
      cell(summary.daemonPeakBytes, 1048576),
      cell(summary.requests),
      cell(summary.storeBytesIn, 1e6),
      cell(summary.overFetch),
      cell(summary.generatorCores),
    ]);
  });
  const head = `<thead><tr>${headings.map((heading) => `<th>${escapeHtml(heading)}</th>`).join('')}</tr></thead>`;
  return `<div class="wide"><table>${head}<tbody>${rows.join('\n')}</tbody></table></div>`;
}

function tableRow(cells: readonly string[]): string {
  return `<tr>${cells.map((text) => `<td>${escapeHtml(text)}</td>`).join('')}</tr>`;
}

function failuresOf(results: BenchResults): string[] {
  return results.figures.flatMap(({ figure, target, failures }) =>
    [...new Set(failures)].map((failure) => `${figure} on ${target} FAILED: ${failure}`),
  );
}

function list(heading: string, lines: readonly string[]): string {
  if (lines.length === 0) return '';
  return `<h2>${heading}</h2><ul>${lines.map((line) => `<li>${escapeHtml(line)}</li>`).join('')}</ul>`;
}

const style = `
:root { color-scheme: light dark; --ink: #1a1c1f; --soft: #667; --line: #ddd; --back: #fff;
  --c0: #2f6fb7; --c1: #d9822b; --c2: #2e8b57; --c3: #8a5fb0; --c4: #b5484b; --c5: #6b7280; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e6e6; --soft: #9aa; --line: #3a3d42; --back: #16181b;
  --c0: #6ea8e6; --c1: #f0a860; --c2: #63c08d; --c3: #b796d8; --c4: #e08083; --c5: #a3a9b3; } }
body { margin: 0; background: var(--back); color: var(--ink); font: 15px/1.5 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 24px 20px 60px; }
h1 { font-size: 22px; overflow-wrap: anywhere; } h2 { font-size: 16px; margin: 32px 0 8px; }
h2 small { font-weight: normal; color: var(--soft); }
.legend { list-style: none; padding: 0; } .dot { display: inline-block; width: 10px; height: 10px; border-radius: 3px; margin-right: 8px; }
svg { width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg text { fill: var(--ink); } svg .name { text-anchor: end; } svg .tick { text-anchor: middle; fill: var(--soft); }
svg .grid { stroke: var(--line); } svg .whisker { stroke: var(--ink); fill: none; opacity: 0.6; }
.s0 { fill: var(--c0); background: var(--c0); } .s1 { fill: var(--c1); background: var(--c1); }
.s2 { fill: var(--c2); background: var(--c2); } .s3 { fill: var(--c3); background: var(--c3); }
.s4 { fill: var(--c4); background: var(--c4); } .s5 { fill: var(--c5); background: var(--c5); }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 13px; white-space: nowrap; }
th, td { text-align: right; padding: 3px 8px; border-bottom: 1px solid var(--line); }
th:nth-child(-n+2), td:nth-child(-n+2) { text-align: left; } th { color: var(--soft); font-weight: normal; }
`;
