/**
 * What a mount may use of what it would have alone, now that others are mounted on the same host: the registry of mounts
 * (src/main/registry) says it, the driver of the scheduler and the memory governor obey. Types only, so that neither
 * knows the other. Refuses to say how the division is made (registry/divide.ts).
 */

export interface HostShare {
  /**
   * Of this mount's own network target and of its connections: 0 < networkShare <= 1. 1 when nobody else is active on its
   * cards. Worked out as if this mount were active, so that one that wakes up has its share at once.
   */
  readonly networkShare: number;
  /** Mounts that are active on the same cards, this one included. */
  readonly activeMounts: number;
  /** Bound of the RSS of all our processes. What the user said with --memory-target is not divided. */
  readonly memoryTargetBytes: number;
}

/** Whoever obeys. Called on the main thread when the share changes: first soon after the start, then when mounts come, go, wake up or fall idle. */
export interface ShareTaker {
  setShare(share: HostShare): void;
}

/** What has not heard of others yet. */
export function wholeShare(memoryTargetBytes: number): HostShare {
  return { networkShare: 1, activeMounts: 1, memoryTargetBytes };
}
