/**
 * From a mount's sizing to where its scheduler starts and what it never leaves. Pure, as the sizing itself.
 * What the user said is not moved: then first, least and most are the same number, and `fixed` says so.
 * Refuses to know how the controller decides (src/engine/scheduler) and bounds that memory does not hold.
 */
import { BLOCK_BYTES } from '../base/pool/layout.js';
import { MIB } from '../base/units.js';
import type { ControllerBounds, Setting } from '../engine/scheduler/api.js';
import type { MountConfig } from './config.js';
import type { Sizing } from './sizing.js';

/** What is left under the harshest SlowDown: one for who waits, one for everything else. */
const CONNECTIONS_LEAST = 2;
/** Below this a GET is mostly its first byte's latency, even at 5 MB/s a connection (guessed; measurement moves it). */
const PART_BYTES_LEAST = 2 * MIB;
/** Above this nothing is gained, and a stream's window holds one part only (src/prefetch/pool-prefetcher.ts). */
const PART_BYTES_MOST = 64 * MIB;
/** Parts that must fit into the pool at once, or one stream would starve all others (as in sizing.ts). */
export const PARTS_IN_POOL = 4;

/** The bounds of a mount's controller. */
export function controllerBounds(
  sizing: Sizing,
  config: Pick<MountConfig, 'connectionsMax' | 'readPartBytes' | 'netThreads'>,
): ControllerBounds {
  const fixed = {
    connections: config.connectionsMax !== undefined,
    partBytes: config.readPartBytes !== undefined,
    netThreads: config.netThreads !== undefined,
  };
  // --max-connections is what the user wants used when there is something to do, not a ceiling to be felt for.
  const connections = fixed.connections ? sizing.connectionsMax : sizing.connectionsFirst;
  const first: Setting = { connections, partBytes: sizing.partBytes, netThreads: sizing.netThreads };
  const partsFit = Math.floor(sizing.poolBytes / PARTS_IN_POOL / BLOCK_BYTES) * BLOCK_BYTES;
  return {
    first,
    least: {
      connections: fixed.connections ? connections : Math.min(CONNECTIONS_LEAST, connections),
      partBytes: fixed.partBytes ? first.partBytes : Math.min(PART_BYTES_LEAST, first.partBytes),
      netThreads: fixed.netThreads ? first.netThreads : 1,
    },
    most: {
      connections: sizing.connectionsMax,
      partBytes: fixed.partBytes ? first.partBytes : Math.max(first.partBytes, Math.min(PART_BYTES_MOST, partsFit)),
      netThreads: sizing.netThreads,
    },
    fixed,
    targetGbps: sizing.targetGbps,
  };
}
