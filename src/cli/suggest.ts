/**
 * "Did you mean": the known word nearest to a mistyped one, by edit distance with swapped neighbours counted once.
 * Only near misses are offered; a wrong suggestion is worse than none.
 * Refuses to correct by itself.
 */

/** Edits (insert, delete, replace, swap) from `a` to `b`. */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let row = 1; row <= a.length; row++) {
    const current = [row];
    for (let column = 1; column <= b.length; column++) {
      const same = a[row - 1] === b[column - 1];
      let best = Math.min(
        (last[column] ?? 0) + 1,
        (current[column - 1] ?? 0) + 1,
        (last[column - 1] ?? 0) + (same ? 0 : 1),
      );
      if (row > 1 && column > 1 && a[row - 1] === b[column - 2] && a[row - 2] === b[column - 1]) {
        best = Math.min(best, (beforeLast[column - 2] ?? 0) + 1);
      }
      current.push(best);
    }
    beforeLast = last;
    last = current;
  }
  return last[b.length] ?? 0;
}

/** The nearest of `known` to `word`, undefined when none is near: a third of its letters may be wrong, or it begins one. */
export function nearest(word: string, known: readonly string[]): string | undefined {
  let best: string | undefined;
  let bestDistance = Infinity;
  for (const candidate of known) {
    const begins = word.length >= 4 && candidate.startsWith(word);
    const distance = begins ? 1 : editDistance(word, candidate);
    if (distance < bestDistance && (begins || distance <= Math.max(1, Math.floor(word.length / 3)))) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}
