/**
 * Mount options as the user gives them, as mount(2) and as fusermount3 take them. Pure.
 * Always default_permissions: the kernel checks modes, so that no request needs to (kernel fact 14, docs/KERNEL.md).
 * Always nosuid and nodev unless asked otherwise: a bucket is no place to trust set-uid programs from.
 * Refuses options that it does not know, by name, instead of leaving the user with the kernel's EINVAL.
 */
import * as libc from './libc.js';
import { MountError } from './mount-error.js';
import { REQUEST_BYTES_MAX } from './negotiate.js';

export interface MountOptions {
  /** What /proc/mounts shows as the device, e.g. `s3://bucket/prefix/`. Any characters. */
  readonly source: string;
  readonly readOnly: boolean;
  /** Other users may enter. */
  readonly allowOther: boolean;
  /**
   * Root may enter besides the owner. The kernel has only allow_other, so that is asked for, and the dispatcher refuses
   * everyone else (its `ownerUid` option).
   */
  readonly allowRoot: boolean;
  /** Further options of mount(8): noatime, noexec, dev, ... */
  readonly extra: readonly string[];
}

/** Options that are flags of mount(2): bits to set and to clear. */
const FLAGS: Readonly<Record<string, readonly [set: number, clear: number]>> = {
  ro: [libc.MS_RDONLY, 0],
  rw: [0, libc.MS_RDONLY],
  suid: [0, libc.MS_NOSUID],
  nosuid: [libc.MS_NOSUID, 0],
  dev: [0, libc.MS_NODEV],
  nodev: [libc.MS_NODEV, 0],
  exec: [0, libc.MS_NOEXEC],
  noexec: [libc.MS_NOEXEC, 0],
  sync: [libc.MS_SYNCHRONOUS, 0],
  async: [0, libc.MS_SYNCHRONOUS],
  dirsync: [libc.MS_DIRSYNC, 0],
  atime: [0, libc.MS_NOATIME],
  noatime: [libc.MS_NOATIME, 0],
  diratime: [0, libc.MS_NODIRATIME],
  nodiratime: [libc.MS_NODIRATIME, 0],
  relatime: [libc.MS_RELATIME, 0],
  norelatime: [0, libc.MS_RELATIME],
  strictatime: [libc.MS_STRICTATIME, 0],
  nostrictatime: [0, libc.MS_STRICTATIME],
  lazytime: [libc.MS_LAZYTIME, 0],
  nolazytime: [0, libc.MS_LAZYTIME],
  nosymfollow: [libc.MS_NOSYMFOLLOW, 0],
};

/** What mount(8), systemd and fstab add for themselves, and which means nothing to the kernel. */
const IGNORED = /^(defaults|auto|noauto|user|nouser|users|owner|group|_netdev|nofail|nonempty|comment=.*|x-.*|X-.*)$/;

/** Labels of SELinux, which the kernel takes from mount(2)'s data. fusermount3 does not know them. */
const LABEL = /^(context|fscontext|defcontext|rootcontext)=(.+)$/;

/** Already implied by our own options. */
const OURS = /^(default_permissions|allow_other|allow_root|max_read=.*|fsname=.*|subtype=.*)$/;

function unknownOption(option: string): MountError {
  return new MountError('option', `unknown mount option ${JSON.stringify(option)}`, 'leave it out of -o');
}

/** mount(2)'s flags. Throws MountError for an option that is not known. */
export function mountFlags(options: MountOptions): number {
  let flags = libc.MS_NOSUID | libc.MS_NODEV;
  for (const option of options.extra) {
    const flag = FLAGS[option];
    if (flag !== undefined) flags = (flags | flag[0]) & ~flag[1];
    else if (!IGNORED.test(option) && !OURS.test(option) && !LABEL.test(option)) throw unknownOption(option);
  }
  return options.readOnly ? flags | libc.MS_RDONLY : flags;
}

/**
 * mount(2)'s flags for changing a mount that has the options `before` (as /proc/self/mountinfo shows them): what `words` do
 * not speak of stays. The last of two that contradict each other counts. Words that are no flags are left out.
 */
export function remountFlags(before: readonly string[], words: readonly string[]): number {
  let flags = libc.MS_REMOUNT;
  for (const option of [...before, ...words]) {
    const flag = FLAGS[option];
    if (flag !== undefined) flags = (flags | flag[0]) & ~flag[1];
  }
  return flags;
}

/** mount(2)'s data for a connection: `rootMode` is st_mode of the mount point. */
export function mountData(options: MountOptions, fd: number, rootMode: number, uid: number, gid: number): string {
  const parts = [
    `fd=${fd}`,
    `rootmode=${(rootMode & 0o170000).toString(8)}`,
    `user_id=${uid}`,
    `group_id=${gid}`,
    'default_permissions',
    `max_read=${REQUEST_BYTES_MAX}`,
  ];
  if (options.allowOther || options.allowRoot) parts.push('allow_other');
  for (const option of options.extra) {
    const label = LABEL.exec(option);
    // In quotes, because categories are separated by commas, too.
    if (label !== null) parts.push(`${label[1] ?? ''}="${label[2]?.replaceAll('"', '') ?? ''}"`);
  }
  return parts.join(',');
}

/** The options that only a kernel with SELinux takes, for the sentence when it did not. */
export function labelsOf(options: MountOptions): readonly string[] {
  return options.extra.filter((option) => LABEL.test(option));
}

/** fusermount3's `-o` argument; it adds fd, rootmode and ids itself. Throws MountError for an option that is not known. */
export function fusermountOptions(options: MountOptions): string {
  const escaped = options.source.replace(/[\\,]/g, (character) => `\\${character}`);
  const parts = [`fsname=${escaped}`, 'subtype=mount-s3x', 'default_permissions', `max_read=${REQUEST_BYTES_MAX}`];
  for (const option of options.extra) {
    if (FLAGS[option] !== undefined) parts.push(option);
    else if (LABEL.test(option)) throw new MountError('option', `${option} is not for ordinary users`, 'mount as root');
    else if (!IGNORED.test(option) && !OURS.test(option)) throw unknownOption(option);
  }
  if (options.allowOther || options.allowRoot) parts.push('allow_other');
  if (options.readOnly) parts.push('ro');
  return parts.join(',');
}
