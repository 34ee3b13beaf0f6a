/**
 * The words that doctor works with: a check looks at one thing and says in a line what it saw; what is not as it should be is
 * a finding, with what was found, why it matters, and the command or line that mends it. Findings come from the catalogue
 * (catalogue.ts) only, so that each has one severity and one page in the docs, and a test that provokes it.
 * Plain data: `--json` prints these very objects.
 * Refuses findings without a remedy.
 */
import { catalogue, type FindingId } from './catalogue.js';

/** Worst last. `note`: worth knowing, nothing is wrong; `error`: a mount does not work, or not for long. */
export const severities = ['ok', 'note', 'warning', 'error'] as const;
export type Severity = (typeof severities)[number];

export interface Finding {
  /** `area.what`: stable, for scripts. */
  readonly id: FindingId;
  readonly severity: Exclude<Severity, 'ok'>;
  /** What was seen here, with its numbers. */
  readonly found: string;
  readonly why: string;
  /** The command or the line that mends it. */
  readonly fix: string;
}

/** What a check saw. */
export interface Outcome {
  /** One line without a full stop; said whatever was found. */
  readonly summary: string;
  readonly findings: readonly Finding[];
  /** Nothing could be looked at, and why stands in the summary; another check tells what is wrong. */
  readonly isSkipped?: true;
}

/** Values of the fix's blanks. */
export type Blanks = Readonly<Record<string, string | number>>;

/** A finding of the catalogue; `{name}` in its fix is filled in. */
export function finding(id: FindingId, found: string, blanks: Blanks = {}): Finding {
  const { severity, why, fix } = catalogue[id];
  const filled = fix.replace(/\{(\w+)\}/g, (blank, name: string) => String(blanks[name] ?? blank));
  return { id, severity, found, why, fix: filled };
}

/** Nothing was looked at. */
export function skipped(summary: string): Outcome {
  return { summary, findings: [], isSkipped: true };
}

export function worst(all: Iterable<Severity>): Severity {
  let most = 0;
  for (const severity of all) most = Math.max(most, severities.indexOf(severity));
  return severities[most] ?? 'ok';
}
