/** A row of the catalogue of findings. Texts are for people who never read this code. */
export interface FindingRow {
  readonly severity: 'note' | 'warning' | 'error';
  /** What is the case, for the table in the docs. */
  readonly when: string;
  /** What comes of it. */
  readonly why: string;
  /** What mends it: a command or a line; `{name}` is filled in by the check. */
  readonly fix: string;
}
