/**
 * Where finished log lines go: the terminal, a file that never outgrows its bound, or the system's log daemon.
 * Every sink writes synchronously: the last line before a crash is the one that is needed, and a write to the page cache
 * or to a datagram socket does not wait. Refuses to throw or to block: a line that cannot be written is counted and lost.
 */
import { closeSync, fstatSync, openSync, renameSync, writeSync } from 'node:fs';
import { openSyslogSocket, type SyslogSocket } from './syslog-socket.js';

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

function writeWhole(fd: number, text: string): boolean {
  const bytes = Buffer.from(text, 'utf8');
  let at = 0;
  // A terminal or pipe in non-blocking mode says EAGAIN while its reader is slow: a few tries, then the line is lost.
  for (let attempt = 0; attempt < 100 && at < bytes.length; attempt++) {
    try {
      at += writeSync(fd, bytes, at);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') return false;
    }
  }
  return at === bytes.length;
}

/** Lines to standard error, changed by `format` first (colours on a terminal). */
export function terminalSink(format: (line: string) => string): LineSink {
  return {
    lastLevel: 0,
    description: 'standard error',
    write: (line) => void writeWhole(2, format(line)),
    close: () => undefined,
  };
}

export const nullSink: LineSink = { lastLevel: 0, description: 'none', write: () => undefined, close: () => undefined };

/** A log file and its predecessors take LOG_FILE_BYTES_MAX * (LOG_FILES_OLD + 1) at most. */
export const LOG_FILE_BYTES_MAX = 16 * 1024 * 1024;
export const LOG_FILES_OLD = 3;

export interface FileSinkOptions {
  readonly path: string;
  readonly bytesMax?: number;
  readonly filesOld?: number;
}

/** Appends to `path`; when it would outgrow `bytesMax` it becomes `path.1`, and so on up to `path.filesOld`. Throws when it cannot be opened. */
export function fileSink(options: FileSinkOptions): LineSink {
  const { path } = options;
  const bytesMax = options.bytesMax ?? LOG_FILE_BYTES_MAX;
  const filesOld = options.filesOld ?? LOG_FILES_OLD;
  const open = (): number => openSync(path, 'a', 0o600);
  let fd = open();
  let bytes = fstatSync(fd).size;
  let closed = false;

  const rotate = (): void => {
    try {
      for (let number = filesOld; number >= 1; number--) {
        const from = number === 1 ? path : `${path}.${number - 1}`;
        try {
          renameSync(from, `${path}.${number}`);
        } catch {
          // not there yet
        }
      }
      const next = openSync(path, filesOld === 0 ? 'w' : 'a', 0o600);
      closeSync(fd);
      fd = next;
      bytes = fstatSync(fd).size;
    } catch {
      // The directory is gone or full: go on with the old descriptor and ask again after another file's worth.
      bytes = 0;
    }
  };

  return {
    lastLevel: 0,
    description: path,
    write(line) {
      if (closed) return;
      const lineBytes = Buffer.byteLength(line);
      if (bytes > 0 && bytes + lineBytes > bytesMax) rotate();
      if (writeWhole(fd, line)) bytes += lineBytes;
    },
    reopen() {
      if (closed) return path;
      try {
        const next = open();
        closeSync(fd);
        fd = next;
        bytes = fstatSync(fd).size;
      } catch {
        // The directory is gone: lines go on into the file that was moved away.
      }
      return path;
    },
    close() {
      if (closed) return;
      closed = true;
      closeSync(fd);
    },
  };
}

/** Facility `daemon` of syslog(3). */
const FACILITY_DAEMON = 3;
/** Log daemons cut longer messages (journald takes more, rsyslog 8 KiB by default). */
const SYSLOG_BYTES_MAX = 8 * 1024;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'] as const;

/** syslog severity of a pino level. */
function severity(level: number): number {
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
  let socket: SyslogSocket | undefined = openSyslogSocket(path);
  if (socket === undefined) return undefined;
  let lost = 0;
  let reconnectAtMs = 0;

  const send = (message: Buffer): boolean => {
    if (socket?.send(message) === true) return true;
    // The log daemon restarted: its socket is a new one. Ask once a second at most.
    const nowMs = performance.now();
    if (nowMs < reconnectAtMs) return false;
    reconnectAtMs = nowMs + 1000;
    socket?.close();
    socket = openSyslogSocket(path);
    return socket?.send(message) === true;
  };

  return {
    lastLevel: 30,
    description: 'syslog',
    write(line) {
      if (lost > 0) {
        const note = syslogMessage(
          40,
          `{"msg":"${lost} log lines were lost: the log daemon did not take them"}`,
          new Date(),
          process.pid,
        );
        if (send(note)) lost = 0;
      }
      if (!send(syslogMessage(this.lastLevel, line, new Date(), process.pid))) lost++;
    },
    close() {
      socket?.close();
      socket = undefined;
    },
  };
}
