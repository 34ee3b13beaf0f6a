/**
 * What SIGHUP means: to a mount in the foreground of a terminal that the terminal is gone, and it ends as with Ctrl-C; to
 * every other that its settings shall be read again (`systemctl reload`, logrotate, `mount-s3x reload`).
 * Refuses to guess by anything but the standard streams: a service manager gives none that is a terminal.
 */
import { isatty } from 'node:tty';
import type { MountConfig } from './config.js';

export function endsWithTerminal(config: Pick<MountConfig, 'foreground'>): boolean {
  return config.foreground && (isatty(0) || isatty(1) || isatty(2));
}
