/**
 * What doctor says in the end, as data: `--json` prints it, the text is made of it, the bundle begins with it.
 * The format number changes when a field changes its meaning or goes away; fields may be added.
 */
import { EXIT_DOCTOR_ERRORS, EXIT_DOCTOR_WARNINGS, EXIT_OK } from '../main/exit-codes.js';
import { worst, type Severity } from './finding.js';
import type { Host } from './host.js';
import type { CheckReport } from './run-checks.js';

export interface DoctorReport {
  readonly format: 1;
  readonly wallMs: number;
  /** `this machine`, `s3://bucket/prefix/`, `/mnt/data`. */
  readonly subject: string;
  readonly versions: { readonly mountS3x: string; readonly node: string };
  /** Of all findings. */
  readonly severity: Severity;
  readonly counts: Readonly<Record<Exclude<Severity, 'ok'>, number>>;
  readonly checks: readonly CheckReport[];
}

export function makeReport(subject: string, checks: readonly CheckReport[], host: Host): DoctorReport {
  const findings = checks.flatMap((check) => check.findings);
  const count = (severity: Severity): number => findings.filter((each) => each.severity === severity).length;
  return {
    format: 1,
    wallMs: host.wallMs(),
    subject,
    versions: { mountS3x: host.version, node: host.nodeVersion },
    severity: worst(checks.map(({ severity }) => severity)),
    counts: { note: count('note'), warning: count('warning'), error: count('error') },
    checks,
  };
}

export function exitCodeOf({ severity }: Pick<DoctorReport, 'severity'>): number {
  if (severity === 'error') return EXIT_DOCTOR_ERRORS;
  return severity === 'warning' ? EXIT_DOCTOR_WARNINGS : EXIT_OK;
}
