/**
 * Which metrics leave the daemon and where to: decided from options and environment, as plain data in the MountConfig.
 * Refuses to look at anything else: what OTEL_* variables say beyond on and off is for the official exporter to read.
 */
import type { MetricsAddress } from './address.js';

export interface MetricsSettings {
  /** Absent: nothing is served. */
  readonly address?: MetricsAddress;
  /** Absent: nothing is pushed. */
  readonly otlp?: OtlpSettings;
}

export interface OtlpSettings {
  /** `--otlp-endpoint`; absent: the environment names it. */
  readonly endpoint?: string;
  /** Absent: OTEL_METRIC_EXPORT_INTERVAL, or a minute. */
  readonly intervalMs?: number;
}

/** Does the environment ask for pushes? As OpenTelemetry's specification has it: an endpoint does, unless it is switched off. */
export function environmentAsksOtlp(env: NodeJS.ProcessEnv): boolean {
  if (/^true$/i.test(env['OTEL_SDK_DISABLED'] ?? '')) return false;
  const exporter = env['OTEL_METRICS_EXPORTER'] ?? '';
  if (exporter !== '' && !exporter.split(',').includes('otlp')) return false;
  return [env['OTEL_EXPORTER_OTLP_METRICS_ENDPOINT'], env['OTEL_EXPORTER_OTLP_ENDPOINT']].some(
    (endpoint) => endpoint !== undefined && endpoint !== '',
  );
}
