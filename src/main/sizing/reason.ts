/**
 * Why a setting is what it is, made where it is derived so that the words cannot drift from the arithmetic.
 * For `hwinfo --explain` and the log. Refuses to be parsed: figures are in Sizing.
 */
export interface Reason {
  /** As hwinfo names it. */
  readonly setting: string;
  /** Short, with its unit. */
  readonly value: string;
  /** A clause that follows "because", or a sentence's rest after a colon. */
  readonly why: string;
  /** The option that overrides it, with its dashes; undefined where there is none. */
  readonly flag: string | undefined;
}
