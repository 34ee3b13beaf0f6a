/**
 * Pushes the metrics to an OpenTelemetry collector, by the official packages, which are loaded with this file: import it
 * only where pushes are on (15 MiB, measured). The table's rows go in as a MetricProducer, so there is one truth and no second set of
 * counters; the exporter does encoding, headers, retries and the OTEL_EXPORTER_OTLP_* variables.
 *
 * Thread: main; a push is 3 ms of it. Bounds: one push at a time (the reader skips while one is under way), PUSH_WAIT_MS each
 * with its retries; nothing is queued, for the next push has the totals. Trouble is one log line a minute.
 * Refuses delta temporality: totals are what the program has.
 */
import { hostname } from 'node:os';
import { diag, DiagLogLevel, ValueType, type DiagLogger, type HrTime } from '@opentelemetry/api';
import { envDetector, detectResources, resourceFromAttributes } from '@opentelemetry/resources';
import {
  AggregationTemporality,
  DataPointType,
  MeterProvider,
  PeriodicExportingMetricReader,
  type CollectionResult,
  type MetricData,
  type MetricProducer,
  type PushMetricExporter,
} from '@opentelemetry/sdk-metrics';
import type { Clock } from '../../base/clock.js';
import type { Log } from '../../base/log.js';
import { messageOf } from '../../base/thrown.js';
import { within } from '../../base/waits.js';
import type { MountSnapshot } from '../stats/snapshot.js';
import { BOUNDS_SECONDS, exportedHistogram } from './buckets.js';
import { METRICS, type Metric } from './catalogue.js';
import type { OtlpSettings } from './settings.js';

const INTERVAL_MS_DEFAULT = 60_000;
const INTERVAL_MS_MIN = 1_000;
const PUSH_WAIT_MS = 10_000;
/** For the last push, when the mount ends. */
const LAST_WAIT_MS = 1_000;
/** Between two lines about trouble. */
const TROUBLE_MS = 60_000;
const SIGNAL_PATH = '/v1/metrics';

export interface OtlpDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly env: NodeJS.ProcessEnv;
  readonly snapshot: () => Promise<MountSnapshot>;
}

export interface OtlpPush {
  /** Pushes once more, a second at most. */
  close(): Promise<void>;
}

export async function startOtlp(settings: OtlpSettings, deps: OtlpDeps): Promise<OtlpPush> {
  const { env, log } = deps;
  const said = sayer(deps);
  diag.setLogger(said, { logLevel: DiagLogLevel.WARN, suppressOverrideMessage: true });
  const first = await deps.snapshot();
  const intervalMs = settings.intervalMs ?? intervalOf(env) ?? INTERVAL_MS_DEFAULT;
  const url = settings.endpoint === undefined ? undefined : metricsUrl(settings.endpoint);
  const exporter = await exporterOf(url, env, log);
  const reader = new PeriodicExportingMetricReader({
    exporter,
    exportIntervalMillis: intervalMs,
    exportTimeoutMillis: Math.min(PUSH_WAIT_MS, intervalMs),
    metricProducers: [producerOf(deps)],
  });
  const resource = resourceFromAttributes({
    'service.name': 'mount-s3x',
    'service.version': first.mount.version,
    'service.instance.id': `${hostname()}:${first.mount.mountPoint}`,
    'host.name': hostname(),
    'process.pid': first.mount.pid,
    'mount_s3x.mount_point': first.mount.mountPoint,
    'mount_s3x.source': first.mount.source,
  }).merge(detectResources({ detectors: [envDetector] }));
  const provider = new MeterProvider({ resource, readers: [reader] });
  log.info({ url: url ?? 'from the environment', intervalMs }, 'metrics are pushed to an OpenTelemetry collector');
  return {
    close: () =>
      within(
        provider.shutdown().catch(() => undefined),
        LAST_WAIT_MS,
        undefined,
      ),
  };
}

