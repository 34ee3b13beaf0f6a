/**
 * A HardwareProfile for tests, with three cards: one that says its speed and has the route, one twice as fast, one silent.
 * Not a machine that exists: those are in test/hwdetect/fixtures.
 */
import type { HardwareProfile } from '../../src/hwdetect/profile.js';

export function plainProfile(cores: number, memoryLimitBytes: number, gbps: number): HardwareProfile {
  const source = 'test';
  return {
    cores: { value: cores, source },
    memoryLimitBytes: { value: memoryLimitBytes, source },
    memoryAvailableBytes: { value: undefined, source },
    nics: [
      { name: 'eth0', gbps: { value: gbps, source }, defaultRoute: true },
      { name: 'eth1', gbps: { value: 2 * gbps, source }, defaultRoute: false },
      { name: 'veth', gbps: { value: undefined, source }, defaultRoute: false },
    ],
    networkGbps: { value: gbps, source },
  };
}
