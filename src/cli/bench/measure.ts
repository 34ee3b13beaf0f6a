/**
 * Runs the rounds: every workload on every target in turn, the one that goes first changing from round to round, so that what the
 * machine does meanwhile hits both alike. A workload that fails is a result, and the others go on.
 * Refuses to go on after an interruption.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { generate, type GeneratorOptions } from '../../workload/generator.js';
import { StepError } from '../../workload/lane.js';
import { ProcessMeter } from '../../workload/process-meter.js';
import { removeFiles } from './data-set.js';
import { describeFailure } from './failures.js';
import type { Layout } from './layout.js';
import { sampleOf, type Figure, type Sample } from './results.js';
import type { Target } from './target.js';
import { askTraffic, trafficBetween } from './traffic.js';
import type { FigureRow, Workload } from './workloads.js';

/** A daemon's counters are a tenth of a second old (SAMPLE_MS of src/engine/scheduler): twice that, and a margin. */
const SAMPLE_WAIT_MS = 300;

export interface Side {
  readonly target: Target;
  readonly layout: Layout;
  /** Files of workloads that are there now, for whoever cleans up after an interruption. */
  readonly written: Set<string>;
}

export interface MeasureOptions extends GeneratorOptions {
  readonly rounds: number;
  readonly isVerified: boolean;
  readonly onProgress: (line: string) => void;
}

interface MutableFigure extends Omit<Figure, 'samples' | 'failures' | 'skipped'> {
  readonly samples: Sample[];
  readonly failures: string[];
  skipped?: string;
}

/** Measures. Throws only when it was interrupted. */
export async function measure(
  sides: readonly Side[],
  workloads: readonly Workload[],
  options: MeasureOptions,
): Promise<Figure[]> {
  const figures = new Map<string, MutableFigure>();
  const figureOf = (side: Side, workload: Workload, row: FigureRow): MutableFigure => {
    const key = `${row.name}\0${side.target.name}`;
    const made = figures.get(key) ?? {
      workload: workload.name,
      figure: row.name,
      describe: workload.describe,
      unit: row.unit,
      target: side.target.name,
      samples: [],
      failures: [],
    };
    figures.set(key, made);
    return made;
  };
  for (let round = 0; round < options.rounds; round++) {
    for (const workload of workloads) {
      const order = round % 2 === 0 ? sides : [...sides].reverse();
      for (const side of order) {
        options.onProgress(`round ${round + 1} of ${options.rounds}: ${workload.name} on ${side.target.name}`);
        const found = await measureOnce(side, workload, round, options);
        for (const row of workload.figures) {
          const figure = figureOf(side, workload, row);
          if ('skipped' in found) figure.skipped = found.skipped;
          else if ('failed' in found) figure.failures.push(found.failed);
          else figure.samples.push(found.sample(row));
        }
      }
    }
  }
  return [...figures.values()];
}

type Once =
  { readonly skipped: string } | { readonly failed: string } | { readonly sample: (row: FigureRow) => Sample };

async function measureOnce(side: Side, workload: Workload, round: number, options: MeasureOptions): Promise<Once> {
  const { target, layout } = side;
  const planned = workload.plan({ layout, round, isVerified: options.isVerified, isSynced: target.isSynced });
  if (typeof planned === 'string') return { skipped: planned };
  const { load, written } = planned;
  for (const path of written) side.written.add(path);
  let meter: ProcessMeter | undefined;
  try {
    const isFresh = await target.refresh();
    const { daemon } = target;
    const before = await askTraffic(daemon?.socket);
    meter = daemon && new ProcessMeter(daemon.pid);
    const result = await generate(isFresh ? { lanes: load.lanes } : load, options);
    const cost = meter?.stop();
    if (before) await sleep(SAMPLE_WAIT_MS);
    const traffic = trafficBetween(before, await askTraffic(daemon?.socket));
    const { cached } = result;
    const costs = {
      ...(cost && { daemonCpuSeconds: cost.cpuSeconds, daemonPeakBytes: cost.peakResidentBytes }),
      ...(traffic && { traffic }),
      ...(isFresh && { cachedShare: 0 }),
      ...(cached && cached.lookedAtBytes > 0 && { cachedShare: cached.keptBytes / cached.lookedAtBytes }),
    };
    return { sample: (row) => sampleOf(row, result, costs) };
  } catch (error) {
    meter?.stop();
    options.signal.throwIfAborted();
    if (!(error instanceof StepError)) throw error;
    // What cannot be done there at all is no failure of the file system.
    if (error.failure.code === 'EINVAL' && workload.describe.includes('O_DIRECT')) {
      return { skipped: 'this file system has no O_DIRECT' };
    }
    return { failed: describeFailure(error.failure) };
  } finally {
    if (!options.signal.aborted && written.length > 0) {
      await removeFiles(written, options).then(
        () => written.forEach((path) => side.written.delete(path)),
        () => undefined,
      );
    }
  }
}