/** http/protobuf unless the environment wants JSON. */
async function exporterOf(url: string | undefined, env: NodeJS.ProcessEnv, log: Log): Promise<PushMetricExporter> {
  const options = { concurrencyLimit: 1, ...(url === undefined ? {} : { url }) };
  const protocol = env['OTEL_EXPORTER_OTLP_METRICS_PROTOCOL'] ?? env['OTEL_EXPORTER_OTLP_PROTOCOL'] ?? '';
  if (protocol === 'http/json') {
    const { OTLPMetricExporter } = await import('@opentelemetry/exporter-metrics-otlp-http');
    return new OTLPMetricExporter(options);
  }
  if (protocol !== '' && protocol !== 'http/protobuf') {
    log.warn({ protocol }, 'metrics are pushed as http/protobuf: this protocol is not supported');
  }
  const { OTLPMetricExporter } = await import('@opentelemetry/exporter-metrics-otlp-proto');
  return new OTLPMetricExporter(options);
}

/** The base address of a collector, or the whole path. */
function metricsUrl(endpoint: string): string {
  const bare = endpoint.replace(/\/+$/, '');
  return bare.endsWith(SIGNAL_PATH) ? bare : bare + SIGNAL_PATH;
}

function intervalOf(env: NodeJS.ProcessEnv): number | undefined {
  const value = Number(env['OTEL_METRIC_EXPORT_INTERVAL'] ?? '');
  return value > 0 ? Math.max(INTERVAL_MS_MIN, value) : undefined;
}

function producerOf({ snapshot }: OtlpDeps): MetricProducer {
  return {
    async collect(): Promise<CollectionResult> {
      const now = await snapshot();
      const startTime = hrTime(now.wallMs - now.mount.upMs);
      const endTime = hrTime(now.wallMs);
      const metrics = METRICS.map((row) => metricData(row, now, startTime, endTime));
      return {
        resourceMetrics: {
          resource: resourceFromAttributes({}),
          scopeMetrics: [{ scope: { name: 'mount-s3x', version: now.mount.version }, metrics }],
        },
        errors: [],
      };
    },
  };
}

/** One row of the table as OpenTelemetry's data. Exported for tests. */
export function metricData(row: Metric, snapshot: MountSnapshot, startTime: HrTime, endTime: HrTime): MetricData {
  const { name, help, unit } = row;
  const common = {
    descriptor: { name, description: help, unit, valueType: ValueType.DOUBLE },
    aggregationTemporality: AggregationTemporality.CUMULATIVE,
  };
  if (row.type === 'histogram') {
    const dataPoints = row.of(snapshot).map(({ labels, value }) => {
      const { counts, count, sumSeconds } = exportedHistogram(value);
      const buckets = { boundaries: [...BOUNDS_SECONDS], counts: [...counts] };
      return { startTime, endTime, attributes: labels, value: { buckets, count, sum: sumSeconds } };
    });
    return { ...common, dataPointType: DataPointType.HISTOGRAM, dataPoints };
  }
  const dataPoints = row.of(snapshot).map(({ labels, value }) => ({ startTime, endTime, attributes: labels, value }));
  if (row.type === 'counter') return { ...common, dataPointType: DataPointType.SUM, isMonotonic: true, dataPoints };
  return { ...common, dataPointType: DataPointType.GAUGE, dataPoints };
}

function hrTime(ms: number): HrTime {
  const seconds = Math.floor(ms / 1000);
  return [seconds, Math.round((ms - seconds * 1000) * 1e6)];
}

/** What the packages have to say goes to the log: the first line at once, then one a minute with how many there were. */
function sayer({ clock, log }: OtlpDeps): DiagLogger {
  let nextMs = -Infinity;
  let left = 0;
  const say = (message: string, ...more: unknown[]): void => {
    const nowMs = clock.nowMs();
    if (nowMs < nextMs) {
      left++;
      return;
    }
    nextMs = nowMs + TROUBLE_MS;
    const detail = more.map((each) => messageOf(each)).join(' ');
    const since = left > 0 ? { leftOut: left } : {};
    left = 0;
    log.warn({ ...since, detail: detail.slice(0, 500) }, `metrics could not be pushed: ${reasonIn(message)}`);
  };
  const nothing = (): void => undefined;
  return { error: say, warn: say, info: nothing, debug: nothing, verbose: nothing };
}

const REASON_CHARS_MAX = 300;

/** Errors come as JSON with a stack. */
function reasonIn(message: string): string {
  try {
    const said = JSON.parse(message) as { readonly message?: unknown };
    if (typeof said.message === 'string') return said.message.slice(0, REASON_CHARS_MAX);
  } catch {
    // plain words
  }
  return message.slice(0, REASON_CHARS_MAX);
}
