/** Bounded parallel work over many things; the first failure ends it, when what is under way is over. */
export async function inParallel<T>(
  things: Iterable<T>,
  parallel: number,
  work: (thing: T) => Promise<void>,
): Promise<void> {
  const iterator = things[Symbol.iterator]();
  let failed = false;
  const worker = async (): Promise<void> => {
    while (!failed) {
      const next = iterator.next();
      if (next.done === true) return;
      try {
        await work(next.value);
      } catch (error) {
        failed = true;
        throw error;
      }
    }
  };
  const results = await Promise.allSettled(Array.from({ length: parallel }, worker));
  for (const result of results) if (result.status === 'rejected') throw result.reason;
}
