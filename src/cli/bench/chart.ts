/**
 * Bar charts as SVG text for the HTML report: a group of bars a row, the median as a bar, the range of the rounds as a whisker,
 * each with its value beside it and the whole sentence as a tooltip. Colours come from the page's style (classes s0 to s5), so
 * that dark and light need no second drawing. Refuses scripts and anything that is loaded from elsewhere.
 */

export interface Bar {
  /** Which colour: the target's number. */
  readonly series: number;
  readonly value: number;
  readonly least: number;
  readonly most: number;
  /** Beside the bar. */
  readonly label: string;
  /** When the pointer rests on it. */
  readonly tooltip: string;
}

export interface BarRow {
  readonly name: string;
  readonly bars: readonly Bar[];
}

const WIDTH = 860;
const NAME_WIDTH = 110;
const LABEL_WIDTH = 120;
const BAR_HEIGHT = 16;
const ROW_GAP = 10;
const AXIS_HEIGHT = 24;
const TICKS_MOST = 5;
export const SERIES_MAX = 6;

/** Text for HTML and SVG, also within quotes. */
export function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** 1, 2 or 5 times a power of ten: the step with which TICKS_MOST of them reach `most`. */
export function tickStep(most: number): number {
  const rough = most / TICKS_MOST;
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5].find((one) => one * power >= rough) ?? 10;
  return factor * power;
}

/** A chart, or '' without a row. `title` is read to those who cannot see it. */
export function barChart(title: string, rows: readonly BarRow[]): string {
  const most = Math.max(0, ...rows.flatMap(({ bars }) => bars.map((bar) => bar.most)));
  if (most <= 0) return '';
  const step = tickStep(most);
  const end = Math.ceil(most / step) * step;
  const x = (value: number): number => NAME_WIDTH + (value / end) * (WIDTH - NAME_WIDTH - LABEL_WIDTH);
  const parts: string[] = [];
  let y = 4;
  for (const { name, bars } of rows) {
    const middle = y + (bars.length * BAR_HEIGHT) / 2;
    parts.push(`<text class="name" x="${NAME_WIDTH - 8}" y="${round(middle + 4)}">${escapeHtml(name)}</text>`);
    for (const bar of bars) {
      parts.push(drawBar(bar, y, x));
      y += BAR_HEIGHT;
    }
    y += ROW_GAP;
  }
  const grid: string[] = [];
  for (let tick = 0; tick <= end + step / 2; tick += step) {
    const at = round(x(tick));
    grid.push(`<line class="grid" x1="${at}" y1="0" x2="${at}" y2="${y}"/>`);
    grid.push(`<text class="tick" x="${at}" y="${y + 16}">${formatTick(tick)}</text>`);
  }
  const height = y + AXIS_HEIGHT;
  return [
    `<svg viewBox="0 0 ${WIDTH} ${height}" role="img" aria-label="${escapeHtml(title)}">`,
    ...grid,
    ...parts,
    '</svg>',
  ].join('\n');
}

function drawBar(bar: Bar, y: number, x: (value: number) => number): string {
  const start = round(x(0));
  const top = y + 2;
  const height = BAR_HEIGHT - 4;
  const middle = y + BAR_HEIGHT / 2;
  const [from, to] = [round(x(bar.least)), round(x(bar.most))];
  const whisker =
    bar.most > bar.least
      ? `<path class="whisker" d="M${from} ${middle - 3}V${middle + 3}M${from} ${middle}H${to}M${to} ${middle - 3}V${middle + 3}"/>`
      : '';
  const width = Math.max(1, round(x(bar.value) - start));
  return (
    `<g><title>${escapeHtml(bar.tooltip)}</title>` +
    `<rect class="s${bar.series % SERIES_MAX}" x="${start}" y="${top}" width="${width}" height="${height}" rx="2"/>` +
    `${whisker}<text class="value" x="${to + 6}" y="${middle + 4}">${escapeHtml(bar.label)}</text></g>`
  );
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function formatTick(value: number): string {
  return Number(value.toPrecision(6)).toLocaleString('en-US');
}
