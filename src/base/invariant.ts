/**
 * Programmer errors. A broken invariant means that our own reasoning is wrong, so nobody catches one to go on: the
 * daemon ends and says why (a supervisor may start another). Operating failures (a 503, a full disk) are typed
 * errors or errno values, never invariants.
 */

/** Thrown for a broken invariant; never caught to continue. */
export class InvariantError extends Error {
  override readonly name = 'InvariantError';
}

/** Throws InvariantError with `message` when `condition` is false. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new InvariantError(`broken invariant: ${message}`);
}

/** Closes a switch over a discriminated union: the compiler refuses a case that is missing. */
export function assertNever(value: never): never {
  throw new InvariantError(`broken invariant: unexpected value ${JSON.stringify(value)}`);
}
