/**
 * Something that nobody needs any more: what `gc` removes, and what doctor counts. Each knows how to look again, just before
 * it goes: between the list and the removal a mount may have begun to use it.
 */

export type GarbageKind = 'upload' | 'left-over' | 'spool' | 'runtime' | 'report';

export interface Garbage {
  readonly kind: GarbageKind;
  /** Path, or `s3://bucket/key`. */
  readonly name: string;
  /** Why nobody needs it. */
  readonly why: string;
  /** On the local disk; of uploads unknown. */
  readonly bytes: number | undefined;
  /** When it was last of use, as far as is known. */
  readonly atMs: number;
  /** Still so? Asked again before the removal. */
  isStill(): Promise<boolean>;
  /** Throws when it cannot be removed. */
  remove(): Promise<void>;
}

/** A file, its size and its time; undefined when it is not there. */
export interface FileFacts {
  readonly bytes: number;
  readonly atMs: number;
}
