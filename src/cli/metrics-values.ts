/**
 * Options about metrics, read: where they are served and where they are pushed to. Pure.
 */
import { CommandError } from '../main/command-error.js';
import { EXIT_USAGE } from '../main/exit-codes.js';
import { parseMetricsAddress } from '../main/metrics/address.js';
import { environmentAsksOtlp, type MetricsSettings } from '../main/metrics/settings.js';
import type { GivenOptions } from './options.js';
import * as values from './values.js';

const INTERVAL_SECONDS_MAX = 86_400;

/** Throws CommandError. */
export function metricsOf(
  given: GivenOptions,
  { env, cwd }: { readonly env: NodeJS.ProcessEnv; readonly cwd: string },
): MetricsSettings {
  const address = given.values.get('metrics-address');
  const endpoint = given.values.get('otlp-endpoint');
  const interval = given.values.get('otlp-export-interval');
  const isPushed = endpoint !== undefined || environmentAsksOtlp(env);
  if (interval !== undefined && !isPushed) {
    throw new CommandError(
      EXIT_USAGE,
      '--otlp-export-interval needs --otlp-endpoint',
      'give both, or OTEL_EXPORTER_OTLP_ENDPOINT in the environment',
    );
  }
  const seconds = (text: string): number =>
    values.positiveNumber('otlp-export-interval', text, 1, INTERVAL_SECONDS_MAX, 'seconds');
  return {
    ...(address === undefined ? {} : { address: addressOf(address, cwd) }),
    ...(isPushed
      ? {
          otlp: {
            ...(endpoint === undefined ? {} : { endpoint: values.endpointUrl('otlp-endpoint', endpoint) }),
            ...(interval === undefined ? {} : { intervalMs: seconds(interval) * 1000 }),
          },
        }
      : {}),
  };
}

function addressOf(text: string, cwd: string): NonNullable<MetricsSettings['address']> {
  const address = parseMetricsAddress(text, cwd);
  if (address !== undefined) return address;
  const allowed = 'HOST:PORT (0.0.0.0:9105), :PORT for this host only, unix:PATH, or unix: alone';
  throw values.badValue('metrics-address', text, 'not an address', allowed);
}
