/**
 * Keeps mounts that are both at work at the same speed. An equal part of the connections is not an equal part of the link:
 * who reads more files at once, or has found a larger setting, takes more. So each mount tells the others what it gets and
 * whether it wants more, once a second, and who gets more than an equal part, while another wants more, does with fewer
 * connections, step by step. If what it leaves is not taken (the other is held up by something else), it takes it back and
 * leaves it so for a while.
 *
 * Max-min: who wants no more keeps what it has and is not cut for; the rest is divided equally between those that want.
 * Sans I/O: `step` once a second. Refuses to cut for a difference that is within what is measured anyway.
 */

/** What one mount gets over the cards that it shares. */
export interface Use {
  readonly bytesPerSecond: number;
  /** READs or writes wait for the network: it would take more. */
  readonly isHungry: boolean;
}

/** So much above its part a mount is cut, and so much below it another must be. */
const ABOVE = 1.03;
const BELOW = 0.9;
/** Most that one step takes, and the least that is left of the connections. */
const CUT_MIN = 0.7;
const TRIM_MIN = 0.1;
/** How fast it comes back. */
const GROW = 1.25;
const CREEP = 1.02;
/** The sum has fallen by so much since cutting began, in so many steps in a row: nobody takes what was left. */
const LOST_SHARE = 0.85;
const LOST_STEPS = 3;
/** How long it is left so then. */
const REST_MS = 20_000;

export class FairTrim {
  #trim = 1;
  /** What all had together when cutting began; undefined while nothing is cut. */
  #sumBefore: number | undefined;
  #lost = 0;
  #restUntilMs = -Infinity;

  /** Of the connections that this mount would have otherwise, 0 < trim <= 1. */
  get trim(): number {
    return this.#trim;
  }

  /** A second has passed. */
  step(mine: Use, others: readonly Use[], nowMs: number): number {
    const all = [mine, ...others];
    const sum = all.reduce((bytes, use) => bytes + use.bytesPerSecond, 0);
    const level = levelOf(all, sum);
    const isRich = mine.bytesPerSecond > ABOVE * level;
    const isWanted = others.some((use) => use.isHungry && use.bytesPerSecond < BELOW * level);
    if (this.#sumBefore !== undefined && sum < LOST_SHARE * this.#sumBefore) this.#lost++;
    else this.#lost = 0;
    if (this.#lost >= LOST_STEPS) {
      this.#restUntilMs = nowMs + REST_MS;
      this.#end();
      this.#trim = 1;
    } else if (isRich && isWanted) {
      if (nowMs < this.#restUntilMs) return this.#trim;
      this.#sumBefore ??= sum;
      this.#trim = Math.max(TRIM_MIN, this.#trim * Math.max(CUT_MIN, level / mine.bytesPerSecond));
    } else {
      // I am the one who is short, or nobody else wants anything; otherwise all is well, and the way back is a slow one.
      const isShort = mine.bytesPerSecond < BELOW * level || !others.some((use) => use.isHungry);
      this.#trim = Math.min(1, this.#trim * (isShort ? GROW : CREEP));
      if (this.#trim === 1) this.#end();
    }
    return this.#trim;
  }

  /** Nobody else is at work. */
  reset(): void {
    this.#trim = 1;
    this.#end();
  }

  #end(): void {
    this.#sumBefore = undefined;
    this.#lost = 0;
  }
}

/** What each that wants more would have if those got the same. */
function levelOf(all: readonly Use[], sum: number): number {
  const hungry = all.filter((use) => use.isHungry);
  if (hungry.length === 0) return Infinity;
  const content = all.reduce((bytes, use) => bytes + (use.isHungry ? 0 : use.bytesPerSecond), 0);
  return (sum - content) / hungry.length;
}
