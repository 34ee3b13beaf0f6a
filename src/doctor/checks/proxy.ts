/**
 * Proxies of the environment: whether they can be used, whether the store's requests pass them, and whether they should.
 * Variables are proxy-from-env's, as in the mount (engine/endpoint/proxy.ts). Passwords in their URLs are not shown.
 */
import { isIP } from 'node:net';
import type { Check } from '../check.js';
import { finding, type Finding } from '../finding.js';
import { connects } from '../host.js';

const variables = ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy', 'ALL_PROXY', 'all_proxy'] as const;
const METADATA = '169.254.169.254';
const CONNECT_MS = 4_000;

export const proxyCheck: Check = {
  name: 'proxy',
  deadlineMs: 15_000,
  async run({ host, store }, signal) {
    const { env } = host.owner;
    const findings: Finding[] = [];
    const set = variables.filter((name) => (env[name] ?? '') !== '');
    for (const variable of set) {
      const value = env[variable] ?? '';
      // Without a scheme it is `host:port`, as proxy-from-env has it.
      const isGood = !value.includes('://') || /^https?:\/\/[^/]/i.test(value);
      if (!isGood) {
        findings.push(finding('proxy.invalid', `${variable} is not an http:// or https:// URL`, { variable }));
      }
    }
    const except = env['NO_PROXY'] ?? env['no_proxy'] ?? '';
    if (set.length > 0 && env['NODE_USE_ENV_PROXY'] === '1' && !except.includes(METADATA) && except !== '*') {
      const value = [...except.split(',').filter((each) => each !== ''), METADATA].join(',');
      findings.push(finding('proxy.metadata', `NODE_USE_ENV_PROXY is 1, and NO_PROXY lacks ${METADATA}`, { value }));
    }
    const none = set.length === 0 ? 'none' : `${set.join(', ')} set`;
    if (store === undefined) return { summary: none, findings };
    const place = await store.place().catch(() => undefined);
    if (place?.proxyUrl === undefined) return { summary: `${none}; not used for the store`, findings };
    const { hostname, proxyUrl } = place;
    const proxy = new URL(proxyUrl);
    const shown = `${proxy.protocol}//${proxy.host}`;
    const variable = set[0] ?? 'HTTPS_PROXY';
    const blanks = { host: hostname, variable };
    const failure = await connects(
      {
        host: proxy.hostname.replace(/^\[|\]$/g, ''),
        port: Number(proxy.port) || (proxy.protocol === 'https:' ? 443 : 80),
      },
      CONNECT_MS,
      signal,
    );
    if (failure !== undefined) {
      findings.push(finding('proxy.unreachable', `${shown} does not take connections (${failure})`, blanks));
    } else if (isLocal(hostname)) {
      findings.push(finding('proxy.local-endpoint', `${hostname} is asked through ${shown}`, blanks));
    } else findings.push(finding('proxy.in-use', `${hostname} is asked through ${shown}`, blanks));
    return { summary: `${hostname} is asked through ${shown}`, findings };
  },
};

/** This machine's or this network's own: loopback, private and link-local addresses, and names without a domain. */
export function isLocal(hostname: string): boolean {
  if (isIP(hostname) === 4) return /^(127|10|192\.168|169\.254|172\.(1[6-9]|2\d|3[01]))\./.test(`${hostname}.`);
  if (isIP(hostname) === 6) return /^(::1$|f[cd]|fe80)/i.test(hostname);
  return (
    hostname === 'localhost' ||
    hostname.endsWith('.localhost') ||
    hostname.endsWith('.local') ||
    !hostname.includes('.')
  );
}
