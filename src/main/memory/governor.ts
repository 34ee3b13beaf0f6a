/**
 * Holds the memory of all our processes at its target while the mount runs. Twice a second it looks at what is resident:
 * the pool may touch as many fresh slots as there is room for, and when the target is exceeded, because heaps or listings
 * grew, memory is given up in this order: caches of names, then pool (idle slots, blocks that nobody will miss, then
 * blocks read ahead), then what the allocators keep. With room again the caches grow back.
 * Speculation needs no lever of its own: it takes spare room only, and there is none while the pool may not grow.
 *
 * What writers hold cannot be taken; their share is half of what the pool may have, so it shrinks with the pool.
 *
 * Thread: main. Owns: its timer. Why a waiting READ still makes progress: filling and pinned blocks are never taken, and
 * the pool keeps `poolFloorSlots` in any case, half of them for READs. Refuses to block: each step is bounded by what one tick may give up.
 */
import type { Clock, Timer } from '../../base/clock.js';
import type { Log } from '../../base/log.js';
import { BLOCK_BYTES } from '../../base/pool/layout.js';
import { MIB } from '../../base/units.js';

/** Heaps that grow as fast as they were seen to (60 MiB/s in a listing) grow by 30 MiB in between. */
const TICK_MS = 500;
/** Room that is left free for what the heaps do until the next look (measured: a scavenge's worth of four threads). */
const MARGIN_BYTES = 16 * MIB;
/** Most slots that one tick takes from the pool: about 10 ms of the main thread. */
const SLOTS_A_TICK = 128;
/** Beyond the target by this much, blocks that streams will still read go too. */
const PRESSING_BYTES = 16 * MIB;
/** Beyond the target by this much although the pool gave what it has: the allocators are asked. */
const LAST_RESORT_BYTES = 32 * MIB;
/** A full collection stops the main thread for some 50 ms: not more often than this. */
const LAST_RESORT_MS = 15_000;
/** Ticks with room before caches may grow again. */
const CALM_TICKS = 10;
/** By how much they may grow in a tick, and how much room there must be for it. */
const GROW_BYTES = 8 * MIB;

/** A cache that can do with less. */
export interface ElasticCache {
  readonly name: string;
  /** Gives up about so many bytes; says how many it will have given up, 0 when it is at its least. */
  shrink(bytes: number): number;
  /** May use so many bytes more; says how many it takes, 0 when it has all it wants. */
  grow(bytes: number): number;
}

/** The pool, as the governor sees it. */
export interface PoolControl {
  /** Slots whose memory is in use. */
  readonly touchedSlots: number;
  /** Those of them that writers have. */
  readonly lentSlots: number;
  allowFresh(slots: number): void;
  /** Gives up to so many slots back to the system; `any` also takes what was read ahead. Says how many. */
  giveBack(slotsMax: number, room: 'any' | 'spare'): number;
}

export interface GovernorOptions {
  /** At the start; see setTarget. */
  readonly targetBytes: number;
  readonly poolFloorSlots: number;
}

export interface GovernorDeps {
  readonly residentBytes: () => number;
  readonly pool: PoolControl;
  /** In the order in which they shrink. */
  readonly caches: readonly ElasticCache[];
  /** Collects garbage and trims malloc: may take 100 ms. */
  readonly lastResort: () => void;
  readonly clock: Clock;
  readonly log: Log;
}

export class MemoryGovernor {
  /** For --log-metrics. */
  readonly counts = { residentBytes: 0, peakBytes: 0, slotsGivenBack: 0, cacheBytesGivenUp: 0, lastResorts: 0 };
  readonly #options: GovernorOptions;
  readonly #deps: GovernorDeps;
  #targetBytes: number;
  #timer: Timer | undefined;
  #calmTicks = 0;
  #lastResortMs = -Infinity;
  #complained = false;

