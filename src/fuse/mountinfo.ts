/**
 * What is mounted where, from /proc/self/mountinfo: reading it asks no file system anything, so it cannot hang on a
 * mount whose daemon is dead or is ourselves, which stat(2) and statfs(2) on the mount point can (kernel fact 4,
 * docs/KERNEL.md). The device number of a mount comes from here too, without a stat.
 * Refuses to touch the mounts themselves. Format: proc_pid_mountinfo(5).
 */
import { readFileSync } from 'node:fs';

export interface MountRecord {
  readonly mountId: number;
  readonly major: number;
  readonly minor: number;
  /** Absolute path, unescaped. */
  readonly mountPoint: string;
  /** Options of the mount (`ro,nosuid,relatime`). */
  readonly options: readonly string[];
  /** `fuse.mount-s3x` for ours. */
  readonly type: string;
  /** `s3://bucket/prefix/` for ours. */
  readonly source: string;
  /** Options of the file system (`ro,user_id=0,allow_other`). */
  readonly superOptions: readonly string[];
}

/** The file system type that our mounts have. */
export const FUSE_TYPE = 'fuse.mount-s3x';

/** Space, tab, newline and backslash are written as three octal digits. */
function unescape(field: string): string {
  return field.includes('\\')
    ? field.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8)))
    : field;
}

/** The records of a mountinfo text, in mount order; lines that are not understood are left out. */
export function parseMountinfo(text: string): MountRecord[] {
  const records: MountRecord[] = [];
  for (const line of text.split('\n')) {
    const fields = line.split(' ');
    const [mountId, , device, , mountPoint, options] = fields;
    // Any number of optional fields, then a dash.
    const dash = fields.indexOf('-', 6);
    const type = fields[dash + 1];
    const source = fields[dash + 2];
    const [major, minor] = (device ?? '').split(':');
    if (dash < 0 || !mountPoint || type === undefined || source === undefined || minor === undefined) continue;
    records.push({
      mountId: Number(mountId),
      major: Number(major),
      minor: Number(minor),
      mountPoint: unescape(mountPoint),
      options: (options ?? '').split(','),
      type: unescape(type),
      source: unescape(source),
      superOptions: (fields[dash + 3] ?? '').split(','),
    });
  }
  return records;
}

/** All mounts that this process sees. */
export function readMounts(): MountRecord[] {
  return parseMountinfo(readFileSync('/proc/self/mountinfo', 'utf8'));
}

/** The topmost mount exactly at `mountPoint` (an absolute path without links). */
export function findMount(mountPoint: string, mounts: readonly MountRecord[] = readMounts()): MountRecord | undefined {
  return mounts.findLast((record) => record.mountPoint === mountPoint);
}

export function isFuse(record: MountRecord): boolean {
  return record.type === 'fuse' || record.type.startsWith('fuse.');
}
