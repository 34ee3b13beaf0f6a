/**
 * What the rest of the program knows of logging: an interface that pino satisfies, so that only src/main imports pino.
 * Threads without a logger of their own send lines to the main thread; tests pass `silentLog` or collect lines.
 * Refuses to format: the first argument is an object of fields, the second the sentence.
 */

export interface LogFields {
  readonly [field: string]: unknown;
}

export interface Log {
  trace(fields: LogFields, message: string): void;
  debug(fields: LogFields, message: string): void;
  info(fields: LogFields, message: string): void;
  warn(fields: LogFields, message: string): void;
  error(fields: LogFields, message: string): void;
  /** What is written now, where that can be said: `trace` for who would say a word about each request. */
  readonly level?: string;
}

const nothing = (): void => undefined;

/** Drops everything. */
export const silentLog: Log = { trace: nothing, debug: nothing, info: nothing, warn: nothing, error: nothing };
