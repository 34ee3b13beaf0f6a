/**
 * Makes a mount one of the host's: what it claims, from the machine and from what the user said, and where it meets the
 * others. Refuses to start anything but the keeper.
 */
import type { Clock } from '../../base/clock.js';
import type { Log } from '../../base/log.js';
import type { MountConfig } from '../config.js';
import type { ShareTaker } from '../scheduler/share.js';
import type { Sizing } from '../sizing.js';
import type { Owner } from '../state-directory.js';
import type { ActivityLook } from './activity.js';
import type { Claim } from './announcement.js';
import { HostShareKeeper } from './host-share.js';
import { makeRegistryDirectory } from './place.js';

export interface JoinOptions {
  readonly config: Pick<MountConfig, 'mountPoint' | 'bindNics' | 'memoryTargetBytes'>;
  readonly sizing: Pick<Sizing, 'targetGbps' | 'linkGbps' | 'nics' | 'memoryTargetBytes'>;
  readonly owner: Owner;
}

export interface JoinDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly look: () => ActivityLook;
  readonly takers: readonly ShareTaker[];
}

/** Starts sharing; close the keeper before the mount ends. */
export function joinHost(options: JoinOptions, deps: JoinDeps): HostShareKeeper {
  const { config, sizing, owner } = options;
  const keeper = new HostShareKeeper(
    {
      directory: makeRegistryDirectory(owner),
      mountPoint: config.mountPoint,
      claim: claimOf(options),
      memoryTargetBytes: sizing.memoryTargetBytes,
    },
    deps,
  );
  keeper.start();
  return keeper;
}

/** What a mount would use alone. */
export function claimOf({ config, sizing }: Omit<JoinOptions, 'owner'>): Omit<Claim, 'activity'> {
  return {
    nics: config.bindNics.length > 0 ? config.bindNics : sizing.nics.map((nic) => nic.name),
    linkGbps: sizing.linkGbps,
    targetGbps: sizing.targetGbps,
    defaultMemoryBytes: config.memoryTargetBytes === undefined ? sizing.memoryTargetBytes : undefined,
  };
}