  constructor(options: GovernorOptions, deps: GovernorDeps) {
    this.#options = options;
    this.#deps = deps;
    this.#targetBytes = options.targetBytes;
  }

  get targetBytes(): number {
    return this.#targetBytes;
  }

  /**
   * Another target from the next look on: other mounts of the host came or went. Less is reached by giving up SLOTS_A_TICK
   * at a look; more can be used at once, as far as the pool was planned.
   */
  setTarget(targetBytes: number): void {
    this.#targetBytes = targetBytes;
  }

  start(): void {
    this.tick();
    this.#timer = this.#deps.clock.after(TICK_MS, () => this.start());
  }

  close(): void {
    this.#timer?.cancel();
  }

  /** One look, and what follows from it. */
  tick(): void {
    const { counts } = this;
    const { pool, residentBytes } = this.#deps;
    const targetBytes = this.#targetBytes;
    counts.residentBytes = residentBytes();
    counts.peakBytes = Math.max(counts.peakBytes, counts.residentBytes);
    const overBytes = counts.residentBytes - targetBytes;
    if (overBytes > 0) {
      this.#calmTicks = 0;
      this.#giveUp(overBytes);
      pool.allowFresh(this.#floorAllowance());
      return;
    }
    const roomBytes = -overBytes - MARGIN_BYTES;
    // What was asked for and is not free yet is not needed any more; what was put aside goes.
    pool.giveBack(0, 'spare');
    pool.allowFresh(Math.max(this.#floorAllowance(), Math.floor(roomBytes / BLOCK_BYTES)));
    this.#calmTicks++;
    if (this.#calmTicks < CALM_TICKS || roomBytes < GROW_BYTES) return;
    // Who gave up last gets back first.
    for (const cache of this.#deps.caches.toReversed()) if (cache.grow(GROW_BYTES) > 0) return;
  }

  /** Slots that may be touched in any case, so that the floor of the pool can be had. */
  #floorAllowance(): number {
    return Math.max(0, this.#floorSlots() - this.#deps.pool.touchedSlots);
  }

  /** What the pool keeps in any case: READs have half of the floor, whatever writers hold. */
  #floorSlots(): number {
    const { poolFloorSlots } = this.#options;
    return Math.max(poolFloorSlots, this.#deps.pool.lentSlots + Math.ceil(poolFloorSlots / 2));
  }

  #giveUp(overBytes: number): void {
    const { pool, caches, lastResort, clock, log } = this.#deps;
    const { counts } = this;
    let needBytes = overBytes;
    for (const cache of caches) {
      if (needBytes <= 0) break;
      const given = cache.shrink(needBytes);
      counts.cacheBytesGivenUp += given;
      needBytes -= given;
    }
    // What a cache gives up is resident until its garbage is collected: only the pool's memory is gone at once. So the pool
    // helps as soon as the excess presses.
    if (overBytes > PRESSING_BYTES) needBytes = overBytes;
    if (needBytes <= 0) return;
    const room = overBytes > PRESSING_BYTES ? 'any' : 'spare';
    const aboveFloor = pool.touchedSlots - this.#floorSlots();
    const slots = Math.min(Math.ceil(needBytes / BLOCK_BYTES), SLOTS_A_TICK, Math.max(0, aboveFloor));
    const given = pool.giveBack(slots, room);
    counts.slotsGivenBack += given;
    needBytes -= given * BLOCK_BYTES;
    if (needBytes < LAST_RESORT_BYTES || clock.nowMs() - this.#lastResortMs < LAST_RESORT_MS) return;
    this.#lastResortMs = clock.nowMs();
    counts.lastResorts++;
    lastResort();
    if (this.#complained) return;
    this.#complained = true;
    const targetBytes = this.#targetBytes;
    log.warn(
      { residentBytes: counts.residentBytes, targetBytes },
      'more memory in use than --memory-target although all caches are at their least: names in use take it; a larger target makes reads faster',
    );
  }
}
