/**
 * What is known of the machine, as plain data: each fact with where it came from, so that a person can check it.
 * Probes never throw and have deadlines; what could not be found is `undefined` with the reason as its source.
 * Deriving settings from the profile is not done here (src/main/sizing).
 */

/** A fact and its source (`/sys/fs/cgroup/cpu.max`, `default`, `unknown: ...`). */
export interface Sourced<T> {
  readonly value: T;
  readonly source: string;
}

export interface NicProfile {
  readonly name: string;
  /** Gbit/s; undefined when the driver does not say (virtio, veth). */
  readonly gbps: Sourced<number | undefined>;
  /** True for the card that the default route uses. */
  readonly defaultRoute: boolean;
}

export interface HardwareProfile {
  /** Cores this process may use: the smaller of affinity and cgroup quota; may be a fraction. */
  readonly cores: Sourced<number>;
  /** Bytes this process may use: the smallest of the cgroup limits and the machine's memory. */
  readonly memoryLimitBytes: Sourced<number>;
  /** Bytes of them that are free to take now; undefined when the kernel does not say. */
  readonly memoryAvailableBytes: Sourced<number | undefined>;
  readonly nics: readonly NicProfile[];
  /** Gbit/s to expect of the network in all. */
  readonly networkGbps: Sourced<number>;
}
