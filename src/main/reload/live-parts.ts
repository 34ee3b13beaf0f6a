/**
 * The knobs of a running daemon's parts, for a reload: bandwidth, connections and parts of the scheduler, times to live of
 * the file system, read-around of the prefetcher, credentials.
 * Thread: main. Refuses what the memory that was counted at the start does not hold, and says so.
 */
import { FeedbackController } from '../../engine/scheduler/controller.js';
import type { CredentialSource } from '../../engine/credentials/source.js';
import type { PoolPrefetcher } from '../../prefetch/pool-prefetcher.js';
import type { S3FileSystem } from '../../fs/file-system.js';
import { BLOCK_BYTES } from '../../base/pool/layout.js';
import type { HardwareProfile } from '../../hwdetect/profile.js';
import type { SchedulerDriver } from '../scheduler/driver.js';
import { controllerBounds, PARTS_IN_POOL } from '../sizing-bounds.js';
import { deriveSizing, type Sizing } from '../sizing.js';
import type { LiveKnobs, LiveParts } from './live-settings.js';

export interface TurnedParts {
  readonly scheduler: SchedulerDriver;
  readonly fileSystem: S3FileSystem;
  readonly prefetcher: PoolPrefetcher;
  readonly control: { readonly credentials: CredentialSource };
  readonly hardware: HardwareProfile;
  /** Of the start. */
  readonly sizing: Sizing;
}

/** `own`: what only the composition root can turn. */
export function liveParts(
  { scheduler, fileSystem, prefetcher, control, hardware, sizing }: TurnedParts,
  own: Pick<LiveKnobs, 'setMetricsLog' | 'setShutdownTimeout'>,
): LiveParts {
  return {
    reasons: sizing.reasons,
    rereadCredentials: async () => {
      const isNew = await control.credentials.reload();
      const origin = control.credentials.origin();
      if (origin === 'anonymous') return undefined;
      return `credentials read again (${origin}): ${isNew ? 'new ones' : 'the same as before'}`;
    },
    knobs: {
      ...own,
      setBandwidth: (bytesPerSecond) => {
        scheduler.setBandwidth(bytesPerSecond ?? Infinity);
        return undefined;
      },
      setTransfers: (next) => {
        const { connectionsMax } = sizing;
        if ((next.connectionsMax ?? 0) > connectionsMax) {
          return `memory was counted for ${connectionsMax} connections when the mount was made`;
        }
        const partMost = Math.floor(sizing.poolBytes / PARTS_IN_POOL / BLOCK_BYTES) * BLOCK_BYTES;
        if ((next.readPartBytes ?? 0) > partMost) {
          return `the pool that was allocated holds parts of ${partMost} bytes at most`;
        }
        // As the mount would begin with the new settings, but within what it began with.
        const now = deriveSizing(hardware, next);
        const kept: Sizing = {
          ...now,
          connectionsMax: Math.min(now.connectionsMax, connectionsMax),
          connectionsFirst: Math.min(now.connectionsFirst, connectionsMax),
          partBytes: Math.min(now.partBytes, partMost),
          netThreads: sizing.netThreads,
          poolBytes: sizing.poolBytes,
        };
        const bounds = controllerBounds(kept, next);
        scheduler.rebind(bounds, new FeedbackController(bounds));
        return undefined;
      },
      setTtl: (ttlMs, negativeTtlMs) => fileSystem.setTtl(ttlMs, negativeTtlMs),
      setReadAround: (isOn) => {
        prefetcher.around.setOn(isOn);
        return undefined;
      },
    },
  };
}
