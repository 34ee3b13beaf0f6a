/**
 * A HardwareProfile for tests, with three cards: one that says its speed and has the route, one twice as fast, one silent.
 * Not a machine that exists: those are in test/hwdetect/fixtures.
 */
import type { HardwareProfile, NicProfile } from '../../src/hwdetect/profile.js';

const none = { value: undefined, source: 'test' };

export function plainNic(name: string, gbps: number | undefined, more: Partial<NicProfile> = {}): NicProfile {
  return {
    name,
    gbps: { value: gbps, source: 'test' },
    defaultRoute: false,
    up: true,
    driver: 'test',
    physical: true,
    mtuBytes: 1500,
    rxQueues: 1,
    txQueues: 1,
    numaNode: undefined,
    pciAddress: undefined,
    macAddress: undefined,
    irqCpus: undefined,
    master: undefined,
    members: [],
    networkCard: none,
    ...more,
  };
}

export function plainProfile(
  cores: number,
  memoryLimitBytes: number,
  gbps: number,
  more: Partial<HardwareProfile> = {},
): HardwareProfile {
  const source = 'test';
  return {
    cores: { value: cores, source },
    cpu: { online: none, allowed: none, quotaCores: none, threadsPerCore: none },
    memoryLimitBytes: { value: memoryLimitBytes, source },
    memoryAvailableBytes: none,
    numa: { value: [], source },
    nics: [
      plainNic('eth0', gbps, { defaultRoute: true }),
      plainNic('eth1', 2 * gbps),
      plainNic('veth', undefined, { physical: false }),
    ],
    machine: { provider: none, product: none, instanceType: none, region: none, instance: none },
    accelerators: { value: [], source },
    scratch: { value: [], source },
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
    ...more,
  };
}
