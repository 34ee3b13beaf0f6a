/**
 * A complete MountConfig for tests, with what a test cares about put over it.
 * Not a default of the product: those are made by src/cli/build-config.
 */
import type { MountConfig } from '../../src/main/config.js';

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
    uid: 0,
    gid: 0,
    dirMode: 0o755,
    fileMode: 0o644,
    metadataTtlMs: 1000,
    negativeMetadataTtlMs: 1000,
    readAround: true,
    bindNics: [],
    fuseBinding: 'dev',
    verify: 'auto',
    log: { metrics: false, level: 'info', engineDebug: false },
    mountOptions: [],
    ...changes,
  };
}
