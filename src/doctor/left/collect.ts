/**
 * Takes garbage away, one after another, each looked at again just before; what has come into use meanwhile stays, and what
 * cannot be removed does not keep the others.
 */
import type { Garbage } from './garbage.js';

export interface Collected {
  readonly removed: readonly Garbage[];
  /** In use again, or gone by itself. */
  readonly kept: readonly Garbage[];
  readonly failed: readonly { readonly garbage: Garbage; readonly error: unknown }[];
}

export async function collect(all: readonly Garbage[], progress: (done: number) => void): Promise<Collected> {
  const removed: Garbage[] = [];
  const kept: Garbage[] = [];
  const failed: { garbage: Garbage; error: unknown }[] = [];
  for (const garbage of all) {
    try {
      if (await garbage.isStill()) {
        await garbage.remove();
        removed.push(garbage);
      } else kept.push(garbage);
    } catch (error) {
      failed.push({ garbage, error });
    }
    progress(removed.length + kept.length + failed.length);
  }
  return { removed, kept, failed };
}
