/**
 * What a daemon says of its settings, as it travels over the control socket: what is in force, and what became of a reload.
 * Plain data. Refuses to interpret: the command knows options, the daemon knows what it runs with.
 */
import type { MountConfig } from '../config.js';
import type { Reason } from '../sizing/reason.js';

/** Answer to `config`. */
export interface ConfigAnswer {
  readonly format: 1;
  readonly mountPoint: string;
  readonly pid: number;
  readonly version: string;
  /** In force, with what a reload changed since the start. */
  readonly config: MountConfig;
  readonly reasons: readonly Reason[];
  /** AWS_* variables of the daemon that stand for an option. */
  readonly awsEnvironment: Readonly<Record<string, string>>;
}

/** One setting that was said differently. Values as they would be typed; undefined where nothing is said. */
export interface SettingChange {
  readonly name: string;
  readonly before: string | undefined;
  readonly after: string | undefined;
}

/** Answer to `reload`. */
export interface ReloadReport {
  readonly format: 1;
  /** In force from now on, each with how. */
  readonly applied: readonly (SettingChange & { readonly how: string })[];
  /** Said differently now, and not in force: with why, and what makes it so. */
  readonly pending: readonly (SettingChange & { readonly why: string })[];
  /** What was done besides: log file opened anew, credentials read. */
  readonly done: readonly string[];
  /** Lines for the person. */
  readonly notes: readonly string[];
}
