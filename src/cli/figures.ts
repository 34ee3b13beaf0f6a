/** Numbers as screens and tables say them: short, with their unit. The controller's sentences have their own (words.ts). Pure. */
import { MIB } from '../base/units.js';

const MB = 1e6;

/** Network speed counts in powers of ten. */
export function speed(bytesPerSecond: number): string {
  const mb = bytesPerSecond / MB;
  if (mb >= 10_000) return `${(mb / 1000).toFixed(1)} GB/s`;
  return `${mb === 0 ? '0' : mb >= 100 ? mb.toFixed(0) : mb.toFixed(1)} MB/s`;
}

export function perSecond(rate: number): string {
  return rate === 0 || rate >= 100 ? count(Math.round(rate)) : rate.toFixed(1);
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

export function milliseconds(ms: number): string {
  if (ms >= 10_000) return `${(ms / 1000).toFixed(1)} s`;
  return `${ms >= 100 ? ms.toFixed(0) : ms >= 10 ? ms.toFixed(1) : ms.toFixed(2)} ms`;
}

export function mib(bytes: number): string {
  return (bytes / MIB).toFixed(bytes > 0 && bytes < 10 * MIB ? 1 : 0);
}

/** 1,234,567 */
export function count(number: number): string {
  return String(number).replace(/\B(?=(\d{3})+$)/g, ',');
}

export function duration(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  const days = Math.floor(hours / 24);
  if (days > 0) return `${days} d ${hours % 24} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${seconds % 60} s` : `${seconds} s`;
}
