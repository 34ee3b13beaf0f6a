/**
 * The supervisor's few lines, in the mount's own log: the daemon says where that is (ReadyMessage.log), and this writes there
 * without the daemon's logger, which is ten times the size of the rest of the supervisor. A file is opened for each line,
 * because the daemon renames it when it is full. Refuses secrets: lines name paths, pids and reasons only.
 */
import { appendFileSync, writeSync } from 'node:fs';
import { isatty } from 'node:tty';

export type Level = 'info' | 'warn' | 'error';

export interface SupervisorLog {
  /** Where the daemon logs, in its own words. Until this is known, lines wait. */
  open(description: string): void;
  line(level: Level, fields: Readonly<Record<string, unknown>>, message: string): void;
}

/** Lines that wait for a place to go. */
const WAITING_MAX = 64;
const SYSLOG_LEVELS: Readonly<Record<Level, number>> = { info: 30, warn: 40, error: 50 };

/** `inFile` runs what writes to the daemon's file: with the daemon's rights, which said where it is. */
export function supervisorLog(
  inFile: (write: () => void) => void = (write) => write(),
  now: () => Date = () => new Date(),
): SupervisorLog {
  let description: string | undefined;
  let waiting: (() => void)[] = [];
  const write = (level: Level, json: string, human: string): void => {
    try {
      if (description === 'standard error') writeSync(2, isatty(2) ? human : json);
      else if (description === 'syslog' || description === 'journald') void toSyslog(level, json);
      else if (description?.startsWith('/')) {
        const file = description;
        inFile(() => appendFileSync(file, json, { mode: 0o600 }));
      }
    } catch {
      // a line that cannot be written is lost
    }
  };
  return {
    open: (where) => {
      description = where;
      for (const each of waiting) each();
      waiting = [];
    },
    line: (level, fields, message) => {
      const time = now().toISOString();
      const json = `${JSON.stringify({ level, time, by: 'supervisor', pid: process.pid, ...fields, msg: message })}\n`;
      const words = Object.entries(fields).map(([name, value]) => `${name}=${String(value)}`);
      const human = `[${time.slice(11, 23)}] ${level.toUpperCase()}: ${message} ${words.join(' ')}\n`;
      const entry = (): void => write(level, json, human);
      if (description !== undefined) entry();
      else if (waiting.length < WAITING_MAX) waiting.push(entry);
    },
  };
}

/** Loaded when it is needed: it brings native code. */
async function toSyslog(level: Level, json: string): Promise<void> {
  const { syslogSink } = await import('../log-sinks.js');
  const sink = syslogSink();
  if (!sink) return;
  sink.lastLevel = SYSLOG_LEVELS[level];
  sink.write(json);
  sink.close();
}
