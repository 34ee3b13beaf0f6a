/**
 * Unmounts when the supervisor is killed and its daemon may not (--user): a shell of root's that waits for the end of a
 * pipe, as fusermount3 does for auto_unmount. Told the mount's device, it detaches that mount and no other; told that all
 * is over, it ends. One megabyte, and nothing that the daemon or its user can speak to.
 * Refuses signals that end whole groups: it is there for when its parent is gone.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import type { Writable } from 'node:stream';
import { helperEnvironment } from '../../base/helper-environment.js';

/** Lines that it reads: the device `major:minor` once it is mounted, then anything for a good end. $1 is the mount point. */
const SCRIPT = `trap '' HUP INT TERM
read -r device || exit 0
read -r over && exit 0
grep -qF " $device " /proc/self/mountinfo || exit 0
exec umount -i -l -- "$1"`;

export class MountGuard {
  readonly #child: ChildProcess;

  /** Starts it. It knows of nothing to detach yet. */
  constructor(mountPoint: string) {
    this.#child = spawn('/bin/sh', ['-c', SCRIPT, 'mount-s3x-guard', mountPoint], {
      cwd: '/',
      detached: true,
      env: helperEnvironment(),
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    // Without it a supervisor that is killed leaves a dead mount: no reason not to mount.
    this.#child.on('error', () => undefined);
    this.#pipe?.on('error', () => undefined);
    this.#child.unref();
    (this.#pipe as unknown as { unref?: () => void } | null)?.unref?.();
  }

  /** From now on the end of this process detaches the mount with this device number. */
  watch(record: { readonly major: number; readonly minor: number }): void {
    this.#pipe?.write(`${record.major}:${record.minor}\n`);
  }

  /** There is nothing to detach any more. */
  dismiss(): void {
    this.#pipe?.end('over\nover\n');
  }

  get #pipe(): Writable | null {
    return this.#child.stdin;
  }
}
