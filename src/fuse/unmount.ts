/**
 * Unmounting: as root with umount2(2) on a thread of koffi's, as an ordinary user with fusermount3. May be called by the
 * daemon itself while it serves (the last WRITEs and RELEASEs of an unmount come to it), or by another process.
 * Lazy unmounting detaches at once and works where the daemon is dead and its descriptor is held by somebody, when an
 * ordinary unmount waits (kernel fact 4, docs/KERNEL.md): detach, give requests some grace, then close the descriptor.
 * Refuses to look into the mount point, which may hang.
 */
import { writeFileSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { EBUSY, EINVAL, ENOENT, EPERM, errnoName } from '../base/errno.js';
import { fusermountUnmount } from './fusermount.js';
import { MNT_DETACH, UMOUNT_NOFOLLOW, umount2 } from './libc.js';
import { MountError } from './mount-error.js';
import { findMount, isFuse, type MountRecord } from './mountinfo.js';

export interface UnmountOptions {
  /** Detach now, end when the last user is gone. */
  readonly lazy: boolean;
}

/**
 * Unmounts the FUSE file system at `mountPoint`. Throws MountError: 'not-mounted', 'busy' (files are open below it),
 * 'permission'.
 */
export async function unmountFuse(mountPoint: string, options: UnmountOptions): Promise<void> {
  const { path, record } = await locate(mountPoint);
  if (record === undefined || !isFuse(record)) {
    throw new MountError('not-mounted', `nothing of mount-s3x is mounted at ${path}`, 'See `mount -t fuse.mount-s3x`.');
  }
  if (process.geteuid?.() !== 0) {
    await fusermountUnmount(path, options.lazy);
    return;
  }
  const errno = await umount2(path, UMOUNT_NOFOLLOW | (options.lazy ? MNT_DETACH : 0));
  switch (errno) {
    case 0:
      return;
    case EBUSY:
      throw new MountError(
        'busy',
        `${path} is in use`,
        'End the programs that use it and unmount again, or detach it with --lazy.',
      );
    case EINVAL:
    case ENOENT:
      throw new MountError('not-mounted', `nothing is mounted at ${path}`, '');
    case EPERM:
      throw new MountError('permission', `this process may not unmount ${path}`, 'Run it with CAP_SYS_ADMIN.');
    default:
      throw new MountError('other', `unmounting ${path} failed: ${errnoName(errno)}`, '');
  }
}

/**
 * The mount at a path as the user spelled it. Links are followed in the parents only: looking at the last component
 * would ask the file system that is to go.
 */
async function locate(mountPoint: string): Promise<{ path: string; record: MountRecord | undefined }> {
  const path = resolve(mountPoint);
  const record = findMount(path);
  if (record !== undefined) return { path, record };
  try {
    const real = join(await realpath(dirname(path)), basename(path));
    return { path: real, record: findMount(real) };
  } catch {
    return { path, record: undefined };
  }
}

/**
 * Ends a connection from outside: every request of it fails, its readers see the end. The last resort for a mount whose
 * daemon hangs. False when the control file system is not mounted, or is not ours to use.
 */
export function abortConnection(record: MountRecord): boolean {
  try {
    // The control directory is named after the file system's device number, whose major part is 0.
    writeFileSync(`/sys/fs/fuse/connections/${record.minor}/abort`, '1');
    return true;
  } catch {
    return false;
  }
}
