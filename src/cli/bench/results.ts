/**
 * The figures of a benchmark as data: what --json prints and what the table and the HTML report are made of. MB and GB are powers
 * of ten, as networks and disks are told in; memory is in bytes. Refuses derived prose.
 */
import { quantile, summarize, type Summary } from '../../workload/statistics.js';
import type { LaneResult, LoadResult } from '../../workload/steps.js';
import type { FigureRow, Unit } from './workloads.js';

/** What a daemon of ours has exchanged with the store since it was started. */
export interface Traffic {
  readonly requests: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** One run of one figure on one target. */
export interface Sample {
  readonly value: number;
  readonly bytes: number;
  readonly seconds: number;
  readonly latencyMs?: { readonly p50: number; readonly p99: number };
  /** Of all lanes of the run, also those of other figures: what the costs are for. */
  readonly runBytes: number;
  readonly operations: number;
  /** CPU of the load generator, all lanes. */
  readonly generatorCpuSeconds: number;
  readonly daemonCpuSeconds?: number;
  readonly daemonPeakBytes?: number;
  readonly traffic?: Traffic;
  /** Share of the files' bytes that were in the page cache when the reading began; undefined when it is not known. */
  readonly cachedShare?: number;
}

/** A figure over all rounds. */
export interface Figure {
  readonly workload: string;
  readonly figure: string;
  readonly describe: string;
  readonly unit: Unit;
  readonly target: string;
  readonly samples: readonly Sample[];
  /** What failed, in words: such rounds have no sample. */
  readonly failures: readonly string[];
  /** Why it was not measured at all. */
  readonly skipped?: string;
}

export interface BenchResults {
  readonly version: string;
  readonly startedAt: string;
  readonly machine: string;
  readonly rounds: number;
  readonly targets: readonly { readonly name: string; readonly describe: string }[];
  readonly files: string;
  readonly notes: readonly string[];
  readonly figures: readonly Figure[];
}

/** What is told of a figure: medians over its rounds. */
export interface FigureSummary {
  readonly value: Summary;
  readonly p50Ms?: number;
  readonly p99Ms?: number;
  readonly daemonCpuSeconds?: number;
  readonly daemonCpuSecondsPerGb?: number;
  /** A file, an entry or a random read. */
  readonly daemonCpuMsPerOperation?: number;
  /** The largest. */
  readonly daemonPeakBytes?: number;
  readonly generatorCpuSeconds: number;
  /** Of one core, while the load ran. */
  readonly generatorCores: number;
  readonly requests?: number;
  readonly storeBytesIn?: number;
  readonly storeBytesOut?: number;
  /** Bytes from the store for each byte that was read: above 1 too much was fetched, below 1 a cache answered. */
  readonly overFetch?: number;
  readonly cachedShare?: number;
}

/** Below this many bytes a figure per GB is noise. */
const PER_GB_BYTES_MIN = 1e7;
/** CPU time comes in steps of 10 ms. */
const PER_OPERATION_MIN = 20;

/** Undefined without a sample. */
export function summarizeFigure(figure: Figure): FigureSummary | undefined {
  const { samples } = figure;
  if (samples.length === 0) return undefined;
  const middle = (read: (sample: Sample) => number | undefined): number | undefined => {
    const values = samples.map(read).filter((value) => value !== undefined);
    return values.length === 0 ? undefined : summarize(values).median;
  };
  const largest = (read: (sample: Sample) => number | undefined): number | undefined => {
    const values = samples.map(read).filter((value) => value !== undefined);
    return values.length === 0 ? undefined : Math.max(...values);
  };
  const isRead = !figure.figure.includes('write') && figure.unit !== 'entries/s' && figure.unit !== 'ms';
  return {
    value: summarize(samples.map((sample) => sample.value)),
    generatorCpuSeconds: middle((sample) => sample.generatorCpuSeconds) ?? 0,
    generatorCores: middle((sample) => sample.generatorCpuSeconds / Math.max(sample.seconds, 1e-9)) ?? 0,
    ...present(
      'p50Ms',
      middle((sample) => sample.latencyMs?.p50),
    ),
    ...present(
      'p99Ms',
      middle((sample) => sample.latencyMs?.p99),
    ),
    ...present(
      'daemonCpuSeconds',
      middle((sample) => sample.daemonCpuSeconds),
    ),
    ...present('daemonCpuSecondsPerGb', middle(cpuPerGb)),
    ...present('daemonCpuMsPerOperation', middle(cpuPerOperation)),
    ...present(
      'daemonPeakBytes',
      largest((sample) => sample.daemonPeakBytes),
    ),
    ...present(
      'requests',
      middle((sample) => sample.traffic?.requests),
    ),
    ...present(
      'storeBytesIn',
      middle((sample) => sample.traffic?.bytesIn),
    ),
    ...present(
      'storeBytesOut',
      middle((sample) => sample.traffic?.bytesOut),
    ),
    ...present(
      'overFetch',
      isRead ? middle((sample) => sample.traffic && sample.traffic.bytesIn / sample.bytes) : undefined,
    ),
    ...present(
      'cachedShare',
      largest((sample) => sample.cachedShare),
    ),
  };
}

function cpuPerGb(sample: Sample): number | undefined {
  if (sample.daemonCpuSeconds === undefined || sample.runBytes < PER_GB_BYTES_MIN) return undefined;
  return sample.daemonCpuSeconds / (sample.runBytes / 1e9);
}

function cpuPerOperation(sample: Sample): number | undefined {
  if (sample.daemonCpuSeconds === undefined || sample.operations < PER_OPERATION_MIN) return undefined;
  return (sample.daemonCpuSeconds * 1000) / sample.operations;
}

function present<N extends string>(name: N, value: number | undefined): Partial<Record<N, number>> {
  return value === undefined ? {} : ({ [name]: value } as Partial<Record<N, number>>);
}

/** The sample of one figure from what the generator reported; costs of the daemon are those of the whole run. */
export function sampleOf(
  row: FigureRow,
  result: LoadResult,
  costs: Pick<Sample, 'daemonCpuSeconds' | 'daemonPeakBytes' | 'traffic' | 'cachedShare'>,
): Sample {
  const lanes = result.lanes.filter(({ group }) => row.group === group);
  const all = (read: (lane: LaneResult) => number): number[] => result.lanes.map(read);
  const bytes = lanes.reduce((sum, lane) => sum + lane.bytes, 0);
  const operations = lanes.reduce((sum, lane) => sum + lane.operations, 0);
  const endMs = Math.max(...lanes.map((lane) => lane.endMs));
  const seconds = Math.max(1e-6, (endMs - Math.min(...all((lane) => lane.startMs))) / 1000);
  const latencies = lanes.flatMap((lane) => lane.latenciesMs);
  const value = (): number => {
    switch (row.unit) {
      case 'MB/s':
        return bytes / 1e6 / seconds;
      case 'op/s':
      case 'files/s':
      case 'entries/s':
        return operations / seconds;
      case 'ms':
        return latencies.length === 0 ? 0 : quantile(latencies, 0.5);
    }
  };
  return {
    value: value(),
    bytes,
    seconds,
    runBytes: all((lane) => lane.bytes).reduce((sum, one) => sum + one, 0),
    operations,
    ...(latencies.length > 1 && { latencyMs: { p50: quantile(latencies, 0.5), p99: quantile(latencies, 0.99) } }),
    generatorCpuSeconds: result.generatorCpuSeconds,
    ...costs,
  };
}
