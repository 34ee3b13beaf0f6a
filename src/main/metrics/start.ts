/**
 * Starts what sends metrics out, where the configuration asks for it, and loads its libraries only then: a mount without metrics
 * neither reads nor keeps them. Refuses to fail a mount: what cannot start is an error line.
 */
import { join } from 'node:path';
import type { Clock } from '../../base/clock.js';
import type { Log } from '../../base/log.js';
import type { MountSnapshot } from '../stats/snapshot.js';
import { makePrivateDirectory, mountId, runtimeCandidates, type Owner } from '../state-directory.js';
import type { MetricsAddress } from './address.js';
import type { MetricsSettings } from './settings.js';

export interface MetricsDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly owner: Owner;
  readonly snapshot: () => Promise<MountSnapshot>;
}

export interface RunningMetrics {
  /** Ends both; a last push takes a second at most. */
  close(): Promise<void>;
}

/** Undefined when nothing is asked for. Never rejects. */
export async function startMetrics(
  settings: MetricsSettings,
  mountPoint: string,
  deps: MetricsDeps,
): Promise<RunningMetrics | undefined> {
  const { address, otlp } = settings;
  const { log } = deps;
  const closers: (() => Promise<void>)[] = [];
  if (address !== undefined) {
    await whole(log, 'metrics cannot be served', async () => {
      const place = placeOf(address, mountPoint, deps.owner);
      const [{ MetricsServer }, { prometheusText, PROMETHEUS_CONTENT_TYPE }] = await Promise.all([
        import('./server.js'),
        import('./prometheus.js'),
      ]);
      const print = prometheusText();
      const server = new MetricsServer(place, {
        ...deps,
        contentType: PROMETHEUS_CONTENT_TYPE,
        text: async () => print(await deps.snapshot()),
      });
      closers.push(() => Promise.resolve(server.close()));
      await server.open();
    });
  }
  if (otlp !== undefined) {
    await whole(log, 'metrics cannot be pushed', async () => {
      const { startOtlp } = await import('./otlp.js');
      const push = await startOtlp(otlp, { ...deps, env: deps.owner.env });
      closers.push(() => push.close());
    });
  }
  if (closers.length === 0) return undefined;
  return { close: async () => void (await Promise.all(closers.map((close) => close()))) };
}

async function whole(log: Log, trouble: string, start: () => Promise<void>): Promise<void> {
  try {
    await start();
  } catch (error) {
    log.error({ err: error }, trouble);
  }
}

function placeOf(address: MetricsAddress, mountPoint: string, owner: Owner): MetricsAddress {
  if (address.kind !== 'unix' || address.path !== '') return address;
  const directory = makePrivateDirectory(runtimeCandidates(owner), owner.uid);
  if (directory === undefined) throw new Error('there is no runtime directory for the socket: name a path');
  return { kind: 'unix', path: join(directory, `${mountId(mountPoint)}.metrics.sock`) };
}
