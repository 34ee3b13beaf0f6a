/**
 * Which card the default route uses: IPv4's with the lowest metric, else IPv6's. Read from /proc, because a netlink socket
 * needs native code. Refuses policy routing: tables other than main are not in these files.
 */
import { readText } from './read.js';

/** Routes looked at; a full BGP table in /proc/net/route is cut by the size of a file (read.ts). */
const ROUTES_MAX = 10_000;
/** RTF_UP, RTF_REJECT (linux/route.h): an unreachable default route is none. */
const RTF_UP = 0x1;
const RTF_REJECT = 0x200;

/** Name of the card, undefined without a default route. Never throws. */
export async function defaultRouteNic(sysRoot: string): Promise<string | undefined> {
  return (
    byIpv4((await readText(sysRoot, '/proc/net/route')) ?? '') ??
    byIpv6(await readText(sysRoot, '/proc/net/ipv6_route'))
  );
}

function byIpv4(text: string): string | undefined {
  let best: string | undefined;
  let bestMetric = Infinity;
  // Iface Destination Gateway Flags RefCnt Use Metric Mask MTU Window IRTT
  for (const line of text.split('\n').slice(1, ROUTES_MAX)) {
    const [name, destination, , flags, , , metric, mask] = line.trim().split(/\s+/);
    if (name === undefined || destination !== '00000000' || mask !== '00000000') continue;
    if (!isUsable(flags) || Number(metric) >= bestMetric) continue;
    best = name;
    bestMetric = Number(metric);
  }
  return best;
}

function byIpv6(text: string | undefined): string | undefined {
  let best: string | undefined;
  let bestMetric = Infinity;
  // destination prefix-length source prefix-length next-hop metric refcnt use flags device
  for (const line of (text ?? '').split('\n').slice(0, ROUTES_MAX)) {
    const [destination, length, , , , metric, , , flags, name] = line.trim().split(/\s+/);
    if (name === undefined || name === 'lo' || length !== '00' || !/^0+$/.test(destination ?? '')) continue;
    const value = Number.parseInt(metric ?? '', 16);
    if (!isUsable(flags) || !(value < bestMetric)) continue;
    best = name;
    bestMetric = value;
  }
  return best;
}

function isUsable(flags: string | undefined): boolean {
  const bits = Number.parseInt(flags ?? '', 16);
  return (bits & RTF_UP) !== 0 && (bits & RTF_REJECT) === 0;
}
