/**
 * Builds the one logger of the process: pino over the sink that fits how we run.
 *
 *   foreground               standard error; for people on a terminal, JSON lines otherwise; systemd's journal where standard
 *                            error is the journal
 *   --log-directory DIR      DIR/mount-s3x-NAME.log, in foreground and background
 *   background               systemd's journal, or syslog when something listens on /dev/log, else a file in the state directory
 *   --no-log                 nowhere
 *
 * Every line passes the bound of volume (log-volume.ts) and the secret scrubber. The level may change while the mount runs. Also takes over what libraries say on their own (process warnings, console),
 * so that nothing but our lines reaches a terminal. Refuses to fail a mount for want of a log, except for a directory
 * that the user named.
 */
import { join } from 'node:path';
import { format } from 'node:util';
import pino from 'pino';
import { prettyFactory } from 'pino-pretty';
import type { Log } from '../base/log.js';
import { makeDirectoriesNow } from '../base/make-directories.js';
import { codeOrMessage } from '../base/thrown.js';
import { visibleJson } from '../base/visible.js';
import { CommandError } from './command-error.js';
import type { MountConfig } from './config.js';
import { EXIT_USAGE } from './exit-codes.js';
import { journaldSink } from './journald.js';
import { fileSink } from './log-file.js';
import { LEVEL_WANTED, nullSink, syslogSink, type LineSink } from './log-sinks.js';
import { stderrIsJournal, terminalSink } from './log-terminal.js';
import { LogVolume } from './log-volume.js';
import { mountSource } from './mount-source.js';
import { redactFields, scrubText } from './redact.js';
import { makePrivateDirectory, mountId, stateCandidates, type Owner } from './state-directory.js';

export type LogLevel = MountConfig['log']['level'];

export interface Logging {
  readonly log: Log;
  /** Where lines go, in words: `journald`, `syslog`, a path, `standard error`, `none`. */
  readonly description: string;
  /** In force now. */
  readonly level: LogLevel;
  /** Another level from now on; returns why not, undefined when it is done. */
  setLevel(level: LogLevel): string | undefined;
  /** Opens the log file anew, after somebody moved it away; its path, undefined where the log is no file. */
  reopen(): string | undefined;
  close(): void;
}

export interface LoggingDeps {
  readonly owner: Owner;
  /** Standard error is a terminal. */
  readonly isTerminal: boolean;
  /** The log daemon's socket; tests name another. */
  readonly syslogPath?: string;
  /** The journal's socket; tests name another. */
  readonly journalPath?: string;
}

/** What is looked at of a mount's configuration. */
type LoggedMount = Pick<MountConfig, 'log' | 'foreground' | 'mountPoint' | 'store'>;

/** SIGUSR2: more, more again, then as usual. */
export function nextLevel(level: LogLevel): LogLevel {
  return level === 'info' ? 'debug' : level === 'debug' ? 'trace' : 'info';
}

/** Opens the log that `config` asks for. Throws CommandError when the directory the user named cannot be used. */
export function openLogging(config: LoggedMount, deps: LoggingDeps): Logging {
  const sink = openSink(config, deps);
  const log = createLog(sink, config.log.level);
  return {
    log,
    description: sink.description,
    get level() {
      return log.level as LogLevel;
    },
    setLevel: (level) => {
      // Without a log there is no place for lines either, and with one its place stays.
      if (config.log.level === 'silent' || level === 'silent') return 'the log is opened once';
      log.level = level;
      return undefined;
    },
    reopen: () => sink.reopen?.(),
    close: () => sink.close(),
  };
}

/** A pino logger over `sink`: fields redacted by name, lines scrubbed, level as a word, time as ISO text. */
export function createLog(sink: LineSink, level: LogLevel): Log & { level: string } {
  const destination = Object.assign(sink, { [LEVEL_WANTED]: true });
  let isTelling = false;
  const volume = new LogVolume({
    nowMs: () => performance.now(),
    later: (run, waitMs) => void setTimeout(run, waitMs).unref(),
    say: (ofLevel, left, message) => {
      isTelling = true;
      const name = pino.levels.labels[ofLevel];
      if (name === 'error' || name === 'info') log[name]({ left }, message);
      else log.warn({ left }, message);
      isTelling = false;
    },
  });
  const log = pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: (fields) => redactFields(fields) },
      // redactFields has made plain data of errors; pino's own serializer would drop their causes.
      serializers: { err: (value: unknown) => value },
      hooks: {
        streamWrite: scrubText,
        logMethod(args, method, ofLevel) {
          const message: unknown = args[1];
          if (isTelling || volume.passes(ofLevel, typeof message === 'string' ? message : '')) method.apply(this, args);
        },
      },
    },
    destination,
  );
  return log;
}

function openSink(config: LoggedMount, deps: LoggingDeps): LineSink {
  if (config.log.level === 'silent') return nullSink;
  const name = `mount-s3x-${mountId(config.mountPoint)}.log`;
  const { directory } = config.log;
  const { maxBytes: bytesMax, files } = config.log;
  const bounds = { ...(bytesMax === undefined ? {} : { bytesMax }), ...(files === undefined ? {} : { files }) };
  if (directory !== undefined) {
    try {
      makeDirectoriesNow(directory, 0o750);
      return fileSink({ path: join(directory, name), ...bounds });
    } catch (error) {
      const code = codeOrMessage(error);
      throw new CommandError(
        EXIT_USAGE,
        `--log-directory ${directory} cannot be written to (${code})`,
        'name a directory that this user may write to',
        { cause: error },
      );
    }
  }
  const journal = (): LineSink | undefined =>
    journaldSink({ mount_point: config.mountPoint, source: mountSource(config) }, deps.journalPath);
  if (config.foreground) {
    const isJournal = stderrIsJournal(deps.owner.env);
    const plain = (line: string): string => line;
    return (isJournal ? journal() : undefined) ?? terminalSink(deps.isTerminal ? prettyLine() : plain, isJournal);
  }
  const syslog = journal() ?? syslogSink(deps.syslogPath);
  if (syslog !== undefined) return syslog;
  const state = makePrivateDirectory(stateCandidates(deps.owner), deps.owner.uid);
  if (state === undefined) return nullSink;
  try {
    return fileSink({ path: join(state, name), ...bounds });
  } catch {
    return nullSink;
  }
}

function prettyLine(): (line: string) => string {
  const colorize = process.env['NO_COLOR'] === undefined;
  const pretty = prettyFactory({ colorize, translateTime: 'SYS:HH:MM:ss.l', singleLine: true, levelFirst: false });
  return (line) => pretty(visibleJson(line));
}

/**
 * Sends process warnings and everything printed through `console` to `log`, as debug lines: libraries speak up about
 * Node versions, credential sources and the like, which is no use on the screen of somebody who mounts a bucket.
 */
export function captureStrayOutput(log: Log): void {
  process.removeAllListeners('warning');
  process.on('warning', (warning) => log.debug({ warning }, 'process warning'));
  const line =
    (channel: string) =>
    (...words: unknown[]): void =>
      log.debug({ channel }, format(...words));
  console.log = line('log');
  console.info = line('info');
  console.debug = line('debug');
  console.warn = line('warn');
  console.error = line('error');
}
