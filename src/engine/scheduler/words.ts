/** Numbers as the controller's sentences say them: short, with their unit, the same for the same number. */
import { MIB } from '../../base/units.js';

/** `12.5 MB/s`, `3.42 GB/s`. */
export function megabytes(bytesPerSecond: number): string {
  if (bytesPerSecond >= 1e9) return `${(bytesPerSecond / 1e9).toFixed(2)} GB/s`;
  return `${(bytesPerSecond / 1e6).toFixed(bytesPerSecond >= 1e8 ? 0 : 1)} MB/s`;
}

/** `8 MiB`: parts are whole ones. */
export function sizeOf(bytes: number): string {
  return `${Number((bytes / MIB).toFixed(2))} MiB`;
}

/** `1 net thread`, `12.5 requests`. */
export function count(value: number, noun: string): string {
  const number = value >= 10 ? Math.round(value) : Number(value.toFixed(1));
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

export function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}

export function milliseconds(ms: number): string {
  return `${ms >= 10 ? Math.round(ms) : Number(ms.toFixed(1))} ms`;
}
