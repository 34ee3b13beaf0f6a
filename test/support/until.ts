/**
 * Waiting in tests for what comes soon, by looking: of another process, the kernel or a thread that says nothing when it is
 * there. Bounded, so that what never comes is a failure with a name and not a time-out of the whole file.
 * Refuses to be used for "nothing happens": a look cannot show that.
 */
import { setTimeout as sleep } from 'node:timers/promises';

/** What `look` gives as soon as it is neither undefined nor false. Rejects after `waitMs`, and names what never came. */
export async function until<T>(
  what: string,
  look: () => T | Promise<T>,
  { waitMs = 30_000, everyMs = 20 }: { readonly waitMs?: number; readonly everyMs?: number } = {},
): Promise<Exclude<T, undefined | false>> {
  for (const endMs = performance.now() + waitMs; ;) {
    const isLast = performance.now() >= endMs;
    const found = await look();
    if (found !== undefined && found !== false) return found as Exclude<T, undefined | false>;
    if (isLast) throw new Error(`not within ${waitMs / 1000} s: ${what}`);
    await sleep(everyMs);
  }
}
