/**
 * A complete MountConfig for tests, with what a test cares about put over it.
 * Not a default of the product: those are made by src/cli/build-config.
 */
import { MIB } from '../../src/base/units.js';
import type { MountConfig, WriteConfig } from '../../src/main/config.js';

export const sampleWriteConfig: WriteConfig = {
  objects: { checksums: 'crc32c', tags: [], capabilities: {} },
  overwrite: true,
  delete: true,
  conflict: 'fail',
  partBytes: 8 * MIB,
  spoolDirectory: '/nonexistent/spool',
  commitIntervalMs: null,
  recoverAgeMs: 604_800_000,
  shutdownTimeoutMs: 75_000,
  renameDirectoryKeysMax: 100_000,
  posixMetadata: false,
  inferContentType: false,
};

export function sampleConfig(changes: Partial<MountConfig> = {}): MountConfig {
  return {
    store: {
      bucket: 'bucket',
      prefix: '',
      forcePathStyle: false,
      transferAcceleration: false,
      dualStack: false,
      fips: false,
      requesterPays: false,
      anonymous: false,
    },
    mountPoint: '/nonexistent',
    foreground: false,
    readOnly: false,
    immutable: false,
    allowOther: false,
    allowRoot: false,
    autoUnmount: false,
    supervised: true,
    watchdogMs: 30_000,
    uid: 0,
    gid: 0,
    dirMode: 0o755,
    fileMode: 0o644,
    metadataTtlMs: 1000,
    negativeMetadataTtlMs: 1000,
    readAround: true,
    bindNics: [],
    fuseBinding: 'dev',
    resend: true,
    verify: 'auto',
    write: sampleWriteConfig,
    metrics: {},
    log: { metrics: false, level: 'info', engineDebug: false },
    mountOptions: [],
    ...changes,
  };
}
