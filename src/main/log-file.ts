/**
 * A log file that never outgrows its bound: when it would, it becomes FILE.1, and so on, and the oldest goes. Opened anew when
 * it is told to (SIGHUP), for those who rotate it themselves. Written synchronously: the last line before a crash is the one that
 * is needed, and a write to the page cache does not wait. A disk that is full loses lines, which are counted and told as soon as
 * there is room. Refuses to throw once it is open.
 */
import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';
import { codeOf } from '../base/thrown.js';
import type { LineSink } from './log-sinks.js';

/** A log file and its predecessors take LOG_FILE_BYTES_MAX * LOG_FILES at most. */
export const LOG_FILE_BYTES_MAX = 16 * 1024 * 1024;
export const LOG_FILES = 4;

/** A terminal or pipe in non-blocking mode says EAGAIN while its reader is slow: a few tries (0.1 ms each), then the line is lost. */
const TRIES_MAX = 20;
/** And so are those that come within this time: whoever does not read now will not read in a millisecond. */
const PAUSE_MS = 20;

/** Writes what it can and returns how many bytes that was. Never throws, never waits. */
export function writeBytes(fd: number, bytes: Uint8Array): number {
  let at = 0;
  for (let attempt = 0; attempt < TRIES_MAX && at < bytes.length; attempt++) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      if (codeOf(error) !== 'EAGAIN') return at;
    }
  }
  return at;
}

/** Writes lines to descriptors that may fail for a while: counts what is lost, and never leaves half a line in front of a whole one. */
export class LineWriter {
  #lost = 0;
  #isTorn = false;
  #resumeMs = -Infinity;

  /** Bytes that were written. `note` makes the line that tells of lost ones. */
  write(fd: number, line: string, note: (lost: number) => string): number {
    if (performance.now() < this.#resumeMs) {
      this.#lost++;
      return 0;
    }
    const before = (this.#isTorn ? '\n' : '') + (this.#lost > 0 ? note(this.#lost) : '');
    const bytes = Buffer.from(before + line, 'utf8');
    const written = writeBytes(fd, bytes);
    if (written === bytes.length) {
      this.#lost = 0;
      this.#isTorn = false;
    } else {
      this.#lost++;
      this.#resumeMs = performance.now() + PAUSE_MS;
      if (written > 0) this.#isTorn = bytes[written - 1] !== 0x0a;
    }
    return written;
  }
}

/** The line that tells how many were lost, as JSON like all others. */
export function lostNote(lost: number, why: string): string {
  const msg = `${lost} log lines were lost: ${why}`;
  return `${JSON.stringify({ level: 'warn', time: new Date().toISOString(), lost, msg })}\n`;
}

export interface FileSinkOptions {
  readonly path: string;
  /** Default LOG_FILE_BYTES_MAX. */
  readonly bytesMax?: number;
  /** In all, the one that is written included; default LOG_FILES. */
  readonly files?: number;
}

/** Appends to `path`. Throws when it cannot be opened. */
export function fileSink(options: FileSinkOptions): LineSink {
  const { path } = options;
  const bytesMax = options.bytesMax ?? LOG_FILE_BYTES_MAX;
  const files = Math.max(1, options.files ?? LOG_FILES);
  const writer = new LineWriter();
  let fd = openSync(path, 'a', 0o600);
  let bytes = fstatSync(fd).size;
  let closed = false;

  const openAnew = (flags: 'a' | 'w'): void => {
    try {
      const next = openSync(path, flags, 0o600);
      closeSync(fd);
      fd = next;
      bytes = fstatSync(fd).size;
    } catch {
      // The directory is gone or full: go on with the old descriptor and ask again after another file's worth.
      bytes = 0;
    }
  };

  const rotate = (): void => {
    for (let number = files - 1; number >= 1; number--) {
      try {
        renameSync(number === 1 ? path : `${path}.${number - 1}`, `${path}.${number}`);
      } catch {
        // not there yet
      }
    }
    openAnew(files === 1 ? 'w' : 'a');
  };

  return {
    lastLevel: 0,
    description: path,
    write(line) {
      if (closed) return;
      const lineBytes = Buffer.byteLength(line);
      if (bytes > 0 && bytes + lineBytes > bytesMax) rotate();
      bytes += writer.write(fd, line, (lost) => lostNote(lost, 'the disk did not take them'));
    },
    reopen() {
      if (!closed) openAnew('a');
      return path;
    },
    close() {
      if (closed) return;
      closed = true;
      closeSync(fd);
    },
  };
}
