/**
 * What a process and its children cost while something is done: CPU seconds and the peak of their resident memory, sampled
 * ten times a second from /proc, so that any daemon can be measured. Peaks shorter than that are not seen.
 * Refuses to fail: a process that is gone has cost what was seen of it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { FIRST_FIELD, statFields, TICKS_PER_SECOND } from '../base/process-identity.js';

const SAMPLE_MS = 100;
const PROCESSES_MAX = 256;

export interface ProcessCost {
  readonly cpuSeconds: number;
  readonly peakResidentBytes: number;
}

export class ProcessMeter {
  readonly #pid: number;
  readonly #cpuBefore: number;
  readonly #timer: NodeJS.Timeout;
  #peakBytes = 0;
  /** Of the last look that found it alive: a process that has ended no longer says what it took. */
  #cpuSeen: number;

  /** Begins to measure `pid` and what it has started. */
  constructor(pid: number) {
    this.#pid = pid;
    this.#cpuBefore = cpuSeconds(pid);
    this.#cpuSeen = this.#cpuBefore;
    this.#look();
    this.#timer = setInterval(() => this.#look(), SAMPLE_MS);
  }

  #look(): void {
    this.#cpuSeen = Math.max(this.#cpuSeen, cpuSeconds(this.#pid));
    this.#peakBytes = Math.max(this.#peakBytes, residentBytes(this.#pid));
  }

  /** Ends it. Safe to call twice. */
  stop(): ProcessCost {
    clearInterval(this.#timer);
    this.#look();
    return { cpuSeconds: this.#cpuSeen - this.#cpuBefore, peakResidentBytes: this.#peakBytes };
  }
}

/** `pid` and its descendants. */
function processTree(pid: number): number[] {
  const all = [pid];
  for (let at = 0; at < all.length && all.length < PROCESSES_MAX; at++) {
    const parent = all[at] ?? 0;
    for (const task of names(`/proc/${parent}/task`)) {
      const children = text(`/proc/${parent}/task/${task}/children`).trim();
      if (children !== '') all.push(...children.split(' ').map(Number));
    }
  }
  return all;
}

function cpuSeconds(pid: number): number {
  let ticks = 0;
  for (const each of processTree(pid)) {
    const stat = text(`/proc/${each}/stat`);
    // utime and stime are fields 14 and 15.
    const fields = statFields(stat);
    ticks += Number(fields[14 - FIRST_FIELD] ?? 0) + Number(fields[15 - FIRST_FIELD] ?? 0);
  }
  return ticks / TICKS_PER_SECOND;
}

function residentBytes(pid: number): number {
  let bytes = 0;
  for (const each of processTree(pid)) {
    const kib = /^VmRSS:\s+(\d+)/m.exec(text(`/proc/${each}/status`))?.[1];
    bytes += Number(kib ?? 0) * 1024;
  }
  return bytes;
}

function text(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function names(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}
