/**
 * The kernel's table of mounts, read from /proc/self/mountinfo (proc(5)).
 * It is the only way to ask about a mount point without touching it: stat() of a mount whose daemon died fails, and of
 * one whose daemon hangs never returns. Refuses to resolve symbolic links for the same reason; callers pass real paths.
 */
import { readFileSync } from 'node:fs';

/** File system type of our mounts as the kernel shows it. */
export const OUR_FS_TYPE = 'fuse.mount-s3x';

export interface MountEntry {
  readonly mountId: number;
  /** `MAJOR:MINOR` of the file system's device. */
  readonly device: string;
  /** Absolute, escapes decoded. */
  readonly mountPoint: string;
  readonly fsType: string;
  /** What is mounted, e.g. `s3://bucket/prefix/`. */
  readonly source: string;
  readonly options: string;
}

/** Space, tab, newline, backslash (and #) come as \ooo. */
function decodeEscapes(text: string): string {
  if (!text.includes('\\')) return text;
  // The bytes of a multi-byte character may be escaped one by one, so decode as bytes.
  const bytes: number[] = [];
  const input = Buffer.from(text, 'utf8');
  for (let at = 0; at < input.length; at++) {
    const byte = input[at] ?? 0;
    const octal = byte === 0x5c ? input.toString('latin1', at + 1, at + 4) : '';
    if (/^[0-3][0-7]{2}$/.test(octal)) {
      bytes.push(Number.parseInt(octal, 8));
      at += 3;
    } else {
      bytes.push(byte);
    }
  }
  return Buffer.from(bytes).toString('utf8');
}

/** Entries in mount order: of two at one mount point, the later covers the earlier. Lines that make no sense are left out. */
export function parseMountInfo(text: string): MountEntry[] {
  const entries: MountEntry[] = [];
  for (const line of text.split('\n')) {
    const fields = line.split(' ');
    const separator = fields.indexOf('-', 6);
    const [mountId, , device, , mountPoint] = fields;
    const fsType = fields[separator + 1];
    const source = fields[separator + 2];
    if (separator < 0 || mountId === undefined || device === undefined || mountPoint === undefined) continue;
    if (fsType === undefined || source === undefined) continue;
    entries.push({
      mountId: Number.parseInt(mountId, 10),
      device,
      mountPoint: decodeEscapes(mountPoint),
      fsType,
      source: decodeEscapes(source),
      options: fields[5] ?? '',
    });
  }
  return entries;
}

/** What is mounted now, in this mount namespace; empty when /proc is not there. */
export function readMounts(file = '/proc/self/mountinfo'): MountEntry[] {
  try {
    return parseMountInfo(readFileSync(file, 'utf8'));
  } catch {
    return [];
  }
}

/** The topmost mount exactly at `mountPoint`, undefined when nothing is mounted there. */
export function findMountAt(mounts: readonly MountEntry[], mountPoint: string): MountEntry | undefined {
  return mounts.findLast((entry) => entry.mountPoint === mountPoint);
}
