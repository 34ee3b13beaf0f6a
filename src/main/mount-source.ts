/**
 * What is mounted, in words: as messages, /proc/mounts and `ps` show it, and with which options.
 * A file of its own because everything names it, the supervisor too, which loads little. Refuses to look anything up.
 */
import type { MountOptions } from '../fuse/mount-options.js';
import type { MountConfig } from './config.js';

/** `s3://bucket/prefix/` for messages. */
export function mountSource(config: Pick<MountConfig, 'store'>): string {
  return `s3://${config.store.bucket}/${config.store.prefix}`;
}

/** What the kernel is told of a mount. */
export function mountOptionsOf(config: MountConfig): MountOptions {
  return {
    source: mountSource(config),
    readOnly: config.readOnly,
    allowOther: config.allowOther,
    allowRoot: config.allowRoot,
    extra: config.mountOptions,
  };
}
