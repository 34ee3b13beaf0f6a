/**
 * What the command and its background process say to each other over their channel, and nothing else: the configuration
 * one way, and one answer the other way. Messages are checked when they arrive, because the two ends can be of different
 * versions while a package is being upgraded. Refuses secrets: credentials are never part of a configuration, the
 * background process finds them in the environment that it inherits.
 */
import type { MountConfig } from './config.js';
import type { Failure } from './failure.js';
import { asLife, type Life } from './supervisor/api.js';

/** From the command to its background process, once. */
export interface StartMessage {
  readonly type: 'start';
  readonly config: MountConfig;
  /** From a supervisor. */
  readonly life?: Life;
}

/** The background process's one answer. */
export type ReadyMessage =
  /** The mount answers; `log` says in words where lines go. */
  | { readonly type: 'ready'; readonly log: string; readonly version?: string }
  | { readonly type: 'failed'; readonly message: string; readonly remedy?: string; readonly exitCode: number };

/** Before that answer: the store is away, and waited for. */
export interface AwayMessage {
  readonly type: 'store-away';
  readonly message: string;
  readonly waitMs: number;
}

/** `value` as an AwayMessage, undefined when it is none. */
export function asAwayMessage(value: unknown): AwayMessage | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { type, message, waitMs } = value as Record<string, unknown>;
  if (type !== 'store-away' || typeof message !== 'string' || typeof waitMs !== 'number') return undefined;
  return { type, message, waitMs };
}

export function failedMessage(failure: Failure): ReadyMessage {
  const { message, remedy, exitCode } = failure;
  return { type: 'failed', message, exitCode, ...(remedy === undefined ? {} : { remedy }) };
}

/** `value` as a ReadyMessage, undefined when it is none. */
export function asReadyMessage(value: unknown): ReadyMessage | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { type, log, version, message, remedy, exitCode } = value as Record<string, unknown>;
  if (type === 'ready' && typeof log === 'string') {
    return { type, log, ...(typeof version === 'string' ? { version } : {}) };
  }
  if (type === 'failed' && typeof message === 'string' && typeof exitCode === 'number') {
    return { type, message, exitCode, ...(typeof remedy === 'string' ? { remedy } : {}) };
  }
  return undefined;
}

/** `value` as a StartMessage, undefined when it is none. The configuration itself was checked by the sender. */
export function asStartMessage(value: unknown): StartMessage | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const { type, config, life } = value as Record<string, unknown>;
  if (type !== 'start' || typeof config !== 'object' || config === null) return undefined;
  const { mountPoint, store } = config as Record<string, unknown>;
  if (typeof mountPoint !== 'string' || typeof store !== 'object') return undefined;
  const given = asLife(life);
  return { type, config: config as MountConfig, ...(given && { life: given }) };
}
