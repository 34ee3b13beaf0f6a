/**
 * The end of a log of ours: of a file (JSON lines; what is no JSON is passed over), or of the system's journal, where it goes to
 * syslog or journald. Bounded in bytes, lines and time. Never throws.
 */
import { execFile } from 'node:child_process';
import { open } from 'node:fs/promises';

const BYTES_MAX = 256 * 1024;
const LINES_MAX = 500;
const JOURNAL_MS = 5_000;

export interface LogLine {
  readonly level: number;
  readonly message: string;
  /** The line as it stands. */
  readonly text: string;
}

export async function lastLogLines(path: string): Promise<LogLine[]> {
  try {
    const handle = await open(path, 'r');
    try {
      const { size } = await handle.stat();
      const bytes = Buffer.alloc(Math.min(size, BYTES_MAX));
      const { bytesRead } = await handle.read(bytes, 0, bytes.length, size - bytes.length);
      const lines = bytes.toString('utf8', 0, bytesRead).split('\n');
      // The first may be the end of one.
      if (size > bytes.length) lines.shift();
      return lines.flatMap(parse).slice(-LINES_MAX);
    } finally {
      await handle.close();
    }
  } catch {
    return [];
  }
}

/** Does the log go to the system's log daemon? */
export function isSystemLog(log: string | undefined): boolean {
  return log === 'syslog' || log === 'journald';
}

/** Lines of ours, oldest first, as journalctl shows them; `matches` choose (`_PID=4711`, `--priority=err`). Undefined without a journal. */
export function journalLines(matches: readonly string[]): Promise<string[] | undefined> {
  const words = ['--identifier=mount-s3x', `--lines=${LINES_MAX}`, '--output=short-iso', '--no-pager', '--quiet'];
  return new Promise((resolve) => {
    execFile('journalctl', [...words, ...matches], { timeout: JOURNAL_MS, maxBuffer: 8 * BYTES_MAX }, (error, stdout) =>
      resolve(error === null ? stdout.split('\n').filter((line) => line !== '') : undefined),
    );
  });
}

function parse(text: string): LogLine[] {
  try {
    const line: unknown = JSON.parse(text);
    if (typeof line !== 'object' || line === null) return [];
    const { level, msg } = line as Record<string, unknown>;
    return [{ level: levelOf(level), message: typeof msg === 'string' ? msg : '', text }];
  } catch {
    return [];
  }
}

const levels: Readonly<Record<string, number>> = { trace: 10, debug: 20, info: 30, warn: 40, error: 50, fatal: 60 };

/** pino's number, or its name. */
function levelOf(level: unknown): number {
  if (typeof level === 'number') return level;
  return typeof level === 'string' ? (levels[level] ?? 0) : 0;
}
