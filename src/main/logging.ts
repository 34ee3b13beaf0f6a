/**
 * Builds the one logger of the process: pino over the sink that fits how we run.
 *
 *   foreground               standard error; for people on a terminal, JSON lines otherwise
 *   --log-directory DIR      DIR/mount-s3x-NAME.log, in foreground and background
 *   background               syslog when something listens on /dev/log, else a file in the state directory
 *   --no-log                 nowhere
 *
 * Every line passes the secret scrubber. Also takes over what libraries say on their own (process warnings, console),
 * so that nothing but our lines reaches a terminal. Refuses to fail a mount for want of a log, except for a directory
 * that the user named.
 */
import { join } from 'node:path';
import { format } from 'node:util';
import pino from 'pino';
import { prettyFactory } from 'pino-pretty';
import type { Log } from '../base/log.js';
import { CommandError } from './command-error.js';
import type { MountConfig } from './config.js';
import { EXIT_USAGE } from './exit-codes.js';
import { fileSink, LEVEL_WANTED, nullSink, syslogSink, terminalSink, type LineSink } from './log-sinks.js';
import { redactFields, scrubText } from './redact.js';
import { makeDirectories, makePrivateDirectory, mountId, stateCandidates, type Owner } from './state-directory.js';

export interface Logging {
  readonly log: Log;
  /** Where lines go, in words: `syslog`, a path, `standard error`, `none`. */
  readonly description: string;
  /** Another level from now on; returns why not, undefined when it is done. */
  setLevel(level: MountConfig['log']['level']): string | undefined;
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
}

/** Opens the log that `config` asks for. Throws CommandError when the directory the user named cannot be used. */
export function openLogging(
  config: Pick<MountConfig, 'log' | 'foreground' | 'mountPoint'>,
  deps: LoggingDeps,
): Logging {
  const sink = openSink(config, deps);
  const log = createLog(sink, config.log.level);
  return {
    log,
    description: sink.description,
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
export function createLog(sink: LineSink, level: MountConfig['log']['level']): Log & { level: string } {
  const destination = Object.assign(sink, { [LEVEL_WANTED]: true });
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: (fields) => redactFields(fields) },
      // redactFields has made plain data of errors; pino's own serializer would drop their causes.
      serializers: { err: (value: unknown) => value },
      hooks: { streamWrite: scrubText },
    },
    destination,
  );
}

function openSink(config: Pick<MountConfig, 'log' | 'foreground' | 'mountPoint'>, deps: LoggingDeps): LineSink {
  if (config.log.level === 'silent') return nullSink;
  const name = `mount-s3x-${mountId(config.mountPoint)}.log`;
  const { directory } = config.log;
  if (directory !== undefined) {
    try {
      makeDirectories(directory, 0o750);
      return fileSink({ path: join(directory, name) });
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? String(error);
      throw new CommandError(
        EXIT_USAGE,
        `--log-directory ${directory} cannot be written to (${code})`,
        'name a directory that this user may write to',
        { cause: error },
      );
    }
  }
  if (config.foreground) return terminalSink(deps.isTerminal ? prettyLine() : (line) => line);
  const syslog = syslogSink(deps.syslogPath);
  if (syslog !== undefined) return syslog;
  const state = makePrivateDirectory(stateCandidates(deps.owner), deps.owner.uid);
  if (state === undefined) return nullSink;
  try {
    return fileSink({ path: join(state, name) });
  } catch {
    return nullSink;
  }
}

function prettyLine(): (line: string) => string {
  const colorize = process.env['NO_COLOR'] === undefined;
  return prettyFactory({ colorize, translateTime: 'SYS:HH:MM:ss.l', singleLine: true, levelFirst: false });
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
