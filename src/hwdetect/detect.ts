/**
 * Gathers the profile of the machine: every probe at once, each with the same deadline, and a stated default for whatever
 * does not answer. Mounting waits for this, so it takes milliseconds and never fails.
 * Refuses to derive anything: what the facts mean for a mount is decided in src/main/sizing.
 */
import { availableParallelism, totalmem } from 'node:os';
import { systemClock, type Clock } from '../base/clock.js';
import { findCgroups } from './cgroup.js';
import { detectCores } from './cpu.js';
import { detectMemory, type MemoryFacts } from './memory.js';
import { detectNetwork, GBPS_ASSUMED, type NetworkFacts } from './network.js';
import type { HardwareProfile, Sourced } from './profile.js';

/** /proc and /sys answer in well under a millisecond a file; a driver that hangs must not hold the mount. */
export const DETECT_WAIT_MS = 1000;

export interface DetectOptions {
  /** Folder that stands for / (fixtures); '' for the machine itself. */
  readonly sysRoot?: string;
  readonly waitMs?: number;
  readonly clock?: Clock;
}

/** What this machine is. Never throws; resolves after `waitMs` at the latest. */
export async function detectHardware(options: DetectOptions = {}): Promise<HardwareProfile> {
  const sysRoot = options.sysRoot ?? '';
  const clock = options.clock ?? systemClock;
  const waitMs = options.waitMs ?? DETECT_WAIT_MS;
  const late = `unknown: no answer within ${waitMs} ms`;
  const groups = findCgroups(sysRoot);
  const bounded = <T>(probe: Promise<T>, otherwise: T): Promise<T> =>
    new Promise((resolve) => {
      const timer = clock.after(waitMs, () => resolve(otherwise));
      const settle = (value: T): void => {
        timer.cancel();
        resolve(value);
      };
      probe.then(settle, () => settle(otherwise));
    });

  const coresDefault: Sourced<number> = {
    value: availableParallelism(),
    source: `os.availableParallelism() (${late})`,
  };
  const memoryDefault: MemoryFacts = {
    limitBytes: { value: totalmem(), source: `os.totalmem() (${late})` },
    availableBytes: { value: undefined, source: late },
  };
  const networkDefault: NetworkFacts = { nics: [], gbps: { value: GBPS_ASSUMED, source: `assumed (${late})` } };
  const [cores, memory, network] = await Promise.all([
    bounded(
      groups.then((found) => detectCores(sysRoot, found)),
      coresDefault,
    ),
    bounded(
      groups.then((found) => detectMemory(sysRoot, found)),
      memoryDefault,
    ),
    bounded(detectNetwork(sysRoot), networkDefault),
  ]);
  return {
    cores,
    memoryLimitBytes: memory.limitBytes,
    memoryAvailableBytes: memory.availableBytes,
    nics: network.nics,
    networkGbps: network.gbps,
  };
}
