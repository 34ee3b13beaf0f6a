/**
 * What a thrown value says, whatever was thrown: system calls and Node's own errors carry a code (`ENOENT`, `ERR_...`), others
 * a message. Pure. Refuses to throw in turn, and to decide what a code means: that is for who made the call.
 */

/** The error's code; undefined for what has none. */
export function codeOf(error: unknown): string | undefined {
  const code: unknown = typeof error === 'object' && error !== null && 'code' in error ? error.code : undefined;
  return typeof code === 'string' ? code : undefined;
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** For a sentence of ours that names file or address itself: the code says enough there. */
export function codeOrMessage(error: unknown): string {
  return codeOf(error) ?? messageOf(error);
}

/** Where messages may hold what is not to be shown. */
export function codeOrName(error: unknown): string {
  return codeOf(error) ?? (error instanceof Error ? error.name : String(error));
}
