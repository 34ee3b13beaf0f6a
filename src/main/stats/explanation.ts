/**
 * Why a mount is set as it is: where it started, from what, what it may move between, and what the controller did since,
 * with its reasons. Plain data, for `mount-s3x explain`. Refuses to find reasons: sizing and controller give theirs.
 */
import type { Clock } from '../../base/clock.js';
import type { ControllerBounds, Setting } from '../../engine/scheduler/api.js';
import type { HardwareProfile } from '../../hwdetect/profile.js';
import type { MountConfig } from '../config.js';
import type { Announcement, Claim } from '../registry/announcement.js';
import type { HostShareKeeper } from '../registry/host-share.js';
import type { SchedulerDriver } from '../scheduler/driver.js';
import type { HostShare } from '../scheduler/share.js';
import type { Sizing } from '../sizing.js';

/** One decision of the controller. */
export interface ExplainedDecision {
  readonly wallMs: number;
  readonly agoMs: number;
  readonly before: Setting;
  readonly after: Setting;
  /** One sentence. */
  readonly reason: string;
}

export interface Explanation {
  readonly format: 1;
  readonly wallMs: number;
  readonly mountPoint: string;
  readonly source: string;
  /** What the machine was found to be when the mount began: each fact with its source. */
  readonly hardware: HardwareProfile;
  /** What was made of it; `reasons` has a row for each setting, with the option that overrides it. */
  readonly sizing: Sizing;
  /** First, least and most of what the controller moves, and what the user fixed. */
  readonly bounds: ControllerBounds;
  /** In force now, for all of the mount; `share` says what of it others leave. */
  readonly setting: Setting;
  readonly share: HostShare;
  readonly claim: Claim;
  readonly others: readonly Announcement[];
  /** The last ones (DECISIONS_MAX), oldest first. */
  readonly decisions: readonly ExplainedDecision[];
}

export interface ExplanationSources {
  readonly config: MountConfig;
  readonly clock: Clock;
  readonly hardware: HardwareProfile;
  readonly sizing: Sizing;
  readonly scheduler: SchedulerDriver;
  readonly sharing: HostShareKeeper;
}

export function explainMount(sources: ExplanationSources): Explanation {
  const { config, clock, hardware, sizing, sharing } = sources;
  const { bounds, setting, decisions } = sources.scheduler.snapshot();
  const { mine, others } = sharing.claims;
  const [nowMs, wallMs] = [clock.nowMs(), clock.wallMs()];
  return {
    format: 1,
    wallMs,
    mountPoint: config.mountPoint,
    source: `s3://${config.store.bucket}/${config.store.prefix}`,
    hardware,
    sizing,
    bounds,
    setting,
    share: sharing.share,
    claim: mine,
    others,
    decisions: decisions.map(({ atMs, before, after, reason }) => {
      const agoMs = Math.max(0, nowMs - atMs);
      return { wallMs: wallMs - agoMs, agoMs, before, after, reason };
    }),
  };
}
