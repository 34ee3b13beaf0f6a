/**
 * The table for a terminal: a line a figure and target, medians with the range of the rounds, costs beside them, then notes in
 * sentences. 110 columns at most. Refuses to hide what failed or was left out.
 */
import { counted, formatBytes } from '../../base/units.js';
import { summarizeFigure, type BenchResults, type Figure, type FigureSummary } from './results.js';

/** A generator that takes more of a core than this may be what is measured. */
const GENERATOR_CORES_MOST = 0.7;
const CACHED_SHARE_LEAST = 0.01;

/** Three significant digits at most, and no exponent. */
export function short(value: number): string {
  if (value >= 100) return Math.round(value).toLocaleString('en-US');
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

export function describeResults(results: BenchResults): string {
  const isCompared = results.targets.length > 1;
  const lines = [
    ...results.targets.map(({ describe }) => describe),
    `${results.files}; ${counted(results.rounds, 'round')}; ${results.machine}`,
    '',
    header(isCompared),
    ...results.figures.flatMap((figure) => rows(figure, results, isCompared)),
    '',
    ...notesOf(results),
  ];
  return lines.join('\n').trimEnd();
}

function header(isCompared: boolean): string {
  return columns([
    '',
    isCompared ? 'on' : '',
    'median',
    'range',
    'p50/p99 ms',
    'daemon CPU',
    'memory',
    'store',
    'generator',
  ]);
}

function columns(cells: readonly string[]): string {
  const [name = '', on = '', median = '', range = '', latency = '', cpu = '', memory = '', store = '', generator = ''] =
    cells;
  return [
    name.padEnd(11),
    ...(on === '' ? [] : [on.padEnd(4)]),
    median.padStart(15),
    range.padStart(15),
    latency.padStart(13),
    cpu.padStart(12),
    memory.padStart(8),
    store.padStart(17),
    generator.padStart(10),
  ]
    .join(' ')
    .trimEnd();
}

function rows(figure: Figure, results: BenchResults, isCompared: boolean): string[] {
  const on = isCompared ? letterOf(figure.target, results) : '';
  const summary = summarizeFigure(figure);
  const lines: string[] = [];
  if (summary) lines.push(row(figure, summary, on));
  if (figure.skipped !== undefined) lines.push(`${figure.figure.padEnd(11)} ${on} not measured: ${figure.skipped}`);
  for (const failure of new Set(figure.failures)) lines.push(`${figure.figure.padEnd(11)} ${on} FAILED: ${failure}`);
  return lines;
}

/** A, B: full names would make the table too wide. */
export function letterOf(target: string, results: BenchResults): string {
  return String.fromCharCode(65 + results.targets.findIndex(({ name }) => name === target));
}

function row(figure: Figure, summary: FigureSummary, on: string): string {
  const { value } = summary;
  const latency =
    summary.p50Ms === undefined || summary.p99Ms === undefined ? '' : `${short(summary.p50Ms)}/${short(summary.p99Ms)}`;
  return columns([
    figure.figure,
    on,
    `${short(value.median)} ${figure.unit}`,
    value.count > 1 ? `${short(value.least)}-${short(value.most)}` : '',
    latency,
    describeCpu(figure, summary),
    cell(summary.daemonPeakBytes, (bytes) => `${Math.round(bytes / 1048576)} MiB`),
    cell(summary.requests, (requests) => `${count(requests)} req${overFetch(summary)}`),
    `${short(summary.generatorCores)} cores`,
  ]);
}

/** Requests are whole; a median of two rounds may lie between. */
function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** By what was asked for: a GB of a stream, or a file, an entry, a read. */
export function describeCpu(figure: Figure, summary: FigureSummary): string {
  const { daemonCpuSecondsPerGb: perGb, daemonCpuMsPerOperation: each, daemonCpuSeconds: all } = summary;
  if (figure.unit === 'MB/s' && perGb !== undefined) return `${short(perGb)} s/GB`;
  if (figure.unit !== 'MB/s' && each !== undefined) return `${short(each)} ms each`;
  return all === undefined ? '' : `${short(all)} s`;
}

function overFetch(summary: FigureSummary): string {
  return summary.overFetch === undefined ? '' : `, ${short(summary.overFetch)}x`;
}

function cell(value: number | undefined, text: (value: number) => string): string {
  return value === undefined ? '' : text(value);
}

/** What a reader of the figures has to know. */
export function notesOf(results: BenchResults): string[] {
  const notes =
    results.targets.length > 1 ? results.targets.map(({ name }) => `${letterOf(name, results)} is ${name}`) : [];
  const summaries = results.figures.map((figure) => ({ figure, summary: summarizeFigure(figure) }));
  const cached = summaries.filter(({ summary }) => (summary?.cachedShare ?? 0) > CACHED_SHARE_LEAST);
  if (cached.length > 0) {
    notes.push(`from the page cache, at least in part (its pages could not be dropped): ${namesOf(cached)}`);
  }
  const unknown = summaries.filter(
    ({ figure, summary }) => summary && summary.cachedShare === undefined && isReading(figure),
  );
  if (unknown.length > 0) notes.push(`whether the page cache answered is not known for: ${namesOf(unknown)}`);
  const own = summaries.filter(({ summary }) => summary?.overFetch !== undefined && summary.overFetch < 0.9);
  if (own.length > 0) {
    notes.push(`answered in part from the daemon's own memory (bytes that it had fetched before): ${namesOf(own)}`);
  }
  const busy = summaries.filter(({ summary }) => (summary?.generatorCores ?? 0) > GENERATOR_CORES_MOST);
  if (busy.length > 0) {
    notes.push(`the load generator itself was busy (more than ${GENERATOR_CORES_MOST} cores) in: ${namesOf(busy)}`);
  }
  return [...notes, ...results.notes];
}

function isReading(figure: Figure): boolean {
  return !figure.workload.startsWith('write') && figure.workload !== 'list';
}

function namesOf(rows: readonly { readonly figure: Figure }[]): string {
  return [...new Set(rows.map(({ figure }) => figure.figure))].join(', ');
}

/** `1.5 GiB in 2,017 files` */
export function describeFiles(files: readonly { readonly bytes: number }[]): string {
  const bytes = files.reduce((sum, file) => sum + file.bytes, 0);
  return `${formatBytes(bytes)} in ${files.length.toLocaleString('en-US')} files`;
}
