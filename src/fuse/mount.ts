/**
 * Mounting: checks the mount point, then mount(2) as root or fusermount3 as an ordinary user, and gives the connection's
 * descriptor. mount(2) is called directly rather than through mount(8): it needs no helper in a container, its errors
 * are numbers, and the source may hold any character. The kernel queues INIT at once: call session.ts's handshake next,
 * and before anything else touches the mount point.
 * Refuses to mount over another FUSE file system, and to guess: each failure names the directory and the remedy.
 */
import { closeSync } from 'node:fs';
import { realpath, stat, statfs, writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { EACCES, EBUSY, EINVAL, ENODEV, ENOENT, ENOTCONN, ENOTDIR, ENXIO, EPERM, errnoName } from '../base/errno.js';
import { messageOf } from '../base/thrown.js';
import { within } from '../base/waits.js';
import { DEV_FUSE_PATH, errnoOf, openDevFuse } from './dev-fuse.js';
import { fusermountMount } from './fusermount.js';
import { mount } from './libc.js';
import { MountError } from './mount-error.js';
import { fusermountOptions, labelsOf, mountData, mountFlags, type MountOptions } from './mount-options.js';
import { FUSE_TYPE, findMount, isFuse, type MountRecord } from './mountinfo.js';

export type { MountOptions } from './mount-options.js';

/** How long a mount that is in the way may take to say whether it lives. */
const STALE_PROBE_MS = 2000;

export interface FuseMount {
  /** The connection. `@gives` it: the caller closes it, at the very end. */
  readonly fd: number;
  /** Absolute, without symbolic links: as /proc/mounts shows it. */
  readonly mountPoint: string;
  readonly via: 'mount' | 'fusermount3' | 'supervisor';
  /** As /proc/self/mountinfo shows it; undefined in the unlikely case that somebody unmounted it meanwhile. */
  readonly record: MountRecord | undefined;
}

/** Who is let in without allow_other, and may end the connection: user_id and group_id. */
export interface MountOwner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Checks that something can be mounted at `mountPoint` and returns its real path. Never hangs on a dead mount.
 * Throws MountError: 'mount-point', 'already-mounted', 'stale-mount', 'permission'.
 */
export async function checkMountPoint(mountPoint: string): Promise<{ readonly path: string; readonly mode: number }> {
  const absolute = resolve(mountPoint);
  const inTheWay = findMount(absolute);
  if (inTheWay !== undefined && isFuse(inTheWay)) throw await occupied(absolute, inTheWay);
  let path: string;
  let mode: number;
  try {
    path = await realpath(absolute);
    const behindLink = path === absolute ? undefined : findMount(path);
    if (behindLink !== undefined && isFuse(behindLink)) throw await occupied(path, behindLink);
    ({ mode } = await stat(path));
  } catch (error) {
    if (error instanceof MountError) throw error;
    throw mountPointFailure(absolute, errnoOf(error));
  }
  if ((mode & 0o170000) !== 0o040000) throw mountPointFailure(absolute, ENOTDIR);
  return { path, mode };
}

/**
 * Mounts and returns the connection: `device`, when the caller has opened /dev/fuse already (root only; it stays the
 * caller's when mounting fails), a new one otherwise. `owner`: for whom root mounts. Throws MountError.
 */
export async function mountFuse(
  mountPoint: string,
  options: MountOptions,
  device?: number,
  owner: MountOwner = { uid: process.getuid?.() ?? 0, gid: process.getgid?.() ?? 0 },
): Promise<FuseMount> {
  const { path, mode } = await checkMountPoint(mountPoint);
  const root = process.geteuid?.() === 0;
  const fd = root
    ? await mountAsRoot(path, mode, options, owner, device)
    : await fusermountMount(path, fusermountOptions(options));
  return { fd, mountPoint: path, via: root ? 'mount' : 'fusermount3', record: findMount(path) };
}

async function mountAsRoot(
  path: string,
  mode: number,
  options: MountOptions,
  owner: MountOwner,
  device?: number,
): Promise<number> {
  const flags = mountFlags(options);
  let fd: number;
  try {
    fd = device ?? openDevFuse();
  } catch (error) {
    throw deviceFailure(errnoOf(error), error);
  }
  let errno: number;
  try {
    const data = mountData(options, fd, mode, owner.uid, owner.gid);
    errno = await mount(options.source, path, FUSE_TYPE, flags, data);
  } catch (error) {
    if (device === undefined) closeSync(fd);
    throw error;
  }
  if (errno === 0) return fd;
  if (device === undefined) closeSync(fd);
  throw mountFailure(path, errno, labelsOf(options));
}

/**
 * Sets how far the kernel reads ahead on this mount, in KiB. The default of 128 halves buffered speed; 1024 gives 1 MiB
 * READs, and deeper reading ahead is the prefetcher's (kernel fact 13, docs/KERNEL.md). Needs root (kernel fact 26).
 * Returns undefined when it is set, else why not.
 */
export async function setReadAhead(
  device: { readonly major: number; readonly minor: number },
  kib: number,
): Promise<string | undefined> {
  try {
    await writeFile(`/sys/class/bdi/${device.major}:${device.minor}/read_ahead_kb`, `${kib}\n`);
    return undefined;
  } catch (error) {
    return messageOf(error);
  }
}

async function occupied(path: string, record: MountRecord): Promise<MountError> {
  if (await isDead(path)) {
    return new MountError(
      'stale-mount',
      `a dead mount of ${record.source} is in the way at ${path}`,
      `Remove it with \`mount-s3x unmount ${path}\` or \`umount -l ${path}\`.`,
    );
  }
  return new MountError(
    'already-mounted',
    `${path} is already a mount of ${record.source}`,
    `Unmount it first: mount-s3x unmount ${path}`,
  );
}

/** A mount whose daemon is gone answers ENOTCONN at once; one that does not answer in time may still live. */
async function isDead(path: string): Promise<boolean> {
  // statfs, because attributes may be remembered by the kernel.
  const probe = statfs(path).then(
    () => false,
    (error: unknown) => errnoOf(error) === ENOTCONN,
  );
  return await within(probe, STALE_PROBE_MS, false);
}

function mountPointFailure(path: string, errno: number): MountError {
  switch (errno) {
    case ENOENT:
      return new MountError('mount-point', `the mount point ${path} does not exist`, `Create it: mkdir -p ${path}`);
    case ENOTDIR:
      return new MountError('mount-point', `the mount point ${path} is not a directory`, 'Name a directory.');
    case ENOTCONN:
      return new MountError(
        'stale-mount',
        `a dead mount is in the way at ${path}`,
        `Remove it with \`umount -l ${path}\`.`,
      );
    case EACCES:
      return new MountError('permission', `you may not enter ${path}`, 'Mount at a directory that you own.');
    default:
      return new MountError('mount-point', `the mount point ${path} cannot be used: ${errnoName(errno)}`, '');
  }
}

function deviceFailure(errno: number, cause: unknown): MountError {
  const remedy =
    errno === ENOENT || errno === ENODEV || errno === ENXIO
      ? 'Load the kernel module (modprobe fuse); in a container add --device /dev/fuse.'
      : 'In a container add --device /dev/fuse and --cap-add SYS_ADMIN.';
  return new MountError('no-device', `${DEV_FUSE_PATH} cannot be opened: ${errnoName(errno)}`, remedy, { cause });
}

function mountFailure(path: string, errno: number, labels: readonly string[]): MountError {
  switch (errno) {
    case EPERM:
    case EACCES:
      return new MountError(
        'permission',
        `the kernel does not let this process mount at ${path} (${errnoName(errno)})`,
        'In a container add --cap-add SYS_ADMIN (and --security-opt apparmor:unconfined where AppArmor forbids mounts).',
      );
    case ENODEV:
      return new MountError('no-device', 'this kernel has no FUSE', 'Load the kernel module (modprobe fuse).');
    case EBUSY:
      return new MountError('already-mounted', `${path} is busy`, 'Choose another mount point.');
    case EINVAL:
      if (labels.length > 0) {
        return new MountError(
          'option',
          `the kernel refused the mount options for ${path}, probably ${labels.join(', ')}`,
          'SELinux must be on, and its policy must know the label; else leave it out of -o',
        );
      }
      return new MountError('option', `the kernel refused the mount options for ${path}`, 'Leave out what -o adds.');
    default:
      return new MountError('other', `mounting at ${path} failed: ${errnoName(errno)}`, '');
  }
}
