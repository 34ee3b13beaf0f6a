/**
 * Runs all checks at once, each within its deadline, and puts what they say in the fixed order of the list. One that throws or
 * does not end becomes a finding of its own: doctor always comes to an end, and never shows a stack.
 * Those that compete for what they measure (throughput) run when the others are done.
 */
import type { Clock } from '../base/clock.js';
import { messageOf } from '../base/thrown.js';
import { scrubText } from '../main/redact.js';
import type { Check, Subject } from './check.js';
import { finding, worst, type Finding, type Outcome, type Severity } from './finding.js';

export interface CheckReport extends Outcome {
  readonly name: string;
  readonly severity: Severity;
}

/** Checks that need the machine for themselves. */
const lastNames: ReadonlySet<string> = new Set(['throughput']);

export async function runChecks(
  checks: readonly Check[],
  subject: Subject,
  deps: { readonly clock: Clock; readonly ended?: (name: string) => void },
): Promise<readonly CheckReport[]> {
  const applying = checks.filter((check) => check.applies?.(subject) ?? true);
  const reports = new Map<string, CheckReport>();
  const runOne = async (check: Check): Promise<void> => {
    const outcome = await withDeadline(check, subject, deps.clock);
    const findings = outcome.findings.map(scrubbed);
    const severity = worst(findings.map((each) => each.severity));
    const skipped = outcome.isSkipped === true ? { isSkipped: true as const } : {};
    reports.set(check.name, { name: check.name, severity, summary: scrubText(outcome.summary), findings, ...skipped });
    deps.ended?.(check.name);
  };
  await Promise.all(applying.filter(({ name }) => !lastNames.has(name)).map(runOne));
  for (const check of applying) if (lastNames.has(check.name)) await runOne(check);
  return applying.flatMap(({ name }) => reports.get(name) ?? []);
}

function scrubbed(each: Finding): Finding {
  return { ...each, found: scrubText(each.found), fix: scrubText(each.fix) };
}

/** Never throws. */
async function withDeadline(check: Check, subject: Subject, clock: Clock): Promise<Outcome> {
  const abort = new AbortController();
  let late = (): void => undefined;
  const deadline = new Promise<Outcome>((resolve) => {
    late = () => {
      const found = `the check '${check.name}' did not end within ${check.deadlineMs / 1000} s`;
      resolve({ summary: 'did not end in time', findings: [finding('check.late', found, { check: check.name })] });
      abort.abort();
    };
  });
  const timer = clock.after(check.deadlineMs, late);
  const work = Promise.resolve()
    .then(() => check.run(subject, abort.signal))
    .catch((error: unknown) => {
      const why = messageOf(error);
      return {
        summary: 'could not look',
        findings: [finding('check.broken', `the check '${check.name}' failed: ${why}`, { check: check.name })],
      };
    });
  try {
    return await Promise.race([work, deadline]);
  } finally {
    timer.cancel();
  }
}
