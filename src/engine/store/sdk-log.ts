/**
 * Keeps the SDK quiet on the screen and lets what it says reach our log.
 * Given no logger the SDK prints to the console; given one it uses that, except for its notice about Node versions,
 * which has a switch of its own in the environment. What it calls a warning is debug news here: every failure that
 * matters comes back to us as an error anyway.
 * Refuses to pass on `info`: there the SDK logs every command with its whole input and output.
 */
import type { Log } from '../../base/log.js';

const ENTRY_CHARACTERS_MAX = 500;

function sentence(entries: readonly unknown[]): string {
  const words = entries.map((entry) => {
    if (typeof entry === 'string') return entry;
    return entry instanceof Error ? entry.message : '';
  });
  return words
    .filter((word) => word !== '')
    .join(' ')
    .slice(0, ENTRY_CHARACTERS_MAX);
}

/** The logger to give to SDK clients and credential providers. Its class name must not be NoOpLogger. */
export class SdkLog {
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  trace(): void {
    // Too fine to be of use, and not free.
  }

  debug(...entries: unknown[]): void {
    this.#log.trace({ from: 'aws-sdk' }, sentence(entries));
  }

  info(): void {
    // Whole inputs and outputs of every command.
  }

  warn(...entries: unknown[]): void {
    this.#log.debug({ from: 'aws-sdk' }, sentence(entries));
  }

  error(...entries: unknown[]): void {
    this.#log.debug({ from: 'aws-sdk' }, sentence(entries));
  }
}

/** Call before the first SDK client is made. Leaves a choice of the user's alone. */
export function silenceSdkNotices(): void {
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] ??= 'true';
  // Told to child processes of the SDK (credential_process) as well, which is harmless.
}
