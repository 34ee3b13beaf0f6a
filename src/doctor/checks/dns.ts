/** Whether, how fast and to how many addresses the endpoint's name resolves. */
import { isIP } from 'node:net';
import { codeOrName } from '../../base/thrown.js';
import { isAwsEndpoint } from '../../engine/endpoint/aws-endpoint.js';
import type { Check } from '../check.js';
import { finding, skipped, type Finding } from '../finding.js';

const SLOW_MS = 500;

export const dnsCheck: Check = {
  name: 'dns',
  deadlineMs: 12_000,
  applies: ({ store }) => store !== undefined,
  async run({ host, store }) {
    const place = await store?.place().catch(() => undefined);
    if (store === undefined || place === undefined) return skipped('settings cannot work');
    if (place.proxyUrl !== undefined) return { summary: 'looked up by the proxy', findings: [] };
    const { hostname } = place;
    if (isIP(hostname) !== 0) return { summary: `${hostname} is an address`, findings: [] };
    const startMs = host.nowMs();
    let addresses: readonly string[];
    try {
      addresses = await host.lookUp(hostname);
    } catch (error) {
      const found = `${hostname} cannot be looked up (${codeOrName(error)})`;
      return { summary: 'fails', findings: [finding('dns.fails', found, { host: hostname })] };
    }
    const tookMs = Math.round(host.nowMs() - startMs);
    const findings: Finding[] = [];
    if (tookMs > SLOW_MS) findings.push(finding('dns.slow', `looking ${hostname} up took ${tookMs} ms`));
    const { endpointUrl } = await store.settings();
    // Endpoints of a VPC have one address for each zone, and do not mind.
    if (addresses.length === 1 && isAwsEndpoint(endpointUrl) && !hostname.includes('.vpce.')) {
      findings.push(finding('dns.one-address', `${hostname} is ${addresses[0]} only`, { host: hostname }));
    }
    const count = `${addresses.length} address${addresses.length === 1 ? '' : 'es'}`;
    return { summary: `${hostname}: ${count} in ${tookMs} ms`, findings };
  },
};
