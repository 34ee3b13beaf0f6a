/**
 * What is mounted, in words: as messages, /proc/mounts and `ps` show it.
 * A file of its own because everything names it, the supervisor too, which loads little. Refuses to look anything up.
 */
import type { MountConfig } from './config.js';

/** `s3://bucket/prefix/` for messages. */
export function mountSource(config: Pick<MountConfig, 'store'>): string {
  return `s3://${config.store.bucket}/${config.store.prefix}`;
}
