/** Whether the endpoint takes connections, how far it is, and whose certificate it shows. Asked without credentials. */
import type { Check } from '../check.js';
import { finding, skipped, type Finding } from '../finding.js';
import { wayFinding } from '../store/failures.js';
import { isLocal } from './proxy.js';

const FAR_MS = 50;
const DAY_MS = 24 * 3600 * 1000;
const CERTIFICATE_LEFT_MS = 14 * DAY_MS;

export const endpointCheck: Check = {
  name: 'endpoint',
  deadlineMs: 30_000,
  applies: ({ store }) => store !== undefined,
  async run({ host, store }) {
    const place = await store?.place().catch(() => undefined);
    if (store === undefined || place === undefined) return skipped('settings cannot work');
    const findings: Finding[] = [];
    const { hostname, hostHeader, tls } = place;
    if (!tls && !isLocal(hostname)) {
      findings.push(finding('endpoint.plain-http', `http://${hostHeader}`, { host: hostHeader }));
    }
    try {
      const { certificateEndsMs } = await store.knock();
      // Not before everything is loaded: what is measured is the way, not this process.
      await store.probe().catch(() => undefined);
      const connectMs = place.proxyUrl === undefined ? await host.roundTripMs(hostname, place.port) : undefined;
      const took = connectMs === undefined ? '' : `, connected in ${connectMs.toFixed(1)} ms`;
      if (connectMs !== undefined && connectMs > FAR_MS) {
        findings.push(finding('endpoint.far', `a connection to ${hostHeader} takes ${Math.round(connectMs)} ms`));
      }
      if (certificateEndsMs !== undefined && certificateEndsMs - host.wallMs() < CERTIFICATE_LEFT_MS) {
        const ends = new Date(certificateEndsMs).toISOString();
        findings.push(finding('tls.expiring', `the certificate of ${hostname} ends at ${ends}`, { host: hostname }));
      }
      const until =
        certificateEndsMs === undefined
          ? ''
          : `, certificate until ${new Date(certificateEndsMs).toISOString().slice(0, 10)}`;
      return { summary: `${tls ? 'https' : 'http'}://${hostHeader}${took}${until}`, findings };
    } catch (error) {
      const found = await wayFinding(error, store);
      // The name: told by `dns`, unless a proxy is to be found.
      if (found.id === 'dns.fails' && place.proxyUrl === undefined)
        return { ...skipped('its name is not known'), findings };
      return { summary: 'cannot be reached', findings: [...findings, found] };
    }
  },
};
