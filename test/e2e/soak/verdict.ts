/**
 * Whether a mount that worked for long holds more at the end than at the beginning. Pure: samples in, findings out. The
 * first and the last quarter of the samples are compared; what comes before them (pool and heaps that fill for the first
 * time) is the caller's to leave out.
 */

/** What all processes of a mount held at one moment. */
export interface Sample {
  readonly seconds: number;
  readonly residentBytes: number;
  readonly descriptors: number;
  readonly threads: number;
  readonly processes: number;
}

export interface SoakVerdict {
  readonly firstMeanBytes: number;
  readonly lastMeanBytes: number;
  /** Last quarter's mean over the first's, less 1. */
  readonly growth: number;
  /** Sentences; empty when nothing grew. */
  readonly findings: readonly string[];
}

/** From the requirements: the last quarter's mean is at most the first's and 5 %. */
export const GROWTH_MAX = 0.05;
/** Connections to the store come and go with the load; a leak of one a second is far beyond it in any run. */
const DESCRIPTORS_SLACK = 16;
const THREADS_SLACK = 1;
const MIB = 1024 * 1024;

/** Compares the first and the last quarter of `samples`. */
export function soakVerdict(samples: readonly Sample[]): SoakVerdict {
  const quarter = Math.max(1, Math.floor(samples.length / 4));
  const first = samples.slice(0, quarter);
  const last = samples.slice(-quarter);
  const firstMeanBytes = mean(first, 'residentBytes');
  const lastMeanBytes = mean(last, 'residentBytes');
  const growth = lastMeanBytes / firstMeanBytes - 1;
  const findings: string[] = [];
  if (growth > GROWTH_MAX) {
    const [from, to] = [firstMeanBytes, lastMeanBytes].map((bytes) => (bytes / MIB).toFixed(0));
    findings.push(`memory grew from ${from} to ${to} MiB (${(growth * 100).toFixed(1)} %)`);
  }
  for (const [field, slack] of [
    ['descriptors', DESCRIPTORS_SLACK],
    ['threads', THREADS_SLACK],
    ['processes', 0],
  ] as const) {
    const most = Math.max(...first.map((sample) => sample[field]));
    const now = mean(last, field);
    if (now > most + slack) findings.push(`${field} grew from at most ${most} to ${now.toFixed(1)}`);
  }
  return { firstMeanBytes, lastMeanBytes, growth, findings };
}

function mean(samples: readonly Sample[], field: keyof Sample): number {
  return samples.reduce((sum, sample) => sum + sample[field], 0) / samples.length;
}
