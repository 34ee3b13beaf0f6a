/**
 * Gathers the profile of the machine: every probe at once, each with the same deadline, and a stated default for whatever
 * does not answer. Mounting waits for this, so it takes milliseconds (measured: 5 here; `mount` leaves out what no setting
 * of a mount depends on) and never fails.
 * Refuses to derive anything: what the facts mean for a mount is decided in src/main/sizing.
 */
import { availableParallelism, totalmem } from 'node:os';
import { systemClock, type Clock } from '../base/clock.js';
import { detectAccelerators } from './accelerators.js';
import { findCgroups } from './cgroup.js';
import { detectCores, type CpuFacts } from './cpu.js';
import { lookUpInstance } from './instance-table.js';
import { detectKernel } from './kernel.js';
import { detectLimits } from './limits.js';
import { detectMachine, type MachineFacts } from './machine.js';
import { detectMemory, type MemoryFacts } from './memory.js';
import { detectNics } from './network.js';
import { detectNuma } from './numa.js';
import type { HardwareProfile, KernelProfile, LimitsProfile, MachineProfile, NicProfile, Sourced } from './profile.js';
import { detectScratch } from './scratch.js';

/** /proc and /sys answer in well under a millisecond a file; a driver that hangs must not hold the mount. */
export const DETECT_WAIT_MS = 1000;

export interface DetectOptions {
  /** Folder that stands for / (fixtures, snapshots); '' for the machine itself. */
  readonly sysRoot?: string;
  /** `mount` leaves out interrupts, accelerators and scratch disks, which no setting depends on. */
  readonly detail?: 'mount' | 'all';
  readonly waitMs?: number;
  readonly clock?: Clock;
  /** Says whether and where the metadata service may be asked. */
  readonly env?: NodeJS.ProcessEnv;
}

/** What this machine is. Never throws; resolves after `waitMs` at the latest. */
export async function detectHardware(options: DetectOptions = {}): Promise<HardwareProfile> {
  const sysRoot = options.sysRoot ?? '';
  const all = options.detail !== 'mount';
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
  const left = <T>(empty: T): Promise<Sourced<T>> =>
    Promise.resolve({ value: empty, source: 'not looked up for a mount' });

  const defaults = unknowns(late);
  const [cpu, memory, numa, nics, { machine, networkCards }, accelerators, scratch, kernel, limits] = await Promise.all(
    [
      bounded(
        groups.then((found) => detectCores(sysRoot, found)),
        defaults.cpu,
      ),
      bounded(
        groups.then((found) => detectMemory(sysRoot, found)),
        defaults.memory,
      ),
      bounded(detectNuma(sysRoot), { value: [], source: late }),
      bounded(detectNics(sysRoot, { irqs: all }), []),
      bounded(detectMachine(sysRoot, { env: options.env ?? process.env }).then(withInstance), {
        machine: defaults.machine,
        networkCards: undefined,
      }),
      all ? bounded(detectAccelerators(sysRoot), { value: [], source: late }) : left([]),
      all ? bounded(detectScratch(sysRoot), { value: [], source: late }) : left([]),
      bounded(detectKernel(sysRoot), defaults.kernel),
      bounded(
        groups.then((found) => detectLimits(sysRoot, found)),
        defaults.limits,
      ),
    ],
  );
  return {
    ...cpu,
    memoryLimitBytes: memory.limitBytes,
    memoryAvailableBytes: memory.availableBytes,
    numa,
    nics: networkCards === undefined ? nics : nics.map((nic) => withCard(nic, networkCards)),
    machine,
    accelerators,
    scratch,
    kernel,
    limits,
  };
}

interface Machine {
  readonly machine: MachineProfile;
  readonly networkCards: MachineFacts['imds'];
}

async function withInstance(facts: MachineFacts): Promise<Machine> {
  const { value: type, source } = facts.machine.instanceType;
  const row = type === undefined ? undefined : await lookUpInstance(type);
  const instance =
    type === undefined
      ? { value: undefined, source }
      : { value: row, source: row === undefined ? `unknown: the table has no ${type}` : 'instance table' };
  return { machine: { ...facts.machine, instance }, networkCards: facts.imds };
}

function withCard(nic: NicProfile, imds: NonNullable<MachineFacts['imds']>): NicProfile {
  const index = nic.macAddress === undefined ? undefined : imds.networkCards.get(nic.macAddress.toLowerCase());
  if (index === undefined)
    return { ...nic, networkCard: { value: undefined, source: `unknown: ${imds.source} does not say` } };
  return { ...nic, networkCard: { value: index, source: imds.source } };
}

interface Unknowns {
  readonly cpu: CpuFacts;
  readonly memory: MemoryFacts;
  readonly machine: MachineProfile;
  readonly kernel: KernelProfile;
  readonly limits: LimitsProfile;
}

/** What stands for a probe that did not answer. */
function unknowns(late: string): Unknowns {
  const none = { value: undefined, source: late };
  return {
    cpu: {
      cores: { value: availableParallelism(), source: `os.availableParallelism() (${late})` },
      cpu: { online: none, allowed: none, quotaCores: none, threadsPerCore: none },
    },
    memory: {
      limitBytes: { value: totalmem(), source: `os.totalmem() (${late})` },
      availableBytes: none,
    },
    machine: { provider: none, product: none, instanceType: none, region: none, instance: none },
    kernel: {
      release: none,
      fuse: none,
      tcpReceiveBytesMax: none,
      tcpSendBytesMax: none,
      congestionControl: none,
      coreReceiveBytesMax: none,
      listenBacklogMax: none,
      localPorts: none,
      filesOpen: none,
      filesMax: none,
    },
    limits: { openFilesMax: none, lockedBytesMax: none, tasksLeft: none },
  };
}
