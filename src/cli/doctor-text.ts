/**
 * A doctor's report as text: a line for each check in a fixed order, below it its findings with why and what to do. For people
 * and for bug reports. Colours only on a terminal. Pure.
 */
import { counted } from '../base/units.js';
import { visible } from '../base/visible.js';
import type { Severity } from '../doctor/finding.js';
import type { DoctorReport } from '../doctor/report.js';
import type { CheckReport } from '../doctor/run-checks.js';

const SEVERITY_COLUMNS = 9;
const NAME_COLUMNS = 13;
const TEXT_COLUMNS = 100;

/** SGR codes: green, cyan, yellow, red. */
const colours: Readonly<Record<Severity, number>> = { ok: 32, note: 36, warning: 33, error: 31 };

export function reportText(report: DoctorReport, isColoured: boolean): string {
  const { subject, versions, checks, counts } = report;
  const lines = [`mount-s3x ${versions.mountS3x}, doctor of ${visible(subject)}`, ''];
  for (const check of checks) lines.push(...checkLines(check, isColoured));
  const parts = (['error', 'warning', 'note'] as const)
    .filter((severity) => counts[severity] > 0)
    .map((severity) => counted(counts[severity], severity));
  const fine = checks.filter(({ severity, isSkipped }) => severity === 'ok' && isSkipped !== true).length;
  lines.push(
    '',
    `${parts.length === 0 ? 'Nothing found' : parts.join(', ')}; ${fine} of ${checks.length} checks are fine.`,
  );
  return lines.join('\n');
}

function checkLines({ name, severity, summary, findings, isSkipped }: CheckReport, isColoured: boolean): string[] {
  const word = isSkipped === true ? '-' : severity;
  const start = `${paint(word.padEnd(SEVERITY_COLUMNS), severity, isColoured && isSkipped !== true)}${name.padEnd(NAME_COLUMNS)}`;
  const below = ' '.repeat(SEVERITY_COLUMNS + NAME_COLUMNS);
  const lines = [`${start}${isSkipped === true ? `not looked at: ${visible(summary)}` : visible(summary)}`];
  for (const found of findings) {
    const label = findings.length > 1 || found.severity !== severity ? `${found.severity}: ` : '';
    lines.push(
      ...wrap(visible(`${label}${found.found} [${found.id}]`), below),
      ...wrap(visible(`why: ${found.why}`), `${below}  `),
      // A command is to be copied: in one line, however long.
      `${below}  fix: ${visible(found.fix)}`,
    );
  }
  return lines;
}

function paint(text: string, severity: Severity, isColoured: boolean): string {
  return isColoured ? `\u001b[${colours[severity]}m${text}\u001b[0m` : text;
}

function wrap(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && indent.length + line.length + 1 + word.length > TEXT_COLUMNS) {
      lines.push(indent + line);
      line = `  ${word}`;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, indent + line];
}
