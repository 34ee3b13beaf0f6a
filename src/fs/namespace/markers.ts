/** What the objects that stand for directories are made of, and how a condition that was not met is told. */
import { StoreError } from '../../engine/store-error.js';

/** What other tools put on markers; it makes them look like folders there. */
export const MARKER_TYPE = 'application/x-directory';

/** The store refused because of a condition that was sent. */
export function isPrecondition(error: unknown): boolean {
  return error instanceof StoreError && (error.status === 412 || error.code === 'PreconditionFailed');
}
