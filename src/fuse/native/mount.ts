/**
 * The second binding: FuseHandlers behind fuse-native and libfuse 2 (`--fuse-binding native`), for systems where the first
 * cannot run. What it cannot do, and the contract suite therefore leaves out for it:
 *   - READs of 128 KiB at most, copied once more, all on the main thread; no reader threads, no hand-over
 *   - no READDIRPLUS, no notifications (stores, invalidations), no RESEND, no passthrough, no KEEP_CACHE or CACHE_DIR
 *   - no INTERRUPT: a waiting call ends when its handler does
 *   - no node ids: a file that is open under an old name is found by path again; no ESTALE of its own
 *   - who asks is not known (pid 0, our own user); extended attributes, fallocate and lseek are not offered
 *   - modification times cannot be set (touch and cp -p succeed without: the binding loses them)
 *   - times before 1970 and inode numbers above 32 bits are cut
 * Refuses what would be silently wrong: allow_root, which it cannot enforce.
 *
 * Thread: main; libfuse's own thread calls in through the binding.
 */
import { systemClock, type Clock } from '../../base/clock.js';
import type { Log } from '../../base/log.js';
import { pause } from '../../base/waits.js';
import type { FuseHandlers } from '../handlers.js';
import { MountError } from '../mount-error.js';
import { mountFlags, type MountOptions } from '../mount-options.js';
import { findMount } from '../mountinfo.js';
import { checkMountPoint } from '../mount.js';
import { unmountFuse } from '../unmount.js';
import { loadFuseNative } from './library.js';
import { nativeOperations } from './operations.js';

/** How often it is looked whether somebody unmounted us: the binding does not say. */
const WATCH_MS = 500;

export interface NativeMount {
  /** As /proc/mounts shows it. */
  readonly mountPoint: string;
  /** Settles when the file system is unmounted, by us or by somebody else. */
  readonly ended: Promise<void>;
  /** Throws MountError ('busy'). */
  unmount(lazy: boolean): Promise<void>;
}

/** Mounts and serves until unmounted. Throws MountError. */
export async function mountNative(
  mountPoint: string,
  options: MountOptions,
  deps: { readonly handlers: FuseHandlers; readonly log: Log; readonly clock?: Clock },
): Promise<NativeMount> {
  const Fuse = loadFuseNative();
  if (options.allowRoot) {
    throw new MountError(
      'option',
      '--allow-root needs the default --fuse-binding',
      'Use --allow-other, or leave one out.',
    );
  }
  // Refuses options that are not known.
  mountFlags(options);
  const { path } = await checkMountPoint(mountPoint);
  const fuse = new Fuse(path, nativeOperations(deps.handlers, deps.log), {
    // A store may take minutes; the handlers have deadlines of their own.
    timeout: false,
    defaultPermissions: true,
    allowOther: options.allowOther,
    fsname: fsnameAndMore(options),
    subtype: 'mount-s3x',
  });
  await new Promise<void>((resolve, reject) => {
    fuse.mount((error) => {
      if (error === null || error === undefined) resolve();
      else
        reject(
          new MountError('other', `libfuse could not mount at ${path}: ${error.message}`, 'See the lines above.', {
            cause: error,
          }),
        );
    });
  });
  const clock = deps.clock ?? systemClock;
  const ended = watch(path, clock).then(() => deps.handlers.destroy?.());
  return { mountPoint: path, ended, unmount: (lazy) => unmountFuse(path, { lazy }) };
}

/** fuse-native passes options that it has no name for only this way: it joins them with commas, unescaped. */
function fsnameAndMore(options: MountOptions): string {
  const escaped = options.source.replace(/[\\,]/g, (character) => `\\${character}`);
  const more = options.extra.filter((option) => /^(no)?(atime|exec|dev|suid|diratime|relatime)$/.test(option));
  return [escaped, 'nosuid', 'nodev', ...more, ...(options.readOnly ? ['ro'] : [])].join(',');
}

async function watch(path: string, clock: Clock): Promise<void> {
  while (findMount(path) !== undefined) await pause(clock, WATCH_MS);
}
