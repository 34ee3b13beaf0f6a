/**
 * The metrics of a snapshot as Prometheus' text format (0.0.4), by prom-client, which is loaded with this file: import it
 * only where metrics are on. Each row of the table is one metric of prom-client's that hands out what the snapshot says.
 * Refuses prom-client's default metrics: they keep timers and observers running in a process that shall rest.
 */
import { Gauge, Registry } from 'prom-client';
import type { MountSnapshot } from '../stats/snapshot.js';
import { BOUNDS_SECONDS, exportedHistogram } from './buckets.js';
import { METRICS, type Labels, type Metric } from './catalogue.js';

export const PROMETHEUS_CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

interface Line {
  readonly labels: Labels;
  readonly value: number;
  readonly metricName?: string;
}

type Printed = Awaited<ReturnType<Gauge['get']>>;

/** A metric whose values are made when they are asked for. */
class TableMetric extends Gauge {
  readonly #row: Metric;
  readonly #snapshot: () => MountSnapshot;

  constructor(row: Metric, registry: Registry, snapshot: () => MountSnapshot) {
    super({ name: row.name, help: row.help, labelNames: row.labels, registers: [registry] });
    this.#row = row;
    this.#snapshot = snapshot;
  }

  override async get(): Promise<Printed> {
    // Its declaration calls the type a number; what it prints is the word.
    const type = this.#row.type as unknown as Printed['type'];
    const values = linesOf(this.#row, this.#snapshot()) as Printed['values'];
    return { ...(await super.get()), type, values };
  }
}

function linesOf(row: Metric, snapshot: MountSnapshot): Line[] {
  if (row.type !== 'histogram') return [...row.of(snapshot)];
  return row.of(snapshot).flatMap(({ labels, value }) => {
    const { counts, count, sumSeconds } = exportedHistogram(value);
    const lines: Line[] = [];
    let below = 0;
    for (const [at, bound] of BOUNDS_SECONDS.entries()) {
      below += counts[at] ?? 0;
      lines.push({ metricName: `${row.name}_bucket`, labels: { ...labels, le: String(bound) }, value: below });
    }
    lines.push(
      { metricName: `${row.name}_bucket`, labels: { ...labels, le: '+Inf' }, value: count },
      { metricName: `${row.name}_sum`, labels, value: sumSeconds },
      { metricName: `${row.name}_count`, labels, value: count },
    );
    return lines;
  });
}

/** Returns what makes the text of a snapshot: 4 ms of the main thread for a busy mount (measured). One call at a time. */
export function prometheusText(): (snapshot: MountSnapshot) => Promise<string> {
  const registry = new Registry();
  let latest: MountSnapshot | undefined;
  const current = (): MountSnapshot => {
    if (latest === undefined) throw new Error('metrics are printed of a snapshot');
    return latest;
  };
  for (const row of METRICS) new TableMetric(row, registry, current);
  return (snapshot) => {
    latest = snapshot;
    return registry.metrics();
  };
}
