/**
 * Joins the memory governor with the parts that it governs. Refuses to decide: governor.ts does.
 */
import type { Clock } from '../../base/clock.js';
import type { Log } from '../../base/log.js';
import { BLOCK_BYTES } from '../../base/pool/layout.js';
import type { BlockIndex } from '../../prefetch/block-index.js';
import { MemoryGovernor } from './governor.js';
import { collectGarbage } from './heaps.js';
import { listingShare, type BoundedListings } from './listing-share.js';
import type { NativeMemory } from './native-memory.js';
import { POOL_FLOOR_BYTES, type MemoryPlan } from './plan.js';
import { residentBytes } from './resident.js';

/** Pages of every machine that this is likely to run on; only asked for where koffi cannot tell. */
const PAGE_BYTES_GUESS = 4096;

export interface GovernedParts {
  readonly plan: MemoryPlan;
  readonly index: BlockIndex;
  readonly listings: BoundedListings;
  /** Undefined where the system's calls cannot be made: then the pool only stops to grow. */
  readonly native: NativeMemory | undefined;
  readonly clock: Clock;
  readonly log: Log;
}

/** Starts looking. Close it before the mount ends. */
export function startGovernor(parts: GovernedParts): MemoryGovernor {
  const { plan, index, listings, native, clock, log } = parts;
  const pageBytes = native?.pageBytes ?? PAGE_BYTES_GUESS;
  const { table } = index;
  const governor = new MemoryGovernor(
    { targetBytes: plan.targetBytes, poolFloorSlots: POOL_FLOOR_BYTES / BLOCK_BYTES },
    {
      residentBytes: () => residentBytes(pageBytes),
      pool: {
        get touchedSlots() {
          return table.touchedSlots;
        },
        get lentSlots() {
          return table.lentSlots;
        },
        allowFresh: (slots) => table.allowFresh(slots),
        giveBack: (slotsMax, room) => {
          if (native === undefined) return 0;
          table.putAside(0);
          index.reclaim(slotsMax - table.asideSlots, room);
          const given = table.cool(slotsMax, (slots) => native.giveBack(slots));
          // Where everything is under way, slots are kept back as they become free, and given back at the next look.
          table.putAside(Math.max(0, slotsMax - given));
          return given;
        },
      },
      caches: [listingShare(listings)],
      lastResort: () => {
        collectGarbage();
        native?.trim();
      },
      clock,
      log,
    },
  );
  governor.start();
  return governor;
}
