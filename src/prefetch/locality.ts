/**
 * Says whether reading around random reads pays for one object version. It costs nothing to find out: a random read that
 * misses in a block of which other parts were fetched before would have been a hit, had the whole block been fetched then.
 * Once most of the last misses are of that kind, blocks are fetched whole; and as long as such bytes get used. Pure: no
 * clock, no I/O; time is counted in random reads.
 *
 * Random reads all over a large file never get there (400 of 256 KiB in 1 GiB: a fifth); the samples of one shard do
 * after about as many reads as it has blocks. Refuses to know about links and budgets: read-around.ts does.
 */

/** Misses looked at, and how many of them must have been near for it to pay (guessed: two of three). */
const MISSES_KEPT = 32;
const NEAR_MIN = 21;

/** A block that was fetched whole and of which nothing new was read within so many random reads was fetched for nothing. */
const WASTED_AFTER_READS = 128;
/** Blocks whose fate is not known yet; more are not fetched. */
const PENDING_MAX = 64;

/** So many fates are looked at together; when fewer than half of them were good, it stops. */
const JUDGED_BLOCKS = 16;
/** It begins anew after so many random reads, and after twice as many the next time. */
const PAUSE_READS_FIRST = 512;
const PAUSE_READS_MAX = 1 << 20;

/** Bytes [from, to) of a block. */
export interface Part {
  readonly from: number;
  readonly to: number;
}

interface Pending {
  readonly parts: readonly Part[];
  readonly sinceRead: number;
}

export class Locality {
  /** Whether each of the last misses was near, as a ring. */
  readonly #near: boolean[] = [];
  #nearCount = 0;
  #at = 0;
  #reads = 0;
  /** Blocks fetched whole whose fate is open, oldest first. */
  readonly #pending = new Map<number, Pending>();
  #used = 0;
  #wasted = 0;
  #pausedUntilRead = 0;
  #pauseReads = PAUSE_READS_FIRST;

  /** Fetch the rest of the block that was just missed? */
  get pays(): boolean {
    return this.#nearCount >= NEAR_MIN && this.#reads >= this.#pausedUntilRead && this.#pending.size < PENDING_MAX;
  }

  get counts(): { reads: number; near: number; pending: number; used: number; wasted: number } {
    return {
      reads: this.#reads,
      near: this.#nearCount,
      pending: this.#pending.size,
      used: this.#used,
      wasted: this.#wasted,
    };
  }

  /** A random read had to be fetched; `near`: other bytes of its block were there. */
  missed(near: boolean): void {
    this.#reads++;
    this.#note(near);
    for (const [blockIndex, { sinceRead }] of this.#pending) {
      if (this.#reads - sinceRead < WASTED_AFTER_READS) break;
      this.#pending.delete(blockIndex);
      this.#wasted++;
    }
    this.#judge();
  }

  /** A random read was answered from what was there. True when it was the first to use what `brought` announced. */
  hit(blockIndex: number, from: number, to: number): boolean {
    this.#reads++;
    const pending = this.#pending.get(blockIndex);
    if (!pending?.parts.some((part) => part.from < to && from < part.to)) return false;
    this.#pending.delete(blockIndex);
    this.#used++;
    this.#note(true);
    this.#judge();
    return true;
  }

  /** These parts of a block were sent for because it pays. */
  brought(blockIndex: number, parts: readonly Part[]): void {
    if (!this.#pending.has(blockIndex)) this.#pending.set(blockIndex, { parts, sinceRead: this.#reads });
  }

  #note(near: boolean): void {
    if (this.#near[this.#at] === true) this.#nearCount--;
    this.#near[this.#at] = near;
    if (near) this.#nearCount++;
    this.#at = (this.#at + 1) % MISSES_KEPT;
  }

  #judge(): void {
    if (this.#used + this.#wasted < JUDGED_BLOCKS) return;
    if (this.#used < this.#wasted) {
      this.#pausedUntilRead = this.#reads + this.#pauseReads;
      this.#pauseReads = Math.min(2 * this.#pauseReads, PAUSE_READS_MAX);
    }
    this.#used = 0;
    this.#wasted = 0;
  }
}
