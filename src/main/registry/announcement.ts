/**
 * What one mount tells the others on its host: one small JSON file, written whole (a rename). Plain data with its checks,
 * because a directory may hold anything: a half-written file of a version to come, garbage, a file of somebody's editor.
 * Refuses (as absent) what does not make sense, rather than to divide by it.
 */
import { GIB } from '../../base/units.js';
import type { Use } from './fair-trim.js';

/** Most bytes of a file that are read. */
export const ANNOUNCEMENT_BYTES_MAX = 4096;
/** Cards that are named, and characters of a name (IFNAMSIZ is 16). */
const NICS_MAX = 32;
const NIC_CHARS_MAX = 15;
const PATH_CHARS_MAX = 2048;
/** Beyond any card and any machine: what is larger is no number of ours. */
const GBPS_MAX = 10_000;
const BYTES_OF_GBIT = 1e9 / 8;
const MEMORY_BYTES_MAX = 1024 * 1024 * GIB;

/**
 * `active`: uses the network now. `idle`: has not for a few seconds. `asleep`: nobody has read or written for so long that
 * its cache is not worth the memory that others could use.
 */
export type Activity = 'active' | 'idle' | 'asleep';

/** What is divided, and by what. */
export interface Claim {
  /** Names of its network cards; none when they are not known: then it shares with everybody. */
  readonly nics: readonly string[];
  /** Gbit/s that its cards carry, as far as is known. */
  readonly linkGbps: number;
  /** Gbit/s that it would use alone. */
  readonly targetGbps: number;
  /** Memory target that it would have alone; undefined when the user said one, which is not divided. */
  readonly defaultMemoryBytes: number | undefined;
  readonly activity: Activity;
  /** What it gets and whether it wants more; said once a second while it and another are active. */
  readonly use?: Use;
}

export interface Announcement extends Claim {
  readonly pid: number;
  /** Clock ticks since boot at which the process started: a pid alone is used again. */
  readonly startTicks: number;
  /** Which PID namespace `pid` is a number of (the link /proc/self/ns/pid); '' when unknown. */
  readonly pidNamespace: string;
  readonly mountPoint: string;
}

export function encodeAnnouncement(announcement: Announcement): string {
  return `${JSON.stringify({ format: 1, ...announcement })}\n`;
}

/** Undefined for what is none, whatever it is. */
export function decodeAnnouncement(text: string): Announcement | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) return undefined;
  const { format, pid, startTicks, pidNamespace, mountPoint, ...claim } = parsed as Record<string, unknown>;
  const { nics, linkGbps, targetGbps, defaultMemoryBytes, activity } = claim;
  if (format !== 1 || !isWhole(pid) || !isWhole(startTicks)) return undefined;
  if (!isText(pidNamespace, PATH_CHARS_MAX) || !isText(mountPoint, PATH_CHARS_MAX)) return undefined;
  if (!Array.isArray(nics) || nics.length > NICS_MAX) return undefined;
  const names = nics as unknown[];
  if (!names.every((name): name is string => isText(name, NIC_CHARS_MAX))) return undefined;
  if (!isBetween(linkGbps, GBPS_MAX) || !isBetween(targetGbps, GBPS_MAX)) return undefined;
  if (defaultMemoryBytes !== undefined && !isBetween(defaultMemoryBytes, MEMORY_BYTES_MAX)) return undefined;
  if (activity !== 'active' && activity !== 'idle' && activity !== 'asleep') return undefined;
  const use = claim['use'] === undefined ? undefined : decodeUse(claim['use']);
  if (claim['use'] !== undefined && use === undefined) return undefined;
  return {
    ...{ pid, startTicks, pidNamespace, mountPoint },
    ...{ nics: names, linkGbps, targetGbps, defaultMemoryBytes, activity },
    ...(use && { use }),
  };
}

function decodeUse(value: unknown): Use | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { bytesPerSecond, isHungry } = value as Record<string, unknown>;
  if (typeof bytesPerSecond !== 'number' || !(bytesPerSecond >= 0) || typeof isHungry !== 'boolean') return undefined;
  return bytesPerSecond <= GBPS_MAX * BYTES_OF_GBIT ? { bytesPerSecond, isHungry } : undefined;
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

function isText(value: unknown, charsMax: number): value is string {
  return typeof value === 'string' && value.length <= charsMax;
}

function isBetween(value: unknown, most: number): value is number {
  return typeof value === 'number' && value > 0 && value <= most;
}
