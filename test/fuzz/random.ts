/**
 * What the fuzzers share: random numbers from a seed that is printed, a budget of time and rounds, and damage done to bytes
 * that were good. FUZZ_SEED=n repeats a run, FUZZ_MS=n changes the time each fuzzer gets (default 1500; whatever it is,
 * ROUNDS_MIN rounds run, so that a slow machine tests, too).
 */
import type { Test } from 'tap';

const ROUNDS_MIN = 200;

export interface Random {
  /** A whole number from 0 to below `bound`. */
  below(bound: number): number;
  pick<T>(list: readonly T[]): T;
  bytes(count: number): Buffer;
}

/** mulberry32. */
export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return (mixed ^ (mixed >>> 14)) >>> 0;
  };
  const below = (bound: number): number => next() % Math.max(1, bound);
  return {
    below,
    pick: (list) => list[below(list.length)] as (typeof list)[number],
    bytes: (count) => Buffer.from(Array.from({ length: count }, () => below(256))),
  };
}

/** Runs `round` with seeds of its own until time and rounds are used up; a failure names the seed of its round. */
export async function fuzz(t: Test, round: (random: Random) => void | Promise<void>): Promise<void> {
  const fixed = process.env['FUZZ_SEED'];
  const first = fixed === undefined ? Date.now() % 1_000_000_000 : Number(fixed);
  const endMs = performance.now() + Number(process.env['FUZZ_MS'] ?? 1500);
  let rounds = 0;
  for (; rounds < ROUNDS_MIN || performance.now() < endMs; rounds++) {
    try {
      await round(randomOf(first + rounds));
    } catch (error) {
      t.fail(
        `seed ${first + rounds} (FUZZ_SEED=${first + rounds}): ${error instanceof Error ? (error.stack ?? '') : String(error)}`,
      );
      return;
    }
  }
  t.pass(`${rounds} rounds`);
  t.comment(`seeds ${first} to ${first + rounds - 1}; repeat one with FUZZ_SEED=n`);
}

/** `good` with bytes changed, cut out, doubled, or replaced by words that mean something to a parser. */
export function damaged(random: Random, good: Buffer, words: readonly string[]): Buffer {
  let bytes = Buffer.from(good);
  for (let times = random.below(6); times > 0; times--) {
    const at = random.below(bytes.length + 1);
    const to = Math.min(bytes.length, at + random.below(40));
    const [before, middle, after] = [bytes.subarray(0, at), bytes.subarray(at, to), bytes.subarray(to)];
    const parts: Buffer[][] = [
      [before, after],
      [before, middle, middle, after],
      [before, random.bytes(random.below(20)), after],
      [before, Buffer.from(random.pick(words), 'latin1'), after],
      [before, Buffer.from(random.pick(words).repeat(1 + random.below(200)), 'latin1'), middle, after],
      [before],
    ];
    bytes = Buffer.concat(random.pick(parts));
  }
  return bytes;
}

/** The bytes in pieces, as a slow or unlucky network brings them; byte by byte at times. */
export function pieces(random: Random, bytes: Buffer): Buffer[] {
  const most = random.pick([1, 2, 7, 100, 4096, 1 << 20]);
  const result: Buffer[] = [];
  for (let at = 0; at < bytes.length;) {
    const to = Math.min(bytes.length, at + 1 + random.below(most));
    result.push(bytes.subarray(at, to));
    at = to;
  }
  return result;
}
