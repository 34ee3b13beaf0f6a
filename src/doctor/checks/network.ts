/** What of the network's settings a mount meets before any store: a route, name servers, ports, buffers. */
import { readText } from '../../hwdetect/read.js';
import { counted, MIB } from '../../base/units.js';
import type { Check } from '../check.js';
import { finding, type Finding } from '../finding.js';

const FAST_GBPS = 10;
/** The kernel's default is 6 MiB. */
const RECEIVE_BYTES_LEAST = 4 * MIB;
const PORTS_A_CONNECTION = 4;

export const networkCheck: Check = {
  name: 'network',
  deadlineMs: 5_000,
  async run({ host, hardware, sizing }) {
    const [profile, sized] = await Promise.all([hardware(), sizing()]);
    const findings: Finding[] = [];
    const card = profile.nics.find(({ defaultRoute, up }) => defaultRoute && up);
    if (card === undefined) findings.push(finding('network.no-route', 'no card is up and has a default route'));
    const resolver = (await readText(host.sysRoot, '/etc/resolv.conf')) ?? '';
    const servers = [...resolver.matchAll(/^\s*nameserver\s+(\S+)/gm)].map((match) => match[1]);
    if (servers.length === 0) {
      findings.push(finding('network.no-name-server', '/etc/resolv.conf has no line nameserver'));
    }
    const receive = profile.kernel.tcpReceiveBytesMax.value;
    if (receive !== undefined && receive < RECEIVE_BYTES_LEAST && sized.targetGbps >= FAST_GBPS) {
      const found = `net.ipv4.tcp_rmem ends at ${receive} bytes, and the target is ${sized.targetGbps} Gbit/s`;
      findings.push(finding('network.tcp-buffers', found));
    }
    const ports = profile.kernel.localPorts.value;
    if (ports !== undefined && ports < PORTS_A_CONNECTION * sized.connectionsMax) {
      const found = `${ports} local ports, and a mount may open ${sized.connectionsMax} connections`;
      findings.push(finding('network.few-ports', found));
    }
    const speed = card?.gbps.value === undefined ? '' : ` at ${card.gbps.value} Gbit/s`;
    const congestion = profile.kernel.congestionControl.value;
    return {
      summary: [
        card === undefined ? 'no default route' : `${card.name}${speed}`,
        counted(servers.length, 'name server'),
        ...(congestion === undefined ? [] : [`TCP ${congestion}`]),
      ].join(', '),
      findings,
    };
  },
};
