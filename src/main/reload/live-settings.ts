/**
 * Which settings a running mount can change, how each takes effect, and why the others cannot: one table, from which reload
 * works, docs/CONFIG.md is checked and the manual has its list. A row's `fields` says what of the configuration is the
 * setting's, so that what is in force is always one whole configuration.
 * Refuses to turn anything itself: the daemon gives the knobs.
 */
import type { MountConfig } from '../config.js';
import type { SettingsRecord } from '../settings-record.js';
import type { Reason } from '../sizing/reason.js';

/** What of the running parts can be turned. Each returns why it cannot be now, undefined when it was done. */
export interface LiveKnobs {
  setLogLevel(level: MountConfig['log']['level']): string | undefined;
  setMetricsLog(isOn: boolean): string | undefined;
  /** `undefined`: no limit. */
  setBandwidth(bytesPerSecond: number | undefined): string | undefined;
  /** Where connections and parts may move; by the new configuration. */
  setTransfers(next: MountConfig): string | undefined;
  setTtl(ttlMs: number | null, negativeTtlMs: number | null): string | undefined;
  setReadAround(isOn: boolean): string | undefined;
  setShutdownTimeout(timeoutMs: number): string | undefined;
}

/** Reads all places again. Throws CommandError for what is wrong in one of them. */
export type Reread = (
  record: SettingsRecord,
) => Promise<{ readonly config: MountConfig; readonly notes: readonly string[] }>;

/** What a daemon gives a reload. */
export interface LiveParts {
  readonly knobs: Omit<LiveKnobs, 'setLogLevel'>;
  /** Loads credentials again; what came of it in words, undefined where there are none. */
  rereadCredentials(): Promise<string | undefined>;
  /** Of the sizing that the mount began with. */
  readonly reasons: readonly Reason[];
}

export interface LiveRow {
  /** How it takes effect, as a clause: `for every request from now on`. */
  readonly how: string;
  /** `config` with this setting's part of `next`. */
  fields(config: MountConfig, next: MountConfig): MountConfig;
  apply(knobs: LiveKnobs, next: MountConfig): string | undefined;
}

const log = (of: (next: MountConfig) => Partial<MountConfig['log']>): LiveRow['fields'] => {
  return (config, next) => ({ ...config, log: { ...config.log, ...of(next) } });
};

const level: Omit<LiveRow, 'how'> = {
  fields: log(({ log: { level, engineDebug } }) => ({ level, engineDebug })),
  apply: (knobs, next) => knobs.setLogLevel(next.log.level),
};

const transfers: Pick<LiveRow, 'apply'> = { apply: (knobs, next) => knobs.setTransfers(next) };

const parts: Omit<LiveRow, 'how'> = {
  ...transfers,
  fields: ({ readPartBytes: _gone, ...config }, { readPartBytes }) => ({
    ...config,
    ...(readPartBytes !== undefined && { readPartBytes }),
  }),
};

const ttl: Omit<LiveRow, 'how'> = {
  fields: (config, { metadataTtlMs, negativeMetadataTtlMs }) => ({ ...config, metadataTtlMs, negativeMetadataTtlMs }),
  apply: (knobs, next) => knobs.setTtl(next.metadataTtlMs, next.negativeMetadataTtlMs),
};

const rows = {
  debug: { how: 'for every line from now on', ...level },
  'debug-crt': { how: 'for every line from now on', ...level },
  'log-metrics': {
    how: 'from now on',
    fields: log(({ log: { metrics } }) => ({ metrics })),
    apply: (knobs, next) => knobs.setMetricsLog(next.log.metrics),
  },
  'max-bandwidth': {
    how: 'at once, for what is under way too',
    fields: ({ maxBandwidthBytesPerSecond: _gone, ...config }, { maxBandwidthBytesPerSecond }) => ({
      ...config,
      ...(maxBandwidthBytesPerSecond !== undefined && { maxBandwidthBytesPerSecond }),
    }),
    apply: (knobs, next) => knobs.setBandwidth(next.maxBandwidthBytesPerSecond),
  },
  'max-connections': {
    how: 'for new requests; up to what memory was counted for at the start',
    ...transfers,
    fields: ({ connectionsMax: _gone, ...config }, { connectionsMax }) => ({
      ...config,
      ...(connectionsMax !== undefined && { connectionsMax }),
    }),
  },
  'read-part-size': { how: 'for new requests', ...parts },
  'metadata-ttl': { how: 'for what is asked from now on; the kernel keeps what it knows for the old time', ...ttl },
  'negative-metadata-ttl': {
    how: 'for what is asked from now on; the kernel keeps what it knows for the old time',
    ...ttl,
  },
  'read-around': {
    how: 'for reads from now on',
    fields: (config, { readAround }) => ({ ...config, readAround }),
    apply: (knobs, next) => knobs.setReadAround(next.readAround),
  },
  'shutdown-timeout': {
    how: 'for the next unmount',
    fields: (config, { write: { shutdownTimeoutMs } }) => ({
      ...config,
      write: { ...config.write, shutdownTimeoutMs },
    }),
    apply: (knobs, next) => knobs.setShutdownTimeout(next.write.shutdownTimeoutMs),
  },
} as const satisfies Record<string, LiveRow>;

export const liveSettings: Readonly<Record<string, LiveRow>> = rows;

export function liveRow(name: string): LiveRow | undefined {
  return Object.hasOwn(liveSettings, name) ? liveSettings[name] : undefined;
}

/** Why not, where there is more to say than that it was fixed when the mount was made. */
const reasons: Readonly<Record<string, string>> = {
  'memory-target': 'the pool is allocated once',
  'max-memory-target': 'the pool is allocated once',
  'part-size': 'uploads under way count on it; `read-part-size` can change',
  user: 'a daemon cannot become another user',
  'run-as': 'a daemon cannot become another user',
  bucket: 'another bucket is another mount',
  prefix: 'another prefix is another mount',
  directory: 'another directory is another mount',
  'log-directory': 'the log is opened once (it was opened anew at the same place)',
  'no-log': 'the log is opened once',
};

export function whyNotLive(name: string): string {
  return reasons[name] ?? 'it is fixed when the mount is made';
}

/** Names that lead to settings and are none themselves. */
export const notSettings: ReadonlySet<string> = new Set(['config', 'profile-file', 'profile-name']);
