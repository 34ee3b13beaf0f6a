/**
 * Where a mount's settings came from: what was typed, in which directory, and for each setting that was said anywhere its
 * text and its place. The command makes it and it travels with the configuration, so that a running mount can say where
 * each value is from and read its files again. Plain data, handed on as JSON.
 * Refuses to hold what an environment held: only the names of variables stand here, and values of options, none of which
 * is a secret.
 */
import type { RunAs } from './run-as/run-as.js';

/** Where a setting was said. */
export type Origin =
  | { readonly kind: 'flag' }
  | { readonly kind: 'environment'; readonly variable: string }
  | { readonly kind: 'file'; readonly path: string; readonly line: number; readonly column: number }
  | { readonly kind: 'profile'; readonly path: string; readonly line: number; readonly column: number };

/** One setting that was said: an option without its dashes, or `bucket` or `directory`. */
export interface SaidSetting {
  readonly name: string;
  /** As it would be typed; `true` or `false` for a flag, all words for a list. */
  readonly value: string | boolean | readonly string[];
  readonly origin: Origin;
}

export interface SettingsRecord {
  /** What the command line said, -o included: stays above everything that is read again. */
  readonly typed: readonly SaidSetting[];
  /** Everything that was said and is in force, wherever it was said. */
  readonly said: readonly SaidSetting[];
  /** What relative paths were relative to, and who asked. */
  readonly cwd: string;
  readonly uid: number;
  readonly gid: number;
  /** What --user came to; it is not looked up again. */
  readonly runAs?: RunAs;
}
