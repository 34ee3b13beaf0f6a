/**
 * The table of metrics as docs/METRICS.md has it: a test compares both, row by row. Pure.
 */
import { METRICS } from './catalogue.js';

/** Rows of a Markdown table, without its head: name, type, unit, labels, stability, meaning. */
export function metricRows(): readonly (readonly string[])[] {
  return METRICS.map(({ name, type, unit, labels, stability, help }) => [
    `\`${name}\``,
    type,
    unit === '1' ? '-' : unit.replace(/[{}]/g, ''),
    labels.length === 0 ? '-' : labels.map((label) => `\`${label}\``).join(', '),
    stability,
    help,
  ]);
}
