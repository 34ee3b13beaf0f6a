/**
 * What the mount may change at all: `--read-only`, `--no-overwrite` and `--no-delete` in one place, asked before anything else
 * by every operation that writes. The errno follows mount(8) and chattr(1): EROFS where nothing can be written, EPERM where
 * this particular change is not allowed.
 * Present as refusals, not as operations left out: a handler that is missing answers ENOSYS, which the kernel remembers and
 * turns into other errors or, for some operations, into silent success.
 */
import { EPERM, EROFS, ErrnoError } from '../../base/errno.js';
import type { FaultLog } from '../fault-log.js';

export interface WritePolicyOptions {
  /** Why nothing can be written; undefined when something can. */
  readonly readOnlyBecause?: string | undefined;
  /** Existing files keep their bytes: only new ones are written. */
  readonly noOverwrite?: boolean | undefined;
  /** Nothing is removed or moved away. */
  readonly noDelete?: boolean | undefined;
}

export class WritePolicy {
  readonly #options: WritePolicyOptions;
  readonly #faults: FaultLog;

  constructor(options: WritePolicyOptions, deps: { readonly faults: FaultLog }) {
    this.#options = options;
    this.#faults = deps.faults;
  }

  get canWrite(): boolean {
    return this.#options.readOnlyBecause === undefined;
  }

  get canOverwrite(): boolean {
    return this.canWrite && this.#options.noOverwrite !== true;
  }

  get canDelete(): boolean {
    return this.canWrite && this.#options.noDelete !== true;
  }

  /** Throws EROFS unless something can be written here. `operation` is for the log. */
  mayWrite(operation: string): void {
    const why = this.#options.readOnlyBecause;
    if (why === undefined) return;
    this.#faults.problem('write', { operation }, [`${operation} is refused with EROFS: ${why}`]);
    throw new ErrnoError(EROFS, `${operation}: the mount cannot write`);
  }

  /** Throws EPERM unless the bytes of the existing file may be replaced. */
  mayOverwrite(operation: string, key: string): void {
    this.mayWrite(operation);
    if (this.canOverwrite) return;
    this.#faults.problem('overwrite', { operation, key }, [
      `${operation} is refused with EPERM: '${key}' exists and the bucket is mounted with --no-overwrite`,
    ]);
    throw new ErrnoError(EPERM, `${operation}: '${key}' exists (--no-overwrite)`);
  }

  /** Throws EPERM unless names may be removed. */
  mayDelete(operation: string, key: string): void {
    this.mayWrite(operation);
    if (this.canDelete) return;
    this.#faults.problem('delete', { operation, key }, [
      `${operation} of '${key}' is refused with EPERM: the bucket is mounted with --no-delete`,
    ]);
    throw new ErrnoError(EPERM, `${operation} of '${key}' (--no-delete)`);
  }
}
