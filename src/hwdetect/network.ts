/**
 * Network cards and their speed from /sys/class/net, and which one the default route uses (IPv4, else IPv6).
 * Virtual machines' cards rarely say how fast they are; then the speed is the 10 Gbit/s that Mountpoint assumes too, and
 * the source says so. Refuses to ask the network (instance metadata comes with a later issue).
 */
import type { NicProfile, Sourced } from './profile.js';
import { listNames, readInteger, readText } from './read.js';

/** What is assumed of a card that does not say: the same as Mountpoint outside EC2. */
export const GBPS_ASSUMED = 10;
/** Cards looked at; a host with thousands of veth pairs has its own among the first by name or by route. */
const NICS_MAX = 256;

export interface NetworkFacts {
  readonly nics: readonly NicProfile[];
  readonly gbps: Sourced<number>;
}

async function defaultRouteNic(sysRoot: string): Promise<string | undefined> {
  let best: string | undefined;
  let bestMetric = Infinity;
  // Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
  for (const line of ((await readText(sysRoot, '/proc/net/route')) ?? '').split('\n').slice(1)) {
    const [name, destination, , , , , metric, mask] = line.trim().split(/\s+/);
    if (name === undefined || destination !== '00000000' || mask !== '00000000') continue;
    if (Number(metric) < bestMetric) {
      best = name;
      bestMetric = Number(metric);
    }
  }
  if (best !== undefined) return best;
  // destination prefix-length source prefix-length next-hop metric refcnt use flags device
  for (const line of ((await readText(sysRoot, '/proc/net/ipv6_route')) ?? '').split('\n')) {
    const [destination, length, , , , metric, , , , name] = line.trim().split(/\s+/);
    if (name === undefined || name === 'lo' || length !== '00' || !/^0+$/.test(destination ?? '')) continue;
    const value = Number.parseInt(metric ?? '', 16);
    if (value < bestMetric) {
      best = name;
      bestMetric = value;
    }
  }
  return best;
}

/** Never throws. */
export async function detectNetwork(sysRoot: string): Promise<NetworkFacts> {
  const route = await defaultRouteNic(sysRoot);
  const names = (await listNames(sysRoot, '/sys/class/net')).filter(
    (name) => name !== 'lo' && name !== 'bonding_masters',
  );
  names.sort((a, b) => (a === route ? -1 : b === route ? 1 : a < b ? -1 : 1));
  const nics: NicProfile[] = [];
  for (const name of names.slice(0, NICS_MAX)) {
    const file = `/sys/class/net/${name}/speed`;
    // Reading the speed of a card that is down fails; a virtual one says -1.
    const megabits = await readInteger(sysRoot, file);
    const known = megabits !== undefined && megabits > 0;
    nics.push({
      name,
      gbps: known
        ? { value: megabits / 1000, source: file }
        : { value: undefined, source: `unknown: ${file} does not say` },
      defaultRoute: name === route,
    });
  }
  const first = nics.find((nic) => nic.defaultRoute);
  if (first?.gbps.value !== undefined) return { nics, gbps: { value: first.gbps.value, source: first.gbps.source } };
  const why = first === undefined ? 'no default route' : `${first.name} does not say its speed`;
  return { nics, gbps: { value: GBPS_ASSUMED, source: `assumed: ${why}` } };
}
