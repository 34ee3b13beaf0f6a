/** The end of a log file of ours (JSON lines). Bounded in bytes and lines; what is no JSON is passed over. Never throws. */
import { open } from 'node:fs/promises';

const BYTES_MAX = 256 * 1024;
const LINES_MAX = 500;

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
