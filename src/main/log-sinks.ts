/**
 * Where finished log lines go: what a sink is, and the one that talks to the system's log daemon. Files are log-file.ts's, standard
 * error is log-terminal.ts's, systemd's journal journald.ts's.
 * Every sink writes synchronously: the last line before a crash is the one that is needed, and a write to the page cache
 * or to a datagram socket does not wait. Refuses to throw or to block: a line that cannot be written is counted and lost.
 */
import { datagramSink } from './datagram-sink.js';

/** What pino writes to. */
export interface LineSink {
  /** pino's number of the line's level; set before each write because of LEVEL_WANTED. */
  lastLevel: number;
  write(line: string): void;
  /** In words, for the start line: `syslog`, a path, `none`. */
  readonly description: string;
  /** Opens the same file anew, as logrotate asks for; its path. Goes on with the old one when that fails. */
  reopen?(): string;
  close(): void;
}

/** pino sets `lastLevel` on destinations that carry this symbol. */
export const LEVEL_WANTED = Symbol.for('pino.metadata');

export const nullSink: LineSink = { lastLevel: 0, description: 'none', write: () => undefined, close: () => undefined };

/** Facility `daemon` of syslog(3). */
const FACILITY_DAEMON = 3;
/** Log daemons cut longer messages (journald takes more, rsyslog 8 KiB by default). */
const SYSLOG_BYTES_MAX = 8 * 1024;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;

/** syslog severity of a pino level. */
export function severity(level: number): number {
  if (level >= 60) return 2;
  if (level >= 50) return 3;
  if (level >= 40) return 4;
  if (level >= 30) return 6;
  return 7;
}

/** One message in the form that glibc's syslog(3) sends: `<PRI>Mmm dd hh:mm:ss tag[pid]: text`. */
export function syslogMessage(level: number, line: string, now: Date, pid: number): Buffer {
  const two = (value: number, fill: string): string => String(value).padStart(2, fill);
  const month = MONTHS[now.getMonth()] ?? 'Jan';
  const time = `${two(now.getHours(), '0')}:${two(now.getMinutes(), '0')}:${two(now.getSeconds(), '0')}`;
  const head = `<${FACILITY_DAEMON * 8 + severity(level)}>${month} ${two(now.getDate(), ' ')} ${time} mount-s3x[${pid}]: `;
  const message = Buffer.from(head + line.trimEnd(), 'utf8');
  return message.length <= SYSLOG_BYTES_MAX ? message : message.subarray(0, SYSLOG_BYTES_MAX);
}

/** Lines to the log daemon's socket, undefined when nobody listens there. Lines it does not take are counted and reported. */
export function syslogSink(path = '/dev/log'): LineSink | undefined {
  return datagramSink({
    path,
    description: 'syslog',
    listener: 'the log daemon',
    message: (level, line) => syslogMessage(level, line, new Date(), process.pid),
  });
}
